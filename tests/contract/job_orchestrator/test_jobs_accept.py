"""Taking a job on: once, paid for, within limits, whatever happens in between."""

import asyncio
from typing import Any

import pytest

from kit.errors import (
    DependencyUnavailable,
    IdempotencyKeyReused,
    InsufficientFunds,
    InvalidArgument,
    JobFenced,
    PermissionDenied,
    QueueFull,
    RequestIdReused,
    TooManyJobs,
)
from kit.ids import new_id


def keyed(world: Any, key: str = "key-1", fingerprint: str = "f" * 64, **changes: Any) -> Any:
    return world.order(idempotency_key=key, fingerprint=fingerprint, **changes)


async def test_the_same_order_again_returns_the_first_job(world: Any) -> None:
    order = world.order()
    first = await world.submit(order)
    again = await world.submit(order)
    assert (again.reused, again.job) == (True, first.job)
    assert world.billing.calls == ["PlaceHold"]
    assert await world.kinds(order.job_id) == ["accepted"]


async def test_the_same_id_with_another_order_is_refused(world: Any, shop: Any) -> None:
    order = world.order()
    await world.submit(order)
    with pytest.raises(RequestIdReused):
        await world.submit(world.order(job_id=order.job_id, parameters_json='{"prompt":"a boat"}'))
    with pytest.raises(RequestIdReused):
        await world.submit(order, client="partner-b")
    assert world.billing.open_holds() == {order.job_id}


async def test_the_same_id_is_the_same_order_when_only_the_catalogue_has_changed(world: Any, shop: Any) -> None:
    order = world.order()
    first = await world.submit(order)
    again = await world.submit(world.order(job_id=order.job_id, price=shop.price(35), jobs_in_flight_max=1))
    assert (again.reused, again.job) == (True, first.job)


async def test_the_same_key_returns_the_first_job_even_with_another_id(world: Any) -> None:
    first = await world.submit(keyed(world))
    again = await world.submit(keyed(world))
    assert (again.reused, again.job) == (True, first.job)
    assert world.billing.open_holds() == {first.job.id}


async def test_the_same_key_with_another_fingerprint_is_refused(world: Any) -> None:
    await world.submit(keyed(world))
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(keyed(world, fingerprint="e" * 64))
    assert len(world.billing.holds) == 1


async def test_the_same_key_of_another_client_is_another_key(world: Any) -> None:
    first = await world.submit(keyed(world))
    other = await world.submit(keyed(world), client="partner-b")
    assert not other.reused
    assert other.job.id != first.job.id


async def test_a_key_stays_bound_when_its_job_has_ended_and_is_forgotten_after_a_month(world: Any) -> None:
    first = await world.submit(keyed(world))
    await world.cancel(first.job.id)
    assert (await world.submit(keyed(world))).job.id == first.job.id
    await world.sweep(after_s=30 * 86_400)
    assert (await world.submit(keyed(world))).reused
    await world.sweep(after_s=2 * 86_400)
    assert not (await world.submit(keyed(world))).reused


async def test_an_external_id_is_unique_over_all_clients(world: Any) -> None:
    await world.submit(world.order(external_id="TASK-1"))
    for client in ("partner-a", "partner-b"):
        order = world.order(external_id="TASK-1")
        with pytest.raises(RequestIdReused) as refused:
            await world.submit(order, client=client)
        assert refused.value.field == "external_id"
        assert order.job_id not in world.billing.open_holds()
    await world.check_books()


async def test_two_submits_of_one_key_at_once_make_one_job(world: Any) -> None:
    """The gateway derives the id from the key, so both have the same id and the same hold."""
    for turn in range(20):
        order = keyed(world, key=f"key-{turn}")
        answers = await asyncio.gather(*(world.submit(order) for _ in range(4)))
        assert {answer.job.id for answer in answers} == {order.job_id}
        assert sorted(answer.reused for answer in answers) == [False, True, True, True]
        assert order.job_id in world.billing.open_holds()
        assert await world.kinds(order.job_id) == ["accepted"]
    await world.check_books()


async def test_two_submits_of_one_key_with_different_ids_leave_one_hold(world: Any) -> None:
    for turn in range(20):
        orders = [keyed(world, key=f"key-{turn}") for _ in range(3)]
        answers = await asyncio.gather(*(world.submit(order) for order in orders))
        assert len({answer.job.id for answer in answers}) == 1
        assert sum(not answer.reused for answer in answers) == 1
    jobs = await world.sql("SELECT id FROM jobs")
    assert world.billing.open_holds() == {row[0] for row in jobs}
    await world.check_books()


