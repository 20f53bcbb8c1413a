"""Add units to a wallet."""

from dataclasses import dataclass

from billing.domain import Balance, Grant
from billing.domain.money import BALANCE_MAX
from billing.ports import Books, Ledger
from billing.usecases.once import posted_before
from kit.errors import InvalidArgument


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """The wallet after a grant."""

    balance: Balance  #: Of the unit granted.
    reused: bool  #: This grant had been made before.


class GrantUnits:
    """Makes grants."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def __call__(self, grant: Grant) -> Granted:
        """Grant once, however often it is asked.

        Raises RequestIdReused when the id was used for another grant, InvalidArgument when the wallet would overflow.
        """
        return await self._ledger.write(lambda books: _grant(books, grant))


def _grant(books: Books, grant: Grant) -> Granted:
    transaction = grant.transaction()
    reused = posted_before(books, transaction)
    if not reused:
        books.open_wallet(grant.client_id, grant.amount.unit)
        books.post(transaction)
        books.add_grant(grant)
    [balance] = books.balances(grant.client_id, grant.amount.unit)
    if not reused and balance.available > BALANCE_MAX:
        raise InvalidArgument(f"a wallet holds at most {BALANCE_MAX} of a unit", field="amount.value")
    return Granted(balance=balance, reused=reused)
