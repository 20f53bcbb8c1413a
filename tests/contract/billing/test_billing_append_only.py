"""The database itself refuses to rewrite the books, whoever asks."""

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from billing.sql import METADATA
from kit.db import assert_migrations_match

#: Each is tried in a transaction of its own, on the same database: making one costs more than all of these.
REWRITES = [
    "UPDATE postings SET delta = delta + 1",
    "UPDATE postings SET account_id = account_id",
    "DELETE FROM postings",
    "UPDATE transactions SET note = 'other'",
    "DELETE FROM transactions",
    "UPDATE grants SET amount = 1",
    "DELETE FROM grants",
    "DELETE FROM accounts",
    "UPDATE accounts SET client_id = 'partner-b'",
    "DELETE FROM holds",
    "UPDATE holds SET amount = 1, amount_per_output = 1 WHERE id = 'job-2'",
    "UPDATE holds SET client_id = 'partner-b' WHERE id = 'job-2'",
    "UPDATE holds SET state = 'held', captured = 0, resolve_ms = NULL WHERE id = 'job-1'",
    "UPDATE holds SET captured = 0 WHERE id = 'job-1'",
    "UPDATE holds SET provider = 'other' WHERE id = 'job-1'",
    "UPDATE holds SET provider_cost_fen = 5 WHERE id = 'job-1'",
    "UPDATE holds SET refunded = 4 WHERE id = 'job-1'",
    "UPDATE refunds SET amount = 1",
    "DELETE FROM refunds",
    "UPDATE draws SET delta = delta - 1",
    "DELETE FROM draws",
    "DELETE FROM lots",
    "UPDATE lots SET expire_ms = expire_ms - 1",
    "UPDATE lots SET priority = 9",
    "UPDATE lots SET client_id = 'partner-b'",
    "UPDATE lots SET lapse_ms = lapse_ms - 1",
    "UPDATE lots SET lapses = -1",
]
NONSENSE = [
    "UPDATE accounts SET balance = -1 WHERE kind = 'available'",
    "UPDATE accounts SET balance = -1 WHERE kind = 'held'",
    "UPDATE accounts SET balance = -1 WHERE kind = 'revenue'",
    "UPDATE accounts SET balance = 9223372036854775807 + balance WHERE kind = 'available'",
    "UPDATE accounts SET balance = -1 WHERE kind = 'lapsed'",
    "UPDATE holds SET refunded = 31 WHERE id = 'job-1'",
    "UPDATE holds SET refunded = 1 WHERE id = 'job-2'",
    "UPDATE lots SET remaining = -1",
    "INSERT INTO draws VALUES (1, 1, 'lot', '', 0)",
    "INSERT INTO draws VALUES (1, 1, 'no such lot', '', 1)",
    "INSERT INTO draws VALUES (999, 1, 'lot', '', 1)",
    "INSERT INTO refunds VALUES ('r9', 'no such job', 1, 1)",
    "INSERT INTO refunds VALUES ('r9', 'job-1', 0, 1)",
    "INSERT INTO postings VALUES (1, 9, 'available/points/partner-a', 0)",
    "INSERT INTO postings VALUES (1, 9, 'available/points/nobody', 5)",
    "INSERT INTO postings VALUES (999, 1, 'available/points/partner-a', 5)",
    "INSERT INTO postings VALUES (1, 9, 'available/points/partner-a', 'five')",
    "INSERT INTO accounts VALUES ('available/points/x', 'y', 'points', 'available', 0, NULL, 0)",
    "INSERT INTO accounts VALUES ('available/euro/x', 'x', 'euro', 'available', 0, NULL, 0)",
    "UPDATE holds SET state = 'captured' WHERE id = 'job-2'",
    "UPDATE holds SET state = 'released', captured = 5, resolve_ms = 1 WHERE id = 'job-2'",
    "UPDATE holds SET state = 'captured', captured = 31, resolve_ms = 1 WHERE id = 'job-2'",
]


@pytest.fixture
async def written(house: Any) -> Any:
    """Books with one row of everything."""
    await house.grant(100)
    await house.place("job-1")
    await house.settle("job-1", 30)
    await house.place("job-2")
    await house.refund("job-1", 5)
    await house.grant(50, id="lot", client="partner-b", days=1)
    await house.place("job-3", client_id="partner-b")
    return house


def test_the_migrations_make_the_tables_in_code(house: Any, database_url: str) -> None:
    assert_migrations_match(database_url, METADATA)


async def test_history_cannot_be_rewritten(written: Any) -> None:
    for statement in REWRITES:
        with pytest.raises(DBAPIError, match="append-only"):
            await written.execute(statement)


async def test_history_cannot_be_truncated_or_replaced(written: Any) -> None:
    for table in ("postings", "transactions", "grants", "accounts", "holds", "lots", "draws", "refunds"):
        statement = {
            "sqlite": f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",  # Removes rows without "DELETE".
            "postgresql": f"TRUNCATE {table} CASCADE",
        }[written.database.dialect]
        with pytest.raises(DBAPIError, match="append-only"):
            await written.execute(statement)


async def test_rows_that_make_no_sense_are_refused(written: Any) -> None:
    for statement in NONSENSE:
        with pytest.raises(DBAPIError):
            await written.execute(statement)


async def test_fractions_never_enter_the_books(written: Any) -> None:
    """SQLite's STRICT tables refuse them; Postgres' BIGINT would round, so the column is never given one."""
    statement = "UPDATE accounts SET balance = balance + 0.5 WHERE kind = 'available'"
    if written.database.dialect == "sqlite":
        with pytest.raises(DBAPIError):
            await written.execute(statement)
    else:
        kinds = "SELECT data_type FROM information_schema.columns WHERE column_name IN ('balance', 'delta', 'amount')"
        rows = await written.database.read(lambda tx: tx.conn.exec_driver_sql(kinds).scalars().all())
        assert set(rows) == {"bigint"}
