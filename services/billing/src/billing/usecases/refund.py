"""Give back what a job has spent: goodwill, never more in all than was captured."""

from dataclasses import dataclass

from billing.domain import Amount, Balance, Refund
from billing.ports import Books, Ledger
from kit.errors import Conflict, HoldNotFound, RequestIdReused


@dataclass(frozen=True, kw_only=True, slots=True)
class Refunded:
    """The wallet after a refund."""

    given: Amount  #: By this refund.
    balance: Balance  #: Of the unit.
    reused: bool  #: This refund had been made before.


class RefundJob:
    """Makes refunds."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def __call__(self, refund: Refund) -> Refunded:
        """Refund once, however often it is asked.

        Raises HoldNotFound, RequestIdReused when the id was used for another refund, Conflict when less is left of
        what the job was charged.
        """
        return await self._ledger.write(lambda books: _refund(books, refund))


def _refund(books: Books, refund: Refund) -> Refunded:
    hold = books.find_hold(refund.job_id)
    if hold is None:
        raise HoldNotFound(hold_id=refund.job_id)
    input_hash = books.find_transaction(f"refund:{refund.id}")
    if input_hash is not None and input_hash != refund.input_hash:
        raise RequestIdReused(refund_id=refund.id)
    amount = books.find_refund(refund.id)
    reused = amount is not None
    if amount is None:
        left = hold.captured - hold.refunded
        amount = refund.amount or left
        if not 0 < amount <= left:
            raise Conflict(f"of what the job was charged, {left} {hold.unit} can still be refunded", left=left)
        books.add_refund(refund, amount)
        books.post(refund.transaction(hold, amount))
    [balance] = books.balances(hold.client_id, hold.unit)
    return Refunded(given=Amount(unit=hold.unit, value=amount), balance=balance, reused=reused)
