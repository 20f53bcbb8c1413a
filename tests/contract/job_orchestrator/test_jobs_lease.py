"""Handing out jobs: fair, in order, to one worker at a time, and never to nobody."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from atelier.jobs.v1 import job_pb2, lease_service_pb2
from kit.errors import InvalidArgument, LeaseLost, NotServing

RUNNING = job_pb2.JOB_STATE_RUNNING
QUEUED = job_pb2.JOB_STATE_QUEUED


async def test_jobs_of_one_client_go_by_priority_then_in_order_of_acceptance(world: Any) -> None:
    names = [("b1", 0), ("c1", -5), ("a1", 7), ("b2", 0), ("a2", 7)]
    for name, priority in names:
        await world.accept(external_id=name, priority=priority)
        world.clock.advance(-1)  # A clock that steps back changes nothing.
    leases = await world.lease(10)
    assert [lease.job.external_id for lease in leases] == ["a1", "a2", "b1", "b2", "c1"]
    await world.check_books()


async def test_a_pool_gives_only_its_own_jobs(world: Any) -> None:
    await world.accept(pool="video")
    assert await world.lease(pool="default") == []
    assert len(await world.lease(pool="video")) == 1


async def test_a_long_queue_of_one_client_does_not_delay_the_first_job_of_another(world: Any) -> None:
    for _ in range(100):
        await world.accept(client="partner-a")
    for _ in range(10):
        await world.lease()
    job = await world.accept(client="partner-b")
    leases = [await world.lease_one() for _ in range(2)]
    assert job.id in [lease.job.id for lease in leases]


async def test_slots_are_shared_by_weight_when_workers_are_scarce(world: Any) -> None:
    for _ in range(60):
        await world.accept(client="partner-a", weight=3)
        await world.accept(client="partner-b", weight=1)
    served: Counter[str] = Counter()
    for slots in (1, 1, 2, 4, 8, 3, 1, 20):
        served.update(lease.job.client_id for lease in await world.lease(slots))
    assert served == {"partner-a": 30, "partner-b": 10}
    await world.check_books()


async def test_nobody_saves_up_credit_while_away(world: Any) -> None:
    for _ in range(30):
        await world.accept(client="partner-a")
    await world.accept(client="partner-b")
    for _ in range(20):
        await world.lease_one()
    for _ in range(10):
        await world.accept(client="partner-b")
    served = Counter([(await world.lease_one()).job.client_id for _ in range(10)])
    assert served == {"partner-a": 5, "partner-b": 5}


async def test_a_client_that_was_served_alone_is_not_punished_for_it(world: Any) -> None:
    for _ in range(20):
        await world.accept(client="partner-a")
    await world.lease(20)
    for _ in range(10):
        await world.accept(client="partner-b")
        await world.accept(client="partner-a")
    served = Counter([(await world.lease_one()).job.client_id for _ in range(10)])
    assert max(served.values()) - min(served.values()) <= 2


async def test_one_job_is_never_handed_to_two_workers(world: Any) -> None:
    jobs = [await world.accept(client=f"partner-{number % 5}") for number in range(120)]
    handed: list[str] = []

    async def work(name: str) -> None:
        while leases := await world.lease(3, worker=name):
            handed.extend(lease.job.id for lease in leases)
            assert {lease.epoch for lease in leases} == {1}

    await asyncio.gather(*(work(f"worker-{number}") for number in range(8)))
    assert sorted(handed) == sorted(job.id for job in jobs)
    await world.check_books()


async def test_two_replicas_never_hand_out_one_job_twice(build: Any) -> None:
    """On SQLite this is one process with two pools of connections, which is harder than what is promised there."""
    worlds = [await build(), await build()]
    jobs = [await worlds[0].accept(client=f"partner-{number % 3}") for number in range(60)]
    handed: list[str] = []

    async def work(number: int) -> None:
        while leases := await worlds[number % 2].lease(2, worker=f"worker-{number}"):
            handed.extend(lease.job.id for lease in leases)

    await asyncio.gather(*(work(number) for number in range(6)))
    assert sorted(handed) == sorted(job.id for job in jobs)
    await worlds[0].check_books()


async def test_a_long_poll_wakes_when_a_job_is_accepted(world: Any) -> None:
    waiting = asyncio.create_task(world.lease(4, wait_s=15))
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    job = await world.accept()
    (lease,) = await waiting
    assert lease.job.id == job.id
    assert time.monotonic() - begun < 5


async def test_each_accepted_job_wakes_a_waiting_worker(world: Any) -> None:
    waiting = [asyncio.create_task(world.lease(1, wait_s=15, worker=f"worker-{number}")) for number in range(6)]
    await asyncio.sleep(0.2)
    begun = time.monotonic()
    jobs = await asyncio.gather(*(world.accept() for _ in range(6)))
    leases = [lease for leases in await asyncio.gather(*waiting) for lease in leases]
    assert sorted(lease.job.id for lease in leases) == sorted(job.id for job in jobs)
    assert time.monotonic() - begun < 8


async def test_a_long_poll_finds_what_another_replica_accepted(build: Any) -> None:
    here, there = await build(recheck_s=0.2), await build()
    waiting = asyncio.create_task(here.lease(wait_s=15))
    await asyncio.sleep(0.1)
    job = await there.accept()
    (lease,) = await waiting
    assert lease.job.id == job.id


async def test_a_long_poll_ends_empty_when_its_time_is_over(world: Any) -> None:
    begun = time.monotonic()
    assert await world.lease(wait_s=0.3) == []
    assert 0.25 < time.monotonic() - begun < 5


async def test_a_long_poll_answers_before_the_call_times_out(world: Any) -> None:
    request = lease_service_pb2.LeaseJobsRequest(pool="default", worker_id="w", slots=1)
    request.wait.seconds = 30
    assert list((await world.leases.LeaseJobs(request, timeout=1.0)).leases) == []


async def test_a_long_poll_ends_when_the_service_stops(world: Any) -> None:
    waiting = asyncio.create_task(world.lease(wait_s=15))
    await asyncio.sleep(0.1)
    await world.app.drain()
    assert await asyncio.wait_for(waiting, 5) == []
    with pytest.raises(NotServing):
        await world.lease(wait_s=15)


async def test_a_poll_whose_caller_left_takes_no_job(world: Any) -> None:
    waiting = asyncio.create_task(world.lease(wait_s=15))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    job = await world.accept()
    assert (await world.lease_one()).job.id == job.id
    assert await world.sql("SELECT attempts, epoch FROM jobs") == [(1, 1)]


class GatedDatabase:
    """A database whose writes are committed, and answered only when the gate opens."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.read = database.read
        self.committed = asyncio.Event()
        self.gate = asyncio.Event()

    async def write(self, work: Any) -> Any:
        result = await self.database.write(work)
        self.committed.set()
        await self.gate.wait()
        return result


