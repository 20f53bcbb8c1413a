"""The proof of the books finds each kind of damage, planted by hand behind the triggers' back."""

from typing import Any

import pytest
from sqlalchemy import text

from billing.domain import Proof, Unit
from billing.sql.proof import FAULTS_PER_RULE_MAX, RULES
from billing.sql.reader import SqlBooksReader
from kit.db import Tx

TABLES = ("draws", "lots", "refunds", "postings", "transactions", "holds", "grants", "accounts")
AVAILABLE, HELD, REVENUE = (f"{kind}/points/partner-a" for kind in ("available", "held", "revenue"))
FUNDING = "funding/points/partner-a"
#: rule → (SQL that breaks it, the subject that must be named). job-1 is captured for 30, job-2 is open for 30;
#: partner-b has a lot of 100, of which job-3 drew 30, gave back 20, was refunded 5; partner-c's lot of 50 has lapsed.
DAMAGE: dict[str, tuple[list[str], str]] = {
    "transaction_sums_to_zero": (
        ["UPDATE postings SET delta = delta + 1 WHERE number = 2 AND line = 1"],
        "hold:job-1",
    ),
    "balance_equals_postings": ([f"UPDATE accounts SET balance = balance + 1 WHERE id = '{AVAILABLE}'"], AVAILABLE),
    "account_above_floor": ([f"UPDATE accounts SET balance = -1 WHERE id = '{AVAILABLE}'"], AVAILABLE),
    "posting_has_account": (["UPDATE postings SET account_id = 'gone' WHERE number = 1 AND line = 1"], "#1/1"),
    "posting_has_transaction": (["UPDATE postings SET number = 99 WHERE number = 1 AND line = 1"], "#99/1"),
    "posting_stays_with_client": (["UPDATE transactions SET client_id = 'b' WHERE id = 'hold:job-1'"], "hold:job-1"),
    "posting_fits_its_transaction": (
        [f"UPDATE postings SET account_id = '{REVENUE}' WHERE number = 1"],
        "grant:grant-1",
    ),
    "transaction_posts_once_to_an_account": ([f"INSERT INTO postings VALUES (2, 9, '{HELD}', 1)"], "hold:job-1"),
    "transaction_has_postings": (["DELETE FROM postings WHERE number = 2"], "hold:job-1"),
    "grant_has_transaction": (["UPDATE grants SET amount = 101 WHERE id = 'grant-1'"], "grant-1"),
    "grant_transaction_has_grant": (["DELETE FROM grants"], "grant:grant-1"),
    "hold_is_placed_once": (["UPDATE transactions SET id = 'x', job_id = 'x' WHERE id = 'hold:job-2'"], "job-2"),
    "job_transaction_has_hold": (["DELETE FROM holds WHERE id = 'job-1'"], "resolve:job-1"),
    "hold_resolves_once": (["UPDATE transactions SET kind = 'release' WHERE id = 'resolve:job-1'"], "job-1"),
    "hold_equals_postings": (["UPDATE holds SET amount = 29 WHERE id = 'job-2'"], "job-2"),
    "refund_is_booked": (["UPDATE refunds SET amount = 6"], "refund-1"),
    "refund_transaction_has_refund": (["DELETE FROM refunds"], "refund:refund-1"),
    "grant_is_a_lot_if_it_says_so": (["UPDATE grants SET priority = 1 WHERE id = 'grant-1'"], "grant-1"),
    "lot_has_grant": (["DELETE FROM grants WHERE id = 'lot-1'"], "lot-1"),
    "lot_equals_draws": (["UPDATE lots SET remaining = remaining - 1 WHERE grant_id = 'lot-1'"], "lot-1"),
    "lots_are_available": (
        ["UPDATE lots SET remaining = 101 WHERE grant_id = 'lot-1'"],
        "available/points/partner-b",
    ),
    "lots_are_counted": (
        ["UPDATE accounts SET lots = 0 WHERE id = 'available/points/partner-b'"],
        "available/points/partner-b",
    ),
    "draw_has_lot": (["DELETE FROM lots WHERE grant_id = 'lot-2'"], "#10/1"),
    "draws_equal_posting": (["UPDATE draws SET delta = -29 WHERE job_id = 'job-3' AND delta = -30"], "hold:job-3"),
    "draw_fits_its_transaction": (["UPDATE draws SET job_id = 'job-1' WHERE delta = 20"], "resolve:job-3"),
    "no_more_returns_than_drawn": (["UPDATE draws SET delta = 31 WHERE delta = 20"], "job-3"),
    "expired_units_fit_their_lot": (["UPDATE transactions SET create_ms = 1 WHERE kind = 'expire'"], "expire:lot-2:1"),
}
#: What looks sound at first sight → the rule that finds it.
FRAUD: list[tuple[list[str], str]] = [
    # Somebody gives himself points on both sides, so that the sum still is zero.
    (
        [
            f"INSERT INTO postings VALUES (2, 8, '{AVAILABLE}', 500), (2, 9, '{FUNDING}', -500)",
            f"UPDATE accounts SET balance = balance + 500 WHERE id = '{AVAILABLE}'",
        ],
        "balance_equals_postings",
    ),
    # A second capture of the same job, balanced and with balances to match.
    (
        [
            """INSERT INTO transactions SELECT 99, 'capture:again', kind, client_id, job_id, input_hash, note,
               author, create_ms FROM transactions WHERE id = 'resolve:job-1'""",
            f"INSERT INTO postings VALUES (99, 1, '{AVAILABLE}', -30), (99, 2, '{REVENUE}', 30)",
            f"UPDATE accounts SET balance = balance - 30 WHERE id = '{AVAILABLE}'",
            f"UPDATE accounts SET balance = balance + 30 WHERE id = '{REVENUE}'",
        ],
        "hold_resolves_once",
    ),
    # The same on both sides, with both balances to match.
    (
        [
            f"INSERT INTO postings VALUES (2, 9, '{FUNDING}', -500)",
            "UPDATE postings SET delta = delta + 500 WHERE number = 2 AND line = 1",
            f"UPDATE accounts SET balance = balance + 500 WHERE id = '{AVAILABLE}'",
            f"UPDATE accounts SET balance = balance - 500 WHERE id = '{FUNDING}'",
        ],
        "posting_fits_its_transaction",
    ),
    # Units that the hold is not about, moved under its name.
    (
        [
            """INSERT INTO accounts VALUES ('available/fen/partner-a', 'partner-a', 'fen', 'available', 5, NULL, 0),
               ('held/fen/partner-a', 'partner-a', 'fen', 'held', -5, NULL, 0)""",
            "INSERT INTO postings VALUES (2, 8, 'available/fen/partner-a', 5), (2, 9, 'held/fen/partner-a', -5)",
        ],
        "hold_equals_postings",
    ),
    # A hold that says it is over while its units are still set aside.
    (["UPDATE holds SET state = 'released', resolve_ms = 1 WHERE id = 'job-2'"], "hold_resolves_once"),
    # Units that never expired, taken away as if they had.
    (["UPDATE lots SET expire_ms = 253402300800000, lapse_ms = 253402300800000"], "expired_units_fit_their_lot"),
    # A lot taken away under the name of another one's expiry.
    (["UPDATE draws SET grant_id = 'lot-1' WHERE grant_id = 'lot-2'"], "expired_units_fit_their_lot"),
    # An expiry moved into the future after the grant.
    (["UPDATE lots SET expire_ms = expire_ms + 1, lapse_ms = lapse_ms + 1"], "grant_is_a_lot_if_it_says_so"),
    # More refunded than the hold knows of, both sides booked.
    (["UPDATE holds SET refunded = 0"], "hold_equals_postings"),
    # A lot of one client spent by another.
    (["UPDATE lots SET client_id = 'partner-a' WHERE grant_id = 'lot-1'"], "draw_fits_its_transaction"),
    # Captured more than the hold says.
    (["UPDATE holds SET captured = 10 WHERE id = 'job-1'"], "hold_equals_postings"),
]


