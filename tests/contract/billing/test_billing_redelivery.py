"""Ends of jobs that come three times, in any order, at once, and long after anybody remembers the first time."""

import random
from typing import Any, Final

from billing.domain import Settlement

JOBS: Final = 60
TIMES: Final = 3
PRICE: Final = 30
OUTPUTS: Final = 3


def _endings(dice: random.Random) -> list[tuple[str, Settlement]]:
    """An event for each job: paid for none to all of its outputs."""
    return [
        (f"evt-{number}", Settlement(hold_id=f"job-{number}", amount=dice.randint(0, OUTPUTS) * PRICE))
        for number in range(JOBS)
    ]


async def test_ends_told_thrice_in_any_order_charge_and_refund_once(house: Any, at_once: Any) -> None:
    dice = random.Random(7)
    await house.grant(JOBS * OUTPUTS * PRICE)
    for number in range(JOBS):
        await house.place(f"job-{number}", outputs=OUTPUTS)
    endings = _endings(dice)
    spent = sum(settlement.amount for _, settlement in endings)

    async def tell(events: list[tuple[str, Settlement]]) -> list[Any]:
        told = events * TIMES
        dice.shuffle(told)
        answers: list[Any] = await at_once(
            *[house.settle_hold.by_event(settlement, event_id=event_id) for event_id, settlement in told]
        )
        return answers

    first = await tell(endings)
    wallet = (JOBS * OUTPUTS * PRICE - spent, 0, spent)
    assert await house.wallet() == wallet
    assert sum(hold is not None for hold in first) == JOBS  # The inbox knew the others.
    written = [await house.count(table) for table in ("transactions", "postings", "outbox")]

    await house.execute("DELETE FROM inbox")  # As after the days for which it remembers.
    await tell(endings)
    await tell([(f"again-{event_id}", settlement) for event_id, settlement in endings])

    assert await house.wallet() == wallet
    assert [await house.count(table) for table in ("transactions", "postings", "outbox")] == written
