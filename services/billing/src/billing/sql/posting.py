"""Moving units inside a transaction: postings, the lots they touch, what lapses on the way, wallets that fall low."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Row, bindparam, insert, select, update

from billing.domain import Account, AccountKind, BalanceFell, Lapse, Posting, Transaction, Unit
from billing.domain.ledger import FLOORLESS
from billing.domain.lots import Draw, Lot, draw, give_back
from billing.ports import Announced
from billing.sql import lots
from billing.sql.errors import BooksBroken
from billing.sql.reader import SqlBooksReader
from billing.sql.tables import ACCOUNTS, POSTINGS, TRANSACTIONS
from kit import events
from kit.db import Tx
from kit.events import Event
from kit.logging import get_logger

_log = get_logger(__name__)
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
_ADD_TRANSACTION: Final = insert(TRANSACTIONS)
_ADD_POSTING: Final = insert(POSTINGS)


class SqlPosting(SqlBooksReader):
    """The half of a `billing.ports.Books` that moves units."""

    def __init__(self, tx: Tx, *, announce: Callable[[Announced], Event]) -> None:
        """Write through `tx`; useless after it. `announce` words the events."""
        super().__init__(tx)
        self._announce = announce

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
        return [lot for lot in found if lot.lapse_ms <= self.now_ms]

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


def _log_fact(fact: BalanceFell | Lapse) -> None:
    facts = {"client_id": fact.client_id, "unit": fact.unit, "transaction": fact.transaction_id}
    if isinstance(fact, BalanceFell):
        _log.warning("balance_low", available=fact.available, below=fact.below, **facts)
    else:
        _log.info("grant_lapsed", grant_id=fact.grant_id, amount=fact.amount, **facts)