class _Undo(Exception):
    """Carries a proof out of a transaction that is rolled back."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof


async def damaged(house: Any, *statements: str) -> Proof:
    """Return what the proof says about the books after `statements`, and undo them."""

    def work(tx: Tx) -> None:
        for statement in statements:
            tx.conn.exec_driver_sql(statement)
        raise _Undo(SqlBooksReader(tx).prove())

    with pytest.raises(_Undo) as undone:
        await house.database.write(work)
    return undone.value.proof


def test_every_rule_has_its_damage() -> None:
    assert DAMAGE.keys() == RULES.keys()


async def disarm(house: Any) -> None:
    """Take away what keeps the books from being broken: triggers, checks and foreign keys."""

    def work(tx: Tx) -> None:
        if tx.dialect == "postgresql":
            for table in TABLES:
                tx.conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            query = (
                "SELECT conrelid::regclass::text AS place, conname FROM pg_constraint"
                " WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace"
            )
            for row in tx.conn.execute(text(query.replace("::", "\\:\\:"))).all():
                tx.conn.execute(text(f'ALTER TABLE {row.place} DROP CONSTRAINT "{row.conname}"'))
            return
        for name in tx.conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
            tx.conn.execute(text(f"DROP TRIGGER {name}"))
        # Whole tables are rebuilt without constraints: SQLite cannot drop one, nor switch foreign keys off in here.
        for table in TABLES:
            tx.conn.execute(text(f"CREATE TABLE {table}_bare AS SELECT * FROM {table}"))
        for table in TABLES:
            tx.conn.execute(text(f"DROP TABLE {table}"))
            tx.conn.execute(text(f"ALTER TABLE {table}_bare RENAME TO {table}"))

    await house.database.write(work)


@pytest.fixture
async def written(tampered: Any) -> Any:
    await tampered.grant(100)
    await tampered.place("job-1")
    await tampered.settle("job-1", 30)
    await tampered.place("job-2")
    await tampered.grant(100, id="lot-1", client="partner-b", days=10)
    await tampered.place("job-3", client_id="partner-b")
    await tampered.settle("job-3", 10)
    await tampered.refund("job-3", 5)
    await tampered.grant(50, id="lot-2", client="partner-c", days=1)
    tampered.clock.advance(2 * 86_400)
    assert await tampered.lapse() == 1
    await disarm(tampered)
    await tampered.prove()
    return tampered


async def test_damage_is_found_and_named(written: Any) -> None:
    for rule, (statements, subject) in DAMAGE.items():
        proof = await damaged(written, *statements)
        assert subject in {fault.subject for fault in proof.faults if fault.rule == rule}, proof.faults
        assert all(fault.detail for fault in proof.faults)
    await written.prove()


async def test_consistent_looking_fraud_is_found(written: Any) -> None:
    for statements, rule in FRAUD:
        assert rule in {fault.rule for fault in (await damaged(written, *statements)).faults}


async def test_a_flood_of_faults_is_cut_off(written: Any) -> None:
    values = ", ".join(f"({number}, 1, 'gone', 1)" for number in range(1000, 1000 + FAULTS_PER_RULE_MAX + 20))
    faults = (await damaged(written, f"INSERT INTO postings VALUES {values}")).faults
    assert sum(fault.rule == "posting_has_account" for fault in faults) == FAULTS_PER_RULE_MAX


async def test_sound_books_are_counted(house: Any) -> None:
    await house.grant(100)
    await house.place("job-1")
    await house.settle("job-1", 30)
    await house.place("job-2")
    await house.place("free", (Unit.POINTS, 0))
    proof = await house.prove()
    assert (proof.transactions, proof.postings, proof.accounts, proof.holds_open) == (5, 8, 6, 2)
