"""Resolve a hold, exactly once: by a job's end, by a caller that cannot wait for the event, or by the sweeper."""

from typing import Final

from billing.domain import Hold, Settlement
from billing.ports import Books, Ledger
from kit import crash
from kit.errors import HoldNotFound

CONSUMER: Final = "billing"
BEFORE_COMMIT: Final = crash.declare(
    "billing.settle.before_commit", "the hold is resolved and its event is in the outbox, nothing is committed"
)
AFTER_COMMIT: Final = crash.declare(
    "billing.settle.after_commit", "the hold is resolved and committed, its caller has no answer yet"
)


class SettleHold:
    """Resolves holds."""

    def __init__(self, *, ledger: Ledger) -> None:
        """Use `ledger`."""
        self._ledger = ledger

    async def __call__(self, settlement: Settlement) -> Hold:
        """Return the resolved hold; the same settlement again returns the first result.

        Raises HoldNotFound, HoldAlreadyResolved when it ended in another way, and InvalidArgument when it holds less.
        """
        hold = await self._ledger.write(lambda books: _settle(books, settlement))
        crash.point(AFTER_COMMIT)
        return hold

    async def by_event(self, settlement: Settlement, *, event_id: str) -> Hold | None:
        """Do the same for an event, once: return None for one that was handled before. Raises the same.

        The event is remembered in the transaction that settles, so the two cannot come apart.
        """

        def settle_unseen(books: Books) -> Hold | None:
            return None if books.seen(CONSUMER, event_id) else _settle(books, settlement)

        hold = await self._ledger.write(settle_unseen)
        crash.point(AFTER_COMMIT)
        return hold


def _settle(books: Books, settlement: Settlement) -> Hold:
    hold = books.find_hold(settlement.hold_id)
    if hold is None:
        raise HoldNotFound(hold_id=settlement.hold_id)
    resolved = hold.resolve(settlement, now_ms=books.now_ms)
    if resolved is not hold:
        books.resolve_hold(resolved)  # First: whoever changes this row may move the units.
        books.post(resolved.resolving())
        crash.point(BEFORE_COMMIT)
    return resolved
