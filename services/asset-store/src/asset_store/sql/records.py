"""Asset records in SQL, as the RPCs use them: one short transaction each."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from asset_store.domain import Asset, Content, Intake, Standing, new_asset
from asset_store.ports import Filter
from asset_store.sql.tables import ASSETS, LINKS, to_asset, to_row
from kit import crash
from kit.db import Database, Tx

BEFORE_COMMIT: Final = crash.declare("assets.store.before_commit", "the record is inserted, nothing is committed")


def alive(now_ms: int) -> ColumnElement[bool]:
    """What is there for its readers: not deleting, and its retention not over."""
    return and_(
        ASSETS.c.standing != Standing.DELETING.value,
        or_(ASSETS.c.expire_ms.is_(None), ASSETS.c.expire_ms > now_ms),
    )


class SqlAssetRecords:
    """See `AssetRecords`."""

    def __init__(self, db: Database) -> None:
        """Use the service's database."""
        self._db = db

    async def add(self, intake: Intake, content: Content, *, asset_id: str, blob_key: str) -> Asset:
        """See `AssetRecords.add`."""

        def work(tx: Tx) -> Asset:
            asset = new_asset(intake, content, asset_id=asset_id, blob_key=blob_key, now_ms=tx.now_ms)
            try:
                with tx.conn.begin_nested():
                    tx.conn.execute(insert(ASSETS), to_row(asset))
            except IntegrityError:
                existing = _by_id(tx, asset_id)
                if existing is None:
                    raise
                return existing
            crash.point(BEFORE_COMMIT)
            return asset

        return await self._db.write(work)

    async def find(self, asset_id: str, *, client_id: str) -> Asset | None:
        """See `AssetRecords.find`."""

        def work(tx: Tx) -> Asset | None:
            row = tx.conn.execute(
                select(ASSETS).where(ASSETS.c.id == asset_id, ASSETS.c.client_id == client_id, alive(tx.now_ms))
            ).one_or_none()
            return None if row is None else to_asset(row)

        return await self._db.read(work)

    async def find_any(self, asset_id: str) -> Asset | None:
        """See `AssetRecords.find_any`."""
        return await self._db.read(lambda tx: _by_id(tx, asset_id))

    async def page(self, wanted: Filter, *, after: tuple[int, str] | None, limit: int) -> Sequence[Asset]:
        """See `AssetRecords.page`."""

        def work(tx: Tx) -> Sequence[Asset]:
            query = select(ASSETS).where(ASSETS.c.client_id == wanted.client_id, alive(tx.now_ms))
            if wanted.origin is not None:
                query = query.where(ASSETS.c.origin == wanted.origin.value)
            if wanted.kind:
                query = query.where(ASSETS.c.kind == wanted.kind)
            if wanted.job_id:
                query = query.where(ASSETS.c.job_id == wanted.job_id)
            if wanted.before_ms is not None:
                query = query.where(ASSETS.c.create_ms < wanted.before_ms)
            if after is not None:
                query = query.where(tuple_(ASSETS.c.create_ms, ASSETS.c.id) < after)
            query = query.order_by(ASSETS.c.create_ms.desc(), ASSETS.c.id.desc()).limit(limit)
            return [to_asset(row) for row in tx.conn.execute(query)]

        return await self._db.read(work)

    async def begin_delete(self, asset_id: str, *, client_id: str) -> Asset | None:
        """See `AssetRecords.begin_delete`."""

        def work(tx: Tx) -> Asset | None:
            row = tx.conn.execute(
                update(ASSETS)
                .where(
                    ASSETS.c.id == asset_id,
                    ASSETS.c.client_id == client_id,
                    ASSETS.c.standing == Standing.KEPT.value,
                )
                .values(standing=Standing.DELETING.value)
                .returning(ASSETS)
            ).one_or_none()
            if row is None:
                return None
            tx.conn.execute(delete(LINKS).where(LINKS.c.asset_id == asset_id))
            return to_asset(row)

        return await self._db.write(work)

    async def finish_delete(self, asset_ids: Sequence[str]) -> None:
        """See `AssetRecords.finish_delete`."""

        def work(tx: Tx) -> None:
            tx.conn.execute(
                delete(ASSETS).where(ASSETS.c.id.in_(asset_ids), ASSETS.c.standing == Standing.DELETING.value)
            )

        if asset_ids:
            await self._db.write(work)


def _by_id(tx: Tx, asset_id: str) -> Asset | None:
    row = tx.conn.execute(select(ASSETS).where(ASSETS.c.id == asset_id)).one_or_none()
    return None if row is None else to_asset(row)