async def test_a_job_leased_for_a_caller_that_has_left_comes_back_at_once(world: Any) -> None:
    job = await world.accept()
    gated = GatedDatabase(world.database)
    world.app._lease._db = gated
    waiting = asyncio.create_task(world.lease(wait_s=15))
    await asyncio.wait_for(gated.committed.wait(), 10)
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
    assert (await world.get(job.id)).state == RUNNING
    gated.gate.set()
    lease = await world.lease_one(wait_s=10)
    assert (lease.job.id, lease.epoch, lease.job.attempts) == (job.id, 2, 1)
    await world.check_books()


async def test_an_expired_lease_is_handed_out_again_under_a_new_epoch(world: Any) -> None:
    job = await world.accept()
    lost = await world.lease_one(lease_s=10)
    await world.sweep(after_s=9)
    assert await world.lease() == []
    await world.sweep(after_s=1)
    assert (await world.get(job.id)).state == QUEUED
    again = await world.lease_one()
    assert (again.job.id, again.epoch, again.job.attempts) == (job.id, 2, 2)
    for call in (world.renew, world.begin, world.release):
        with pytest.raises(LeaseLost):
            await call(lost)
    with pytest.raises(LeaseLost):
        await world.finish(lost, None, "FAILED")
    await world.finish(again, await world.begin(again), "SUCCEEDED")
    assert await world.kinds(job.id) == ["accepted", "started", "requeued", "started", "succeeded"]
    await world.check_books()


async def test_a_renewed_lease_does_not_expire(world: Any) -> None:
    await world.accept()
    lease = await world.lease_one(lease_s=10)
    for _ in range(5):
        await world.sweep(after_s=9)
        renewed = await world.renew(lease)
        assert renewed.expire_time.ToMilliseconds() == world.clock.now_ms() + 30_000
    assert await world.sql("SELECT epoch, waiting FROM jobs") == [(1, 0)]


async def test_leases_renewed_together_do_not_expire_and_a_lost_one_takes_no_other_with_it(world: Any) -> None:
    for _ in range(5):
        await world.accept()
    kept, progressed, finished, asked, late = leases = await world.lease(5, lease_s=10)
    await world.finish(finished, await world.begin(finished), "SUCCEEDED")
    await world.cancel(asked.job.id)
    gone = lease_service_pb2.Lease(job=job_pb2.Job(id="job_nobody_knows"), epoch=1)
    stale = lease_service_pb2.Lease(job=late.job, epoch=late.epoch + 1)
    renewed = await world.renew_all([*leases[:4], gone, stale], progress=[0, 40])
    assert [each.lost for each in renewed] == [False, False, True, False, True, True]
    assert [each.cancel_requested for each in renewed] == [False, False, False, True, False, False]
    ends_ms = world.clock.now_ms() + 30_000
    assert [each.expire_time.ToMilliseconds() for each in renewed if not each.lost] == [ends_ms] * 3
    await world.sweep(after_s=25)
    assert [(await world.get(lease.job.id)).state for lease in (kept, progressed, late)] == [RUNNING, RUNNING, QUEUED]
    assert (await world.get(progressed.job.id)).progress == 40
    assert await world.kinds(kept.job.id) == ["accepted", "started"]
    (taken_up,) = await world.renew_all([late])
    assert not taken_up.lost
    assert (await world.get(late.job.id)).state == RUNNING
    await world.check_books()


