"""Database addresses as operators write them, made into what SQLAlchemy takes."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError


def parse_url(url: str) -> URL:
    """Return `url` (`sqlite:///…` or `postgresql://…`) with the driver we use.

    Raises ValueError for anything else; the text never repeats the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL") from None
    backend = parsed.drivername.partition("+")[0]
    if backend in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+asyncpg")
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ValueError("SQLite needs a file: readers and the writer are different connections")
        return parsed.set(drivername="sqlite")
    raise ValueError("databases are sqlite or postgresql")


def is_sqlite(url: URL) -> bool:
    """Tell SQLite from Postgres."""
    return url.drivername == "sqlite"
