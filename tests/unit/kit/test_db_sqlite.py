"""What only the SQLite adapter promises: group commit, durability, its limits, and a disk that fills up."""

import asyncio
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, MetaData, Table, Text, insert, select, text
from sqlalchemy.exc import IntegrityError

from kit.db import Database, Tx, open_database
from kit.db.sqlite import QUEUE_MAX, WRITE_BATCH_MAX
from kit.errors import DependencyUnavailable, StorageFull

METADATA = MetaData()
NOTES = Table("notes", METADATA, Column("id", Text, primary_key=True), Column("body", LargeBinary))
CHILDREN = Table(
    "children",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("note", ForeignKey("notes.id", deferrable=True, initially="DEFERRED")),
)

# Writes numbered rows from 16 tasks and prints each number once its write was answered.
WRITER = """
import asyncio, sys
from kit.db import open_database
from sqlalchemy import text

async def main(url):
    db = open_database(url)
    numbers = iter(range(1_000_000))
    async def write():
        for number in numbers:
            statement = text("INSERT INTO notes (id) VALUES (:n)").bindparams(n=str(number))
            await db.write(lambda tx: tx.conn.execute(statement).close())
            print(number, flush=True)
    await asyncio.gather(*(write() for _ in range(16)))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    database = open_database(f"sqlite:///{path}")
    await database.write(lambda tx: METADATA.create_all(tx.conn))
    yield database
    await database.close()


def put(name: str, body: bytes = b"") -> Callable[[Tx], int]:
    """Return a work that inserts one note and tells which transaction it was in."""

    def work(tx: Tx) -> int:
        tx.conn.execute(insert(NOTES), {"id": name, "body": body})
        return id(tx.conn.get_transaction())

    return work


def names(tx: Tx) -> list[str]:
    return list(tx.conn.execute(select(NOTES.c.id).order_by(NOTES.c.id)).scalars())


class Gate:
    """A work that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, _: Tx) -> None:
        self._entered.set()
        assert self._open.wait(30)

    async def entered(self) -> None:
        async with asyncio.timeout(60):
            while not self._entered.is_set():
                await asyncio.sleep(0.002)

    def open(self) -> None:
        self._open.set()


async def behind_a_gate(db: Database, works: list[Callable[[Tx], object]]) -> list[object]:
    """Let all works wait for the writer, then let it take them together; return results and errors."""
    gate = Gate()
    first = asyncio.create_task(db.write(gate))
    await gate.entered()
    waiting = [asyncio.create_task(db.write(work)) for work in works]
    await asyncio.sleep(0.01)
    gate.open()
    await first
    return await asyncio.gather(*waiting, return_exceptions=True)


class TestGroupCommit:
    async def test_all_that_wait_share_one_transaction(self, db: Database) -> None:
        transactions = await behind_a_gate(db, [put(f"n{turn}") for turn in range(100)])
        assert len(set(transactions)) == 1

    async def test_a_transaction_takes_a_bounded_number(self, db: Database) -> None:
        transactions: list[object] = []  # Kept alive, so that no two have the same identity.

        def work(tx: Tx) -> None:
            transactions.append(tx.conn.get_transaction())

        await behind_a_gate(db, [work] * (WRITE_BATCH_MAX + 10))
        assert [transactions.count(one) for one in dict.fromkeys(transactions)] == [WRITE_BATCH_MAX, 10]

    async def test_only_its_own_caller_suffers_when_a_constraint_fails_at_commit(self, db: Database) -> None:
        def orphan(tx: Tx) -> None:
            tx.conn.execute(insert(CHILDREN), {"id": 1, "note": "nowhere"})

        answers = await behind_a_gate(db, [put("a"), orphan, put("b")])
        assert [type(answer) for answer in answers] == [int, IntegrityError, int]
        assert await db.read(names) == ["a", "b"]

    async def test_only_its_own_caller_suffers_when_a_work_commits(self, db: Database) -> None:
        def careless(tx: Tx) -> None:
            tx.conn.commit()

        answers = await behind_a_gate(db, [put("b"), careless, put("c")])
        assert isinstance(answers[1], RuntimeError)
        assert "c" in await db.read(names)
        assert await db.write(put("d"))

    async def test_callbacks_run_once_when_a_batch_is_run_again(self, db: Database) -> None:
        calls: list[str] = []

        def calling(tx: Tx) -> None:
            tx.after_commit(lambda: calls.append("called"))

        def orphan(tx: Tx) -> None:
            tx.conn.execute(insert(CHILDREN), {"id": 1, "note": "nowhere"})

        await behind_a_gate(db, [calling, orphan])
        assert calls == ["called"]


