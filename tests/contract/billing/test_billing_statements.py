"""Statements by job and by day: complete, in pages, and equal to the balances."""

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.domain import JobEnd, Settlement, Unit
from billing.domain.lots import NEVER_MS
from billing.ports import Span
from kit.errors import AppError, InvalidArgument

HOUR_S = 3600
NOON_MS = round(datetime(2026, 3, 1, 4, tzinfo=UTC).timestamp()) * 1000  # 12:00 in Shanghai.


async def all_pages(read: Any, span: Span, size: int) -> list[Any]:
    lines, after = [], None
    while True:
        page = await read(span, after=after, page_size=size)
        lines += page.lines
        after = page.next_position
        if after is None:
            return lines


@pytest.fixture
def noon(house: Any) -> Any:
    house.clock.advance((NOON_MS - house.clock.now_ms()) / 1000)
    return house


def day(line: Any) -> tuple[Any, ...]:
    columns = ("granted", "held", "captured", "released", "refunded", "lapsed", "adjusted")
    moved = {name: getattr(line, name) for name in columns if getattr(line, name)}
    return line.date, line.unit.value, line.opening, moved, line.closing


async def test_a_day_tells_what_moved_in_each_unit(noon: Any) -> None:
    await noon.grant(100)
    await noon.grant(40, id="lot", days=0.25)
    await noon.place("job-1")
    await noon.place("job-2")
    await noon.settle("job-1", 20)
    noon.clock.advance(11 * HOUR_S)
    await noon.lapse()
    noon.clock.advance(HOUR_S)  # Midnight in Shanghai.
    await noon.settle("job-2")
    await noon.refund("job-1", 5)
    await noon.adjust(-3)
    await noon.grant(40, id="fen", unit=Unit.FEN)
    noon.clock.advance(72 * HOUR_S)
    await noon.grant(1, id="last")
    lines = await all_pages(noon.statements.days, Span(client_id="partner-a"), 50)
    # The 10 that job-1 gives back lapse with their lot; the 10 of the lot that job-2 still held do not.
    assert [day(line) for line in lines] == [
        ("2026-03-01", "points", 0, {"granted": 140, "held": 60, "captured": 20, "released": 10, "lapsed": 10}, 80),
        ("2026-03-02", "points", 80, {"released": 30, "refunded": 5, "adjusted": -3}, 112),
        ("2026-03-02", "fen", 0, {"granted": 40}, 40),
        ("2026-03-05", "points", 112, {"granted": 1}, 113),
    ]


async def test_days_come_in_pages_and_as_asked(noon: Any) -> None:
    for number in range(5):
        await noon.grant(10, id=f"g{number}")
        noon.clock.advance(48 * HOUR_S)
    whole = await all_pages(noon.statements.days, Span(client_id="partner-a"), 366)
    assert [line.date[-2:] for line in whole] == ["01", "03", "05", "07", "09"]
    for size in (1, 2, 3):
        assert await all_pages(noon.statements.days, Span(client_id="partner-a"), size) == whole
    day_ms = 24 * HOUR_S * 1000
    some = Span(client_id="partner-a", start_ms=NOON_MS + 2 * day_ms + 1, end_ms=NOON_MS + 6 * day_ms - 1)
    assert await all_pages(noon.statements.days, some, 1) == whole[1:4]
    assert await all_pages(noon.statements.days, Span(client_id="partner-a", end_ms=0), 5) == []
    assert await all_pages(noon.statements.days, Span(client_id="partner-a", start_ms=NEVER_MS), 5) == []
    assert await all_pages(noon.statements.days, Span(client_id="nobody"), 5) == []
    with pytest.raises(InvalidArgument):
        await noon.statements.days(Span(client_id="a\0b"), after=None, page_size=5)


