"""What only the Postgres adapter has to prove: conflicts are retried, cut connections replaced, limits set."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text

from kit.db import Database, Tx, open_database
from kit.db.postgres import POOL_SIZE, TRIES
from kit.errors import Conflict, DependencyUnavailable, StorageFull
from testkit.servers import PostgresServer

pytestmark = pytest.mark.servers

TABLES = """
CREATE TABLE notes (id text PRIMARY KEY, n bigint NOT NULL DEFAULT 0);
INSERT INTO notes (id) VALUES ('a'), ('b');
CREATE TABLE cut (id text);
CREATE FUNCTION cut_connection() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON cut DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION cut_connection();
CREATE TABLE slow (id text);
CREATE FUNCTION sleep_a_moment() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION sleep_a_moment();
"""


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    database = open_database(postgres_url)
    for statement in TABLES.split(";\n"):
        if statement.strip():
            await database.write(run(statement))
    yield database
    await database.close()


def run(statement: str) -> Callable[[Tx], None]:
    return lambda tx: tx.conn.execute(text(statement)).close()


def value(name: str) -> Callable[[Tx], int]:
    query = text("SELECT n FROM notes WHERE id = :id").bindparams(id=name)
    return lambda tx: int(tx.conn.execute(query).scalar_one())


def failing(sqlstate: str, runs: list[int]) -> Callable[[Tx], None]:
    """Return a work in which the server raises an error of that kind."""

    def work(tx: Tx) -> None:
        runs.append(1)
        tx.conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '{sqlstate}'; END $$"))

    return work


async def test_both_works_succeed_when_they_deadlock(db: Database) -> None:
    runs: list[str] = []

    def add(first: str, second: str) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            runs.append(first)
            tx.conn.execute(text("UPDATE notes SET n = n + 1 WHERE id = :id"), {"id": first})
            tx.conn.execute(text("SELECT pg_sleep(0.2)"))
            tx.conn.execute(text("UPDATE notes SET n = n + 1 WHERE id = :id"), {"id": second})

        return work

    await asyncio.gather(db.write(add("a", "b")), db.write(add("b", "a")))
    assert await db.read(value("a")) == 2
    assert await db.read(value("b")) == 2
    assert len(runs) >= 3  # At least one of them ran twice.


async def test_both_works_succeed_when_they_cannot_be_serialised(db: Database) -> None:
    def add(tx: Tx) -> None:
        tx.conn.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        total = tx.conn.execute(text("SELECT sum(n) FROM notes")).scalar_one()
        tx.conn.execute(text("SELECT pg_sleep(0.1)"))
        tx.conn.execute(text("UPDATE notes SET n = :n WHERE id = 'a'"), {"n": int(total) + 1})

    await asyncio.gather(db.write(add), db.write(add))
    assert await db.read(value("a")) == 2


async def test_a_work_that_always_conflicts_is_given_up(db: Database) -> None:
    runs: list[int] = []
    with pytest.raises(Conflict):
        await db.write(failing("40001", runs))
    assert len(runs) == TRIES


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [("53100", StorageFull), ("53300", DependencyUnavailable), ("55P03", DependencyUnavailable)],
)
async def test_the_servers_troubles_have_our_reasons(db: Database, sqlstate: str, error: type[Exception]) -> None:
    runs: list[int] = []
    with pytest.raises(error):
        await db.write(failing(sqlstate, runs))
    assert len(runs) == 1


async def test_works_go_on_when_idle_connections_were_cut(db: Database, postgres_url: str) -> None:
    await asyncio.gather(*(db.write(run("SELECT pg_sleep(0.05)")) for _ in range(POOL_SIZE)))
    other = open_database(postgres_url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    await other.write(run(cut))
    await other.close()
    await asyncio.gather(*(db.write(run("UPDATE notes SET n = n + 1 WHERE id = 'a'")) for _ in range(POOL_SIZE)))
    assert await db.read(value("a")) == POOL_SIZE


async def test_the_outcome_is_called_unknown_and_nothing_is_repeated_when_commit_is_cut_off(db: Database) -> None:
    runs: list[int] = []

    def work(tx: Tx) -> None:
        runs.append(1)
        tx.conn.execute(text("INSERT INTO cut VALUES ('a')"))
        tx.after_commit(lambda: runs.append(99))

    with pytest.raises(DependencyUnavailable) as caught:
        await db.write(work)
    assert caught.value.metadata == {"outcome": "unknown"}
    assert runs == [1]


async def test_callbacks_run_when_the_caller_leaves_during_commit(db: Database) -> None:
    calls: list[str] = []

    def work(tx: Tx) -> None:
        tx.conn.execute(text("INSERT INTO slow VALUES ('a')"))
        tx.after_commit(lambda: calls.append("called"))

    writing = asyncio.create_task(db.write(work))
    await asyncio.sleep(0.2)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert calls == ["called"]
    assert await db.read(lambda tx: tx.conn.execute(text("SELECT id FROM slow")).scalar_one()) == "a"


async def test_every_connection_has_its_limits(db: Database) -> None:
    def settings(tx: Tx) -> dict[str, str]:
        wanted = (
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "synchronous_commit",
            "transaction_isolation",
        )
        return {name: str(tx.conn.execute(text(f"SHOW {name}")).scalar_one()) for name in wanted}

    limits = {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
        "synchronous_commit": "on",
    }
    assert await db.write(settings) == limits | {"transaction_isolation": "read committed"}
    assert await db.read(settings) == limits | {"transaction_isolation": "repeatable read"}


async def test_database_time_is_the_servers(db: Database) -> None:
    def both(tx: Tx) -> tuple[int, int]:
        server = tx.conn.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one()
        return tx.now_ms, int(server)

    ours, servers = await db.write(both)
    assert abs(ours - servers) < 1000


async def test_a_wrong_password_is_reported_without_repeating_it(postgres_url: str) -> None:
    scheme, _, place = postgres_url.partition("://")
    db = open_database(f"{scheme}://postgres:hunter2@{place.rpartition('@')[2]}")
    with pytest.raises(DependencyUnavailable) as caught:
        await db.ping()
    assert "hunter2" not in repr(caught.value) + str(caught.value.__cause__)
    await db.close()


async def test_works_fail_while_the_server_is_down_and_succeed_when_it_is_back() -> None:
    async with PostgresServer(fast=True) as server:
        db = open_database(server.url)
        await db.write(run("CREATE TABLE notes (id text PRIMARY KEY, n bigint)"))
        await server.kill()
        with pytest.raises(DependencyUnavailable):
            await db.write(run("INSERT INTO notes VALUES ('a', 1)"))
        with pytest.raises(DependencyUnavailable):
            await db.ping()
        await server.start()
        await db.write(run("INSERT INTO notes VALUES ('b', 2)"))
        assert await db.read(value("b")) == 2
        await db.close()
