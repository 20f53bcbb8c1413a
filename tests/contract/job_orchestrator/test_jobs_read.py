"""Lists, event logs, streams and the operators' view."""

import asyncio
from typing import Any

import pytest

from atelier.jobs.v1 import job_admin_service_pb2, job_pb2, job_service_pb2
from kit import identity
from kit.errors import (
    InvalidArgument,
    JobNotFound,
    PageTokenInvalid,
    PermissionDenied,
)

QUEUED = job_pb2.JOB_STATE_QUEUED
RUNNING = job_pb2.JOB_STATE_RUNNING
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
CANCELLED = job_pb2.JOB_STATE_CANCELLED


async def some_jobs(world: Any) -> list[str]:
    """Ten jobs, oldest first, of changing states, two in each millisecond; and one of somebody else."""
    ids = []
    for number in range(10):
        job = await world.accept(
            model=f"model-{number % 2}", capability="image.upscale" if number < 3 else "image.generate"
        )
        ids.append(job.id)
        world.clock.advance(0.001 * (number % 2))
    await world.accept(client="partner-b", pool="video")
    for job_id in ids[:2]:
        await world.cancel(job_id)
    await world.run_to_success()
    await world.lease_one()
    return ids


async def all_pages(world: Any, **wanted: Any) -> list[str]:
    ids: list[str] = []
    token = ""
    for _ in range(50):
        page = await world.page(page_token=token, **wanted)
        ids += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            return ids
    raise AssertionError("the list never ends")


@pytest.mark.parametrize("size", [1, 3, 9, 10, 11])
async def test_pages_together_are_all_jobs_newest_first(world: Any, size: int) -> None:
    ids = await some_jobs(world)
    assert await all_pages(world, page_size=size) == ids[::-1]


async def test_pages_stay_right_while_jobs_come_and_move(world: Any) -> None:
    ids = await some_jobs(world)
    first = await world.page(page_size=4)
    await world.accept()
    await world.cancel(ids[5])
    rest: list[str] = []
    token = first.next_page_token
    while token:
        page = await world.page(page_size=4, page_token=token)
        rest += [job.id for job in page.jobs]
        token = page.next_page_token
    assert [job.id for job in first.jobs] + rest == ids[::-1]


async def test_filters_add_up(world: Any) -> None:
    ids = await some_jobs(world)

    async def found(**wanted: Any) -> list[str]:
        page = await world.page(with_total=True, **wanted)
        assert page.total == len(page.jobs)
        return [job.id for job in page.jobs]

    assert await found(states=[CANCELLED]) == [ids[1], ids[0]]
    assert await found(states=[SUCCEEDED, RUNNING]) == [ids[3], ids[2]]
    assert await found(states=[0]) == ids[::-1]
    assert await found(capability="image.upscale") == [ids[2], ids[1], ids[0]]
    assert await found(models=["model-1"], states=[QUEUED]) == [ids[9], ids[7], ids[5]]
    assert await found(models=["model-0", "model-1"]) == ids[::-1]
    assert await found(capability="image.upscale", models=["model-1"]) == [ids[1]]
    assert await found(capability="nothing") == []
    assert await found(models=["a\x00"]) == []
    before = (await world.get(ids[4])).create_time
    jobs = [await world.get(job_id) for job_id in ids[::-1]]
    older = [job.id for job in jobs if job.create_time.ToMilliseconds() < before.ToMilliseconds()]
    assert older
    assert await found(before=before) == older


async def test_numbered_pages_and_totals(world: Any) -> None:
    ids = await some_jobs(world)
    page = await world.page(page_size=3, skip=6, with_total=True)
    assert ([job.id for job in page.jobs], page.total) == (ids[::-1][6:9], 10)
    assert list((await world.page(skip=10)).jobs) == []
    assert (await world.page(page_size=3)).total == 0


async def test_the_default_page_has_twenty_jobs(world: Any) -> None:
    for _ in range(21):
        await world.accept()
    page = await world.page()
    assert len(page.jobs) == 20
    assert page.next_page_token


async def test_a_page_token_is_bound_to_client_and_query(world: Any) -> None:
    await some_jobs(world)
    token = (await world.page(page_size=2)).next_page_token
    for wanted in (
        {"states": [QUEUED], "page_token": token},
        {"client": "partner-b", "page_token": token},
        {"page_token": token[:-4]},
        {"page_token": "x" + token[1:]},
        {"page_token": "????"},
        {"page_token": "AAAA"},
        {"page_token": "é"},
    ):
        with pytest.raises(PageTokenInvalid):
            await world.page(**wanted)
    with pytest.raises(PageTokenInvalid):
        await world.admin.ListAllJobs(job_admin_service_pb2.ListAllJobsRequest(page_token=token), timeout=5)
    with pytest.raises(InvalidArgument):
        await world.page(page_token=token, skip=1)


