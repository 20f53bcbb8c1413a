"""The attempt journal, and what becomes of a job after each way an attempt can end."""

import asyncio
from typing import Any

import pytest

from atelier.jobs.v1 import attempt_pb2, job_pb2
from job_orchestrator.domain.retry import SETBACKS_MAX
from kit.errors import (
    Conflict,
    ErrorReason,
    InvalidArgument,
    JobNotFound,
    LeaseLost,
    NotFound,
    RequestIdReused,
)

QUEUED = job_pb2.JOB_STATE_QUEUED
RUNNING = job_pb2.JOB_STATE_RUNNING
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
FAILED = job_pb2.JOB_STATE_FAILED
CANCELLED = job_pb2.JOB_STATE_CANCELLED


def routes(*providers: str) -> list[job_pb2.Route]:
    return [job_pb2.Route(provider=provider, weight=1) for provider in providers]


async def one_attempt(world: Any, outcome: str, *, route: int = 0, repeatable: bool = False, **changes: Any) -> Any:
    """Lease the next job, try it once and report; return the job."""
    lease = await world.lease_one()
    return await world.finish(lease, await world.begin(lease, route=route, repeatable=repeatable), outcome, **changes)


async def test_the_intent_is_written_before_and_is_idempotent(world: Any) -> None:
    await world.accept(routes=routes("one", "two"))
    lease = await world.lease_one()
    attempt = await world.begin(lease, attempt_id="att-1", route=1)
    assert (attempt.state, attempt.provider) == (attempt_pb2.ATTEMPT_STATE_INTENDED, "two")
    assert await world.begin(lease, attempt_id="att-1", route=1) == attempt
    with pytest.raises(RequestIdReused):
        await world.begin(lease, attempt_id="att-1", route=0)
    assert (await world.get(lease.job.id)).provider == "two"
    assert list((await world.inspect(lease.job.id)).attempts) == [attempt]


async def test_an_attempt_id_of_another_job_is_refused(world: Any) -> None:
    await world.accept()
    await world.accept()
    first, second = await world.lease(2)
    attempt = await world.begin(first, attempt_id="att-1")
    with pytest.raises(RequestIdReused):
        await world.begin(second, attempt_id="att-1")
    with pytest.raises(NotFound):
        await world.finish(second, attempt, "FAILED")
    with pytest.raises(NotFound):
        await world.record(second, attempt, "task-1")


async def test_a_route_that_does_not_exist_is_refused(world: Any) -> None:
    await world.accept()
    with pytest.raises(InvalidArgument) as refused:
        await world.begin(await world.lease_one(), route=1)
    assert refused.value.field == "route"


async def test_a_job_that_does_not_exist_cannot_be_reported_on(world: Any) -> None:
    await world.accept()
    lease = await world.lease_one()
    lease.job.id = "job_" + "0" * 26
    for call in (world.renew, world.begin, world.release):
        with pytest.raises(JobNotFound):
            await call(lease)


async def test_an_upstream_task_is_handed_to_the_next_worker(world: Any) -> None:
    job = await world.accept()
    lost = await world.lease_one(lease_s=10)
    attempt = await world.begin(lost)
    recorded = await world.record(lost, attempt, "task-7")
    assert (recorded.state, recorded.upstream_task_id) == (attempt_pb2.ATTEMPT_STATE_ACCEPTED, "task-7")
    assert await world.record(lost, attempt, "task-7") == recorded
    with pytest.raises(Conflict):
        await world.record(lost, attempt, "task-8")
    await world.sweep(after_s=11)
    waiting = await world.get(job.id)
    assert (waiting.state, waiting.reconciling) == (RUNNING, False)  # The provider is at work on it.

    lease = await world.lease_one()
    assert list(lease.attempts) == [recorded]
    with pytest.raises(Conflict):  # Beginning anew would pay for the same work twice.
        await world.begin(lease)
    assert (await world.finish(lease, attempt, "SUCCEEDED")).state == SUCCEEDED
    await world.check_books()