async def test_jobs_are_told_with_their_price_and_their_end(noon: Any) -> None:
    await noon.grant(300)
    await noon.grant(300, client="partner-b", id="g2")
    for number in range(4):
        await noon.place(f"job-{number}", (Unit.POINTS, 20), outputs=2, model="draw.anime")
        await noon.place(f"other-{number}", client_id="partner-b")
        noon.clock.advance(1)
    end = JobEnd(outcome="succeeded", provider="local", provider_cost_fen=12)
    await noon.settle_hold(Settlement(hold_id="job-1", amount=20, end=end))
    await noon.refund("job-1", 5)
    holds = await all_pages(noon.statements.jobs, Span(client_id="partner-a"), 50)
    assert [hold.id for hold in holds] == ["job-0", "job-1", "job-2", "job-3"]
    assert holds[1] == await noon.read.hold("job-1")
    assert (holds[1].model, holds[1].end, holds[1].captured, holds[1].refunded) == ("draw.anime", end, 20, 5)
    for size in (1, 2, 3):
        assert await all_pages(noon.statements.jobs, Span(client_id="partner-a"), size) == holds
    some = Span(client_id="partner-a", start_ms=NOON_MS + 1000, end_ms=NOON_MS + 3000)
    assert await all_pages(noon.statements.jobs, some, 1) == holds[1:3]


async def test_postings_are_told_of_a_time(noon: Any) -> None:
    for number in range(4):
        await noon.grant(10, id=f"g{number}")
        noon.clock.advance(1)
    span = Span(client_id="partner-a", start_ms=NOON_MS + 1000, end_ms=NOON_MS + 3000)
    page = await noon.statements.entries(span, job_id="", before=None, page_size=50)
    assert [line.transaction_id for line in page.lines] == ["grant:g2", "grant:g1"]


@pytest.mark.parametrize("seed", range(3))
async def test_the_sums_of_any_history_equal_the_balances(noon: Any, seed: int) -> None:
    """Postings, jobs and days are three readings of the same books: each adds up to what the wallet shows."""
    dice = random.Random(seed)
    units = [Unit.POINTS, Unit.FEN]
    open_jobs: list[Any] = []
    for number in range(120):
        unit, amount = dice.choice(units), dice.randint(1, 40)
        try:
            match dice.randint(0, 6):
                case 0 | 1:
                    await noon.grant(
                        3 * amount, id=f"g{number}", unit=unit, days=dice.choice([None, 1, 3]), priority=number % 2
                    )
                case 2 | 3:
                    open_jobs.append(await noon.place(f"job-{number}", (unit, amount), outputs=2))
                case 4 if open_jobs:
                    hold = open_jobs.pop(dice.randrange(len(open_jobs)))
                    await noon.settle(hold.id, dice.randint(0, hold.amount))
                    await noon.refund(hold.id, dice.randint(1, 20), id=f"r{number}")
                case 5:
                    await noon.adjust(dice.choice([-amount, amount]), id=f"a{number}")
                case _:
                    noon.clock.advance(dice.randint(1, 30) * HOUR_S)
        except AppError:
            continue  # Refusals are a part of every history.
    await noon.lapse()
    balances = {line.unit: line for line in await noon.read.balances("partner-a")}
    days = await all_pages(noon.statements.days, Span(client_id="partner-a"), 2)
    jobs = await all_pages(noon.statements.jobs, Span(client_id="partner-a"), 7)
    for unit, balance in balances.items():
        mine = [line for line in days if line.unit is unit]
        assert mine[-1].closing == balance.available
        assert all(before.closing == after.opening for before, after in itertools.pairwise(mine))
        assert sum(line.held - line.released - line.captured for line in mine) == balance.held
        assert sum(line.captured - line.refunded for line in mine) == balance.spent
        paid = [hold for hold in jobs if hold.unit is unit]
        assert sum(hold.amount for hold in paid if hold.state.value == "held") == balance.held
        assert sum(hold.captured - hold.refunded for hold in paid) == balance.spent
    assert len(jobs) == await noon.count("holds")
