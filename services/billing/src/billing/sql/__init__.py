"""The books in SQLite or Postgres."""

from billing.sql.ledger import SqlLedger
from billing.sql.tables import METADATA

__all__ = ["METADATA", "SqlLedger"]
