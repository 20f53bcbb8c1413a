"""Asset records in SQL as the sweeper and the job events use them: over all clients."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select, update

from asset_store.domain import Asset, Standing
from asset_store.sql.tables import ASSETS, LINKS, to_asset
from kit.db import Database, Tx
from kit.events import seen

CONSUMER: Final = "assets"  # Our name in the inbox and on the bus.


class SqlUpkeep:
    """See `Upkeep`."""

    def __init__(self, db: Database) -> None:
        """Use the service's database."""
        self._db = db

    async def settle(self, job_id: str, *, keep: Sequence[str], event_id: str = "") -> Sequence[Asset]:
        """See `Upkeep.settle`."""
        provisional = (ASSETS.c.job_id == job_id, ASSETS.c.standing == Standing.PROVISIONAL.value)

        def work(tx: Tx) -> Sequence[Asset]:
            if event_id and seen(tx, CONSUMER, event_id):
                return ()
            if keep:
                tx.conn.execute(
                    update(ASSETS).where(*provisional, ASSETS.c.id.in_(keep)).values(standing=Standing.KEPT.value)
                )
            rows = tx.conn.execute(
                update(ASSETS)
                .where(*provisional, ASSETS.c.id.not_in(keep))
                .values(standing=Standing.DELETING.value)
                .returning(ASSETS)
            )
            return [to_asset(row) for row in rows]

        return await self._db.write(work)

    async def expire(self, *, limit: int) -> int:
        """See `Upkeep.expire`."""

        def work(tx: Tx) -> int:
            due = (
                select(ASSETS.c.id)
                .where(ASSETS.c.expire_ms <= tx.now_ms, ASSETS.c.standing != Standing.DELETING.value)
                .order_by(ASSETS.c.expire_ms)
                .limit(limit)
            )
            ids = list(tx.conn.scalars(due))
            if ids:
                tx.conn.execute(update(ASSETS).where(ASSETS.c.id.in_(ids)).values(standing=Standing.DELETING.value))
                tx.conn.execute(delete(LINKS).where(LINKS.c.asset_id.in_(ids)))
            return len(ids)

        return await self._db.write(work)

    async def deleting(self, *, limit: int) -> Sequence[Asset]:
        """See `Upkeep.deleting`."""

        def work(tx: Tx) -> Sequence[Asset]:
            query = (
                select(ASSETS)
                .where(ASSETS.c.standing == Standing.DELETING.value)
                .order_by(ASSETS.c.create_ms)
                .limit(limit)
            )
            return [to_asset(row) for row in tx.conn.execute(query)]

        return await self._db.read(work)

    async def undecided_jobs(self, *, older_than_s: float, after: str, limit: int) -> Sequence[str]:
        """See `Upkeep.undecided_jobs`."""

        def work(tx: Tx) -> Sequence[str]:
            query = (
                select(ASSETS.c.job_id)
                .distinct()
                .where(
                    ASSETS.c.standing == Standing.PROVISIONAL.value,
                    ASSETS.c.create_ms <= tx.now_ms - round(older_than_s * 1000),
                    ASSETS.c.job_id > after,
                )
                .order_by(ASSETS.c.job_id)
                .limit(limit)
            )
            return list(tx.conn.scalars(query))

        return await self._db.read(work)

    async def unknown_keys(self, keys: Sequence[str]) -> Sequence[str]:
        """See `Upkeep.unknown_keys`."""

        def work(tx: Tx) -> Sequence[str]:
            known = set(tx.conn.scalars(select(ASSETS.c.blob_key).where(ASSETS.c.blob_key.in_(keys))))
            return [key for key in keys if key not in known]

        return await self._db.read(work)
