"""SQLite behind the database port: one writer thread with group commit, a few reader threads.

Every caller that waits for the writer is taken into one `BEGIN IMMEDIATE` transaction, each with a savepoint
of its own, and answered after the one COMMIT they share: full durability (synchronous=FULL) at the price of
a fraction of an fsync. Readers use other connections and see the last commit (WAL), so they never wait for
the writer.

Transactions are begun by us, not by the driver: `isolation_level=None` switches its implicit BEGIN off and
SQLAlchemy's "begin" event emits ours.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from kit.clock import Clock, SystemClock
from kit.db.lanes import Lane
from kit.db.port import READ_TIMEOUT_S, WRITE_TIMEOUT_S, Dialect, Listeners, T, Tx

READERS: Final = 3  # SQLite reads release the interpreter lock only in part; more threads gain nothing.
WRITE_BATCH_MAX: Final = 256  # Callers in one commit: bounds how long the first of them waits for the last.
READ_BATCH_MAX: Final = 8  # Reads that share one snapshot; small, so that idle readers find work too.
QUEUE_MAX: Final = 10_000  # Waiting works: about a second of writes. Beyond it, refusing is kinder.
BUSY_TIMEOUT_MS: Final = 5_000  # Another process (a migration, a backup) may hold the lock this long.


class SqliteDatabase:
    """A `kit.db.Database` on one file that one process at a time serves."""

    def __init__(self, url: URL, *, clock: Clock | None = None) -> None:
        """Open nothing yet; threads and connections appear with the first work."""
        self._listeners: Listeners = {}
        read_now = _clock_reader(clock or SystemClock())
        self._writer = Lane(
            name="sqlite-writer",
            connect=_engine(url, begin="BEGIN IMMEDIATE", query_only=False).connect,
            read_now=read_now,
            listeners=self._listeners,
            threads=1,
            batch_max=WRITE_BATCH_MAX,
            queue_max=QUEUE_MAX,
            savepoints=True,
        )
        self._readers = Lane(
            name="sqlite-reader",
            connect=_engine(url, begin="BEGIN", query_only=True).connect,
            read_now=read_now,
            listeners=self._listeners,
            threads=READERS,
            batch_max=READ_BATCH_MAX,
            queue_max=QUEUE_MAX,
            savepoints=False,
        )

    @property
    def dialect(self) -> Dialect:
        """See `Database.dialect`."""
        return "sqlite"

    async def write(self, work: Callable[[Tx], T], *, timeout_s: float = WRITE_TIMEOUT_S) -> T:
        """See `Database.write`."""
        return await self._writer.run(work, timeout_s=timeout_s)

    async def read(self, work: Callable[[Tx], T], *, timeout_s: float = READ_TIMEOUT_S) -> T:
        """See `Database.read`."""
        return await self._readers.run(work, timeout_s=timeout_s)

    def listen(self, signal: str, callback: Callable[[], None]) -> None:
        """See `Database.listen`."""
        self._listeners.setdefault(signal, []).append(callback)

    async def ping(self, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        """See `Database.ping`."""
        await self.read(_select_one, timeout_s=timeout_s)

    async def close(self) -> None:
        """See `Database.close`."""
        await asyncio.gather(self._writer.close(), self._readers.close())


def _select_one(tx: Tx) -> None:
    tx.conn.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()  # Unlike SELECT 1 this opens the file.


def _clock_reader(clock: Clock) -> Callable[[Connection], int]:
    return lambda _connection: clock.now_ms()


def _engine(url: URL, *, begin: str, query_only: bool) -> Engine:
    # NullPool: each lane thread opens one connection and keeps it; a pool would only move it between threads.
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"query_only={int(query_only)}",
        ):
            connection.cursor().execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def emit_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
