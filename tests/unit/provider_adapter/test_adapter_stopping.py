"""Work that ends early: cancelled, lease lost, deadline passed, process stopping; nothing is lost by it."""

import asyncio
from typing import Any

import pytest

from kit import crash
from kit.errors import DependencyUnavailable, JobNotFound
from testkit.fakeprovider import Behavior


@pytest.fixture
def never() -> asyncio.Event:
    """An event that is only set at the end of a test."""
    return asyncio.Event()


async def test_cancel_ends_the_work_and_is_reported(house: Any, eventually: Any, never: asyncio.Event) -> None:
    house.upstream.behavior = Behavior(until=never)
    job = house.jobs.put()
    await house.work()
    await eventually(lambda: house.upstream.running)
    job.cancel = True
    await house.reported(job)
    assert (job.outcome, job.reason) == ("CANCELLED", "JOB_CANCELLED")
    assert house.upstream.given_up == 1


async def test_cancel_ends_the_task_upstream(house: Any, eventually: Any, never: asyncio.Event) -> None:
    house.upstream.behavior = Behavior(until=never)
    job = house.jobs.put()
    await house.work(house.provider(task_ids=True))
    await eventually(lambda: house.upstream.polls)
    job.cancel = True
    await house.reported(job)
    assert job.outcome == "CANCELLED"
    assert house.upstream.cancels == [job.attempts[0].upstream_task_id]


async def test_cancel_waits_for_the_answer_of_a_paid_submit_and_ends_its_task(house: Any, eventually: Any) -> None:
    house.upstream.behavior = Behavior(submit_s=1.5)
    job = house.jobs.put()
    await house.work(house.provider(task_ids=True))
    await eventually(lambda: house.upstream.running)
    job.cancel = True
    await house.reported(job)
    assert job.outcome == "CANCELLED"
    assert house.upstream.given_up == 0
    assert house.upstream.cancels == [job.attempts[0].upstream_task_id]


async def test_cancel_of_a_job_that_waits_for_its_turn_is_reported_without_an_attempt(
    house: Any, eventually: Any, never: asyncio.Event
) -> None:
    house.upstream.behavior = Behavior(until=never)
    house.jobs.put("job_1")
    waiting = house.jobs.put("job_2")
    await house.work(house.provider(repeatable=True, running_max=1))
    await eventually(lambda: house.upstream.running)
    waiting.cancel = True
    await house.reported(waiting)
    assert (waiting.outcome, waiting.report.attempt_id) == ("CANCELLED", "")


@pytest.mark.parametrize("task_ids", [False, True])
async def test_lost_lease_ends_the_work_at_once_without_a_word(
    house: Any, eventually: Any, never: asyncio.Event, task_ids: bool
) -> None:
    house.upstream.behavior = Behavior(until=never)
    job = house.jobs.put()
    adapter = await house.work(house.provider(task_ids=task_ids))
    await eventually(lambda: house.upstream.submits)
    job.epoch += 1
    await eventually(lambda: adapter.worker.running == 0)
    assert job.report is None
    assert job.released == 0
    assert house.upstream.cancels == [], "the task is somebody else's now"


async def test_vanished_job_ends_the_work(house: Any, eventually: Any, never: asyncio.Event) -> None:
    house.upstream.behavior = Behavior(until=never)
    house.jobs.put()
    house.jobs.faults["RenewLease"].append(JobNotFound())
    adapter = await house.work()
    await eventually(lambda: house.upstream.given_up == 1)
    await eventually(lambda: adapter.worker.running == 0)


async def test_work_goes_on_while_renewals_fail(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    house.jobs.faults["RenewLease"].extend([DependencyUnavailable()] * 3)
    job = house.jobs.put()
    await house.work()
    await eventually(lambda: len(house.jobs.called("RenewLease")) == 5)
    go_on.set()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({"repeatable": True}, "RETRYABLE"),
        ({"repeatable": False}, "UNKNOWN"),
        ({"repeatable": False, "task_ids": True}, "FAILED"),
    ],
)
async def test_deadline_ends_the_work(house: Any, never: asyncio.Event, options: dict[str, bool], outcome: str) -> None:
    house.upstream.behavior = Behavior(until=never)
    job = house.jobs.put(deadline_s=0.5)
    await house.work(house.provider(**options))
    await house.reported(job)
    assert (job.outcome, job.reason) == (outcome, "PROVIDER_TIMEOUT")
    assert house.upstream.cancels == ([job.attempts[0].upstream_task_id] if "task_ids" in options else [])


