"""Writing the books inside a transaction. Statements are built once; their compiled form is cached by SQLAlchemy."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import Row, bindparam, insert, select, update

from billing.domain import (
    Account,
    AccountKind,
    BalanceFell,
    Grant,
    Hold,
    HoldState,
    Lapse,
    Mark,
    Posting,
    Refund,
    Transaction,
    Unit,
)
from billing.domain.ledger import FLOORLESS
from billing.domain.lots import Draw, Lot, draw, give_back
from billing.ports import Announced
from billing.sql import lots
from billing.sql.errors import BooksBroken, Raced
from billing.sql.reader import SqlBooksReader
from billing.sql.tables import ACCOUNTS, GRANTS, HOLDS, POSTINGS, REFUNDS, TRANSACTIONS
from kit import events
from kit.db import Tx
from kit.events import Event
from kit.logging import get_logger

_log = get_logger(__name__)
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
# An available account says where it stands after a movement: the crossing of its mark is decided by that alone.
_ADD_AVAILABLE: Final = _ADD.returning(ACCOUNTS.c.balance, ACCOUNTS.c.low_mark, ACCOUNTS.c.lots)
_TAKE_AVAILABLE: Final = _TAKE.returning(ACCOUNTS.c.balance, ACCOUNTS.c.low_mark, ACCOUNTS.c.lots)
_LOCK: Final = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == bindparam("account_id")).with_for_update()
_COUNT_LOT: Final = update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("account_id")).values(lots=ACCOUNTS.c.lots + 1)
_SET_MARK: Final = (
    update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("account_id")).values(low_mark=bindparam("new_mark"))
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


class SqlBooks(SqlBooksReader):
    """A `billing.ports.Books` on one transaction."""

    def __init__(self, tx: Tx, *, announce: Callable[[Announced], Event]) -> None:
        """Write through `tx`; useless after it. `announce` words the events."""
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
        draws: Sequence[Draw] = ()
        for posting in postings:
            if posting.account.kind is AccountKind.AVAILABLE:
                taken = self._move_available(transaction, posting)
                if taken is None:
                    return False
                draws = taken
            elif not self._move(posting):
                raise BooksBroken(account=posting.account.id, transaction=transaction.id)
        self._record(transaction, postings, draws)
        return True

    def _move_available(self, transaction: Transaction, posting: Posting) -> Sequence[Draw] | None:
        """Move the units that can be spent; return the lots they come from or go to, None when they do not suffice.

        This locks the account, which guards the wallet's lots: only then are they looked at.
        """
        account, delta = posting.account, posting.delta
        moved = self._shift(account, delta)
        if moved is None:
            if delta > 0:
                raise BooksBroken(account=account.id, transaction=transaction.id)
            return None
        draws: Sequence[Draw] = ()
        if moved.lots and delta < 0:
            found = lots.open_lots(self._conn, account.client_id, account.unit)
            due = self._due(found)
            if moved.balance < sum(lot.remaining for lot in due):  # What has expired cannot pay.
                self._shift(account, -delta)
                return None
            self._lapse(due)
            draws = draw([lot for lot in found if lot not in due], -delta)
        elif moved.lots and transaction.job_id and (drawn := lots.drawn_by(self._conn, transaction.job_id)):
            # What is left of an expired lot goes first: only the units that come back have a grace.
            self._lapse(self._due(lots.open_lots(self._conn, account.client_id, account.unit)))
            draws = give_back(drawn, delta)
        self._tell_if_low(transaction, posting, moved)
        return draws

    def _shift(self, account: Account, delta: int) -> Row[*tuple[int, int | None, int]] | None:
        """Move an available account; return its balance and its mark, None when the balance does not suffice."""
        statement = _TAKE_AVAILABLE if delta < 0 else _ADD_AVAILABLE
        return self._conn.execute(statement, {"account_id": account.id, "amount": abs(delta)}).one_or_none()

    def _move(self, posting: Posting) -> bool:
        account, delta = posting.account, posting.delta
        if delta < 0 and account.kind not in FLOORLESS:
            statement, amount = _TAKE, -delta
        else:
            statement, amount = _ADD, delta
        return self._conn.execute(statement, {"account_id": account.id, "amount": amount}).rowcount == 1

    def _tell_if_low(
        self, transaction: Transaction, posting: Posting, moved: Row[*tuple[int, int | None, int]]
    ) -> None:
        """Put the event of a wallet that this very movement took below its mark."""
        below = moved.low_mark
        if below is None or not moved.balance < below <= moved.balance - posting.delta:
            return
        self._tell(
            BalanceFell(
                transaction_id=transaction.id,
                client_id=posting.account.client_id,
                unit=posting.account.unit,
                available=moved.balance,
                below=below,
                time_ms=self.now_ms,
            )
        )

    def _due(self, found: Sequence[Lot]) -> list[Lot]:
        return [lot for lot in found if lot.lapse_ms <= self.now_ms] if found else []

    def _lapse(self, due: Sequence[Lot]) -> None:
        """Take away what is left of lots that have expired. The account is locked."""
        for lot in due:
            transaction = lot.lapsing()
            taken, lapsed = transaction.in_lock_order
            moved = self._shift(taken.account, taken.delta)
            if moved is None or not self._move(lapsed):
                raise BooksBroken(account=taken.account.id, transaction=transaction.id)
            self._record(transaction, transaction.in_lock_order, [Draw(grant_id=lot.grant_id, delta=-lot.remaining)])
            self._tell_if_low(transaction, taken, moved)
            self._tell(
                Lapse(
                    transaction_id=transaction.id,
                    grant_id=lot.grant_id,
                    client_id=lot.client_id,
                    unit=lot.unit,
                    amount=lot.remaining,
                    time_ms=self.now_ms,
                )
            )

    def lapse(self, client_id: str, unit: Unit) -> int:
        """See `Books.lapse`."""
        account = Account(kind=AccountKind.AVAILABLE, unit=unit, client_id=client_id)
        self._conn.execute(_LOCK, {"account_id": account.id}).one()
        due = self._due(lots.open_lots(self._conn, client_id, unit))
        self._lapse(due)
        return len(due)

    def _record(self, transaction: Transaction, postings: Sequence[Posting], draws: Sequence[Draw]) -> None:
        number = self._add_transaction(transaction)
        if postings:
            self._conn.execute(
                _ADD_POSTING,
                [
                    {"number": number, "line": line, "account_id": posting.account.id, "delta": posting.delta}
                    for line, posting in enumerate(postings, start=1)
                ],
            )
        if draws:
            lots.record(self._conn, number, transaction, draws, now_ms=self.now_ms)

    def _tell(self, fact: BalanceFell | Lapse) -> None:
        events.put(self._tx, self._announce(fact))
        self._tx.after_commit(lambda: _log_fact(fact))

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


def _log_fact(fact: BalanceFell | Lapse) -> None:
    facts = {"client_id": fact.client_id, "unit": fact.unit, "transaction": fact.transaction_id}
    if isinstance(fact, BalanceFell):
        _log.warning("balance_low", available=fact.available, below=fact.below, **facts)
    else:
        _log.info("grant_lapsed", grant_id=fact.grant_id, amount=fact.amount, **facts)


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
