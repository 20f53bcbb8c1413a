"""What Postgres' SQLSTATE codes and broken connections mean to a caller."""

from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kit.errors import AppError, DependencyUnavailable, StorageFull

_CONFLICT: Final = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_DISK_FULL: Final = "53100"
_DISCONNECT: Final = ("08", "57P01", "57P02", "57P03", "57P05")  # connection errors, shutdown, crash, starting up
_REFUSED: Final = ("28", "3D")  # wrong password or no such database: an operator repairs it, callers try again
_BUSY: Final = ("53", "55P03", "57014", "25P03", "25P04")  # resources, lock timeout, statement and idle timeouts


def is_conflict(error: BaseException) -> bool:
    """Tell whether the transaction lost against another one and may simply be run again."""
    return _sqlstate(error) in _CONFLICT


def is_disconnect(error: BaseException) -> bool:
    """Tell whether the connection is gone, or could not be made."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return True
    return isinstance(_cause(error), asyncpg.InterfaceError) or _sqlstate(error).startswith(_DISCONNECT)


def translated(error: BaseException) -> AppError | None:
    """Return the error of ours that stands for `error`; None for one that callers get as it is."""
    state = _sqlstate(error)
    if state == _DISK_FULL:
        return StorageFull("the database's disk is full")
    if state.startswith(_BUSY):
        return DependencyUnavailable("the database is too busy")
    if isinstance(error, PoolTimeout):
        return DependencyUnavailable("no database connection became free in time")
    if state.startswith(_REFUSED) or is_disconnect(error) or isinstance(error, TimeoutError):
        return DependencyUnavailable("the database does not answer")
    return None


def _cause(error: BaseException) -> BaseException | None:
    """Return the driver's own error inside SQLAlchemy's."""
    if isinstance(error, DBAPIError):
        return error.orig.__cause__ if error.orig is not None else None
    return error


def _sqlstate(error: BaseException) -> str:
    return getattr(_cause(error), "sqlstate", None) or ""
