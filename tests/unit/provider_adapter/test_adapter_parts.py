"""The adapter's small parts alone: routes, the gate, persistence, ids, and the words on the wire."""

import asyncio
from typing import Any

import pytest

from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import lease_service_pb2 as lease_pb2
from kit.errors import AppError, DependencyUnavailable, ErrorReason, Internal, InvalidArgument, LeaseLost
from kit.ids import is_id
from provider_adapter.domain import (
    Attempt,
    Failed,
    Failure,
    Job,
    Lease,
    Outcome,
    Route,
    StoredOutput,
    Succeeded,
    input_asset_id,
    output_asset_id,
)
from provider_adapter.mapping import to_finish_request, to_lease
from provider_adapter.usecases import persist as persisting
from provider_adapter.usecases.persist import FEW_TRIES, PAUSE_MAX_S, pause_s, persist
from provider_adapter.usecases.roster import Gate
from provider_adapter.usecases.route import Begin, Hopeless, Resume, choose

FAILURE = Failure(reason=ErrorReason.PROVIDER_REJECTED, message="It will not.")


def lease(*providers: str, attempts: tuple[Attempt, ...] = ()) -> Lease:
    job = Job(id="job_1", client_id="client-1", capability="image.generate", deadline_ms=None)
    routes = tuple(Route(provider=name, upstream_model="m", parameters={}) for name in providers)
    return Lease(job=job, epoch=1, routes=routes, attempts=attempts)


def tried(outcome: Outcome, *, route: int = 0, number: int = 1) -> Attempt:
    return Attempt(id=f"att_{number}", route=route, provider="a", finished=True, outcome=outcome, failure=FAILURE)


@pytest.mark.parametrize(
    ("attempts", "step"),
    [
        ((), Begin(route=0)),
        ((tried(Outcome.RETRYABLE),) * 2, Begin(route=0)),
        ((tried(Outcome.NONE),) * 5, Begin(route=0)),  # Their workers went away.
        ((tried(Outcome.RETRYABLE),) * 2 + (tried(Outcome.UNSENT),), Begin(route=1)),
        ((tried(Outcome.ROUTE_FAILED),), Begin(route=1)),
        ((tried(Outcome.ROUTE_FAILED), tried(Outcome.ROUTE_FAILED, route=1)), Hopeless(failure=FAILURE)),
    ],
)
def test_next_route_follows_from_the_journal(attempts: tuple[Attempt, ...], step: object) -> None:
    assert choose(lease("a", "b", attempts=attempts), lambda _: 0.0) == step


@pytest.mark.parametrize(
    ("attempt", "resumed"),
    [
        (Attempt(id="att", route=0, provider="a", upstream_task_id="up"), True),
        (Attempt(id="att", route=0, provider="a", upstream_task_id="up", repeatable=True), True),
        (Attempt(id="att", route=0, provider="a"), True),
        (Attempt(id="att", route=0, provider="a", repeatable=True), False),
        (Attempt(id="att", route=0, provider="a", upstream_task_id="up", finished=True), False),
    ],
)
def test_open_attempt_is_taken_up_before_any_route(attempt: Attempt, resumed: bool) -> None:
    step = choose(lease("a", attempts=(attempt,)), lambda _: 0.0)
    assert step == (Resume(attempt=attempt) if resumed else Begin(route=0))


def test_nothing_is_chosen_when_no_provider_is_there() -> None:
    step = choose(lease("a", "b"), lambda _: None)
    assert isinstance(step, Hopeless)
    assert step.failure.reason is ErrorReason.PROVIDER_UNAVAILABLE


async def test_gate_lets_so_many_through_in_order_and_those_who_give_up_leave_no_trace() -> None:
    gate, order, leave = Gate(2), [], [asyncio.Event() for _ in range(5)]

    async def visit(number: int) -> None:
        async with gate.passed():
            order.append(number)
            await leave[number].wait()

    tasks = [asyncio.create_task(visit(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert (order, gate.running) == ([0, 1], 2)
    tasks[2].cancel()
    leave[0].set()
    await asyncio.sleep(0.01)
    assert (order, gate.running) == ([0, 1, 3], 2)
    with gate.resumed():
        assert gate.running == 3
        leave[1].set()
        await asyncio.sleep(0.01)
        assert order == [0, 1, 3], "what is resumed takes a place, too"
    await asyncio.sleep(0.01)
    assert order == [0, 1, 3, 4]
    leave[3].set()
    leave[4].set()
    await asyncio.wait(tasks)
    assert gate.running == 0


async def test_gate_passes_on_a_place_that_came_in_the_moment_of_giving_up() -> None:
    gate = Gate(1)
    async with gate.passed():
        first, second = (asyncio.create_task(_through(gate)) for _ in range(2))
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first, second}, timeout=1)
    assert first.cancelled()
    assert second.done()
    assert gate.running == 0


async def _through(gate: Gate) -> None:
    async with gate.passed():
        pass


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ([DependencyUnavailable()] * 6, None),
        ([Internal()] * (FEW_TRIES - 1), None),
        ([Internal()] * FEW_TRIES, Internal),
        ([DependencyUnavailable(), LeaseLost()], LeaseLost),
        ([InvalidArgument()], InvalidArgument),
    ],
)
async def test_call_is_repeated_only_where_waiting_helps(
    monkeypatch: pytest.MonkeyPatch, errors: list[AppError], raised: type[AppError] | None
) -> None:
    monkeypatch.setattr(persisting, "PAUSE_FIRST_S", 0.0)
    left = iter(errors)

    async def call() -> str:
        error = next(left, None)
        if error is not None:
            raise error
        return "done"

    if raised is None:
        assert await persist(call) == "done"
    else:
        with pytest.raises(raised):
            await persist(call)
    assert next(left, None) is None


