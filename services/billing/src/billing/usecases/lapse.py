"""Take away what has expired in wallets that nobody touches; one that is touched does it on the way."""

from typing import Final

from billing.domain import Unit
from billing.ports import Books, Ledger

BATCH_MAX: Final = 100  # Lots a round: a wallet a transaction, so that nobody waits long behind the sweeper.


class LapseLots:
    """Lapses what is due."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def __call__(self) -> int:
        """Lapse every lot that is due and return how many there were."""
        lapsed, before = 0, -1
        while lapsed > before and (wallets := await self._ledger.read(lambda books: books.lots_due(limit=BATCH_MAX))):
            before = lapsed  # A round without progress was another sweeper's; the next one is soon enough.
            for client_id, unit in wallets:

                def lapse(books: Books, client_id: str = client_id, unit: Unit = unit) -> int:
                    return books.lapse(client_id, unit)

                lapsed += await self._ledger.write(lapse)
        return lapsed