async def test_deadline_that_has_passed_already_calls_nobody(house: Any) -> None:
    job = house.jobs.put(deadline_s=-5)
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason, job.report.attempt_id) == ("RETRYABLE", "PROVIDER_TIMEOUT", "")
    assert house.upstream.submits == []


async def test_stop_lets_running_work_finish_within_the_grace(house: Any, eventually: Any) -> None:
    house.upstream.behavior = Behavior(delay_s=0.5)
    job = house.jobs.put()
    adapter = await house.work()
    await eventually(lambda: house.upstream.running)
    await adapter.stop()
    assert job.outcome == "SUCCEEDED"
    assert job.released == 0


async def test_stop_gives_back_what_outlives_the_grace(house: Any, eventually: Any, never: asyncio.Event) -> None:
    house.upstream.behavior = Behavior(until=never)
    job = house.jobs.put()
    provider = house.provider(repeatable=True)
    adapter = await house.work(provider, stop_grace_s=0.2)
    await eventually(lambda: house.upstream.running)
    await adapter.stop()
    assert (job.report, job.released, job.held) == (None, 1, False)
    assert house.upstream.given_up == 1
    assert provider.closed == 1


async def test_stop_gives_back_at_once_what_has_not_begun(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    running, waiting = house.jobs.put("job_1"), house.jobs.put("job_2")
    adapter = await house.work(house.provider(repeatable=True, running_max=1))
    await eventually(lambda: house.upstream.running)
    stopping = asyncio.create_task(adapter.stop())
    await eventually(lambda: waiting.released)
    assert not stopping.done()
    go_on.set()
    await stopping
    assert running.outcome == "SUCCEEDED"
    assert len(house.upstream.submits) == 1


async def test_stop_gives_back_at_once_what_another_worker_can_resume(
    house: Any, eventually: Any, never: asyncio.Event
) -> None:
    house.upstream.behavior = Behavior(until=never)
    job = house.jobs.put()
    adapter = await house.work(house.provider(task_ids=True), stop_grace_s=60)
    await eventually(lambda: house.upstream.polls)
    async with asyncio.timeout(2):
        await adapter.stop()
    assert job.released == 1
    assert house.upstream.cancels == []
    never.set()
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len(house.upstream.submits) == 1


async def test_stop_waits_for_the_answer_of_a_paid_submit_and_records_it(house: Any, eventually: Any) -> None:
    house.upstream.behavior = Behavior(submit_s=0.5)
    job = house.jobs.put()
    adapter = await house.work(house.provider(task_ids=True))
    await eventually(lambda: house.upstream.running)
    await adapter.stop()
    assert job.released == 1
    assert job.attempts[0].upstream_task_id


async def test_stop_gives_back_what_is_leased_in_the_same_moment(house: Any, eventually: Any) -> None:
    adapter = await house.work()
    await eventually(lambda: adapter.worker.connected)
    job = house.jobs.put()
    await adapter.stop()
    assert not job.held
    assert house.upstream.submits == [] or job.report is not None


async def test_stop_ends_a_waiting_long_poll(house: Any, eventually: Any) -> None:
    adapter = await house.work()
    await eventually(lambda: len(house.jobs.called("LeaseJobs")) == 2)
    async with asyncio.timeout(1):
        await adapter.stop()


async def test_stop_may_be_repeated(house: Any) -> None:
    adapter = await house.work()
    await adapter.drain()
    await adapter.stop()
    await adapter.stop()


async def test_nothing_is_leased_after_a_drain(house: Any) -> None:
    adapter = await house.work()
    await adapter.drain()
    job = house.jobs.put()
    await asyncio.sleep(0.1)
    assert job.epoch == 0


async def test_report_under_way_is_given_up_after_the_grace_and_the_job_given_back(house: Any, eventually: Any) -> None:
    house.jobs.blocked["FinishAttempt"] = asyncio.Event()
    job = house.jobs.put()
    adapter = await house.work(stop_grace_s=0.2)
    await eventually(lambda: house.jobs.called("FinishAttempt"))
    await adapter.stop()
    assert (job.report, job.released) == (None, 1)


async def test_crash_points_are_passed_in_the_order_of_the_work(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    monkeypatch.setattr(crash, "point", passed.append)
    job = house.jobs.put()
    adapter = await house.work()
    await house.reported(job)
    await adapter.stop()
    points = ("after_lease", "after_begin", "after_run", "after_store", "after_finish")
    assert passed == [f"providers.work.{point}" for point in points]
