"""The life of a job as its client sees it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from atelier.jobs.v1 import job_pb2, job_service_pb2
from job_orchestrator.sql.tables import METADATA
from kit import identity
from kit.db import assert_migrations_match, migrate
from kit.errors import JobAlreadyFinished, JobNotFound, LeaseLost


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def test_migrations_make_the_tables_of_the_code(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    migrate(url, "job_orchestrator")
    assert_migrations_match(url, METADATA)


async def test_a_job_succeeds_and_everything_about_it_is_told(world: Any, shop: Any) -> None:
    order = world.order(
        external_id="TASK-1",
        inputs=[job_pb2.Input(role="image", url="https://example.com/a.png", label="@图片1")],
        labels={"a": "b"},
        webhook_url="https://example.com/hook",
        retention=shop.duration(86_400),
        price=shop.price(30, outputs=2),
        priority=5,
    )
    accepted = await world.submit(order)
    assert not accepted.reused
    job = accepted.job
    assert (job.id, job.client_id, job.external_id) == (order.job_id, "partner-a", "TASK-1")
    assert job.state == job_pb2.JOB_STATE_QUEUED
    assert (job.parameters_json, list(job.inputs)) == (order.parameters_json, list(order.inputs))
    assert (dict(job.labels), job.webhook_url, job.retention.seconds) == ({"a": "b"}, order.webhook_url, 86_400)
    assert (job.held.value, job.price, job.sequence, job.attempts) == (60, order.price, 1, 0)
    assert job.create_time.ToMilliseconds() == world.clock.now_ms()
    assert job.deadline.ToMilliseconds() == world.clock.now_ms() + 600_000
    assert not job.HasField("start_time")
    assert await world.get(job.id) == job

    world.clock.advance(2)
    lease = await world.lease_one()
    assert (lease.job.id, lease.epoch, list(lease.routes), list(lease.attempts)) == (job.id, 1, list(order.routes), [])
    assert lease.expire_time.ToMilliseconds() == world.clock.now_ms() + 30_000
    attempt = await world.begin(lease)
    assert (attempt.provider, attempt.epoch, attempt.route) == ("local", 1, 0)
    world.clock.advance(2)
    assert not (await world.renew(lease, progress=40)).cancel_requested
    running = await world.get(job.id)
    assert (running.state, running.progress, running.provider) == (job_pb2.JOB_STATE_RUNNING, 40, "local")

    outputs = [shop.output(), shop.output(), shop.output(role="grid", extra=True)]
    done = await world.finish(lease, attempt, "SUCCEEDED", outputs=outputs)
    assert (done.state, done.progress, list(done.outputs)) == (job_pb2.JOB_STATE_SUCCEEDED, 100, outputs)
    assert done == await world.get(job.id)
    assert await world.kinds(job.id) == ["accepted", "started", "progressed", "succeeded"]
    told = await world.outbox(job.id)
    assert [name for name, _ in told] == ["job_accepted", "job_started", "job_succeeded"]
    header, succeeded = told[2][1].header, told[2][1]
    assert (header.client_id, header.sequence, header.position, header.contract) == ("partner-a", 4, 4, "open")
    assert header.webhook_url == order.webhook_url
    assert (list(succeeded.outputs), succeeded.outputs_delivered) == (outputs, 2)
    await world.check_books()


async def test_a_job_is_found_by_its_external_id_by_its_client_alone(world: Any) -> None:
    job = await world.accept(external_id="TASK-9")
    wanted = job_service_pb2.GetJobRequest(external_id="TASK-9")
    with identity.acting_as("partner-a"):
        assert (await world.jobs.GetJob(wanted, timeout=5)).job == job
    with identity.acting_as("partner-b"), pytest.raises(JobNotFound):
        await world.jobs.GetJob(wanted, timeout=5)


@pytest.mark.parametrize("job_id", ["job_0000000000000000000000000z", "nothing", "job_\x00", "x' OR 1=1 --"])
async def test_a_job_that_does_not_exist_is_not_found(world: Any, job_id: str) -> None:
    with pytest.raises(JobNotFound) as missing:
        await world.get(job_id)
    job = await world.accept(client="partner-b")
    with pytest.raises(JobNotFound) as foreign:
        await world.get(job.id)
    assert (foreign.value.message, foreign.value.metadata) == (missing.value.message, missing.value.metadata)
    for call in (world.cancel, world.events):
        with pytest.raises(JobNotFound):
            await call(job_id)
        with pytest.raises(JobNotFound):
            await call(job.id)


async def test_a_foreign_finished_job_is_not_found_when_it_is_cached(world: Any) -> None:
    job = await world.accept()
    await world.run_to_success()
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_SUCCEEDED
    with pytest.raises(JobNotFound):
        await world.get(job.id, client="partner-b")


async def test_cancel_ends_a_queued_job_at_once_and_is_idempotent(world: Any) -> None:
    job = await world.accept()
    cancelled = await world.cancel(job.id)
    assert cancelled.state == job_pb2.JOB_STATE_CANCELLED
    assert cancelled.failure.reason == 107
    assert await world.cancel(job.id) == cancelled
    assert await world.lease() == []
    assert await world.kinds(job.id) == ["accepted", "cancelled"]
    assert [name for name, _ in await world.outbox(job.id)] == ["job_accepted", "job_cancelled"]
    await world.check_books()


async def test_cancel_asks_the_worker_of_a_running_job(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    asked = await world.cancel(job.id)
    assert (asked.state, asked.cancel_requested) == (job_pb2.JOB_STATE_RUNNING, True)
    assert await world.cancel(job.id) == asked
    assert (await world.renew(lease)).cancel_requested
    assert (await world.finish(lease, attempt, "CANCELLED")).state == job_pb2.JOB_STATE_CANCELLED
    assert await world.kinds(job.id) == ["accepted", "started", "cancel_requested", "cancelled"]
    await world.check_books()


async def test_cancel_is_refused_when_the_job_has_ended(world: Any) -> None:
    job = await world.accept()
    await world.run_to_success()
    with pytest.raises(JobAlreadyFinished):
        await world.cancel(job.id)


async def test_a_cancel_the_worker_does_not_heed_is_enforced(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one(lease_s=600)
    await world.cancel(job.id)
    await world.sweep(after_s=29)
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_RUNNING
    await world.sweep(after_s=2)
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_CANCELLED
    with pytest.raises(LeaseLost):
        await world.renew(lease)
    await world.check_books()


async def test_a_queued_job_expires_at_its_deadline(world: Any, shop: Any) -> None:
    job = await world.accept(deadline=shop.duration(10))
    await world.sweep(after_s=9)
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_QUEUED
    await world.sweep(after_s=1)
    expired = await world.get(job.id)
    assert (expired.state, expired.failure.reason) == (job_pb2.JOB_STATE_EXPIRED, 106)
    assert await world.lease() == []
    assert [name for name, _ in await world.outbox(job.id)] == ["job_accepted", "job_expired"]
    await world.check_books()


async def test_a_running_job_expires_at_its_deadline_and_its_worker_is_refused(world: Any, shop: Any) -> None:
    job = await world.accept(deadline=shop.duration(10))
    lease = await world.lease_one()
    attempt = await world.begin(lease)
    await world.sweep(after_s=10)
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_EXPIRED
    with pytest.raises(LeaseLost):
        await world.finish(lease, attempt, "SUCCEEDED")
    assert (await world.get(job.id)).state == job_pb2.JOB_STATE_EXPIRED
    await world.check_books()


async def test_relay_tells_the_bus_what_was_committed(build: Any) -> None:
    world = await build(start=True)
    job = await world.accept()
    await world.cancel(job.id)
    async with asyncio.timeout(10):
        while len(world.told) < 2:
            await asyncio.sleep(0.01)
    assert [event.subject for event in world.told] == ["atelier.jobs.v1.job_accepted", "atelier.jobs.v1.job_cancelled"]
    assert {event.key for event in world.told} == {job.id}