def test_pauses_double_up_to_a_limit_and_heed_what_we_were_told() -> None:
    assert 0.1 <= pause_s(1) <= 0.2
    assert all(pause_s(tries) <= PAUSE_MAX_S for tries in range(1, 2000))
    assert pause_s(1, 3.0) == 3.0
    assert pause_s(1, 3600.0) == PAUSE_MAX_S


def test_asset_ids_follow_from_what_they_are_for_and_differ_otherwise() -> None:
    ids = {output_asset_id("job_1", epoch, index) for epoch in range(3) for index in range(3)}
    ids |= {input_asset_id("job_1", index) for index in range(3)}
    assert len(ids) == 12
    assert all(is_id(each, "asset") for each in ids)
    assert output_asset_id("job_1", 2, 1) in ids


def test_lease_is_read_whole_from_the_wire() -> None:
    message = lease_pb2.Lease(
        job=job_pb2.Job(
            id="job_1",
            client_id="client-1",
            capability="image.upscale",
            inputs=[job_pb2.Input(role="image", asset_id="asset_1", label="@1"), job_pb2.Input(role="mask", url="u")],
        ),
        epoch=3,
        routes=[job_pb2.Route(provider="a", upstream_model="m", parameters_json='{"scale": 2}', weight=5)],
        attempts=[
            attempt_pb2.Attempt(
                id="att_1",
                provider="a",
                state=attempt_pb2.ATTEMPT_STATE_FINISHED,
                outcome=attempt_pb2.ATTEMPT_OUTCOME_RETRYABLE,
                failure=job_pb2.Failure(reason="ERROR_REASON_PROVIDER_TIMEOUT", message="slow"),
            )
        ],
    )
    message.job.deadline.FromMilliseconds(1_700_000_000_123)
    message.job.retention.FromSeconds(60)
    read = to_lease(message)
    assert (read.epoch, read.job.deadline_ms, read.job.retention_s) == (3, 1_700_000_000_123, 60)
    assert [(one.role, one.asset_id, one.url) for one in read.job.inputs] == [
        ("image", "asset_1", ""),
        ("mask", "", "u"),
    ]
    assert (read.routes[0].parameters, read.routes[0].weight) == ({"scale": 2}, 5)
    assert read.attempts[0].failure == Failure(reason=ErrorReason.PROVIDER_TIMEOUT, message="slow")


def test_word_newer_than_this_process_does_not_hide_the_job() -> None:
    failure = job_pb2.Failure(message="new")
    failure.reason = 9999  # type: ignore[assignment]
    attempt = attempt_pb2.Attempt(id="att_1", state=attempt_pb2.ATTEMPT_STATE_FINISHED, failure=failure)
    attempt.outcome = 99  # type: ignore[assignment]
    (read,) = to_lease(lease_pb2.Lease(job=job_pb2.Job(id="job_1"), attempts=[attempt])).attempts
    assert (read.finished, read.outcome, read.open) == (True, Outcome.NONE, False)
    assert read.failure == Failure(reason=ErrorReason.PROVIDER_FAILED, message="new")


@pytest.mark.parametrize("parameters", ["[1]", "nonsense", "7"])
def test_parameters_that_are_no_object_are_not_read(parameters: str) -> None:
    route = job_pb2.Route(provider="a", parameters_json=parameters)
    with pytest.raises(ValueError, match=r".+"):
        to_lease(lease_pb2.Lease(job=job_pb2.Job(id="job_1"), routes=[route]))


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in (Outcome.NONE, Outcome.SUCCEEDED)])
@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_failure_has_a_word_on_the_wire(outcome: Outcome, reason: ErrorReason) -> None:
    request = to_finish_request(lease("a"), "att_1", Failed.of(outcome, reason, "x" * 9999, field="y" * 999))
    assert request.outcome == outcome
    assert request.failure.reason != 0
    assert (len(request.failure.message), len(request.failure.field)) == (500, 128)
    assert not request.HasField("retry_after")


def test_success_carries_its_outputs_and_no_failure() -> None:
    output: dict[str, Any] = {"role": "image", "sha256": "a" * 64, "size_bytes": 9, "mime_type": "image/png"}
    stored = StoredOutput(asset_id="asset_1", width=3, height=4, extra=True, **output)
    request = to_finish_request(lease("a"), "att_1", Succeeded(outputs=[stored], cost_fen=7))
    assert request.outputs == [job_pb2.Output(asset_id="asset_1", width=3, height=4, extra=True, **output)]
    assert (request.outcome, request.provider_cost_fen, request.HasField("failure")) == (1, 7, False)
