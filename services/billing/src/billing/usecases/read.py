"""Read the books: balances and holds."""

from billing.domain import Balance, Hold
from billing.domain.checks import printable_id
from billing.ports import Ledger
from kit.errors import HoldNotFound


class ReadBooks:
    """Answers questions about the books."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def hold(self, hold_id: str) -> Hold:
        """Return any client's hold. Raises HoldNotFound."""
        printable_id(hold_id, field="hold_id")
        hold = await self._ledger.read(lambda books: books.find_hold(hold_id))
        if hold is None:
            raise HoldNotFound(hold_id=hold_id)
        return hold

    async def balances(self, client_id: str) -> list[Balance]:
        """Return what the client has, a line for each unit it ever had."""
        return await self._ledger.read(lambda books: books.balances(client_id))

    async def open_holds(self) -> tuple[int, int | None, int]:
        """Return how many holds are open, when the oldest was placed, and what time it is (unix milliseconds)."""
        return await self._ledger.read(lambda books: (*books.open_holds(), books.now_ms))
