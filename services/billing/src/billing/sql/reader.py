"""Reading the books inside a transaction. Statements are built once; their compiled form is cached by SQLAlchemy."""

from typing import Final

from sqlalchemy import ColumnElement, Row, Select, bindparam, select, tuple_

from billing.domain import AccountKind, Balance, Entry, Hold, HoldState, JobEnd, Proof, TransactionKind, Unit
from billing.domain.ledger import WALLET
from billing.sql.proof import prove
from billing.sql.tables import ACCOUNTS, HOLDS, POSTINGS, TRANSACTIONS
from kit.db import Tx

_FIND_HOLD: Final = select(HOLDS).where(HOLDS.c.id == bindparam("hold_id"))
_HOLDS_DUE: Final = (
    select(HOLDS)
    .where(HOLDS.c.state == HoldState.HELD.value, HOLDS.c.next_look_ms <= bindparam("now_ms"))
    .order_by(HOLDS.c.next_look_ms, HOLDS.c.id)
    .limit(bindparam("limit"))
)
_BALANCES: Final = select(ACCOUNTS.c.unit, ACCOUNTS.c.kind, ACCOUNTS.c.balance).where(
    ACCOUNTS.c.client_id == bindparam("client_id")
)
_ENTRIES: Final = (
    select(
        TRANSACTIONS.c.id,
        TRANSACTIONS.c.kind,
        ACCOUNTS.c.kind.label("account"),
        ACCOUNTS.c.unit,
        POSTINGS.c.delta,
        TRANSACTIONS.c.job_id,
        TRANSACTIONS.c.note,
        TRANSACTIONS.c.create_ms,
        POSTINGS.c.number,
        POSTINGS.c.line,
    )
    .join_from(TRANSACTIONS, POSTINGS, POSTINGS.c.number == TRANSACTIONS.c.number)
    .join(ACCOUNTS, ACCOUNTS.c.id == POSTINGS.c.account_id)
    .where(
        TRANSACTIONS.c.client_id == bindparam("client_id"),
        ACCOUNTS.c.kind.in_([kind.value for kind in WALLET]),
    )
    .order_by(TRANSACTIONS.c.number.desc(), POSTINGS.c.line.desc())
    .limit(bindparam("limit"))
)


class SqlBooksReader:
    """A `billing.ports.BooksReader` on one transaction."""

    def __init__(self, tx: Tx) -> None:
        """Read through `tx`; useless after it."""
        self._tx = tx
        self._conn = tx.conn

    @property
    def now_ms(self) -> int:
        """See `BooksReader.now_ms`."""
        return self._tx.now_ms

    def find_hold(self, hold_id: str) -> Hold | None:
        """See `BooksReader.find_hold`."""
        row = self._conn.execute(_FIND_HOLD, {"hold_id": hold_id}).one_or_none()
        return None if row is None else _to_hold(row)

    def holds_due(self, *, limit: int) -> list[Hold]:
        """See `BooksReader.holds_due`."""
        rows = self._conn.execute(_HOLDS_DUE, {"now_ms": self.now_ms, "limit": limit}).all()
        return [_to_hold(row) for row in rows]

    def balances(self, client_id: str, unit: Unit | None = None) -> list[Balance]:
        """See `BooksReader.balances`."""
        rows = self._conn.execute(_BALANCES, {"client_id": client_id}).all()
        found = {(row.unit, row.kind): int(row.balance) for row in rows}
        return [
            Balance(
                unit=each,
                available=found[each, AccountKind.AVAILABLE],
                held=found[each, AccountKind.HELD],
                spent=found[each, AccountKind.REVENUE],
            )
            for each in Unit
            if unit in (None, each) and (each, AccountKind.AVAILABLE) in found
        ]

    def entries(self, client_id: str, *, job_id: str, before: tuple[int, int] | None, limit: int) -> list[Entry]:
        """See `BooksReader.entries`."""
        statement: Select[*tuple[object, ...]] = _ENTRIES
        if job_id:  # By the two ids a job's transactions can have: no index on the job is needed.
            statement = statement.where(TRANSACTIONS.c.id.in_([f"hold:{job_id}", f"resolve:{job_id}"]))
        if before is not None:
            statement = statement.where(_before(*before))
        rows = self._conn.execute(statement, {"client_id": client_id, "limit": limit}).all()
        return [_to_entry(row) for row in rows]

    def prove(self) -> Proof:
        """See `BooksReader.prove`."""
        return prove(self._conn)


def _before(number: int, line: int) -> ColumnElement[bool]:
    return tuple_(POSTINGS.c.number, POSTINGS.c.line) < tuple_(number, line)


def _to_hold(row: Row[*tuple[object, ...]]) -> Hold:
    return Hold(
        id=row.id,
        client_id=row.client_id,
        unit=Unit(row.unit),
        amount_per_output=row.amount_per_output,
        outputs=row.outputs,
        input_hash=row.input_hash,
        create_ms=row.create_ms,
        expire_ms=row.expire_ms,
        catalog_version=row.catalog_version,
        state=HoldState(row.state),
        captured=row.captured,
        resolve_ms=row.resolve_ms,
        model=row.model,
        end=JobEnd(
            outcome=row.outcome,
            reason=row.reason,
            provider=row.provider,
            provider_cost_fen=row.provider_cost_fen,
        ),
    )


def _to_entry(row: Row[*tuple[object, ...]]) -> Entry:
    return Entry(
        transaction_id=row.id,
        kind=TransactionKind(row.kind),
        account=AccountKind(row.account),
        unit=Unit(row.unit),
        delta=row.delta,
        job_id=row.job_id,
        note=row.note,
        time_ms=row.create_ms,
        position=(row.number, row.line),
    )
