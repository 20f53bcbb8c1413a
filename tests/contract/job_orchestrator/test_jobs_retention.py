"""A job whose contract promises it for a while only is gone after that, rows and all; and quotas of a day."""

import asyncio
from typing import Any

import pytest

from atelier.jobs.v1 import job_service_pb2
from kit import identity
from kit.errors import AppError, DailyQuotaExceeded, InvalidArgument, JobNotFound

MONTH_S = 31 * 24 * 3600
TABLES = ("jobs", "job_ids", "job_events", "attempts", "idempotency_keys")


async def rows(world: Any) -> dict[str, int]:
    return {table: (await world.sql(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}


async def test_a_job_is_found_until_its_time_is_over_and_then_deleted_with_everything(world: Any, shop: Any) -> None:
    promised = {"job_retention": shop.duration(MONTH_S), "external_id": "T-1"}
    job = await world.accept(idempotency_key="k", fingerprint="f", **promised)
    await world.run_to_success()
    world.clock.advance(MONTH_S - 0.001)
    await world.sweep()
    assert (await world.get(job.id)).id == job.id
    world.clock.advance(0.001)

    # Absent at once, from memory and from the database, before anything is swept.
    with pytest.raises(JobNotFound) as gone:
        await world.get(job.id)
    with pytest.raises(JobNotFound) as never:
        await world.get("job_00000000000000000000000000")
    assert (gone.value.message, gone.value.metadata) == (never.value.message, never.value.metadata)
    with identity.acting_as("partner-a"), pytest.raises(JobNotFound):
        await world.jobs.GetJob(job_service_pb2.GetJobRequest(external_id="T-1"), timeout=5)
    for call in (world.cancel, world.events):
        with pytest.raises(JobNotFound):
            await call(job.id)

    await world.sweep()
    assert await rows(world) == dict.fromkeys(TABLES, 0)
    assert list((await world.page()).jobs) == []
    await world.check_books()


async def test_other_jobs_stay(world: Any, shop: Any) -> None:
    for_good = await world.accept()
    longer = await world.accept(job_retention=shop.duration(2 * MONTH_S))
    await world.run_to_success()
    await world.run_to_success()
    await world.sweep(after_s=MONTH_S + 1)
    assert {job.id for job in (await world.page()).jobs} == {for_good.id, longer.id}
    await world.sweep(after_s=MONTH_S)
    assert [job.id for job in (await world.page()).jobs] == [for_good.id]
    assert (await world.get(for_good.id)).id == for_good.id


async def test_a_key_never_names_a_job_that_is_gone(world: Any, shop: Any) -> None:
    """Many old keys take several rounds; the jobs they name wait for the last of them."""
    orders = [
        world.order(job_retention=shop.duration(MONTH_S), idempotency_key=f"k{number}", fingerprint="f")
        for number in range(120)
    ]
    for order in orders:
        await world.submit(order)
        await world.cancel(order.job_id)
    dangling = "SELECT count(*) FROM idempotency_keys WHERE job_id NOT IN (SELECT id FROM jobs)"
    world.clock.advance(MONTH_S)
    await world.sweep()
    assert await world.sql(dangling) == [(0,)]
    assert await rows(world) == dict.fromkeys(TABLES, 0)


async def test_a_time_shorter_than_that_of_keys_is_refused(world: Any, shop: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await world.accept(job_retention=shop.duration(MONTH_S - 1))
    assert refused.value.field == "job_retention"


async def outcomes(world: Any, times: int, **changes: Any) -> list[str]:
    """Submit so many at once, and tell what became of each."""
    calls = [world.accept(**changes) for _ in range(times)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return sorted(one.reason.value if isinstance(one, AppError) else "accepted" for one in answers)


async def test_the_quota_of_a_day_is_kept_and_nothing_is_held_beyond_it(world: Any) -> None:
    expected = ["DAILY_QUOTA_EXCEEDED"] * 7 + ["accepted"] * 3
    assert await outcomes(world, 10, jobs_per_day_max=3, day=20_000) == sorted(expected)
    assert len(world.billing.open_holds()) == 3
    assert await outcomes(world, 1, client="partner-b", jobs_per_day_max=3, day=20_000) == ["accepted"]
    await world.check_books()


async def test_the_quota_counts_a_day_and_finished_jobs_of_it(world: Any) -> None:
    job = await world.accept(jobs_per_day_max=1, day=20_000)
    await world.cancel(job.id)
    with pytest.raises(DailyQuotaExceeded):
        await world.accept(jobs_per_day_max=1, day=20_000)
    await world.accept(jobs_per_day_max=1, day=20_001)
    # A clock that is behind does not open the day before again.
    with pytest.raises(DailyQuotaExceeded):
        await world.accept(jobs_per_day_max=1, day=20_000)


async def test_the_quota_outlives_the_process_and_counts_from_before_it_was_set(build: Any) -> None:
    world = await build()
    await world.accept(day=20_000)
    other = await build()
    with pytest.raises(DailyQuotaExceeded):
        await other.accept(jobs_per_day_max=1, day=20_000)
    assert len(other.billing.holds) == 0  # Refused before money moved.


async def test_a_repeat_and_a_refused_job_do_not_count(world: Any) -> None:
    world.billing.wallets["partner-a"] = 60
    limited = {"jobs_per_day_max": 2, "day": 20_000}
    order = world.order(idempotency_key="k", fingerprint="f", **limited)
    for _ in range(3):
        await world.submit(order)
    world.billing.wallets["partner-a"] = 0
    assert await outcomes(world, 3, **limited) == ["INSUFFICIENT_FUNDS"] * 3
    world.billing.wallets["partner-a"] = 60
    assert await outcomes(world, 2, **limited) == ["DAILY_QUOTA_EXCEEDED", "accepted"]


async def test_lists_tell_jobs_with_inputs_from_those_without(world: Any, shop: Any) -> None:
    from atelier.jobs.v1 import job_pb2

    with_input = await world.accept(inputs=[job_pb2.Input(role="reference", url="https://example.com/a.png")])
    without = await world.accept()
    assert [job.id for job in (await world.page(with_inputs=True, with_total=True)).jobs] == [with_input.id]
    assert [job.id for job in (await world.page(with_inputs=False)).jobs] == [without.id]
    assert len((await world.page()).jobs) == 2
