"""Say below which balance a wallet is low."""

from billing.domain import Balance, Mark
from billing.ports import Books, Ledger


class SetMark:
    """Sets marks."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def __call__(self, mark: Mark) -> Balance:
        """Set the mark, replacing the former one, and return the wallet in that unit.

        A wallet that is low already is told of when it falls below the mark again.
        """
        return await self._ledger.write(lambda books: _set(books, mark))


def _set(books: Books, mark: Mark) -> Balance:
    books.open_wallet(mark.client_id, mark.unit)
    books.set_mark(mark)
    [balance] = books.balances(mark.client_id, mark.unit)
    return balance
