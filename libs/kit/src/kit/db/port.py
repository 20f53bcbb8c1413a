"""The database port: work is a plain function, run inside one transaction.

A unit of work is synchronous on purpose: it cannot await, so a transaction never stays open while
something else is waited for, and SQLite can put many callers into one commit.
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]
Listeners = dict[str, list[Callable[[], None]]]

WRITE_TIMEOUT_S: Final = 10.0  # Longer than SQLite's wait for a lock (5 s), shorter than an RPC's patience.
READ_TIMEOUT_S: Final = 5.0  # A read touches an index; when it takes longer, the database is in trouble.


class Tx:
    """One transaction in the hands of a unit of work; useless after the work has returned."""

    __slots__ = ("_listeners", "_now_ms", "_read_now", "callbacks", "conn", "dialect")

    def __init__(
        self, conn: Connection, dialect: Dialect, read_now: Callable[[Connection], int], listeners: Listeners
    ) -> None:
        """Wrap `conn`, which is inside a transaction; `read_now` asks the database for its time."""
        self.conn = conn  #: SQLAlchemy Core connection. Do not commit, roll back or close it.
        self.dialect: Dialect = dialect
        self.callbacks: list[Callable[[], None]] = []  #: For the adapter; works use `after_commit`.
        self._read_now = read_now
        self._listeners = listeners
        self._now_ms: int | None = None

    @property
    def now_ms(self) -> int:
        """Database time in unix milliseconds; the same value throughout the transaction."""
        if self._now_ms is None:
            self._now_ms = self._read_now(self.conn)
        return self._now_ms

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop once this transaction is committed, never when it is not.

        It runs before the caller of `write` resumes, in the order of registration, also when that
        caller has gone away meanwhile. It must neither block nor raise; what it raises is logged.
        """
        self.callbacks.append(callback)

    def signal(self, name: str) -> None:
        """Call whoever listens to `name` on this database once the transaction is committed; see `listen`."""
        for callback in self._listeners.get(name, ()):
            if callback not in self.callbacks:
                self.callbacks.append(callback)


class Database(Protocol):
    """Runs units of work.

    Promises, the same on SQLite and Postgres:

    - A work that returns is committed, durably, before its caller gets the result. A work that raises leaves
      nothing behind, and the caller gets the very exception; other callers do not notice.
    - A work may run more than once (deadlock, serialization failure), so it does nothing but use its `Tx`.
      What it returns must not need the transaction any more: rows, not a CursorResult.
    - To go on after a failed statement, run that statement inside `with tx.conn.begin_nested():`.
    - Two writes may run at once (Postgres, READ COMMITTED): state the old value in the WHERE of an UPDATE,
      or lock the row first with `with_for_update()`. SQLite runs writes one after another.

    Raises, besides what the work raises: DependencyUnavailable (the database is away, too busy or closed;
    nothing was committed, except when the connection broke during COMMIT: then the outcome is unknown, so read
    by id before repeating), StorageFull (nothing was committed), DeadlineExceeded (outcome unknown).
    """

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks; the same as `Tx.dialect`."""
        ...

    async def write(self, work: Callable[[Tx], T], *, timeout_s: float = WRITE_TIMEOUT_S) -> T:
        """Run `work` in a transaction, commit it and return its result.

        A caller cancelled before its work began leaves nothing; after that the work may be committed.
        """
        ...

    async def read(self, work: Callable[[Tx], T], *, timeout_s: float = READ_TIMEOUT_S) -> T:
        """Run `work` on one snapshot that includes every write answered before; writing fails."""
        ...

    def listen(self, signal: str, callback: Callable[[], None]) -> None:
        """Call `callback` after each commit in which `Tx.signal(signal)` was called, as `after_commit` does.

        It hears this object's commits only, not other processes': a hint to look at once, never a promise.
        """
        ...

    async def ping(self, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        """Return when the database answers; raises as `read` does. For readiness."""
        ...

    async def close(self) -> None:
        """Finish the works already accepted, refuse new ones and free all connections. May be called twice."""
        ...
