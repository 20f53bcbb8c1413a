"""What SQLite's result codes mean to a caller."""

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError

from kit.errors import AppError, DependencyUnavailable, StorageFull

_PRIMARY: Final = 0xFF  # Extended result codes keep the primary one in the low byte.
_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def translated(error: BaseException) -> AppError | None:
    """Return the error of ours that stands for `error`, chained to it; None for one that callers get as it is."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return None
    code = getattr(cause, "sqlite_errorcode", 0) & _PRIMARY
    answer: AppError
    if code == sqlite3.SQLITE_FULL:
        answer = StorageFull("the database's disk is full")
    elif code in _AWAY:
        answer = DependencyUnavailable("the database file cannot be used now")
    else:
        return None
    answer.__cause__ = error
    return answer
