"""What nobody resolved is found again: orphans of a crash and jobs whose last event was lost."""

from typing import Any

import pytest

from billing.domain import HoldState, JobEnd
from billing.ports import Fate
from billing.usecases.sweep import BATCH_MAX
from kit.errors import DependencyUnavailable

GRACE_S = 30


async def test_an_orphan_is_given_back_after_the_grace(house: Any) -> None:
    await house.grant(30)
    await house.place("job-1")
    house.clock.advance(GRACE_S - 1)
    assert await house.sweep() == 0
    assert house.fates.asked == []
    house.clock.advance(1)
    assert await house.sweep() == 1
    assert (await house.read.hold("job-1")).state is HoldState.TIMED_OUT
    assert await house.wallet() == (30, 0, 0)
    assert await house.sweep() == 0
    assert house.fates.asked == [["job-1"]]


@pytest.mark.parametrize(("amount", "wallet"), [(0, (60, 0, 0)), (30, (30, 0, 30)), (60, (0, 0, 60))])
async def test_a_job_whose_event_was_lost_is_settled(house: Any, amount: int, wallet: tuple[int, int, int]) -> None:
    await house.grant(60)
    await house.place("job-1", outputs=2)
    house.fates.finished("job-1", amount=amount, outcome="expired", reason="job_expired")
    house.clock.advance(GRACE_S)
    assert await house.sweep() == 1
    assert await house.wallet() == wallet
    assert (await house.read.hold("job-1")).end == JobEnd(outcome="expired", reason="job_expired")


async def test_an_event_after_the_sweep_changes_nothing(house: Any) -> None:
    await house.grant(30)
    await house.place("job-1")
    house.fates.finished("job-1", amount=30)
    house.clock.advance(GRACE_S)
    await house.sweep()
    swept = await house.read.hold("job-1")
    assert await house.settle("job-1", 30) == swept
    assert await house.count("outbox") == 1


async def test_a_live_job_is_asked_about_less_and_less(house: Any) -> None:
    await house.grant(30)
    await house.place("job-1", expire_ms=house.clock.now_ms() + 100 * 3_600_000)
    house.fates.alive("job-1")
    for _ in range(360):
        house.clock.advance(10)
        await house.sweep()
    looks = len(house.fates.asked)
    assert 5 <= looks <= 25  # Every half of its age, at least every five minutes.
    assert (await house.read.hold("job-1")).state is HoldState.HELD
    house.fates.finished("job-1", amount=30)
    house.clock.advance(300)
    assert await house.sweep() == 1


async def test_one_look_falls_on_the_holds_expiry(house: Any) -> None:
    await house.grant(30)
    await house.place("job-1", expire_ms=house.clock.now_ms() + 40_000)
    house.fates.alive("job-1")
    house.clock.advance(30)
    await house.sweep()
    house.clock.advance(10)
    await house.sweep()
    assert len(house.fates.asked) == 2


async def test_the_start_of_a_process_makes_every_open_hold_due(house: Any) -> None:
    await house.grant(90)
    for job in ("job-1", "job-2", "job-3"):
        await house.place(job)
    await house.settle("job-3", 30)
    house.fates.alive("job-2")
    assert await house.sweep.begin() == 2
    assert await house.sweep() == 1
    assert [sorted(asked) for asked in house.fates.asked] == [["job-1", "job-2"]]
    assert await house.wallet() == (30, 30, 30)


async def test_more_holds_than_a_batch_are_all_swept_in_one_round(house: Any) -> None:
    holds = 2 * BATCH_MAX + 7
    await house.grant(30 * holds)
    for number in range(holds):
        await house.place(f"job-{number:03}")
    house.fates.alive(*[f"job-{number:03}" for number in range(0, holds, 2)])
    house.clock.advance(GRACE_S)
    assert await house.sweep() == holds // 2
    assert [len(asked) for asked in house.fates.asked] == [BATCH_MAX, BATCH_MAX, 7]
    assert await house.wallet() == (30 * (holds // 2), 30 * (holds - holds // 2), 0)


async def test_nothing_is_given_up_while_the_orchestrator_is_away(house: Any) -> None:
    await house.grant(30)
    await house.place("job-1")
    house.clock.advance(3600)
    house.fates.error = DependencyUnavailable("away")
    with pytest.raises(DependencyUnavailable):
        await house.sweep()
    assert await house.wallet() == (0, 30, 0)
    house.fates.error = None
    assert await house.sweep() == 1


async def test_a_hold_that_cannot_be_settled_does_not_stop_the_others(house: Any) -> None:
    await house.grant(60)
    await house.place("job-1")
    house.clock.advance(1)
    await house.place("job-2")
    house.fates.known["job-1"] = Fate(job_id="job-1", finished=True, amount=31)  # More than was held.
    house.clock.advance(GRACE_S)
    assert await house.sweep() == 1
    assert await house.wallet() == (30, 30, 0)
    assert await house.sweep() == 0
    assert len(house.fates.asked) == 1


async def test_the_sweeper_and_an_event_racing_resolve_once(house: Any, at_once: Any) -> None:
    await house.grant(30 * 10)
    for number in range(10):
        await house.place(f"job-{number}")
        house.fates.finished(f"job-{number}", amount=30)
    house.clock.advance(GRACE_S)
    results = await at_once(house.sweep(), *[house.settle(f"job-{number}", 30) for number in range(10)], house.sweep())
    assert not [result for result in results if isinstance(result, BaseException)]
    assert await house.wallet() == (0, 0, 300)
    assert await house.count("outbox") == 10
