"""Attempts of former leases: what a provider may be at work on is resumed or looked up, never submitted again."""

import asyncio
from typing import Any

import pytest

from atelier.jobs.v1 import attempt_pb2
from testkit.fakeprovider import Behavior, picture

ACCEPTED = attempt_pb2.ATTEMPT_STATE_ACCEPTED
INTENDED = attempt_pb2.ATTEMPT_STATE_INTENDED


async def crash(adapter: Any) -> None:
    """End a worker as `kill -9` would, as far as the others can tell: no report, no release."""
    for task in [adapter.worker._loop, *adapter.worker._runs]:
        task.cancel()
    await asyncio.sleep(0.05)


async def test_task_of_a_dead_worker_is_polled_to_its_end_by_the_next(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    job = house.jobs.put()
    await crash_after(house, eventually, lambda: house.upstream.polls)
    go_on.set()
    house.jobs.queue_again("job_1")
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len(house.upstream.submits) == 1
    assert house.assets.bytes[job.report.outputs[0].asset_id] == picture(7)
    assert job.report.attempt_id == job.attempts[0].id


async def crash_after(house: Any, eventually: Any, moment: Any) -> None:
    adapter = await house.work(house.provider(task_ids=True))
    await eventually(moment)
    await crash(adapter)


async def test_lost_submit_is_found_by_its_attempt_and_resumed(house: Any) -> None:
    house.upstream.behavior = Behavior(answer_lost=True)
    job = house.jobs.put()
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert job.outcome == "UNKNOWN"
    job.report = None
    house.jobs.queue_again("job_1")
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len(house.upstream.submits) == 1
    assert job.attempts[0].upstream_task_id == next(iter(house.upstream.tasks))


async def test_attempt_that_was_surely_not_taken_costs_nothing_but_time(house: Any) -> None:
    job = house.jobs.put(attempts=(attempt_pb2.Attempt(id="att_1", provider="fake", state=INTENDED),))
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert (job.outcome, job.report.attempt_id) == ("DEFERRED", "att_1")
    assert house.upstream.submits == []


async def test_attempt_that_nobody_can_look_up_stays_unknown(house: Any) -> None:
    house.upstream.knows_attempts = False
    job = house.jobs.put(attempts=(attempt_pb2.Attempt(id="att_1", provider="fake", state=INTENDED),))
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert (job.outcome, job.report.attempt_id) == ("UNKNOWN", "att_1")
    assert job.report.retry_after.seconds == 60
    assert house.upstream.submits == []


async def test_open_attempt_stays_unknown_when_its_provider_is_not_here(house: Any) -> None:
    attempt = attempt_pb2.Attempt(id="att_1", provider="gone", state=ACCEPTED, upstream_task_id="up-1")
    job = house.jobs.put(providers=("gone", "fake"), attempts=(attempt,))
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.report.attempt_id) == ("UNKNOWN", "att_1")
    assert house.upstream.submits == []


async def test_repeatable_attempt_of_a_dead_worker_is_simply_repeated(house: Any) -> None:
    attempt = attempt_pb2.Attempt(id="att_1", provider="fake", state=INTENDED, repeatable=True)
    job = house.jobs.put(attempts=(attempt,))
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert job.report.attempt_id != "att_1"


async def test_task_the_provider_has_forgotten_ends_the_attempt(house: Any) -> None:
    attempt = attempt_pb2.Attempt(id="att_1", provider="fake", state=ACCEPTED, upstream_task_id="up-lost")
    job = house.jobs.put(attempts=(attempt,))
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert (job.outcome, job.report.attempt_id) == ("RETRYABLE", "att_1")


async def test_polling_goes_on_when_a_poll_breaks(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from provider_adapter.usecases import attempt

    monkeypatch.setattr(attempt, "POLL_MAX_S", 0.01)
    provider = house.provider(task_ids=True)
    poll, broken = provider.poll, [ConnectionError(), ValueError()]

    async def breaking(upstream_task_id: str) -> Any:
        if broken:
            raise broken.pop()
        return await poll(upstream_task_id)

    provider.poll = breaking
    job = house.jobs.put()
    await house.work(provider)
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert broken == []


async def test_resumed_tasks_do_not_wait_for_a_place_at_the_provider(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    house.jobs.put("job_1")
    await house.work(house.provider(task_ids=True, running_max=1))
    await eventually(lambda: house.upstream.polls)
    attempt = attempt_pb2.Attempt(id="att_2", provider="fake", state=ACCEPTED, upstream_task_id="up-lost")
    job = house.jobs.put("job_2", attempts=(attempt,))
    await house.reported(job)
    assert job.outcome == "RETRYABLE"
    go_on.set()