async def test_an_intent_that_nobody_knows_the_outcome_of_is_reconciled(world: Any) -> None:
    job = await world.accept()
    lost = await world.lease_one(lease_s=10)
    attempt = await world.begin(lost)
    await world.sweep(after_s=11)
    waiting = await world.get(job.id)
    assert (waiting.state, waiting.reconciling, waiting.provider) == (RUNNING, True, "local")
    assert (await world.admin.GetQueueStats(_stats(), timeout=5)).pools[0].reconciling == 1

    lease = await world.lease_one()
    assert lease.job.reconciling
    with pytest.raises(Conflict):
        await world.begin(lease)
    queued = await world.finish(lease, attempt, "UNSENT")  # The provider never saw it.
    assert (queued.state, queued.reconciling) == (QUEUED, False)
    await world.sweep(after_s=2)
    assert (await world.run_to_success()).state == SUCCEEDED
    await world.check_books()


def _stats() -> Any:
    from atelier.jobs.v1 import job_admin_service_pb2

    return job_admin_service_pb2.GetQueueStatsRequest()


async def test_reconciling_ends_when_the_task_is_found(world: Any) -> None:
    job = await world.accept()
    attempt = await world.begin(await world.lease_one(lease_s=10))
    await world.sweep(after_s=11)
    lease = await world.lease_one()
    await world.record(lease, attempt, "task-1")
    assert not (await world.get(job.id)).reconciling


async def test_a_repeatable_attempt_is_simply_begun_anew(world: Any) -> None:
    job = await world.accept()
    lost = await world.lease_one(lease_s=10)
    first = await world.begin(lost, repeatable=True)
    await world.sweep(after_s=11)
    assert (await world.get(job.id)).state == QUEUED
    lease = await world.lease_one()
    second = await world.begin(lease, repeatable=True)
    assert (await world.finish(lease, second, "SUCCEEDED")).state == SUCCEEDED
    attempts = (await world.inspect(job.id)).attempts
    assert [(one.id, one.outcome) for one in attempts] == [
        (first.id, attempt_pb2.ATTEMPT_OUTCOME_UNSPECIFIED),
        (second.id, attempt_pb2.ATTEMPT_OUTCOME_SUCCEEDED),
    ]
    assert attempts[0].state == attempt_pb2.ATTEMPT_STATE_FINISHED


@pytest.mark.parametrize("goes", ["killed", "stopped"])
async def test_a_route_is_not_blamed_for_workers_that_went_away(world: Any, goes: str) -> None:
    job = await world.accept()
    for _ in range(SETBACKS_MAX - 1):
        lease = await world.lease_one(lease_s=10)
        await world.begin(lease, repeatable=True)
        if goes == "stopped":
            await world.release(lease)
        else:
            await world.sweep(after_s=11)
    # One try of this worker's own fails: the first, however many workers went away before.
    assert (await one_attempt(world, "RETRYABLE")).state == QUEUED
    assert (await world.get(job.id)).state == QUEUED


