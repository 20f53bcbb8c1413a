"""Postgres behind the database port: SQLAlchemy's asyncio engine on asyncpg, one pooled connection a work."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncTransaction, create_async_engine

from kit.clock import Clock, SystemClock
from kit.db.port import READ_TIMEOUT_S, WRITE_TIMEOUT_S, Dialect, Listeners, T, Tx
from kit.db.postgres_errors import is_conflict, is_disconnect, translated
from kit.db.works import run_callbacks, run_work
from kit.errors import Conflict, DeadlineExceeded, DependencyUnavailable

POOL_SIZE: Final = 10  # Six services with a few replicas each stay below the server's default of 100.
WORKS_MAX: Final = 1_000  # Running and waiting; the pool clears them in about a second. Beyond: refuse.
CONNECT_TIMEOUT_S: Final = 5.0  # A server in the same cluster answers in milliseconds.
STATEMENT_TIMEOUT_S: Final = 10.0  # As long as a write may take altogether.
LOCK_TIMEOUT_S: Final = 5.0  # Shorter, so that the error names the lock and not the statement.
IDLE_IN_TRANSACTION_TIMEOUT_S: Final = 15.0  # A process that hangs inside a work must not keep its locks.
COMMAND_TIMEOUT_S: Final = STATEMENT_TIMEOUT_S + 5.0  # The server should give up first; this is for a dead network.
TRIES: Final = 6  # Of one work. Deadlocks dissolve at the second; more only under heavy contention.
BACKOFF_S: Final = 0.005  # Doubled at each try, with jitter: the transactions in the way take milliseconds.

_NOW_MS: Final = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")


class PostgresDatabase:
    """A `kit.db.Database` on a Postgres server."""

    def __init__(self, url: URL, *, clock: Clock | None = None) -> None:
        """Connect to nothing yet. Database time is the server's unless a test's `clock` is given."""
        self._writing = _engine(url)
        # One snapshot for the whole work, as SQLite's readers have it, and no way to write.
        self._reading = self._writing.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._listeners: Listeners = {}
        read_now = _read_now if clock is None or isinstance(clock, SystemClock) else _now_of(clock)
        self._make_tx = lambda connection: Tx(connection, "postgresql", read_now, self._listeners)
        self._works = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return "postgresql"

    async def write(self, work: Callable[[Tx], T], *, timeout_s: float = WRITE_TIMEOUT_S) -> T:
        """See `Database.write`."""
        return await self._run(self._writing, work, timeout_s)

    async def read(self, work: Callable[[Tx], T], *, timeout_s: float = READ_TIMEOUT_S) -> T:
        """See `Database.read`."""
        return await self._run(self._reading, work, timeout_s)

    def listen(self, signal: str, callback: Callable[[], None]) -> None:
        """See `Database.listen`."""
        self._listeners.setdefault(signal, []).append(callback)

    async def ping(self, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        """See `Database.ping`."""
        await self.read(_select_one, timeout_s=timeout_s)

    async def close(self) -> None:
        """See `Database.close`."""
        self._closed = True
        await self._idle.wait()  # Each work has a deadline, so this ends.
        await self._writing.dispose()

    async def _run(self, engine: AsyncEngine, work: Callable[[Tx], T], timeout_s: float) -> T:
        if self._closed:
            raise DependencyUnavailable("the database is closed")
        if self._works >= WORKS_MAX:
            raise DependencyUnavailable("too many works wait for the database", retry_after_s=1)
        self._works += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await self._try_often(engine, work)
        except TimeoutError as error:
            if not limit.expired():
                raise  # The work's own TimeoutError.
            raise DeadlineExceeded("the database did not finish in time") from error
        finally:
            self._works -= 1
            if not self._works:
                self._idle.set()

    async def _try_often(self, engine: AsyncEngine, work: Callable[[Tx], T]) -> T:
        for turn in range(TRIES):
            attempt = _Attempt(engine, self._make_tx)
            try:
                return await attempt.run(work)
            except Exception as error:
                # A pooled connection may have died unnoticed; before COMMIT nothing is lost by trying again.
                lost = is_disconnect(error) and not attempt.committing
                if turn == TRIES - 1 or not (lost or is_conflict(error)):
                    raise attempt.explained(error) from error
            await asyncio.sleep(BACKOFF_S * 2**turn * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret.
        raise AssertionError("the last try returns or raises")


class _Attempt:
    """One transaction around one work, and how far it came."""

    def __init__(self, engine: AsyncEngine, make_tx: Callable[[Connection], Tx]) -> None:
        self._engine = engine
        self._make_tx = make_tx
        self.committing = False

    async def run(self, work: Callable[[Tx], T]) -> T:
        async with self._engine.connect() as connection:  # Leaving it rolls back what is not committed.
            transaction = await connection.begin()
            tx, result = await connection.run_sync(self._run_work, work)
            self.committing = True
            await _commit(transaction, tx)
        return result

    def explained(self, error: Exception) -> Exception:
        """Return the error that the caller gets for `error`."""
        if is_conflict(error):
            return Conflict("concurrent transactions kept winning")
        ours = translated(error)
        if ours is not None and self.committing:
            ours.metadata["outcome"] = "unknown"
        return ours or error

    def _run_work(self, connection: Connection, work: Callable[[Tx], T]) -> tuple[Tx, T]:
        tx = self._make_tx(connection)
        return tx, run_work(work, tx)


async def _commit(transaction: AsyncTransaction, tx: Tx) -> None:
    """Commit and run the callbacks, even when the caller is cancelled meanwhile: COMMIT cannot be taken back."""
    commit = asyncio.ensure_future(transaction.commit())
    try:
        await asyncio.shield(commit)
    except asyncio.CancelledError:
        await commit
        run_callbacks(tx.callbacks)
        raise
    run_callbacks(tx.callbacks)


def _engine(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=WRITE_TIMEOUT_S,
        pool_use_lifo=True,  # Lets connections that a quiet hour does not need grow old and be closed by the server.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": {
                "application_name": "atelier",
                "statement_timeout": _milliseconds(STATEMENT_TIMEOUT_S),
                "lock_timeout": _milliseconds(LOCK_TIMEOUT_S),
                "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_TIMEOUT_S),
                "synchronous_commit": "on",  # An answered write is durable, whatever the server's default is.
            },
        },
    )


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _read_now(connection: Connection) -> int:
    return int(connection.execute(_NOW_MS).scalar_one())


def _now_of(clock: Clock) -> Callable[[Connection], int]:
    return lambda _connection: clock.now_ms()


def _select_one(tx: Tx) -> None:
    tx.conn.exec_driver_sql("SELECT 1")
