"""Migrations: applied once, whole, by one process at a time, and compared with the tables in code."""

import asyncio
import importlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, Table, Text, insert, select, text

from kit.db import assert_migrations_match, migrate, open_database
from kit.db.revise import main, revise
from kit.errors import DependencyUnavailable
from kit.events import Event, put, seen, tables

FIRST = MetaData()
Table(
    "shelves",
    FIRST,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), nullable=False, unique=True),
    CheckConstraint("seq > 0", name="seq_positive"),
)
SECOND = MetaData()
Table(
    "shelves",
    SECOND,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), nullable=False, unique=True),
    Column("room", Text, nullable=False, server_default="hall"),
    CheckConstraint("seq > 0", name="seq_positive"),
    Index("shelves_room", "room"),
)
SHELVES = SECOND.tables["shelves"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An importable package with one revision."""
    name = "migrated_" + str(abs(hash(request.node.nodeid)))
    (tmp_path / "src" / name).mkdir(parents=True)
    (tmp_path / "src" / name / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "src")
    importlib.invalidate_caches()
    revise(name, FIRST, "first tables")
    return name


def add_revision(package: str, body: str) -> None:
    """Write revision 0002 by hand."""
    versions = Path(importlib.import_module(package).__path__[0]) / "migrations" / "versions"
    head = (
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0002'\ndown_revision = '0001'\n\ndef upgrade():\n"
    )
    (versions / "0002_second.py").write_text(head + textwrap.indent(textwrap.dedent(body), "    "))


async def table_names(url: str) -> list[str]:
    db = open_database(url)
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
    }
    try:
        return list(await db.read(lambda tx: tx.conn.execute(text(query[tx.dialect])).scalars().all()))
    finally:
        await db.close()


async def test_tables_are_those_in_code_when_all_revisions_are_applied(database_url: str, package: str) -> None:
    migrate(database_url, package)
    assert await table_names(database_url) == ["alembic_version", "shelves"]
    assert_migrations_match(database_url, FIRST)


async def test_rows_stay_when_a_later_revision_changes_their_table(database_url: str, package: str) -> None:
    migrate(database_url, package)
    db = open_database(database_url)
    await db.write(lambda tx: tx.conn.execute(text("INSERT INTO shelves (id, seq) VALUES ('a', 1)")) and None)
    revise(package, SECOND, "rooms")
    migrate(database_url, package)
    assert_migrations_match(database_url, SECOND)
    assert await db.read(lambda tx: tx.conn.execute(select(SHELVES.c.room)).scalar_one()) == "hall"
    await db.close()


async def test_differences_are_named_when_code_is_ahead_of_the_revisions(database_url: str, package: str) -> None:
    migrate(database_url, package)
    with pytest.raises(AssertionError, match="room"):
        assert_migrations_match(database_url, SECOND)


async def test_an_absent_check_constraint_is_named(database_url: str, package: str) -> None:
    migrate(database_url, package)
    stricter = MetaData()
    FIRST.tables["shelves"].to_metadata(stricter).append_constraint(CheckConstraint("seq < 100", name="seq_small"))
    with pytest.raises(AssertionError, match="seq_small"):
        assert_migrations_match(database_url, stricter)


async def test_check_constraints_hold_after_migrating(database_url: str, package: str) -> None:
    migrate(database_url, package)
    db = open_database(database_url)
    with pytest.raises(Exception, match=r"(?i)check"):
        await db.write(lambda tx: tx.conn.execute(insert(FIRST.tables["shelves"]), {"id": "a", "seq": 0}) and None)
    await db.close()


async def test_nothing_changes_when_migrating_again(database_url: str, package: str) -> None:
    migrate(database_url, package)
    best_s = 60.0
    for _ in range(5):
        started = time.perf_counter()
        migrate(database_url, package)
        best_s = min(best_s, time.perf_counter() - started)
    # Six services start one after another in the embedded default; over a network a connection costs more.
    assert best_s < (0.05 if database_url.startswith("sqlite") else 0.5)


async def test_nothing_is_applied_when_a_revision_fails_halfway(database_url: str, package: str) -> None:
    migrate(database_url, package)
    add_revision(package, "op.create_table('half', sa.Column('id', sa.Text))\nraise RuntimeError('halfway')\n")
    with pytest.raises(RuntimeError, match="halfway"):
        migrate(database_url, package)
    assert await table_names(database_url) == ["alembic_version", "shelves"]
    assert_migrations_match(database_url, FIRST)


async def test_each_revision_is_applied_once_when_processes_start_together(
    database_url: str, package: str, tmp_path: Path
) -> None:
    add_revision(package, "op.create_table('slow', sa.Column('id', sa.Text))\nimport time; time.sleep(0.3)\n")
    program = f"from kit.db import migrate; migrate({database_url!r}, {package!r}); print('done')"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in running))
    assert outputs == [(b"done\n", b"")] * 4
    assert await table_names(database_url) == ["alembic_version", "shelves", "slow"]


async def test_migrating_an_absent_database_says_that_it_is_unavailable(absent_database_url: str, package: str) -> None:
    with pytest.raises(DependencyUnavailable):
        migrate(absent_database_url, package)


async def test_a_package_without_revisions_is_an_error(database_url: str) -> None:
    with pytest.raises(ValueError, match="no revisions in kit"):
        migrate(database_url, "kit")


async def test_the_tables_of_events_match_their_migration(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src" / "with_events").mkdir(parents=True)
    (tmp_path / "src" / "with_events" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "src")
    importlib.invalidate_caches()
    metadata = MetaData()
    tables(metadata)
    revise("with_events", metadata, "outbox and inbox")
    migrate(database_url, "with_events")
    assert_migrations_match(database_url, metadata)
    db = open_database(database_url)
    await db.write(lambda tx: put(tx, Event(id="e1", subject="atelier.jobs.v1.job_failed", payload=b"")))
    assert await db.write(lambda tx: (seen(tx, "billing", "e1"), seen(tx, "billing", "e1"))) == (False, True)
    await db.close()
    del sys.modules["with_events"]


def test_revise_explains_its_arguments_when_they_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["only-one"]) == 2
    assert "PACKAGE MODULE:METADATA MESSAGE" in capsys.readouterr().err
