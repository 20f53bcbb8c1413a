"""Statements in a transaction: all of them walk one index, (client, time, number)."""

from typing import Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, tuple_

from billing.domain import AccountKind, TransactionKind, Unit
from billing.domain.ledger import WALLET
from billing.domain.statement import Movement
from billing.sql.tables import ACCOUNTS, HOLDS, POSTINGS, REFUNDS, TRANSACTIONS

Position = tuple[int, ...]

_OF_CLIENT: Final = (
    TRANSACTIONS.c.client_id == bindparam("client_id"),
    TRANSACTIONS.c.create_ms >= bindparam("start_ms"),
    TRANSACTIONS.c.create_ms < bindparam("end_ms"),
)
_SHOWN: Final = tuple(kind.value for kind in (*WALLET, AccountKind.REVENUE))
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
    .where(*_OF_CLIENT, ACCOUNTS.c.kind.in_([kind.value for kind in WALLET]))
    .order_by(TRANSACTIONS.c.create_ms.desc(), TRANSACTIONS.c.number.desc(), POSTINGS.c.line.desc())
    .limit(bindparam("limit"))
)
_REFUNDS_OF: Final = select(REFUNDS.c.id).where(REFUNDS.c.hold_id == bindparam("hold_id"))
_JOBS: Final = (
    select(HOLDS, TRANSACTIONS.c.create_ms.label("at_ms"), TRANSACTIONS.c.number)
    .join_from(TRANSACTIONS, HOLDS, HOLDS.c.id == TRANSACTIONS.c.job_id)
    .where(*_OF_CLIENT, TRANSACTIONS.c.kind == TransactionKind.HOLD.value)
    .order_by(TRANSACTIONS.c.create_ms, TRANSACTIONS.c.number)
    .limit(bindparam("limit"))
)
_FIRST: Final = select(func.min(TRANSACTIONS.c.create_ms)).where(*_OF_CLIENT)
_SUMS: Final = (
    select(
        ACCOUNTS.c.unit,
        TRANSACTIONS.c.kind,
        ACCOUNTS.c.kind.label("account"),
        func.sum(POSTINGS.c.delta).label("delta"),
    )
    .join_from(TRANSACTIONS, POSTINGS, POSTINGS.c.number == TRANSACTIONS.c.number)
    .join(ACCOUNTS, ACCOUNTS.c.id == POSTINGS.c.account_id)
    .where(*_OF_CLIENT, ACCOUNTS.c.kind.in_(_SHOWN))
    .group_by(ACCOUNTS.c.unit, TRANSACTIONS.c.kind, ACCOUNTS.c.kind)
)


def entry_rows(
    conn: Connection, span: dict[str, object], *, job_id: str, before: Position | None
) -> list[Row[*tuple[object, ...]]]:
    """Return postings on the wallet, newest first. `span` names client_id, start_ms, end_ms and limit."""
    statement = _ENTRIES
    if job_id:  # By the ids a job's transactions can have: no index on the job is needed.
        refunds = conn.execute(_REFUNDS_OF, {"hold_id": job_id}).scalars().all()
        ids = [f"hold:{job_id}", f"resolve:{job_id}", *(f"refund:{one}" for one in refunds)]
        statement = statement.where(TRANSACTIONS.c.id.in_(ids))
    if before is not None:
        statement = statement.where(
            _position(TRANSACTIONS.c.create_ms, POSTINGS.c.number, POSTINGS.c.line) < tuple_(*before)
        )
    return list(conn.execute(statement, span).all())


def job_rows(conn: Connection, span: dict[str, object], *, after: Position | None) -> list[Row[*tuple[object, ...]]]:
    """Return the holds placed in the span, oldest first, each with where it stands: `at_ms` and `number`."""
    statement = _JOBS
    if after is not None:
        statement = statement.where(_position(TRANSACTIONS.c.create_ms, TRANSACTIONS.c.number) > tuple_(*after))
    return list(conn.execute(statement, span).all())


def first_movement_ms(conn: Connection, span: dict[str, object]) -> int | None:
    """Return when something first moved in the span."""
    first = conn.execute(_FIRST, span).scalar()
    return None if first is None else int(first)


def movements(conn: Connection, span: dict[str, object]) -> list[Movement]:
    """Return what moved in the span, summed by unit, kind of transaction and kind of account."""
    return [
        Movement(
            unit=Unit(row.unit),
            kind=TransactionKind(row.kind),
            account=AccountKind(row.account),
            delta=int(row.delta),
        )
        for row in conn.execute(_SUMS, span).all()
    ]


def _position(*columns: ColumnElement[int]) -> ColumnElement[tuple[int, ...]]:
    return tuple_(*columns)
