"""Every promise of `kit.db.Database`, on each adapter."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from kit.clock import SystemClock
from kit.db import Database, Tx, open_database
from kit.errors import DeadlineExceeded, DependencyUnavailable
from testkit.clock import START_MS, FakeClock

METADATA = MetaData()
NOTES = Table("contract_notes", METADATA, Column("id", Text, primary_key=True), Column("n", BigInteger))


def put(name: str, n: int = 0) -> Callable[[Tx], int]:
    """Return a work that inserts one note and returns its number."""

    def work(tx: Tx) -> int:
        tx.conn.execute(insert(NOTES), {"id": name, "n": n})
        return n

    return work


def names(tx: Tx) -> list[str]:
    return list(tx.conn.execute(select(NOTES.c.id).order_by(NOTES.c.id)).scalars())


def count_up(tx: Tx) -> None:
    tx.conn.execute(update(NOTES).values(n=NOTES.c.n + 1))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url)
    await database.write(lambda tx: METADATA.create_all(tx.conn))
    yield database
    await database.close()


def wait_in_work(tx: Tx, event: threading.Event) -> None:
    """Wait inside a transaction, letting the event loop go on whichever thread the work runs on."""
    for _ in range(12_000):
        if event.is_set():
            return
        if tx.dialect == "postgresql":
            tx.conn.execute(text("SELECT pg_sleep(0.005)"))
        else:
            event.wait(0.005)
    raise AssertionError("nobody ended the wait")


async def wait_for(event: threading.Event) -> None:
    async with asyncio.timeout(60):
        while not event.is_set():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def busy(db: Database) -> AsyncIterator[None]:
    """Keep more works running than any adapter runs at once."""
    started, gate = threading.Event(), threading.Event()

    def work(tx: Tx) -> None:
        started.set()
        wait_in_work(tx, gate)

    running = [asyncio.create_task(db.write(work)) for _ in range(64)]
    await wait_for(started)
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        gate.set()
        await asyncio.gather(*running)


class TestWrite:
    async def test_result_is_returned_and_rows_are_there_when_work_succeeds(self, db: Database) -> None:
        assert await db.write(put("a", 7)) == 7
        assert await db.read(names) == ["a"]

    async def test_rows_survive_when_the_database_is_opened_again(self, db: Database, database_url: str) -> None:
        await db.write(put("a"))
        await db.close()
        again = open_database(database_url)
        assert await again.read(names) == ["a"]
        await again.close()

    async def test_nothing_is_left_and_the_error_is_the_same_when_work_raises(self, db: Database) -> None:
        class Refused(Exception):
            pass

        error = Refused("no")

        def work(tx: Tx) -> None:
            tx.conn.execute(insert(NOTES), {"id": "a", "n": 0})
            raise error

        with pytest.raises(Refused) as caught:
            await db.write(work)
        assert caught.value is error
        assert await db.read(names) == []

    async def test_other_callers_are_not_touched_when_some_fail(self, db: Database) -> None:
        def failing(tx: Tx) -> int:
            tx.conn.execute(insert(NOTES), {"id": "shared", "n": 0})
            raise KeyError("refused")

        works = [failing if turn % 3 == 0 else put(f"n{turn:03}") for turn in range(120)]
        answers = await asyncio.gather(*(db.write(work) for work in works), return_exceptions=True)
        assert [type(answer) for answer in answers[::3]] == [KeyError] * 40
        assert await db.read(names) == [f"n{turn:03}" for turn in range(120) if turn % 3]

    async def test_a_failed_statement_fails_the_work_alone(self, db: Database) -> None:
        await db.write(put("a"))
        answers = await asyncio.gather(
            db.write(put("b")), db.write(put("a")), db.write(put("c")), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [int, IntegrityError, int]
        assert await db.read(names) == ["a", "b", "c"]

    async def test_work_may_go_on_when_a_statement_failed_in_a_savepoint_of_its_own(self, db: Database) -> None:
        await db.write(put("a"))

        def work(tx: Tx) -> str:
            with pytest.raises(IntegrityError), tx.conn.begin_nested():
                put("a")(tx)
            with tx.conn.begin_nested():
                put("b")(tx)
            return "went on"

        assert await db.write(work) == "went on"
        assert await db.read(names) == ["a", "b"]

    async def test_error_text_holds_no_values_when_a_statement_fails(self, db: Database) -> None:
        await db.write(put("a"))
        with pytest.raises(IntegrityError) as caught:
            await db.write(put("a", 987654321))
        assert "987654321" not in str(caught.value)

    async def test_no_update_is_lost_when_many_write_the_same_row(self, db: Database) -> None:
        await db.write(put("a", 0))
        await asyncio.gather(*(db.write(count_up) for _ in range(100)))
        assert await db.read(lambda tx: tx.conn.execute(select(NOTES.c.n)).scalar_one()) == 100

    async def test_leaving_the_transaction_otherwise_than_found_is_refused(self, db: Database) -> None:
        def forgotten_savepoint(tx: Tx) -> None:
            tx.conn.begin_nested()
            put("a")(tx)

        with pytest.raises(RuntimeError, match="as it found it"):
            await db.write(forgotten_savepoint)

        def ended(tx: Tx) -> None:
            put("b")(tx)
            tx.conn.rollback()

        with pytest.raises(RuntimeError, match="as it found it"):
            await db.write(ended)
        await db.write(put("c"))
        assert await db.read(names) == ["c"]

    async def test_an_async_work_is_refused(self, db: Database) -> None:
        async def work(tx: Tx) -> None:
            raise AssertionError("never awaited")

        misuse: Callable[[Tx], object] = work
        with pytest.raises(TypeError, match="plain function"):
            await db.write(misuse)


class TestCallersThatLeave:
    async def test_nothing_is_written_when_the_caller_left_before_its_turn(self, db: Database) -> None:
        async with busy(db):
            waiting = asyncio.create_task(db.write(put("late")))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await db.write(put("next"))
        assert await db.read(names) == ["next"]

    async def test_deadline_is_reported_when_the_database_is_too_slow(self, db: Database) -> None:
        async with busy(db):
            with pytest.raises(DeadlineExceeded):
                await db.write(put("late"), timeout_s=0.05)


class TestAfterCommit:
    async def test_callbacks_run_in_order_on_the_event_loop_before_the_caller_goes_on(self, db: Database) -> None:
        calls: list[tuple[str, int]] = []

        def work(tx: Tx) -> None:
            tx.after_commit(lambda: calls.append(("first", threading.get_ident())))
            tx.after_commit(lambda: calls.append(("second", threading.get_ident())))

        await db.write(work)
        assert calls == [("first", threading.get_ident()), ("second", threading.get_ident())]

    async def test_rows_are_committed_when_the_callback_runs(self, db: Database) -> None:
        seen: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        tasks = set()

        def look() -> None:
            task = asyncio.ensure_future(db.read(names))
            tasks.add(task)
            task.add_done_callback(lambda done: seen.set_result(done.result()))

        def work(tx: Tx) -> None:
            put("a")(tx)
            tx.after_commit(look)

        await db.write(work)
        assert await seen == ["a"]

    async def test_callbacks_do_not_run_when_the_work_raises(self, db: Database) -> None:
        calls: list[str] = []

        def work(tx: Tx) -> None:
            tx.after_commit(lambda: calls.append("called"))
            raise KeyError

        with pytest.raises(KeyError):
            await db.write(work)
        await db.write(put("a"))
        assert calls == []

    async def test_the_caller_gets_its_result_when_a_callback_raises(self, db: Database) -> None:
        calls: list[str] = []

        def work(tx: Tx) -> str:
            tx.after_commit(lambda: calls.append(str(1 // 0)))
            tx.after_commit(lambda: calls.append("second"))
            return "fine"

        assert await db.write(work) == "fine"
        assert calls == ["second"]


class TestRead:
    async def test_a_read_sees_every_write_answered_before(self, db: Database) -> None:
        for turn in range(50):
            await db.write(put(f"n{turn:02}"))
            assert len(await db.read(names)) == turn + 1

    async def test_a_read_sees_one_snapshot_while_others_write(self, db: Database) -> None:
        await db.write(put("a"))
        looked, written = threading.Event(), threading.Event()

        def work(tx: Tx) -> tuple[list[str], list[str]]:
            before = names(tx)
            looked.set()
            wait_in_work(tx, written)
            return before, names(tx)

        reading = asyncio.create_task(db.read(work))
        await wait_for(looked)
        await db.write(put("b"))
        written.set()
        assert await reading == (["a"], ["a"])
        assert await db.read(names) == ["a", "b"]

    async def test_writing_is_refused(self, db: Database) -> None:
        with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
            await db.read(put("a"))
        assert await db.read(names) == []

    async def test_other_readers_are_not_touched_when_one_fails(self, db: Database) -> None:
        def failing(tx: Tx) -> list[str]:
            tx.conn.execute(text("SELECT nothing FROM nowhere"))
            raise AssertionError

        await db.write(put("a"))
        works = [names, failing] * 20
        answers = await asyncio.gather(*(db.read(work) for work in works), return_exceptions=True)
        assert answers[::2] == [["a"]] * 20
        assert all(isinstance(answer, DBAPIError) for answer in answers[1::2])


class TestTime:
    async def test_now_is_the_same_throughout_one_transaction(self, db: Database) -> None:
        def work(tx: Tx) -> tuple[int, int]:
            first = tx.now_ms
            threading.Event().wait(0.005)
            return first, tx.now_ms

        first, second = await db.write(work)
        assert first == second
        assert abs(first - SystemClock().now_ms()) < 60_000

    async def test_now_moves_on_between_transactions(self, db: Database) -> None:
        first = await db.write(lambda tx: tx.now_ms)
        await asyncio.sleep(0.005)
        assert await db.read(lambda tx: tx.now_ms) > first

    async def test_a_test_clock_replaces_database_time(self, database_url: str) -> None:
        clock = FakeClock()
        db = open_database(database_url, clock=clock)
        assert await db.write(lambda tx: tx.now_ms) == START_MS
        clock.advance(90)
        assert await db.read(lambda tx: tx.now_ms) == START_MS + 90_000
        await db.close()


class TestLife:
    async def test_dialect_names_the_database(self, db: Database, database_url: str) -> None:
        assert await db.read(lambda tx: tx.dialect) == database_url.partition(":")[0]

    async def test_ping_returns_when_the_database_answers(self, db: Database) -> None:
        await db.ping()

    async def test_works_already_accepted_are_finished_when_closing(self, db: Database, database_url: str) -> None:
        writes = [asyncio.create_task(db.write(put(f"n{turn:02}"))) for turn in range(20)]
        await asyncio.sleep(0)
        await db.close()
        await asyncio.gather(*writes)
        again = open_database(database_url)
        assert len(await again.read(names)) == 20
        await again.close()

    async def test_new_works_are_refused_when_closed(self, db: Database) -> None:
        await db.close()
        await db.close()
        with pytest.raises(DependencyUnavailable):
            await db.write(put("a"))
        with pytest.raises(DependencyUnavailable):
            await db.read(names)
        with pytest.raises(DependencyUnavailable):
            await db.ping()

    async def test_an_absent_database_is_a_dependency_that_is_unavailable(self, absent_database_url: str) -> None:
        db = open_database(absent_database_url)
        for call in (db.ping, lambda: db.write(put("a")), lambda: db.read(names)):
            with pytest.raises(DependencyUnavailable):
                await call()
        await db.close()
