"""Threads that take waiting works in batches, run each batch in one SQLite transaction and answer the callers.

A lane is a bounded queue and the threads behind it. The asyncio side only puts jobs in and awaits futures; one
wake-up of the event loop answers a whole batch.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic

from sqlalchemy import Connection

from kit.db.port import Listeners, T, Tx
from kit.db.sqlite_errors import translated
from kit.db.works import leave_savepoints, run_callbacks, run_work
from kit.errors import DeadlineExceeded, DependencyUnavailable
from kit.logging import get_logger

CLOSE_TIMEOUT_S: Final = 30.0  # Time for the works already accepted; a batch takes milliseconds.

_log = get_logger(__name__)


class _Job(Generic[T]):
    """One work, its waiting caller, and what became of it."""

    __slots__ = ("callbacks", "error", "future", "loop", "result", "work")

    def __init__(self, work: Callable[[Tx], T], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.callbacks: list[Callable[[], None]] = []
        self.result: T | None = None
        self.error: BaseException | None = None

    def forget(self) -> None:
        """Be as before the work ran."""
        self.callbacks, self.result, self.error = [], None, None

    def answer(self) -> None:
        """Run the after-commit callbacks and wake the caller. On the caller's event loop."""
        if self.error is None:
            run_callbacks(self.callbacks)
        if self.future.done():  # The caller was cancelled or timed out while the work ran.
            return
        if self.error is None:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # None only where T is None.
        else:
            self.future.set_exception(self.error)


class Lane:
    """A queue of works and the threads that run them, each thread on a connection of its own."""

    def __init__(
        self,
        *,
        name: str,
        connect: Callable[[], Connection],
        read_now: Callable[[Connection], int],
        listeners: Listeners,
        threads: int,
        batch_max: int,
        queue_max: int,
        savepoints: bool,
    ) -> None:
        """`savepoints` protects the works of a batch from each other's errors; reads do not need it."""
        self._name = name
        self._connect = connect
        self._make_tx = lambda conn: Tx(conn, "sqlite", read_now, listeners)
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._savepoints = savepoints
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        self._started = False
        self._closed = False

    async def run(self, work: Callable[[Tx], T], *, timeout_s: float) -> T:
        """Queue `work` and return its result. Raises what `Database` promises."""
        if self._closed:
            raise DependencyUnavailable("the database is closed")
        if self._queue.qsize() >= self._queue_max:
            raise DependencyUnavailable("too many works wait for the database", retry_after_s=1)
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        job = _Job(work, asyncio.get_running_loop())
        self._queue.put(job)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await job.future
        except TimeoutError as error:
            if not limit.expired():
                raise  # The work's own TimeoutError.
            raise DeadlineExceeded("the database did not finish in time") from error

    async def close(self) -> None:
        """Let the threads finish what is queued, then end them."""
        self._closed = True
        if not self._started:
            return
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join, CLOSE_TIMEOUT_S)

    # What follows runs on the lane's threads.

    def _serve(self) -> None:
        session = _Session(self._connect, self._make_tx, savepoints=self._savepoints)
        try:
            while (batch := self._take()) is not None:
                session.run(batch)
                _answer(batch)
        finally:
            session.disconnect()

    def _take(self) -> list[_Job[Any]] | None:
        """Wait for one job and take those that wait behind it; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < self._batch_max:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # The end comes after this batch.
                break
            batch.append(job)
        return batch


class _Session:
    """One connection and how a batch runs on it; made again after it failed."""

    def __init__(
        self, connect: Callable[[], Connection], make_tx: Callable[[Connection], Tx], *, savepoints: bool
    ) -> None:
        self._connect = connect
        self._make_tx = make_tx
        self._savepoints = savepoints
        self._conn: Connection | None = None
        self._driver: sqlite3.Connection | None = None

    def run(self, batch: list[_Job[Any]]) -> None:
        """Run each job of `batch` and commit them together, leaving each its result or its error."""
        try:
            self._run_together(batch)
        except BaseException as error:  # A thread that dies would leave every later caller waiting.
            self.disconnect()
            if len(batch) > 1 and translated(error) is None:
                # One of them broke the shared transaction (a deferred constraint, a COMMIT of its own): the
                # others must not suffer, and nothing is committed yet, so each runs again alone.
                for job in batch:
                    job.forget()
                    self.run([job])
                return
            for job in batch:
                job.error = job.error or translated(error) or error

    def _run_together(self, batch: list[_Job[Any]]) -> None:
        conn, driver = self._connected()
        with conn.begin():
            for job in batch:
                if not job.future.cancelled():
                    self._run_one(job, conn, driver)

    def _run_one(self, job: _Job[Any], conn: Connection, driver: sqlite3.Connection) -> None:
        tx = self._make_tx(conn)
        job.callbacks = tx.callbacks
        if self._savepoints:
            driver.execute("SAVEPOINT work")
        try:
            job.result = run_work(job.work, tx)
        except BaseException as error:
            job.error = translated(error) or error
            leave_savepoints(conn)
            if not (driver.in_transaction and conn.in_transaction()):
                raise RuntimeError("a unit of work has ended the shared transaction") from error
            if self._savepoints:
                driver.execute("ROLLBACK TO work")
        if self._savepoints:
            driver.execute("RELEASE work")

    def _connected(self) -> tuple[Connection, sqlite3.Connection]:
        if self._conn is None or self._driver is None:
            conn = self._connect()
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            self._conn, self._driver = conn, driver
        return self._conn, self._driver

    def disconnect(self) -> None:
        """Drop the connection; whatever it had not committed is rolled back."""
        conn, self._conn, self._driver = self._conn, None, None
        if conn is not None:
            try:
                conn.invalidate()
                conn.close()
            except Exception:
                _log.exception("sqlite_disconnect_failed")


def _answer(batch: Iterable[_Job[Any]]) -> None:
    """Wake all callers of a batch with one call into each event loop (there is nearly always one)."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer_all, jobs)
        except RuntimeError:  # The loop was closed under its callers: nobody is left to answer.
            _log.warning("database_answer_without_event_loop", works=len(jobs))


def _answer_all(jobs: Iterable[_Job[Any]]) -> None:
    for job in jobs:
        job.answer()
