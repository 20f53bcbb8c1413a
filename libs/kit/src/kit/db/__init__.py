"""A service's own database: SQLite in a file or Postgres by URL, behind one port."""

from sqlalchemy import URL, make_url

from kit.clock import Clock
from kit.db.port import READ_TIMEOUT_S, WRITE_TIMEOUT_S, Database, Dialect, Tx

__all__ = ["READ_TIMEOUT_S", "WRITE_TIMEOUT_S", "Database", "Dialect", "Tx", "open_database", "parse_url"]


def parse_url(url: str) -> URL:
    """Return `url` as SQLAlchemy takes it. Raises ValueError, without the URL, which may hold a password."""
    try:
        parsed = make_url(url)
    except Exception:
        raise ValueError("not a database URL") from None
    backend = parsed.get_backend_name()
    if backend in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+asyncpg")
    if backend == "sqlite":
        return parsed.set(drivername="sqlite")
    raise ValueError(f"databases are sqlite or postgresql, not {backend}")


def open_database(url: str, *, clock: Clock | None = None) -> Database:
    """Return the database at `url`: `sqlite:////var/lib/atelier/jobs.db` or `postgresql://user@host:5432/jobs`.

    Nothing is connected yet. A `clock` other than the system's (a test's) replaces database time in `Tx.now_ms`.
    Raises ValueError for any other URL.
    """
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        from kit.db.sqlite import SqliteDatabase

        return SqliteDatabase(parsed, clock=clock)
    from kit.db.postgres import PostgresDatabase

    return PostgresDatabase(parsed, clock=clock)
