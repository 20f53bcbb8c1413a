"""Reading the books inside a transaction. Statements are built once; their compiled form is cached by SQLAlchemy."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Row, bindparam, func, select

from billing.domain import AccountKind, Balance, Entry, Hold, HoldState, JobEnd, Proof, TransactionKind, Unit
from billing.domain.statement import Movement
from billing.ports import Span
from billing.sql import lots, statements
from billing.sql.proof import prove
from billing.sql.tables import ACCOUNTS, HOLDS, REFUNDS
from kit.db import Tx

_FIND_HOLD: Final = select(HOLDS).where(HOLDS.c.id == bindparam("hold_id"))
_HOLDS_DUE: Final = (
    select(HOLDS)
    .where(HOLDS.c.state == HoldState.HELD.value, HOLDS.c.next_look_ms <= bindparam("now_ms"))
    .order_by(HOLDS.c.next_look_ms, HOLDS.c.id)
    .limit(bindparam("limit"))
)
_BALANCES: Final = select(ACCOUNTS.c.unit, ACCOUNTS.c.kind, ACCOUNTS.c.balance, ACCOUNTS.c.lots).where(
    ACCOUNTS.c.client_id == bindparam("client_id")
)
_FIND_REFUND: Final = select(REFUNDS.c.amount).where(REFUNDS.c.id == bindparam("refund_id"))
_HOLDS_OF: Final = select(HOLDS).where(HOLDS.c.id.in_(bindparam("hold_ids", expanding=True)))
_OPEN_HOLDS: Final = select(func.count(), func.min(HOLDS.c.create_ms)).where(HOLDS.c.state == HoldState.HELD.value)


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
        lapsing: dict[str, tuple[int, int | None]] = {}
        if any(row.lots for row in rows):
            lapsing = lots.lapsed_and_next(self._conn, client_id, now_ms=self.now_ms)
        balances = []
        for each in Unit:
            if unit in (None, each) and (each, AccountKind.AVAILABLE) in found:
                lapsed, expire_ms = lapsing.get(each, (0, None))
                balances.append(
                    Balance(
                        unit=each,
                        available=found[each, AccountKind.AVAILABLE] - lapsed,
                        held=found[each, AccountKind.HELD],
                        spent=found[each, AccountKind.REVENUE],
                        expire_ms=expire_ms,
                    )
                )
        return balances

    def find_refund(self, refund_id: str) -> int | None:
        """See `BooksReader.find_refund`."""
        found = self._conn.execute(_FIND_REFUND, {"refund_id": refund_id}).scalar()
        return None if found is None else int(found)

    def find_holds(self, hold_ids: Sequence[str]) -> dict[str, Hold]:
        """See `BooksReader.find_holds`."""
        return {row.id: _to_hold(row) for row in self._conn.execute(_HOLDS_OF, {"hold_ids": hold_ids}).all()}

    def open_holds(self) -> tuple[int, int | None]:
        """See `BooksReader.open_holds`."""
        count, oldest_ms = self._conn.execute(_OPEN_HOLDS).one()
        return count, oldest_ms

    def lots_due(self, *, limit: int) -> list[tuple[str, Unit]]:
        """See `BooksReader.lots_due`."""
        return lots.due_wallets(self._conn, now_ms=self.now_ms, limit=limit)

    def entries(self, span: Span, *, job_id: str, before: tuple[int, ...] | None, limit: int) -> list[Entry]:
        """See `BooksReader.entries`."""
        rows = statements.entry_rows(self._conn, _bounds(span, limit=limit), job_id=job_id, before=before)
        return [_to_entry(row) for row in rows]

    def jobs(self, span: Span, *, after: tuple[int, ...] | None, limit: int) -> list[tuple[Hold, tuple[int, ...]]]:
        """See `BooksReader.jobs`."""
        rows = statements.job_rows(self._conn, _bounds(span, limit=limit), after=after)
        return [(_to_hold(row), (row.at_ms, row.number)) for row in rows]

    def first_movement_ms(self, span: Span) -> int | None:
        """See `BooksReader.first_movement_ms`."""
        return statements.first_movement_ms(self._conn, _bounds(span))

    def movements(self, span: Span) -> list[Movement]:
        """See `BooksReader.movements`."""
        return statements.movements(self._conn, _bounds(span))

    def prove(self) -> Proof:
        """See `BooksReader.prove`."""
        return prove(self._conn)


def _bounds(span: Span, **more: object) -> dict[str, object]:
    return {"client_id": span.client_id, "start_ms": span.start_ms, "end_ms": span.end_ms, **more}


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
        refunded=row.refunded,
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
        position=(row.create_ms, row.number, row.line),
    )