async def test_a_key_race_with_another_fingerprint_refuses_the_loser(world: Any) -> None:
    async def someone_else(_: str) -> None:
        world.billing.after_placing = None
        await world.submit(keyed(world))

    world.billing.after_placing = someone_else
    loser = keyed(world, fingerprint="e" * 64)
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(loser)
    assert loser.job_id not in world.billing.open_holds()
    await world.check_books()


async def test_a_job_is_refused_when_the_wallet_cannot_pay(world: Any) -> None:
    world.billing.wallets["partner-a"] = 29
    order = world.order()
    with pytest.raises(InsufficientFunds):
        await world.submit(order)
    assert await world.sql("SELECT count(*) FROM jobs") == [(0,)]
    world.billing.wallets["partner-a"] = 30
    assert not (await world.submit(order)).reused


async def test_a_job_is_refused_when_billing_is_away_and_accepted_later(build: Any) -> None:
    world = await build()

    async def away(_: str) -> None:
        raise DependencyUnavailable

    order = world.order()
    for hook in ("before_placing", "after_placing"):  # In the second case the hold exists and nobody knows.
        setattr(world.billing, hook, away)
        with pytest.raises(DependencyUnavailable):
            await world.submit(order)
        setattr(world.billing, hook, None)
    assert await world.sql("SELECT count(*) FROM jobs") == [(0,)]
    assert not (await world.submit(order)).reused
    assert world.billing.open_holds() == {order.job_id}


async def test_the_hold_outlives_the_deadline(world: Any, shop: Any) -> None:
    job = await world.accept(deadline=shop.duration(60))
    hold = world.billing.holds[job.id]
    assert hold.expire_time.ToMilliseconds() >= job.deadline.ToMilliseconds() + 60_000


async def test_the_limit_of_unfinished_jobs_is_kept_and_nothing_is_held_beyond_it(world: Any) -> None:
    accepted = await asyncio.gather(*(world.accept(jobs_in_flight_max=5) for _ in range(20)), return_exceptions=True)
    jobs = [job for job in accepted if not isinstance(job, BaseException)]
    assert len(jobs) == 5
    assert all(isinstance(one, TooManyJobs) for one in accepted if isinstance(one, BaseException))
    assert world.billing.open_holds() == {job.id for job in jobs}
    await world.accept(client="partner-b", jobs_in_flight_max=1)
    await world.cancel(jobs[0].id)
    await world.accept(jobs_in_flight_max=5)
    with pytest.raises(TooManyJobs):
        await world.accept(jobs_in_flight_max=5)
    await world.check_books()


async def test_a_full_queue_refuses_before_money_moves(build: Any) -> None:
    world = await build(queue_max=3)
    for number in range(3):
        await world.accept(client=f"partner-{number}")
    with pytest.raises(QueueFull) as refused:
        await world.accept()
    assert refused.value.retry_after_s
    assert len(world.billing.holds) == 3
    await world.accept(pool="video")
    await world.lease()
    await world.accept()


async def test_a_refused_job_is_fenced_before_its_hold_is_released(world: Any) -> None:
    """Otherwise a second call with the same id could commit a job that nothing pays for."""
    order = world.order(jobs_in_flight_max=1)

    async def someone_else(_: str) -> None:  # Accepted between the first look and the commit.
        world.billing.after_placing = None
        await world.accept(jobs_in_flight_max=1)

    world.billing.after_placing = someone_else
    with pytest.raises(TooManyJobs):
        await world.submit(order)
    assert order.job_id not in world.billing.open_holds()
    with pytest.raises(JobFenced):
        await world.submit(order)
    (fate,) = await world.fates(order.job_id)
    assert fate.fenced


async def test_a_refusal_stands_when_the_hold_cannot_be_released(world: Any) -> None:
    async def someone_else(_: str) -> None:
        world.billing.after_placing = None
        await world.accept(jobs_in_flight_max=1)

    world.billing.after_placing = someone_else
    world.billing.settle_error = DependencyUnavailable()
    order = world.order(jobs_in_flight_max=1)
    with pytest.raises(TooManyJobs):
        await world.submit(order)
    assert order.job_id in world.billing.open_holds()  # Billing's sweeper asks for its fate and finds it fenced.
    assert (await world.fates(order.job_id))[0].fenced