async def test_a_job_whose_outcome_is_unknown_stays_running_and_comes_again(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    unknown = await world.finish(lease, attempt, "UNKNOWN")
    assert (unknown.state, unknown.reconciling) == (RUNNING, True)
    assert await world.finish(lease, attempt, "UNKNOWN") == unknown
    with pytest.raises(LeaseLost):
        await world.renew(lease)
    assert await world.lease() == []  # It rests first.
    await world.sweep(after_s=2)
    again = await world.lease_one()
    assert [(one.id, one.outcome, one.state) for one in again.attempts] == [
        (attempt.id, attempt_pb2.ATTEMPT_OUTCOME_UNKNOWN, attempt_pb2.ATTEMPT_STATE_INTENDED)
    ]
    assert (await world.finish(again, attempt, "SUCCEEDED")).state == SUCCEEDED
    assert [name for name, _ in await world.outbox(job.id)][-1] == "job_succeeded"
    await world.check_books()


async def test_success_is_told_once_however_often_it_is_reported(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    done = await world.finish(lease, attempt, "SUCCEEDED")
    assert await world.finish(lease, attempt, "SUCCEEDED") == done
    with pytest.raises(LeaseLost):
        await world.finish(lease, attempt, "FAILED")
    assert [name for name, _ in await world.outbox(job.id)] == ["job_accepted", "job_started", "job_succeeded"]
    await world.check_books()


async def test_a_failure_is_final_and_says_why(world: Any, shop: Any) -> None:
    job = await world.accept(routes=routes("one", "two"))
    failure = shop.failure("PROVIDER_MODERATED", "The picture was refused.")
    failure.field = "prompt"
    failed = await one_attempt(world, "FAILED", failure=failure, provider_cost_fen=7)
    assert (failed.state, failed.failure) == (FAILED, failure)
    assert not failed.outputs
    (attempt,) = (await world.inspect(job.id)).attempts
    assert (attempt.failure, attempt.provider_cost_fen) == (failure, 7)
    name, told = (await world.outbox(job.id))[-1]
    assert (name, told.reason) == ("job_failed", failure.reason)
    await world.check_books()


async def test_work_that_ends_before_any_attempt_fails_the_job(world: Any, shop: Any) -> None:
    await world.accept()
    lease = await world.lease_one()
    failure = shop.failure("INPUT_FETCH_REFUSED", "The input could not be had.")
    failed = await world.finish(lease, None, "FAILED", failure=failure)
    assert (failed.state, failed.failure.reason) == (FAILED, 14)
    assert await world.finish(lease, None, "FAILED", failure=failure) == failed


async def test_trouble_before_any_attempt_is_tried_again_but_not_for_ever(world: Any) -> None:
    job = await world.accept()
    for turn in range(5):
        lease = await world.lease_one()
        state = (await world.finish(lease, None, "RETRYABLE")).state
        assert state == (FAILED if turn == 4 else QUEUED)
        await world.sweep(after_s=20)
    assert (await world.inspect(job.id)).job.attempts == 5
    await world.check_books()


@pytest.mark.parametrize("outcome", ["UNSENT", "RETRYABLE"])
async def test_a_curable_failure_is_tried_three_times_with_growing_pauses(world: Any, outcome: str) -> None:
    job = await world.accept()
    for pause_s in (1, 2):
        assert (await one_attempt(world, outcome)).state == QUEUED
        await world.sweep(after_s=pause_s * 0.79)
        assert await world.lease() == []
        world.clock.advance(pause_s * 0.42)
    failed = await one_attempt(world, outcome)
    assert (failed.state, failed.failure.reason, failed.attempts) == (FAILED, 100, 3)
    kinds = await world.kinds(job.id)
    assert kinds == ["accepted", "started", "requeued", "started", "requeued", "started", "failed"]
    await world.check_books()


async def test_the_providers_own_pause_is_kept(world: Any, shop: Any) -> None:
    await world.accept()
    await one_attempt(world, "RETRYABLE", retry_after=shop.duration(50))
    await world.sweep(after_s=49)
    assert await world.lease() == []
    await world.sweep(after_s=1)
    assert len(await world.lease()) == 1
    await world.check_books()


async def test_the_sweeper_wakes_a_worker_when_a_pause_is_over(world: Any) -> None:
    await world.accept()
    await one_attempt(world, "RETRYABLE")
    waiting = asyncio.create_task(world.lease(wait_s=15))
    await asyncio.sleep(0.1)
    await world.sweep(after_s=2)
    assert len(await asyncio.wait_for(waiting, 5)) == 1


async def test_a_failed_route_gives_way_to_the_next_at_once(world: Any) -> None:
    await world.accept(routes=routes("one", "two"))
    assert (await one_attempt(world, "ROUTE_FAILED", route=0)).state == QUEUED
    lease = await world.lease_one()
    assert [one.outcome for one in lease.attempts] == [attempt_pb2.ATTEMPT_OUTCOME_ROUTE_FAILED]
    failed = await world.finish(lease, await world.begin(lease, route=1), "ROUTE_FAILED")
    assert failed.state == FAILED


async def test_a_spent_route_gives_way_to_the_next(world: Any) -> None:
    await world.accept(routes=routes("one", "two"))
    for _ in range(2):
        assert (await one_attempt(world, "RETRYABLE", route=0)).state == QUEUED
        await world.sweep(after_s=5)
    assert (await one_attempt(world, "RETRYABLE", route=0)).state == QUEUED
    assert (await one_attempt(world, "SUCCEEDED", route=1)).state == SUCCEEDED


async def test_a_pause_beyond_the_deadline_moves_on_to_the_next_route_or_fails(world: Any, shop: Any) -> None:
    await world.accept(routes=routes("one", "two"), deadline=shop.duration(60))
    pause = {"retry_after": shop.duration(61)}
    assert (await one_attempt(world, "RETRYABLE", route=0, **pause)).state == QUEUED
    assert (await one_attempt(world, "ROUTE_FAILED", route=1)).state == QUEUED  # The first route is not spent.
    assert (await one_attempt(world, "RETRYABLE", route=0, **pause)).state == FAILED


async def test_a_cancelled_job_is_not_tried_again(world: Any) -> None:
    for outcome in ("RETRYABLE", "UNSENT", "ROUTE_FAILED", "CANCELLED"):
        job = await world.accept(routes=routes("one", "two"))
        lease = await world.lease_one()
        attempt = await world.begin(lease)
        await world.cancel(job.id)
        assert (await world.finish(lease, attempt, outcome)).state == CANCELLED
    job = await world.accept()
    lease = await world.lease_one()
    await world.cancel(job.id)
    await world.release(lease)
    assert (await world.get(job.id)).state == CANCELLED
    job = await world.accept()
    await world.lease_one(lease_s=5)
    await world.cancel(job.id)
    await world.sweep(after_s=6)
    assert (await world.get(job.id)).state == CANCELLED
    await world.check_books()


async def test_a_cancelled_job_with_an_open_task_goes_to_a_worker_that_ends_it(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    await world.record(lease, await world.begin(lease), "task-1")
    await world.cancel(job.id)
    await world.release(lease)
    again = await world.lease_one()
    assert again.job.cancel_requested
    attempt = again.attempts[0]
    assert (await world.finish(again, attempt, "CANCELLED")).state == CANCELLED
    await world.check_books()


async def test_a_success_that_comes_before_the_cancel_is_seen_is_a_success(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    await world.cancel(job.id)
    assert (await world.finish(lease, attempt, "SUCCEEDED")).state == SUCCEEDED


async def test_a_cancel_and_a_finish_at_once_end_the_job_once(world: Any) -> None:
    ends = {"succeeded": 0, "already": 0}
    for turn in range(200):
        job = await world.accept()
        lease = await world.lease_one()
        attempt = await world.begin(lease, repeatable=True)
        calls = [world.finish(lease, attempt, "SUCCEEDED"), world.cancel(job.id)]
        answers = await asyncio.gather(*(calls if turn % 2 else reversed(calls)), return_exceptions=True)
        refusals = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(getattr(one, "reason", None) == ErrorReason.JOB_ALREADY_FINISHED for one in refusals)
        ends["already"] += len(refusals)
        ends["succeeded"] += (await world.get(job.id)).state == SUCCEEDED
    assert ends["succeeded"] == 200
    terminal = [name for name, _ in await world.outbox() if name not in ("job_accepted", "job_started")]
    assert terminal == ["job_succeeded"] * 200
    await world.check_books()


@pytest.mark.parametrize(
    ("outcome", "begun", "changes", "field"),
    [
        ("SUCCEEDED", True, {"outputs": []}, "outputs"),
        ("SUCCEEDED", False, {}, "attempt_id"),
        ("UNKNOWN", False, {}, "attempt_id"),
        ("ROUTE_FAILED", False, {}, "attempt_id"),
        ("FAILED", True, {"failure": None}, "failure"),
        ("RETRYABLE", True, {"failure": None}, "failure"),
        ("FAILED", True, {"failure": job_pb2.Failure(message="no reason")}, "failure.reason"),
    ],
)
async def test_a_report_that_contradicts_itself_is_refused(
    world: Any, outcome: str, begun: bool, changes: dict[str, Any], field: str
) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease) if begun else None
    with pytest.raises(InvalidArgument) as refused:
        await world.finish(lease, attempt, outcome, **changes)
    assert refused.value.field == field
    assert (await world.get(job.id)).state == RUNNING


async def test_only_extra_outputs_are_no_success(world: Any, shop: Any) -> None:
    await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    for outcome, outputs in (("SUCCEEDED", [shop.output(extra=True)]), ("FAILED", [shop.output()])):
        with pytest.raises(InvalidArgument):
            await world.finish(lease, attempt, outcome, outputs=outputs)


async def test_an_attempt_that_has_ended_cannot_be_changed(world: Any) -> None:
    await world.accept()
    attempt = (await one_attempt(world, "RETRYABLE")) and (
        await world.inspect((await world.page()).jobs[0].id)
    ).attempts[0]
    await world.sweep(after_s=2)
    lease = await world.lease_one()
    with pytest.raises(Conflict):
        await world.record(lease, attempt, "task-1")
    with pytest.raises(Conflict):
        await world.finish(lease, attempt, "SUCCEEDED")