class TestDurability:
    async def test_the_file_is_opened_for_full_durability(self, db: Database) -> None:
        def pragmas(tx: Tx) -> dict[str, object]:
            wanted = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return {name: tx.conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}

        assert await db.write(pragmas) == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "foreign_keys": 1,
            "busy_timeout": 5000,
        }

    async def test_every_answered_write_is_there_when_the_process_is_killed(self, db: Database, path: Path) -> None:
        await db.close()
        answered: set[str] = set()
        for _ in range(3):
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("DELETE FROM notes")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", WRITER, f"sqlite:///{path}", stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            await asyncio.wait_for(process.stdout.readline(), 60)
            await asyncio.sleep(random.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
            rest, _ = await process.communicate()
            answered = {line for line in rest.decode().split("\n")[:-1] if line}
            with closing(sqlite3.connect(path)) as connection:
                kept = {row[0] for row in connection.execute("SELECT id FROM notes")}
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert answered <= kept
            assert answered


class TestTrouble:
    async def test_a_full_disk_is_reported_and_the_rest_stays_sound(self, db: Database) -> None:
        def too_big(tx: Tx) -> int:
            tx.conn.exec_driver_sql("PRAGMA max_page_count=20").close()  # SQLite's own way to have a small disk.
            return put("big", bytes(400_000))(tx)

        await db.write(put("before"))
        answers = await behind_a_gate(db, [put("small"), too_big, put("other")])
        assert [type(answer) for answer in answers] == [int, StorageFull, int]
        with pytest.raises(StorageFull):
            await db.write(too_big)
        assert await db.read(names) == ["before", "other", "small"]
        await db.write(put("after", bytes(400_000)))
        assert await db.read(names) == ["after", "before", "other", "small"]

    async def test_callers_are_refused_when_too_many_wait(self, db: Database) -> None:
        gate = Gate()
        first = asyncio.create_task(db.write(gate))
        await gate.entered()
        waiting = [asyncio.create_task(db.write(lambda _: None)) for _ in range(QUEUE_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(DependencyUnavailable, match="too many"):
            await db.write(put("one too many"))
        gate.open()
        await asyncio.gather(first, *waiting)
        await db.write(put("welcome again"))

    async def test_a_write_waits_when_another_process_holds_the_lock(self, db: Database, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO notes (id) VALUES ('other')")
            waiting = asyncio.create_task(db.write(put("ours")))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            other.execute("COMMIT")
        await waiting
        assert await db.read(names) == ["other", "ours"]

    async def test_a_file_that_is_no_database_is_unavailable(self, path: Path) -> None:
        path.write_bytes(b"this is a letter, not a database" * 100)
        db = open_database(f"sqlite:///{path}")
        with pytest.raises(DependencyUnavailable):
            await db.write(put("a"))
        with pytest.raises(DependencyUnavailable):
            await db.ping()
        await db.close()

    async def test_the_database_is_used_again_when_it_comes_back(self, tmp_path: Path) -> None:
        db = open_database(f"sqlite:///{tmp_path}/later/test.db")
        with pytest.raises(DependencyUnavailable):
            await db.ping()
        (tmp_path / "later").mkdir()
        await db.write(lambda tx: METADATA.create_all(tx.conn))
        await db.write(put("a"))
        assert await db.read(names) == ["a"]
        await db.close()


class TestAddresses:
    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "hunter2", ""])
    def test_other_addresses_are_refused_without_repeating_them(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"database|SQLite") as caught:
            open_database(url)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_opening_touches_nothing(self, path: Path) -> None:
        before = threading.active_count()
        open_database(f"sqlite:///{path}")
        assert not path.exists()
        assert threading.active_count() == before

    async def test_no_thread_is_left_when_closed(self, db: Database) -> None:
        await db.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("sqlite-")]


async def test_text_statements_see_plain_rows(db: Database) -> None:
    await db.write(put("a", b"\x00\x01"))
    row = await db.read(lambda tx: tuple(tx.conn.execute(text("SELECT id, body FROM notes")).one()))
    assert row == ("a", b"\x00\x01")
