"""Attempts whose outcome is unknown are settled by what is found out; throttled ones cost nothing but time."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import job_admin_service_pb2 as admin_pb2
from kit.errors import Conflict, InvalidArgument, NotFound

RUNNING, QUEUED, FAILED = job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_FAILED


async def unclear(world: Any) -> tuple[Any, Any]:
    """A job that waits because nobody knows whether its provider took it."""
    job = await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    await world.finish(lease, attempt, "UNKNOWN", retry_after=Duration(seconds=60))
    return job, attempt


async def resolve(world: Any, attempt_id: str, outcome: str = "UNSPECIFIED", upstream_task_id: str = "") -> Any:
    request = admin_pb2.ResolveAttemptRequest(
        attempt_id=attempt_id, outcome=f"ATTEMPT_OUTCOME_{outcome}", upstream_task_id=upstream_task_id
    )
    return (await world.admin.ResolveAttempt(request, timeout=5)).attempt


async def test_task_that_was_found_is_resumed_at_once(world: Any) -> None:
    job, attempt = await unclear(world)
    assert (await world.get(job.id)).reconciling
    assert await world.lease() == []  # It is looked up again later.
    for _ in range(2):  # A repeated callback changes nothing.
        resolved = await resolve(world, attempt.id, upstream_task_id="cgt-1")
        assert (resolved.upstream_task_id, resolved.state) == ("cgt-1", attempt_pb2.ATTEMPT_STATE_ACCEPTED)
    assert not (await world.get(job.id)).reconciling
    lease = await world.lease_one()
    assert [one.upstream_task_id for one in lease.attempts] == ["cgt-1"]
    with pytest.raises(Conflict):
        await resolve(world, attempt.id, upstream_task_id="another")


async def test_attempt_that_was_never_sent_is_tried_again(world: Any) -> None:
    job, attempt = await unclear(world)
    assert (await resolve(world, attempt.id, "UNSENT")).state == attempt_pb2.ATTEMPT_STATE_FINISHED
    waiting = await world.get(job.id)
    assert (waiting.state, waiting.reconciling) == (QUEUED, False)
    lease = await world.lease_one()
    await world.finish(lease, await world.begin(lease), "SUCCEEDED")


async def test_attempt_that_will_never_bring_anything_fails_the_job(world: Any) -> None:
    job, attempt = await unclear(world)
    await resolve(world, attempt.id, "FAILED")
    failed = await world.get(job.id)
    assert failed.state == FAILED
    await world.check_books()  # Nothing of it was charged.
    with pytest.raises(Conflict):
        await resolve(world, attempt.id, "UNSENT")
    with pytest.raises(Conflict):
        await resolve(world, attempt.id, upstream_task_id="cgt-1")


async def test_cancel_asked_meanwhile_ends_a_job_that_was_never_sent(world: Any) -> None:
    job, attempt = await unclear(world)
    await world.cancel(job.id)
    await resolve(world, attempt.id, "UNSENT")
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_CANCELLED


async def test_only_what_is_unclear_and_in_nobodys_hands_is_settled_by_hand(world: Any) -> None:
    await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    with pytest.raises(Conflict, match="worker"):
        await resolve(world, attempt.id, "UNSENT")
    assert (await resolve(world, attempt.id, upstream_task_id="cgt-1")).upstream_task_id == "cgt-1"
    await world.release(lease)
    with pytest.raises(Conflict, match="resumed"):
        await resolve(world, attempt.id, "FAILED")
    with pytest.raises(NotFound):
        await resolve(world, "att_nobody", "UNSENT")
    with pytest.raises(InvalidArgument) as wrong:
        await resolve(world, attempt.id, "SUCCEEDED")
    assert wrong.value.field == "outcome"
    with pytest.raises(InvalidArgument):
        await resolve(world, attempt.id, "UNSENT", upstream_task_id="cgt-1")


async def test_throttled_attempts_are_not_counted_against_the_route(world: Any) -> None:
    job = await world.accept(deadline=Duration(seconds=3600))
    for _ in range(7):
        lease = await world.lease_one()
        waiting = await world.finish(lease, await world.begin(lease), "DEFERRED", retry_after=Duration(seconds=2))
        assert waiting.state == QUEUED
        await world.sweep(after_s=75)
    lease = await world.lease_one()
    await world.finish(lease, await world.begin(lease), "SUCCEEDED")
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_job_whose_routes_are_all_held_back_waits_without_a_setback(world: Any) -> None:
    await world.accept(deadline=Duration(seconds=3600))
    for _ in range(7):
        lease = await world.lease_one()
        assert (await world.finish(lease, None, "DEFERRED", retry_after=Duration(seconds=30))).state == QUEUED
        await world.sweep(after_s=75)
