"""The tables of the asset store, the same on SQLite and Postgres, and how a row becomes an asset."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    text,
)

from asset_store.domain import Asset, Content, Origin, Standing
from kit.events import tables as event_tables

METADATA: Final = MetaData()
_WHOLE: Final = BigInteger().with_variant(Integer(), "sqlite")  # STRICT tables know only INTEGER, of 64 bits.
_STRICT: Final[dict[str, Any]] = {"sqlite_strict": True}


def _only(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


ASSETS: Final = Table(
    "assets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("standing", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", _WHOLE, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("job_id", Text, nullable=False),  # Empty for what no job made.
    Column("source_url", Text, nullable=False),
    Column("blob_key", Text, nullable=False, unique=True),
    Column("create_ms", _WHOLE, nullable=False),
    Column("expire_ms", _WHOLE),  # NULL means never.
    CheckConstraint("origin IN ('upload', 'url', 'output')", name="assets_origin"),
    CheckConstraint("standing IN ('kept', 'provisional', 'deleting')", name="assets_standing"),
    CheckConstraint("size_bytes > 0 AND length(sha256) = 64", name="assets_content"),
    Index("assets_by_client", "client_id", "create_ms", "id"),
    Index("assets_by_job", "job_id", **_only("job_id <> ''")),
    Index("assets_due", "expire_ms", **_only("expire_ms IS NOT NULL")),
    Index("assets_unsettled", "standing", "create_ms", **_only("standing <> 'kept'")),
    **_STRICT,
)

LINKS: Final = Table(
    "links",
    METADATA,
    Column("asset_id", Text, ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("token", Text, nullable=False, unique=True),
    Column("expire_ms", _WHOLE),  # NULL means with the asset.
    **_STRICT,
)

event_tables(METADATA)


def to_row(asset: Asset) -> dict[str, Any]:
    """The columns of an asset."""
    return {
        "id": asset.id,
        "client_id": asset.client_id,
        "origin": asset.origin.value,
        "standing": asset.standing.value,
        "kind": asset.kind,
        "name": asset.name,
        "mime_type": asset.content.mime_type,
        "size_bytes": asset.content.size_bytes,
        "sha256": asset.content.sha256,
        "width": asset.content.width,
        "height": asset.content.height,
        "job_id": asset.job_id,
        "source_url": asset.source_url,
        "blob_key": asset.blob_key,
        "create_ms": asset.create_ms,
        "expire_ms": asset.expire_ms,
    }


def to_asset(row: Row[Any]) -> Asset:
    """The asset of a row."""
    return Asset(
        id=row.id,
        client_id=row.client_id,
        origin=Origin(row.origin),
        standing=Standing(row.standing),
        name=row.name,
        content=Content(
            mime_type=row.mime_type,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            width=row.width,
            height=row.height,
        ),
        job_id=row.job_id,
        source_url=row.source_url,
        blob_key=row.blob_key,
        create_ms=row.create_ms,
        expire_ms=row.expire_ms,
    )
