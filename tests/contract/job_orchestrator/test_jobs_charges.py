"""An ended job says what it costs, in its answer, in its event and in its fate alike; what it froze it keeps."""

from typing import Any

import pytest

from atelier.common.v1 import money_pb2
from atelier.jobs.v1 import job_pb2
from kit.errors import InvalidArgument

RULES = money_pb2.ChargeRules(
    moderated_input=20,
    moderated_output=100,
    provider_fault=10,
    our_fault=1,
    expired=30,
    cancelled_queued=5,
    cancelled_running=50,
)


async def told_everywhere(world: Any, job_id: str) -> job_pb2.Charge:
    """The charge of an ended job, after comparing all who tell it."""
    job = await world.get(job_id)
    (fate,) = await world.fates(job_id)
    _, event = (await world.outbox(job_id))[-1]
    assert event.charge == fate.charge
    assert event.charge.amount == job.charged
    assert event.charge.outcome == job.outcome
    assert event.charge.amount.unit == job.held.unit
    assert job.refund_id == (f"resolve:{job_id}" if job.charged.value < job.held.value else "")
    return event.charge  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("failed_by", "outcome", "amount"),
    [
        (("PROVIDER_MODERATED", ""), job_pb2.JOB_OUTCOME_MODERATED_OUTPUT, 60),
        (("PROVIDER_MODERATED", "prompt"), job_pb2.JOB_OUTCOME_MODERATED_INPUT, 12),
        (("PROVIDER_TIMEOUT", ""), job_pb2.JOB_OUTCOME_PROVIDER_FAULT, 6),
        (("STORAGE_FULL", ""), job_pb2.JOB_OUTCOME_OUR_FAULT, 0),  # 0.6: rounded down.
        (("INPUT_UNSUPPORTED", ""), job_pb2.JOB_OUTCOME_REJECTED, 0),
    ],
)
async def test_a_failed_job_costs_the_rule_of_its_outcome(
    world: Any, shop: Any, failed_by: tuple[str, str], outcome: int, amount: int
) -> None:
    job = await world.accept(charges=RULES, price=shop.price(30, outputs=2))
    lease = await world.lease_one()
    failure = shop.failure(failed_by[0], "No.")
    failure.field = failed_by[1]
    await world.finish(lease, await world.begin(lease), "FAILED", failure=failure, provider_cost_fen=9)
    charge = await told_everywhere(world, job.id)
    assert (charge.outcome, charge.amount.value) == (outcome, amount)
    assert (charge.reason, charge.provider, charge.provider_cost_fen) == (failure.reason, "local", 9)


async def test_cancelled_and_expired_jobs_cost_their_rules(world: Any, shop: Any) -> None:
    wanted = {"charges": RULES, "price": shop.price(30, outputs=2)}
    running = await world.accept(**wanted)
    lease = await world.lease_one()
    queued, late = await world.accept(**wanted), await world.accept(**wanted)
    assert (await world.cancel(queued.id)).charged.value == 3
    assert not (await world.cancel(running.id)).HasField("charged")
    await world.finish(lease, None, "CANCELLED")
    await world.sweep(after_s=601)
    amounts = [(await told_everywhere(world, job.id)).amount.value for job in (running, queued, late)]
    assert amounts == [30, 3, 18]
    charge = await told_everywhere(world, late.id)
    assert (charge.provider, charge.HasField("provider_cost_fen")) == ("", False)


async def test_a_success_costs_what_was_delivered(world: Any, shop: Any) -> None:
    job = await world.accept(charges=RULES, price=shop.price(30, outputs=2))
    await world.run_to_success()  # One of two outputs.
    charge = await told_everywhere(world, job.id)
    assert (charge.outcome, charge.amount.value, charge.reason) == (job_pb2.JOB_OUTCOME_SUCCEEDED, 30, 0)


async def test_a_job_without_rules_costs_nothing_unless_it_succeeds(world: Any) -> None:
    job = await world.accept()
    await world.cancel(job.id)
    assert (await told_everywhere(world, job.id)).amount == money_pb2.Amount(unit=money_pb2.UNIT_POINTS, value=0)


async def test_costs_of_all_attempts_add_up_and_a_correction_replaces_what_it_corrects(world: Any, shop: Any) -> None:
    routes = [job_pb2.Route(provider=name) for name in ("one", "two")]
    job = await world.accept(routes=routes)
    lease = await world.lease_one()
    first = await world.begin(lease)
    await world.record(lease, first, "task-1")
    await world.finish(lease, first, "UNKNOWN", provider_cost_fen=4)
    await world.sweep(after_s=90)
    lease = await world.lease_one()
    await world.finish(lease, first, "ROUTE_FAILED", provider_cost_fen=5)
    lease = await world.lease_one()
    second = await world.begin(lease, route=1)
    await world.finish(lease, second, "SUCCEEDED", outputs=[shop.output(), shop.output()], provider_cost_fen=7)
    assert (await told_everywhere(world, job.id)).provider_cost_fen == 12


async def test_rules_over_a_hundred_percent_are_refused(world: Any) -> None:
    with pytest.raises(InvalidArgument):
        await world.accept(charges=money_pb2.ChargeRules(expired=101))
