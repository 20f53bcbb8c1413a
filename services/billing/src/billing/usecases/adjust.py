"""Correct a wallet, up or down, never below zero."""

from billing.domain import Adjustment, Balance
from billing.domain.money import BALANCE_MAX
from billing.ports import Books, Ledger
from billing.usecases.once import posted_before
from kit.errors import AppError, ErrorReason, InvalidArgument


class Adjust:
    """Makes corrections."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def __call__(self, adjustment: Adjustment) -> Balance:
        """Correct once, however often it is asked, and return the wallet in that unit.

        Raises RequestIdReused when the id was used for another correction, InsufficientFunds when less is available
        than is to be taken, InvalidArgument when the wallet would overflow.
        """
        return await self._ledger.write(lambda books: _adjust(books, adjustment))


def _adjust(books: Books, adjustment: Adjustment) -> Balance:
    client_id, unit = adjustment.client_id, adjustment.unit
    transaction = adjustment.transaction()
    if not posted_before(books, transaction):
        if adjustment.delta > 0:  # Taking from a wallet that never was must not make one.
            books.open_wallet(client_id, unit)
        if not books.post(transaction) and not posted_before(books, transaction):
            available = sum(balance.available for balance in books.balances(client_id, unit))
            facts = {f"{unit}_requested": -adjustment.delta, f"{unit}_available": available}
            message = "The wallet has less than is to be taken away."
            raise AppError.of(ErrorReason.INSUFFICIENT_FUNDS, message, metadata=facts)
    [balance] = books.balances(client_id, unit)
    if adjustment.delta > 0 and balance.available > BALANCE_MAX:
        raise InvalidArgument(f"a wallet holds at most {BALANCE_MAX} of a unit", field="delta")
    return balance
