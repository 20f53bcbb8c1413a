"""The asset store's records in SQL: tables, and one class for each port."""

from asset_store.sql.links import SqlLinkRecords
from asset_store.sql.records import SqlAssetRecords
from asset_store.sql.tables import METADATA
from asset_store.sql.upkeep import CONSUMER, SqlUpkeep

__all__ = ["CONSUMER", "METADATA", "SqlAssetRecords", "SqlLinkRecords", "SqlUpkeep"]
