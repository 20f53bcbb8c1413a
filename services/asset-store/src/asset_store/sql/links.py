"""Links in SQL."""

from sqlalchemy import and_, insert, or_, select, update

from asset_store.domain import Asset, Standing
from asset_store.sql.records import alive
from asset_store.sql.tables import ASSETS, LINKS, to_asset
from kit.db import Database, Tx
from kit.errors import AssetNotFound


class SqlLinkRecords:
    """See `LinkRecords`."""

    def __init__(self, db: Database) -> None:
        """Use the service's database."""
        self._db = db

    async def ensure(self, asset_id: str, variant: str, *, token: str, expire_ms: int | None) -> str:
        """See `LinkRecords.ensure`."""
        mine = and_(LINKS.c.asset_id == asset_id, LINKS.c.variant == variant)

        def work(tx: Tx) -> str:
            # Locking the asset makes two callers take turns, and keeps it from being deleted meanwhile.
            asset = tx.conn.execute(
                select(ASSETS.c.id)
                .where(ASSETS.c.id == asset_id, ASSETS.c.standing == Standing.KEPT.value, alive(tx.now_ms))
                .with_for_update()
            ).one_or_none()
            if asset is None:
                raise AssetNotFound
            link = tx.conn.execute(select(LINKS).where(mine)).one_or_none()
            if link is None:
                tx.conn.execute(
                    insert(LINKS),
                    {"asset_id": asset_id, "variant": variant, "token": token, "expire_ms": expire_ms},
                )
                return token
            if link.expire_ms is not None and link.expire_ms <= tx.now_ms:
                tx.conn.execute(update(LINKS).where(mine).values(token=token, expire_ms=expire_ms))
                return token
            return str(link.token)

        return await self._db.write(work)

    async def open(self, token: str) -> Asset | None:
        """See `LinkRecords.open`."""

        def work(tx: Tx) -> Asset | None:
            row = tx.conn.execute(
                select(ASSETS)
                .join(LINKS, LINKS.c.asset_id == ASSETS.c.id)
                .where(
                    LINKS.c.token == token,
                    or_(LINKS.c.expire_ms.is_(None), LINKS.c.expire_ms > tx.now_ms),
                    ASSETS.c.standing == Standing.KEPT.value,
                    alive(tx.now_ms),
                )
            ).one_or_none()
            return None if row is None else to_asset(row)

        return await self._db.read(work)