async def test_leases_renewed_together_are_named_once_each(world: Any) -> None:
    await world.accept()
    lease = await world.lease_one()
    with pytest.raises(InvalidArgument):
        await world.renew_all([lease, lease])


async def test_a_late_worker_is_heard_as_long_as_nobody_else_has_the_job(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one(lease_s=10)
    attempt = await world.begin(lease, repeatable=True)
    await world.sweep(after_s=11)
    assert (await world.get(job.id)).state == QUEUED
    done = await world.finish(lease, attempt, "SUCCEEDED")
    assert done.state == job_pb2.JOB_STATE_SUCCEEDED
    assert await world.lease() == []
    events = await world.events(job.id)
    assert [(event.sequence, event.kind) for event in events] == [
        (1, "accepted"),
        (2, "started"),
        (3, "requeued"),
        (4, "succeeded"),
    ]
    await world.check_books()


@pytest.mark.parametrize("call", ["renew", "begin"])
async def test_a_late_worker_takes_its_job_up_again(world: Any, call: str) -> None:
    job = await world.accept()
    lease = await world.lease_one(lease_s=10)
    await world.sweep(after_s=11)
    await getattr(world, call)(lease)
    assert (await world.get(job.id)).state == RUNNING
    assert await world.lease() == []
    await world.sweep(after_s=5)
    assert (await world.get(job.id)).state == RUNNING
    assert await world.kinds(job.id) == ["accepted", "started", "requeued", "started"]
    await world.check_books()


async def test_a_job_that_loses_its_workers_again_and_again_fails(world: Any, shop: Any) -> None:
    job = await world.accept(deadline=shop.duration(3600))
    for _ in range(5):
        await world.lease_one(lease_s=10)
        await world.sweep(after_s=11)
    failed = await world.get(job.id)
    assert (failed.state, failed.failure.reason) == (job_pb2.JOB_STATE_FAILED, 1)
    assert failed.outcome == job_pb2.JOB_OUTCOME_OUR_FAULT  # Whatever a provider's fault may cost, this is the house's.
    await world.check_books()


async def test_a_released_job_is_queued_again_and_not_counted(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    await world.release(lease)
    await world.release(lease)
    queued = await world.get(job.id)
    assert (queued.state, queued.attempts, queued.provider) == (QUEUED, 0, "")
    with pytest.raises(LeaseLost):
        await world.renew(lease)
    again = await world.lease_one()
    assert (again.epoch, again.job.attempts) == (2, 1)
    assert await world.kinds(job.id) == ["accepted", "started", "requeued", "started"]
    await world.check_books()


async def test_progress_only_grows_and_is_told_at_most_once_a_second(world: Any) -> None:
    job = await world.accept()
    lease = await world.lease_one()
    world.clock.advance(1)
    for progress in (10, 20, 15):
        await world.renew(lease, progress=progress)
    assert (await world.get(job.id)).progress == 20
    assert await world.kinds(job.id) == ["accepted", "started", "progressed"]
    world.clock.advance(1)
    await world.renew(lease, progress=20)
    assert await world.kinds(job.id) == ["accepted", "started", "progressed"]
    await world.renew(lease, progress=21)
    assert [event.progress for event in await world.events(job.id)] == [0, 0, 10, 21]


@pytest.mark.parametrize("seconds", [0, -5, 601])
async def test_a_lease_of_an_unreasonable_length_is_refused(world: Any, seconds: int) -> None:
    await world.accept()
    lease = await world.lease_one()
    request = lease_service_pb2.RenewLeaseRequest(job_id=lease.job.id, epoch=lease.epoch)
    request.lease.seconds = seconds
    with pytest.raises(InvalidArgument):
        await world.leases.RenewLease(request, timeout=5)


async def test_a_cancelled_job_is_not_leased_when_both_come_at_once(world: Any) -> None:
    for _ in range(60):
        job = await world.accept()
        cancelled, leases = await asyncio.gather(world.cancel(job.id), world.lease())
        if leases:
            assert cancelled.cancel_requested
            assert (await world.renew(leases[0])).cancel_requested
            await world.finish(leases[0], None, "CANCELLED")
        assert (await world.get(job.id)).state == job_pb2.JOB_STATE_CANCELLED
    await world.check_books()
