"""Set units aside for a job: the first option of its price that the wallet covers wholly."""

from typing import Final

from billing.domain import Hold, HoldOrder
from billing.ports import Books, Ledger
from kit import crash
from kit.errors import AppError, ErrorReason, RequestIdReused

BEFORE_COMMIT: Final = crash.declare(
    "billing.place_hold.before_commit", "the units are moved and the hold is written, nothing is committed"
)
AFTER_COMMIT: Final = crash.declare(
    "billing.place_hold.after_commit", "the hold is committed, its caller has no answer yet"
)


class PlaceHold:
    """Places holds."""

    def __init__(self, *, ledger: Ledger, orphan_grace_ms: int) -> None:
        """Use `ledger`; the sweeper asks after a hold that is older than `orphan_grace_ms`."""
        self._ledger = ledger
        self._orphan_grace_ms = orphan_grace_ms

    async def __call__(self, order: HoldOrder) -> Hold:
        """Return the hold: the first one, resolved or not, when this order was placed before.

        Raises RequestIdReused when the id was used for another order, InsufficientFunds when no option is covered.
        """
        hold = await self._ledger.write(lambda books: self._place(books, order))
        crash.point(AFTER_COMMIT)
        return hold

    def _place(self, books: Books, order: HoldOrder) -> Hold:
        if (first := _first(books, order)) is not None:
            return first
        now_ms = books.now_ms
        for option in order.price.options:
            hold = order.hold_with(option, now_ms=now_ms)
            if books.post(hold.placing()):
                books.add_hold(hold, next_look_ms=now_ms + self._orphan_grace_ms)
                crash.point(BEFORE_COMMIT)
                return hold
        # The same order may have been placed, with our last units, while we waited for the account.
        if (first := _first(books, order)) is not None:
            return first
        raise _refusal(books, order)


def _first(books: Books, order: HoldOrder) -> Hold | None:
    first = books.find_hold(order.hold_id)
    if first is not None and first.input_hash != order.input_hash:
        raise RequestIdReused(hold_id=order.hold_id)
    return first


def _refusal(books: Books, order: HoldOrder) -> AppError:
    """Say for each unit that could have paid how much was needed and how much is there."""
    available = {balance.unit: balance.available for balance in books.balances(order.client_id)}
    facts: dict[str, int] = {}
    for option in order.price.options:
        facts.setdefault(f"{option.unit}_requested", option.amount_per_output * order.price.outputs)
        facts[f"{option.unit}_available"] = available.get(option.unit, 0)
    return AppError.of(ErrorReason.INSUFFICIENT_FUNDS, metadata=facts)
