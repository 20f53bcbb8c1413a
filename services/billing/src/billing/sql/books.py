"""Writing the books inside a transaction. Statements are built once; their compiled form is cached by SQLAlchemy."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from billing.domain import (
    Account,
    AccountKind,
    Grant,
    Hold,
    HoldState,
    Mark,
    Refund,
    Unit,
)
from billing.sql import lots
from billing.sql.errors import Raced
from billing.sql.posting import SqlPosting
from billing.sql.tables import ACCOUNTS, GRANTS, HOLDS, REFUNDS, TRANSACTIONS
from kit import events

_FIND_TRANSACTION: Final = select(TRANSACTIONS.c.input_hash).where(TRANSACTIONS.c.id == bindparam("transaction_id"))
_FIND_ACCOUNT: Final = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == bindparam("account_id"))
_COUNT_LOT: Final = update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("account_id")).values(lots=ACCOUNTS.c.lots + 1)
_SET_MARK: Final = (
    update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("account_id")).values(low_mark=bindparam("new_mark"))
)
_ADD_ACCOUNT: Final = insert(ACCOUNTS)
_ADD_HOLD: Final = insert(HOLDS)
_ADD_GRANT: Final = insert(GRANTS)
_RESOLVE_HOLD: Final = (
    update(HOLDS)
    .where(HOLDS.c.id == bindparam("hold_id"), HOLDS.c.state == HoldState.HELD.value)
    .values(
        state=bindparam("new_state"),
        captured=bindparam("new_captured"),
        resolve_ms=bindparam("new_resolve_ms"),
        outcome=bindparam("new_outcome"),
        reason=bindparam("new_reason"),
        provider=bindparam("new_provider"),
        provider_cost_fen=bindparam("new_provider_cost_fen"),
    )
)
_ADD_REFUND: Final = insert(REFUNDS)
_REFUND_HOLD: Final = (
    update(HOLDS)
    .where(HOLDS.c.id == bindparam("hold_id"), HOLDS.c.captured - HOLDS.c.refunded >= bindparam("given_back"))
    .values(refunded=HOLDS.c.refunded + bindparam("given_back"))
)
_POSTPONE: Final = (
    update(HOLDS)
    .where(HOLDS.c.id == bindparam("hold_id"), HOLDS.c.state == HoldState.HELD.value)
    .values(next_look_ms=bindparam("look_ms"))
)
_LOOK_AT_ALL: Final = (
    update(HOLDS).where(HOLDS.c.state == HoldState.HELD.value).values(next_look_ms=bindparam("look_ms"))
)


class SqlBooks(SqlPosting):
    """A `billing.ports.Books` on one transaction."""

    def find_transaction(self, transaction_id: str) -> str | None:
        """See `Books.find_transaction`."""
        found = self._conn.execute(_FIND_TRANSACTION, {"transaction_id": transaction_id}).scalar()
        return None if found is None else str(found)

    def open_wallet(self, client_id: str, unit: Unit) -> None:
        """See `Books.open_wallet`."""
        accounts = [Account(kind=kind, unit=unit, client_id=client_id) for kind in AccountKind]
        if self._conn.execute(_FIND_ACCOUNT, {"account_id": accounts[0].id}).first() is None:
            self._conn.execute(_ADD_ACCOUNT, [_account_row(account) for account in accounts])

    def add_grant(self, grant: Grant) -> None:
        """See `Books.add_grant`."""
        self._conn.execute(
            _ADD_GRANT,
            {
                "id": grant.id,
                "client_id": grant.client_id,
                "unit": grant.amount.unit.value,
                "amount": grant.amount.value,
                "priority": grant.priority,
                "expire_ms": grant.expire_ms,
                "create_ms": self.now_ms,
            },
        )
        if grant.is_lot:
            lots.add_lot(self._conn, grant, now_ms=self.now_ms)
            account = Account(kind=AccountKind.AVAILABLE, unit=grant.amount.unit, client_id=grant.client_id)
            self._conn.execute(_COUNT_LOT, {"account_id": account.id})

    def count_lots(self, client_id: str, unit: Unit) -> int:
        """See `Books.count_lots`."""
        return lots.count_open(self._conn, client_id, unit)

    def set_mark(self, mark: Mark) -> None:
        """See `Books.set_mark`."""
        account = Account(kind=AccountKind.AVAILABLE, unit=mark.unit, client_id=mark.client_id)
        self._conn.execute(_SET_MARK, {"account_id": account.id, "new_mark": mark.below or None})

    def add_refund(self, refund: Refund, amount: int) -> None:
        """See `Books.add_refund`."""
        changed = self._conn.execute(_REFUND_HOLD, {"hold_id": refund.job_id, "given_back": amount})
        if changed.rowcount != 1:
            raise Raced(refund.job_id)
        self._conn.execute(
            _ADD_REFUND,
            {"id": refund.id, "hold_id": refund.job_id, "amount": amount, "create_ms": self.now_ms},
        )

    def add_hold(self, hold: Hold, *, next_look_ms: int) -> None:
        """See `Books.add_hold`."""
        self._conn.execute(_ADD_HOLD, {**_hold_row(hold), "next_look_ms": next_look_ms})

    def resolve_hold(self, hold: Hold) -> None:
        """See `Books.resolve_hold`."""
        changed = self._conn.execute(
            _RESOLVE_HOLD,
            {
                "hold_id": hold.id,
                "new_state": hold.state.value,
                "new_captured": hold.captured,
                "new_resolve_ms": hold.resolve_ms,
                "new_outcome": hold.end.outcome,
                "new_reason": hold.end.reason,
                "new_provider": hold.end.provider,
                "new_provider_cost_fen": hold.end.provider_cost_fen,
            },
        )
        if changed.rowcount != 1:
            raise Raced(hold.id)
        events.put(self._tx, self._announce(hold))

    def postpone(self, looks: Mapping[str, int]) -> None:
        """See `Books.postpone`. In id order, so that two sweepers cannot deadlock."""
        rows = [{"hold_id": hold_id, "look_ms": look_ms} for hold_id, look_ms in sorted(looks.items())]
        if rows:
            self._conn.execute(_POSTPONE, rows)

    def look_at_all(self) -> int:
        """See `Books.look_at_all`."""
        return self._conn.execute(_LOOK_AT_ALL, {"look_ms": self.now_ms}).rowcount

    def seen(self, consumer: str, event_id: str) -> bool:
        """See `Books.seen`."""
        return events.seen(self._tx, consumer, event_id)


def _account_row(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "client_id": account.client_id,
        "unit": account.unit.value,
        "kind": account.kind.value,
        "balance": 0,
        "lots": 0,
    }


def _hold_row(hold: Hold) -> dict[str, object]:
    return {
        "id": hold.id,
        "client_id": hold.client_id,
        "state": hold.state.value,
        "unit": hold.unit.value,
        "amount": hold.amount,
        "amount_per_output": hold.amount_per_output,
        "outputs": hold.outputs,
        "captured": hold.captured,
        "refunded": hold.refunded,
        "input_hash": hold.input_hash,
        "catalog_version": hold.catalog_version,
        "create_ms": hold.create_ms,
        "expire_ms": hold.expire_ms,
        "resolve_ms": hold.resolve_ms,
        "model": hold.model,
        "outcome": hold.end.outcome,
        "reason": hold.end.reason,
        "provider": hold.end.provider,
        "provider_cost_fen": hold.end.provider_cost_fen,
    }
