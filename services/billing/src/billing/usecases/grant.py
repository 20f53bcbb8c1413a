"""Add units to a wallet."""

from dataclasses import dataclass
from typing import Final

from billing.domain import Balance, Grant
from billing.domain.money import BALANCE_MAX, Unit
from billing.ports import Books, Ledger
from billing.usecases.once import posted_before
from kit.errors import Conflict, InvalidArgument

LOTS_MAX: Final = 1000  # Open in one wallet and unit: a movement reads them all. One a day for years fits.


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

        Raises RequestIdReused when the id was used for another grant, InvalidArgument when the wallet would overflow or
        the expiry is over, Conflict when the wallet has too many grants that expire already.
        """
        return await self._ledger.write(lambda books: _grant(books, grant))


def _grant(books: Books, grant: Grant) -> Granted:
    transaction = grant.transaction()
    reused = posted_before(books, transaction)
    if not reused:
        if grant.expire_ms is not None and grant.expire_ms <= books.now_ms:
            raise InvalidArgument("a grant expires in the future", field="expire_time")
        books.open_wallet(grant.client_id, grant.amount.unit)
        books.post(transaction)
        if grant.is_lot:
            _check_room(books, grant.client_id, grant.amount.unit)
        books.add_grant(grant)
    [balance] = books.balances(grant.client_id, grant.amount.unit)
    if not reused and balance.available > BALANCE_MAX:
        raise InvalidArgument(f"a wallet holds at most {BALANCE_MAX} of a unit", field="amount.value")
    return Granted(balance=balance, reused=reused)


def _check_room(books: Books, client_id: str, unit: Unit) -> None:
    if books.count_lots(client_id, unit) >= LOTS_MAX:
        raise Conflict(f"the wallet has {LOTS_MAX} grants in this unit that expire or have a priority already")
