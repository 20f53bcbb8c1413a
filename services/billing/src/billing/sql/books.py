"""Writing the books inside a transaction. Statements are built once; their compiled form is cached by SQLAlchemy."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from billing.domain import Account, AccountKind, Grant, Hold, HoldState, Posting, Transaction, Unit
from billing.domain.ledger import FLOORLESS
from billing.sql.errors import BooksBroken, Raced
from billing.sql.reader import SqlBooksReader
from billing.sql.tables import ACCOUNTS, GRANTS, HOLDS, POSTINGS, TRANSACTIONS
from kit import events
from kit.db import Tx
from kit.events import Event

_FIND_TRANSACTION: Final = select(TRANSACTIONS.c.input_hash).where(TRANSACTIONS.c.id == bindparam("transaction_id"))
_FIND_ACCOUNT: Final = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == bindparam("account_id"))
_ADD: Final = (
    update(ACCOUNTS)
    .where(ACCOUNTS.c.id == bindparam("account_id"))
    .values(balance=ACCOUNTS.c.balance + bindparam("amount"))
)
# The floor and the taking are one statement: nothing can come between the check and the change.
_TAKE: Final = (
    update(ACCOUNTS)
    .where(ACCOUNTS.c.id == bindparam("account_id"), ACCOUNTS.c.balance >= bindparam("amount"))
    .values(balance=ACCOUNTS.c.balance - bindparam("amount"))
)
_ADD_ACCOUNT: Final = insert(ACCOUNTS)
_ADD_TRANSACTION: Final = insert(TRANSACTIONS)
_ADD_POSTING: Final = insert(POSTINGS)
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
_POSTPONE: Final = (
    update(HOLDS)
    .where(HOLDS.c.id == bindparam("hold_id"), HOLDS.c.state == HoldState.HELD.value)
    .values(next_look_ms=bindparam("look_ms"))
)
_LOOK_AT_ALL: Final = (
    update(HOLDS).where(HOLDS.c.state == HoldState.HELD.value).values(next_look_ms=bindparam("look_ms"))
)


class SqlBooks(SqlBooksReader):
    """A `billing.ports.Books` on one transaction."""

    def __init__(self, tx: Tx, *, announce: Callable[[Hold], Event]) -> None:
        """Write through `tx`; useless after it. `announce` words the event of a resolved hold."""
        super().__init__(tx)
        self._announce = announce

    def find_transaction(self, transaction_id: str) -> str | None:
        """See `Books.find_transaction`."""
        found = self._conn.execute(_FIND_TRANSACTION, {"transaction_id": transaction_id}).scalar()
        return None if found is None else str(found)

    def open_wallet(self, client_id: str, unit: Unit) -> None:
        """See `Books.open_wallet`."""
        accounts = [Account(kind=kind, unit=unit, client_id=client_id) for kind in AccountKind]
        if self._conn.execute(_FIND_ACCOUNT, {"account_id": accounts[0].id}).first() is None:
            self._conn.execute(_ADD_ACCOUNT, [_account_row(account) for account in accounts])

    def post(self, transaction: Transaction) -> bool:
        """See `Books.post`. Available is the first account in lock order: when it refuses, nothing has changed."""
        postings = transaction.in_lock_order
        for posting in postings:
            if not self._move(posting):
                if posting.account.kind is AccountKind.AVAILABLE:
                    return False
                raise BooksBroken(account=posting.account.id, transaction=transaction.id)
        number = self._add_transaction(transaction)
        if postings:
            self._conn.execute(
                _ADD_POSTING,
                [
                    {"number": number, "line": line, "account_id": posting.account.id, "delta": posting.delta}
                    for line, posting in enumerate(postings, start=1)
                ],
            )
        return True

    def _move(self, posting: Posting) -> bool:
        account, delta = posting.account, posting.delta
        if delta < 0 and account.kind not in FLOORLESS:
            statement, amount = _TAKE, -delta
        else:
            statement, amount = _ADD, delta
        return self._conn.execute(statement, {"account_id": account.id, "amount": amount}).rowcount == 1

    def _add_transaction(self, transaction: Transaction) -> int:
        key = self._conn.execute(
            _ADD_TRANSACTION,
            {
                "id": transaction.id,
                "kind": transaction.kind.value,
                "client_id": transaction.client_id,
                "job_id": transaction.job_id,
                "input_hash": transaction.input_hash,
                "note": transaction.note,
                "author": transaction.author,
                "create_ms": self.now_ms,
            },
        ).inserted_primary_key
        assert key is not None
        return int(key[0])

    def add_grant(self, grant: Grant) -> None:
        """See `Books.add_grant`."""
        self._conn.execute(
            _ADD_GRANT,
            {
                "id": grant.id,
                "client_id": grant.client_id,
                "unit": grant.amount.unit.value,
                "amount": grant.amount.value,
                "expire_ms": None,
                "create_ms": self.now_ms,
            },
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
