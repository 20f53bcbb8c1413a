"""A service's own database: SQLite in a file or Postgres by URL, behind one port."""

from kit.clock import Clock
from kit.db.migrations import assert_migrations_match, migrate
from kit.db.port import READ_TIMEOUT_S, WRITE_TIMEOUT_S, Database, Dialect, Tx
from kit.db.urls import is_sqlite, parse_url

__all__ = [
    "READ_TIMEOUT_S",
    "WRITE_TIMEOUT_S",
    "Database",
    "Dialect",
    "Tx",
    "assert_migrations_match",
    "migrate",
    "open_database",
]


def open_database(url: str, *, clock: Clock | None = None) -> Database:
    """Return the database at `url`: `sqlite:////var/lib/atelier/jobs.db` or `postgresql://user@host:5432/jobs`.

    Nothing is connected yet. A `clock` other than the system's (a test's) replaces database time in `Tx.now_ms`.
    Raises ValueError for any other URL.
    """
    parsed = parse_url(url)
    if is_sqlite(parsed):
        from kit.db.sqlite import SqliteDatabase

        return SqliteDatabase(parsed, clock=clock)
    from kit.db.postgres import PostgresDatabase

    return PostgresDatabase(parsed, clock=clock)
