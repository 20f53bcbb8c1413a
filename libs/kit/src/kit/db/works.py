"""Running one unit of work, the same on every adapter."""

import inspect
from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from kit.db.port import T, Tx
from kit.logging import get_logger

_log = get_logger(__name__)


def run_work(work: Callable[[Tx], T], tx: Tx) -> T:
    """Return what `work` returns. Raises what it raises, TypeError when it is async, and RuntimeError when it
    ended the transaction or left a savepoint open: both would commit something else than it seems.
    """
    result = work(tx)
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("a unit of work is a plain function, not async")
    if not tx.conn.in_transaction() or tx.conn.in_nested_transaction():
        raise RuntimeError("a unit of work must leave the transaction as it found it")
    return result


def leave_savepoints(conn: Connection) -> None:
    """Roll back the savepoints that a failed work left open."""
    while (nested := conn.get_nested_transaction()) is not None:
        nested.rollback()


def run_callbacks(callbacks: Iterable[Callable[[], None]]) -> None:
    """Call after-commit callbacks; what one raises must not reach the caller, whose work is committed."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            _log.exception("after_commit_callback_failed")
