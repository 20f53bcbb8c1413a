"""Lots in a transaction: what a movement draws from them, brings back to them, and what lapses.

Every function but `due_wallets` and the sums expects the lock of the wallet's available account, so that no two writers
are ever in the same lots.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from billing.domain import Grant, Transaction, TransactionKind, Unit
from billing.domain.lots import NEVER_MS, Draw, Lot
from billing.sql.tables import DRAWS, LOTS

_OF_WALLET: Final = (
    LOTS.c.client_id == bindparam("client_id"),
    LOTS.c.unit == bindparam("unit"),
    LOTS.c.remaining > 0,
)
_OPEN: Final = (
    select(LOTS)
    .where(*_OF_WALLET)
    .order_by(LOTS.c.priority.desc(), LOTS.c.expire_ms, LOTS.c.create_ms, LOTS.c.grant_id)
)
_COUNT: Final = select(func.count()).select_from(LOTS).where(*_OF_WALLET)
_SUMS: Final = (
    select(
        LOTS.c.unit,
        func.sum(LOTS.c.remaining).filter(LOTS.c.lapse_ms <= bindparam("now_ms")).label("lapsed"),
        func.min(LOTS.c.lapse_ms).filter(LOTS.c.lapse_ms > bindparam("now_ms")).label("lapse_ms"),
    )
    .where(LOTS.c.client_id == bindparam("client_id"), LOTS.c.remaining > 0)
    .group_by(LOTS.c.unit)
)
_DUE: Final = (
    select(LOTS.c.client_id, LOTS.c.unit)
    .where(LOTS.c.remaining > 0, LOTS.c.lapse_ms <= bindparam("now_ms"))
    .order_by(LOTS.c.lapse_ms)
    .limit(bindparam("limit"))
)
_FIND: Final = select(LOTS).where(LOTS.c.grant_id.in_(bindparam("grant_ids", expanding=True)))
_OF_JOB: Final = (
    select(DRAWS.c.grant_id, DRAWS.c.delta)
    .where(DRAWS.c.job_id == bindparam("job_id"))
    .order_by(DRAWS.c.number, DRAWS.c.line)
)
_ADD_LOT: Final = insert(LOTS)
_ADD_DRAW: Final = insert(DRAWS)
_MOVE: Final = (
    update(LOTS)
    .where(LOTS.c.grant_id == bindparam("of_grant"))
    .values(
        remaining=LOTS.c.remaining + bindparam("by_delta"),
        lapse_ms=bindparam("new_lapse_ms"),
        lapses=bindparam("new_lapses"),
    )
)


def open_lots(conn: Connection, client_id: str, unit: Unit) -> list[Lot]:
    """Return the wallet's lots that have something left, in the order in which they are spent."""
    return [_to_lot(row) for row in conn.execute(_OPEN, {"client_id": client_id, "unit": unit.value}).all()]


def count_open(conn: Connection, client_id: str, unit: Unit) -> int:
    """Return how many lots of the wallet have something left."""
    return int(conn.execute(_COUNT, {"client_id": client_id, "unit": unit.value}).scalar_one())


def lapsed_and_next(conn: Connection, client_id: str, *, now_ms: int) -> dict[str, tuple[int, int | None]]:
    """Return unit → (what has expired but was not taken away yet, when the next part expires)."""
    rows = conn.execute(_SUMS, {"client_id": client_id, "now_ms": now_ms}).all()
    return {
        row.unit: (int(row.lapsed or 0), None if row.lapse_ms in (None, NEVER_MS) else int(row.lapse_ms))
        for row in rows
    }


def due_wallets(conn: Connection, *, now_ms: int, limit: int) -> list[tuple[str, Unit]]:
    """Return wallets that have something to lapse, the longest due first; each once, of the first `limit` lots."""
    rows = conn.execute(_DUE, {"now_ms": now_ms, "limit": limit}).all()
    return list(dict.fromkeys((row.client_id, Unit(row.unit)) for row in rows))


def drawn_by(conn: Connection, job_id: str) -> list[Draw]:
    """Return every draw of a job's transactions, in the order of the books."""
    rows = conn.execute(_OF_JOB, {"job_id": job_id}).all()
    return [Draw(grant_id=row.grant_id, delta=row.delta) for row in rows]


def add_lot(conn: Connection, grant: Grant, *, now_ms: int) -> None:
    """Keep a new grant apart from the rest of its wallet."""
    expire_ms = NEVER_MS if grant.expire_ms is None else grant.expire_ms
    conn.execute(
        _ADD_LOT,
        {
            "grant_id": grant.id,
            "client_id": grant.client_id,
            "unit": grant.amount.unit.value,
            "priority": grant.priority,
            "expire_ms": expire_ms,
            "create_ms": now_ms,
            "remaining": grant.amount.value,
            "lapse_ms": expire_ms,
            "lapses": 0,
        },
    )


def record(conn: Connection, number: int, transaction: Transaction, draws: Sequence[Draw], *, now_ms: int) -> None:
    """Write the draws of a transaction and move its lots."""
    lots = _find(conn, [one.grant_id for one in draws if one.grant_id is not None])
    conn.execute(
        _ADD_DRAW,
        [
            {
                "number": number,
                "line": line,
                "grant_id": one.grant_id,
                "job_id": transaction.job_id,
                "delta": one.delta,
            }
            for line, one in enumerate(draws, start=1)
        ],
    )
    for one in draws:
        if one.grant_id is not None:
            conn.execute(_MOVE, _moved(lots[one.grant_id], one.delta, transaction.kind, now_ms=now_ms))


def _moved(lot: Lot, delta: int, kind: TransactionKind, *, now_ms: int) -> dict[str, object]:
    return {
        "of_grant": lot.grant_id,
        "by_delta": delta,
        "new_lapse_ms": lot.lapse_ms if delta < 0 else lot.lapse_after_return(kind, now_ms=now_ms),
        "new_lapses": lot.lapses + (kind is TransactionKind.EXPIRE),
    }


def _find(conn: Connection, grant_ids: Sequence[str]) -> dict[str, Lot]:
    rows = conn.execute(_FIND, {"grant_ids": grant_ids}).all() if grant_ids else ()
    return {row.grant_id: _to_lot(row) for row in rows}


def _to_lot(row: Row[*tuple[object, ...]]) -> Lot:
    return Lot(
        grant_id=row.grant_id,
        client_id=row.client_id,
        unit=Unit(row.unit),
        remaining=row.remaining,
        expire_ms=row.expire_ms,
        lapse_ms=row.lapse_ms,
        lapses=row.lapses,
    )