async def test_the_event_log_is_read_in_parts(world: Any) -> None:
    job = await world.accept()
    await world.run_to_success()
    events = await world.events(job.id)
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.state for event in events] == [QUEUED, RUNNING, SUCCEEDED]
    assert [event.position for event in events] == [1, 2, 3]
    assert await world.events(job.id, after=2) == events[2:]
    assert await world.events(job.id, after=3) == []


async def collect(stream: Any, count: int) -> list[Any]:
    changes = []
    async with asyncio.timeout(15):
        async for change in stream:
            changes.append(change)
            if len(changes) == count:
                break
    return changes


async def test_a_watcher_sees_every_change_once_in_order_with_the_job_right_after_it(world: Any, shop: Any) -> None:
    watching = asyncio.create_task(collect(world.watch(after=0), 5))
    await asyncio.sleep(0.2)
    await world.accept(client="partner-b")
    job = await world.accept()
    lease = await world.lease_one()
    while lease.job.id != job.id:
        lease = await world.lease_one()
    attempt = await world.begin(lease)
    world.clock.advance(1)
    await world.renew(lease, progress=30)
    await world.cancel(job.id)
    output = shop.output()
    await world.finish(lease, attempt, "SUCCEEDED", outputs=[output])
    changes = await watching
    assert [change.event.kind for change in changes] == [
        "accepted",
        "started",
        "progressed",
        "cancel_requested",
        "succeeded",
    ]
    assert [change.event.position for change in changes] == [1, 2, 3, 4, 5]
    assert [change.job.state for change in changes] == [QUEUED, RUNNING, RUNNING, RUNNING, SUCCEEDED]
    assert [change.job.sequence for change in changes] == [1, 2, 3, 4, 5]
    assert [change.job.progress for change in changes] == [0, 0, 30, 30, 100]
    assert [change.job.cancel_requested for change in changes] == [False, False, False, True, True]
    assert [list(change.job.outputs) for change in changes] == [[], [], [], [], [output]]
    assert changes[-1].job == await world.get(job.id)


async def test_a_watcher_that_comes_back_gets_what_it_missed(world: Any) -> None:
    first, second = await world.accept(), await world.accept()
    await world.cancel(first.id)
    changes = await collect(world.watch(after=1), 2)
    assert [(change.event.position, change.event.job_id, change.event.kind) for change in changes] == [
        (2, second.id, "accepted"),
        (3, first.id, "cancelled"),
    ]
    assert changes[1].job.failure.reason == 107


async def test_a_watcher_is_told_where_it_begins_and_misses_nothing_after_that(world: Any) -> None:
    await world.accept()
    stream = aiter(world.watch(tell_begin=True))
    begin = await anext(stream)
    assert (begin.event.position, begin.event.job_id, begin.event.sequence) == (1, "", 0)
    job = await world.accept()
    change = await anext(stream)
    assert (change.event.position, change.job.id) == (2, job.id)
    resumed = await collect(world.watch(after=1, tell_begin=True), 2)
    assert [change.event.position for change in resumed] == [1, 2]


async def test_a_watcher_may_begin_at_the_very_first_event(world: Any) -> None:
    (begin,) = await collect(world.watch(from_first=True, tell_begin=True), 1)
    assert begin.event.position == 0
    jobs = [await world.accept(), await world.accept()]
    changes = await collect(world.watch(from_first=True), 2)
    assert [change.event.job_id for change in changes] == [job.id for job in jobs]


async def test_a_watcher_of_one_job_hears_of_that_job_alone_from_its_beginning(world: Any) -> None:
    first, second = await world.accept(), await world.accept()
    watching = asyncio.create_task(collect(world.watch(job_id=second.id), 2))
    await asyncio.sleep(0.2)
    await world.cancel(first.id)
    await world.cancel(second.id)
    assert [(change.event.job_id, change.event.kind) for change in await watching] == [
        (second.id, "accepted"),
        (second.id, "cancelled"),
    ]
    (change,) = await collect(world.watch(job_id=second.id, after=2), 1)
    assert change.event.kind == "cancelled"
    for client, job_id in (("partner-b", second.id), ("partner-a", "job_nothing")):
        with pytest.raises(JobNotFound):
            await collect(world.watch(client=client, job_id=job_id), 1)


