"""Leases that come due together are renewed by one call, and what it says of each is heard by that job alone."""

import asyncio
from typing import Any

from kit.errors import DependencyUnavailable
from testkit.fakeprovider import Behavior

JOBS = 6


async def test_leases_that_come_due_together_are_renewed_by_one_call(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    jobs = [house.jobs.put(f"job_{number}") for number in range(JOBS)]
    await house.work()
    await eventually(lambda: len(house.jobs.called("RenewLeases")) >= 2)
    request = house.jobs.called("RenewLeases")[0]
    assert sorted(each.job_id for each in request.renewals) == [job.job.id for job in jobs]
    assert {each.epoch for each in request.renewals} == {1}
    assert request.lease.ToMilliseconds() == 1000
    assert not house.jobs.called("RenewLease")
    go_on.set()
    for job in jobs:
        await house.reported(job)
        assert job.outcome == "SUCCEEDED"


async def test_cancels_and_lost_leases_heard_together_stop_only_their_own_jobs(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    kept, asked, lost = (house.jobs.put(f"job_{name}") for name in ("kept", "asked", "lost"))
    adapter = await house.work()
    await eventually(lambda: len(house.upstream.submits) == 3)
    asked.cancel, lost.held = True, False
    await house.reported(asked)
    assert asked.outcome == "CANCELLED"
    await eventually(lambda: adapter.worker.running == 1)
    assert lost.report is None
    go_on.set()
    await house.reported(kept)
    assert kept.outcome == "SUCCEEDED"


async def test_leases_renewed_together_outlive_an_orchestrator_that_is_away(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    house.jobs.faults["RenewLeases"].extend([DependencyUnavailable()] * 2)
    jobs = [house.jobs.put(f"job_{number}") for number in range(JOBS)]
    await house.work()
    await eventually(lambda: all(job.progress for job in jobs))
    go_on.set()
    for job in jobs:
        await house.reported(job)
        assert job.outcome == "SUCCEEDED"
