"""Bringing a service's tables to the newest revision, safely when several processes start at once.

Revisions live in `<package>/migrations/versions/*.py`; the Alembic environment is shared (`alembic/env.py` beside this
file). A new revision is written from the difference between the tables in code and the revisions so far:

    python -m kit.db.revise billing billing.tables:METADATA "first tables"

Alembic is imported only when there is something to do: the embedded default starts six services, and Alembic alone
costs more time than all of them need to see that their tables are up to date.
"""

import asyncio
import importlib.resources
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, CheckConstraint, Connection, MetaData, NullPool, create_engine, event, inspect, text

from kit.db.urls import is_sqlite, parse_url
from kit.errors import DependencyUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_TIMEOUT_S: Final = 60.0  # Another process migrates: wait for it, but not for ever.
_LOCK_KEY: Final = 0x6174656C696572  # Postgres advisory lock: "atelier" in ASCII.
_ENVIRONMENT: Final = Path(__file__).parent / "alembic"
_REVISION: Final = re.compile(r"""^revision\b[^=\n]*=\s*["']([^"']+)["']""", re.MULTILINE)
_DOWN_REVISION: Final = re.compile(r"^down_revision\b[^=\n]*=(.*)$", re.MULTILINE)


def migrate(url: str, package: str) -> None:
    """Apply the revisions of `package` that the database at `url` does not have yet, all or none.

    Blocking, and callable with or without a running event loop. Takes a few milliseconds when there is nothing to do.
    Raises DependencyUnavailable when the database is away or locked for longer than LOCK_TIMEOUT_S.
    """
    parsed = parse_url(url)
    versions = versions_of(package)
    if _applied(parsed) == _heads(versions):
        return

    def upgrade(connection: Connection) -> None:
        from alembic import command

        command.upgrade(configuration(versions, connection), "head")

    locked(parsed, upgrade)


def assert_migrations_match(url: str, metadata: MetaData) -> None:
    """Raise AssertionError, naming each difference, unless the tables at `url` are those of `metadata`.

    For tests: `migrate(url, package)` into an empty database first, then compare with the tables in code.
    """

    def compare(connection: Connection) -> list[Any]:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        options = {"compare_type": True, "compare_server_default": True}
        differences: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        return differences + _check_differences(connection, metadata)

    differences = locked(parse_url(url), compare)
    assert not differences, "tables in code and migrations differ:\n" + "\n".join(map(repr, differences))


def _check_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """Compare the names of CHECK constraints, which Alembic leaves out; so each needs a name."""
    there = inspect(connection)
    differences = []
    for table in metadata.sorted_tables:
        if not there.has_table(table.name):
            continue  # Alembic has said so already.
        wanted = {str(check.name) for check in table.constraints if isinstance(check, CheckConstraint)}
        found = {str(check["name"]) for check in there.get_check_constraints(table.name)}
        differences += [f"CHECK {name} of {table.name}" for name in sorted(wanted ^ found)]
    return differences


def versions_of(package: str) -> Path:
    """Return the folder with the revisions of `package`."""
    return Path(str(importlib.resources.files(package))) / "migrations" / "versions"


def configuration(versions: Path, connection: Connection, metadata: MetaData | None = None) -> "Config":
    """Return an Alembic configuration that works on `connection` and the revisions in `versions`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, metadata=metadata)
    return config


def locked(url: URL, work: Callable[[Connection], Any]) -> Any:
    """Run `work` in one transaction that no other process can be in at the same time, and return its result."""
    return _locked_sqlite(url, work) if is_sqlite(url) else _in_new_loop(lambda: _locked_postgres(url, work))


def _locked_sqlite(url: URL, work: Callable[[Connection], Any]) -> Any:
    from kit.db.sqlite_errors import translated

    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": LOCK_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def emit_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            return work(connection)
    except Exception as error:
        raise translated(error) or error from error


async def _locked_postgres(url: URL, work: Callable[[Connection], Any]) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine

    from kit.db.postgres_errors import translated

    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S:.0f}s'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            return await connection.run_sync(work)
    except Exception as error:
        raise translated(error) or error from error
    finally:
        await engine.dispose()


def _heads(versions: Path) -> set[str]:
    """Return the newest revisions, read from the text of the files; like Alembic, but without importing anything."""
    revisions: set[str] = set()
    replaced: set[str] = set()
    for path in versions.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        revisions.update(_REVISION.findall(source))
        for line in _DOWN_REVISION.findall(source):
            replaced.update(re.findall(r"""["']([^"']+)["']""", line))
    if not revisions:
        raise ValueError(f"no revisions in {versions.parent.parent.name}/migrations/versions")
    return revisions - replaced


def _applied(url: URL) -> set[str] | None:
    """Return the revisions that the database says it has; None when it cannot tell, which `locked` will explain."""
    return _applied_sqlite(url) if is_sqlite(url) else _in_new_loop(lambda: _applied_postgres(url))


def _applied_sqlite(url: URL) -> set[str] | None:
    path = Path(url.database or "")
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            return {row[0] for row in connection.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.Error:
        return None


async def _applied_postgres(url: URL) -> set[str] | None:
    import asyncpg

    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = await asyncpg.connect(address, timeout=LOCK_TIMEOUT_S)
    except (OSError, asyncpg.PostgresError) as error:
        raise DependencyUnavailable("the database does not answer") from error
    try:
        return {row[0] for row in await connection.fetch("SELECT version_num FROM alembic_version")}
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()


def _in_new_loop(main: Callable[[], Any]) -> Any:
    """Run a coroutine on an event loop of its own, in a thread, because the caller's thread may have one running."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(main()))
        except BaseException as error:  # Raised again below, on the caller's thread.
            errors.append(error)

    thread = threading.Thread(target=run, name="migrate")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