async def test_a_watch_of_one_job_ends_with_it_wherever_it_begins(world: Any) -> None:
    job = await world.accept()
    watching = asyncio.create_task(collect(world.watch(job_id=job.id), 3))
    await asyncio.sleep(0.2)
    await world.cancel(job.id)
    assert [change.event.kind for change in await watching] == ["accepted", "cancelled"]
    for after, count in ((0, 2), (1, 1), (2, 0), (99, 0)):
        async with asyncio.timeout(5):
            assert len([change async for change in world.watch(job_id=job.id, after=after)]) == count


async def test_a_watcher_gets_more_than_one_read_holds(world: Any) -> None:
    for _ in range(450):
        await world.accept()
    changes = await collect(world.watch(after=1), 449)
    assert [change.event.position for change in changes] == list(range(2, 451))


async def test_a_watcher_hears_of_what_another_replica_does(build: Any) -> None:
    here, there = await build(recheck_s=0.2), await build()
    watching = asyncio.create_task(collect(here.watch(), 1))
    await asyncio.sleep(0.1)
    job = await there.accept()
    assert (await watching)[0].job == job


async def test_no_watcher_ever_misses_a_position_when_many_write_at_once(build: Any) -> None:
    """A cursor must not pass over a position whose transaction commits later."""
    here, there = await build(recheck_s=0.05), await build()
    watching = asyncio.create_task(collect(here.watch(after=0), 120))
    await asyncio.sleep(0.2)

    async def write(world: Any) -> None:
        for _ in range(10):
            await world.cancel((await world.accept()).id)

    await asyncio.gather(*(write(world) for world in (here, there, here, there, here, there)))
    changes = await watching
    assert [change.event.position for change in changes] == list(range(1, 121))


async def test_streams_end_when_the_service_stops(world: Any) -> None:
    async def until_the_end() -> int:
        return len([change async for change in world.watch()])

    watching = asyncio.create_task(until_the_end())
    await asyncio.sleep(0.2)
    await world.app.drain()
    assert await asyncio.wait_for(watching, 5) == 0


async def test_operators_see_jobs_of_all_clients_with_their_attempts(world: Any) -> None:
    ids = await some_jobs(world)
    found: list[str] = []
    token = ""
    while True:
        request = job_admin_service_pb2.ListAllJobsRequest(page_size=4, page_token=token)
        page = await world.admin.ListAllJobs(request, timeout=5)
        found += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == 11
    assert set(ids) < set(found)
    request = job_admin_service_pb2.ListAllJobsRequest(client_id="partner-b", states=[QUEUED])
    (job,) = (await world.admin.ListAllJobs(request, timeout=5)).jobs
    assert job.client_id == "partner-b"
    inspected = await world.inspect(ids[2])
    assert (inspected.job.state, len(inspected.attempts)) == (SUCCEEDED, 1)
    named = await world.accept(external_id="TASK-5")
    assert (await world.inspect("TASK-5")).job == named
    with pytest.raises(JobNotFound):
        await world.inspect("TASK-6")


async def test_queue_stats_count_what_waits_and_runs(world: Any) -> None:
    await world.accept()
    await world.accept(client="partner-b")
    await world.accept(pool="video")
    await world.lease_one()
    world.clock.advance(5)
    stats = (await world.admin.GetQueueStats(job_admin_service_pb2.GetQueueStatsRequest(), timeout=5)).pools
    assert [(one.pool, one.queued, one.running, one.reconciling, one.oldest_wait_ms) for one in stats] == [
        ("default", 1, 1, 0, 5000),
        ("video", 1, 0, 0, 5000),
    ]


async def test_the_house_alone_may_see_all_clients(world: Any) -> None:
    stranger = type(world.admin)(world.worker_channel)
    for call, request in (
        (stranger.ResolveFate, job_admin_service_pb2.ResolveFateRequest(job_ids=["x"])),
        (stranger.InspectJob, job_admin_service_pb2.InspectJobRequest(job_id="x")),
        (stranger.ListAllJobs, job_admin_service_pb2.ListAllJobsRequest()),
        (stranger.GetQueueStats, job_admin_service_pb2.GetQueueStatsRequest()),
    ):
        with pytest.raises(PermissionDenied):
            await call(request, timeout=5)
    front = type(world.jobs)(world.worker_channel)
    with identity.acting_as("partner-a"), pytest.raises(PermissionDenied):
        await front.GetJob(job_service_pb2.GetJobRequest(job_id="x"), timeout=5)