async def test_an_id_whose_hold_is_resolved_is_fenced(world: Any) -> None:
    async def resolve(hold_id: str) -> None:
        world.billing.holds[hold_id].state = 4

    world.billing.after_placing = resolve
    order = world.order()
    with pytest.raises(JobFenced):
        await world.submit(order)
    assert await world.sql("SELECT count(*) FROM jobs") == [(0,)]


async def test_the_job_of_a_resolved_hold_is_returned_when_it_ended_meanwhile(world: Any) -> None:
    order = world.order()

    async def someone_else(hold_id: str) -> None:
        world.billing.before_placing = None
        await world.submit(order)
        await world.cancel(order.job_id)
        world.billing.holds[hold_id].state = 3

    world.billing.before_placing = someone_else
    answer = await world.submit(order)
    assert (answer.reused, answer.job.id) == (True, order.job_id)


async def test_resolve_fate_fences_an_unknown_id_for_good(world: Any) -> None:
    job = await world.accept()
    order = world.order()
    fates = await world.fates(order.job_id, job.id, order.job_id)
    assert [(fate.job_id, fate.fenced, fate.state) for fate in fates] == [
        (order.job_id, True, 0),
        (job.id, False, 1),
        (order.job_id, True, 0),
    ]
    with pytest.raises(JobFenced):
        await world.submit(order)
    assert order.job_id not in world.billing.holds


async def test_resolve_fate_tells_what_a_finished_job_delivered(world: Any, shop: Any) -> None:
    job = await world.accept(price=shop.price(30, outputs=1))
    lease = await world.lease_one()
    outputs = [shop.output(), shop.output(), shop.output(extra=True)]
    await world.finish(lease, await world.begin(lease), "SUCCEEDED", outputs=outputs)
    (fate,) = await world.fates(job.id)
    assert (fate.state, fate.outputs_delivered) == (3, 1)
    assert list(fate.asset_ids) == [output.asset_id for output in outputs]


async def test_a_fence_and_a_commit_of_one_id_never_both_win(world: Any) -> None:
    for _ in range(50):
        order = world.order()
        calls = [world.submit(order), world.fates(order.job_id)]
        answers: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
        accepted, fate = answers[0], answers[1][0]
        if fate.fenced:
            assert isinstance(accepted, JobFenced)
            assert order.job_id not in world.billing.open_holds()
        else:
            assert accepted.job.id == order.job_id
    await world.check_books()


async def test_a_fence_between_hold_and_commit_wins(world: Any) -> None:
    order = world.order()

    async def fence(_: str) -> None:
        await world.fates(order.job_id)

    world.billing.after_placing = fence
    with pytest.raises(JobFenced):
        await world.submit(order)
    assert order.job_id not in world.billing.open_holds()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"job_id": "job_short"}, "job_id"),
        ({"routes": []}, "routes"),
        ({"idempotency_key": "k", "fingerprint": ""}, None),
        ({"external_id": "a\x00b"}, "external_id"),
        ({"model": "a\x00b"}, "model"),
        ({"pool": "No Such"}, "pool"),
    ],
)
async def test_a_malformed_order_is_refused_before_anything_happens(
    world: Any, changes: dict[str, Any], field: str | None
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await world.submit(world.order(**changes))
    if field is not None:
        assert refused.value.field == field
    assert world.billing.calls == []


async def test_only_the_services_that_should_may_call(world: Any) -> None:
    from atelier.jobs.v1 import lease_service_pb2

    with pytest.raises(PermissionDenied):  # No client in the identity.
        await world.jobs.AcceptJob(world.order(), timeout=5)
    request = lease_service_pb2.LeaseJobsRequest(pool="default", worker_id="w", slots=1)
    stranger = type(world.leases)(world.jobs_channel)
    with pytest.raises(PermissionDenied):
        await stranger.LeaseJobs(request, timeout=5)


async def test_ids_that_only_look_new_do_not_share_a_job(world: Any) -> None:
    jobs = await asyncio.gather(*(world.accept(job_id=new_id("job")) for _ in range(30)))
    positions = await world.sql("SELECT position FROM job_events ORDER BY position")
    assert [row[0] for row in positions] == list(range(1, 31))
    assert len({job.id for job in jobs}) == 30
