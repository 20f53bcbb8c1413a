"""Jobs, attempts and what becomes of them, without a database."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_orchestrator.domain.attempt import Attempt, AttemptOutcome, AttemptState
from job_orchestrator.domain.job import EventKind, Job, JobState
from job_orchestrator.domain.order import Amount, Failure, Order, Output, Price, PriceOption, Route
from job_orchestrator.domain.retry import (
    BACKOFF_JITTER,
    BACKOFF_MAX_MS,
    SETBACKS_MAX,
    Report,
    after_lost_lease,
    after_report,
    backoff_ms,
    route_spent,
)
from kit.errors import Conflict, ErrorReason, JobAlreadyFinished, LeaseLost

NOW_MS = 1_000_000
OUTPUT = Output(asset_id="asset_1", sha256="ab" * 32, size_bytes=1)
FAILURE = Failure(reason=ErrorReason.PROVIDER_FAILED, message="It broke.")


def a_job(**changes: Any) -> Job:
    order = Order(
        job_id="job_1",
        client_id="partner-a",
        external_id="",
        contract="open",
        model="image.generate",
        capability="image.generate",
        parameters_json="{}",
        inputs=(),
        routes=(Route(provider="one"), Route(provider="two")),
        pool="default",
        priority=0,
        price=Price(options=(PriceOption(unit=1, amount_per_output=30),), outputs=2),
        deadline_s=600,
        retention_s=None,
        webhook_url="",
        fingerprint="f",
    )
    job = Job.accepted(order, held=Amount(unit=1, value=60), position=1, now_ms=NOW_MS).job
    return replace(job, **changes)


def running(**changes: Any) -> Job:
    return replace(a_job().leased("worker-1", lease_ms=30_000, now_ms=NOW_MS).job, **changes)


def an_attempt(**changes: Any) -> Attempt:
    attempt = Attempt(id="att_1", job_id="job_1", epoch=1, route=0, provider="one", repeatable=False, begin_ms=NOW_MS)
    return replace(attempt, **changes)


def a_report(outcome: AttemptOutcome, **changes: Any) -> Report:
    fields: dict[str, Any] = {
        "epoch": 1,
        "outcome": outcome,
        "failure": FAILURE,
        "retry_after_ms": None,
        "jitter": 0.5,
    }
    return Report(**(fields | changes))


def ended(outcome: AttemptOutcome, route: int = 0) -> Attempt:
    return an_attempt(state=AttemptState.FINISHED, outcome=outcome, route=route, finish_ms=NOW_MS)


def test_a_lease_raises_the_epoch_and_starts_the_job_once() -> None:
    change = a_job().leased("worker-1", lease_ms=30_000, now_ms=NOW_MS + 5)
    job = change.job
    assert change.kind == EventKind.STARTED
    assert (job.state, job.epoch, job.attempts, job.start_ms) == (JobState.RUNNING, 1, 1, NOW_MS + 5)
    assert job.lease_expire_ms == NOW_MS + 30_005
    again = job.given_back(resume=False, reconciling=False).job.leased("w", lease_ms=1_000, now_ms=NOW_MS + 9).job
    assert (again.epoch, again.attempts, again.start_ms) == (2, 2, NOW_MS + 5)


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        running(epoch=2),
        running(holder=""),
        running().succeeded((OUTPUT,), now_ms=NOW_MS).job,
        running().expired(now_ms=NOW_MS).job,
    ],
)
def test_a_lease_is_lost_when_its_epoch_is_old_or_its_job_has_ended(job: Job) -> None:
    with pytest.raises(LeaseLost):
        job.held_by(1)


def test_a_finished_job_changes_no_more() -> None:
    done = running().succeeded((OUTPUT,), now_ms=NOW_MS).job
    with pytest.raises(JobAlreadyFinished):
        done.cancel_asked(now_ms=NOW_MS)
    for end in (done.expired, done.cancelled):
        with pytest.raises(AssertionError):
            end(now_ms=NOW_MS)


def test_a_cancelled_job_is_cancelled_again_without_an_event() -> None:
    done = a_job().cancel_asked(now_ms=NOW_MS).job
    assert done.cancel_asked(now_ms=NOW_MS + 1) == (done, None)


def test_counted_outputs_are_those_asked_for_without_extras() -> None:
    extra = replace(OUTPUT, extra=True)
    job = running().succeeded((OUTPUT, extra), now_ms=NOW_MS).job
    assert job.outputs_delivered == 1
    job = running().succeeded((OUTPUT, OUTPUT, OUTPUT, extra), now_ms=NOW_MS).job
    assert job.outputs_delivered == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"state": JobState.QUEUED, "waiting": False},
        {"state": JobState.FAILED, "waiting": False},
        {"outputs": (OUTPUT,)},
        {"state": JobState.SUCCEEDED, "waiting": False, "finish_ms": 1},
        {"state": JobState.CANCELLED, "finish_ms": 1},
    ],
)
def test_a_job_that_contradicts_itself_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        a_job(**changes)


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_backoff_doubles_up_to_a_minute_give_or_take_a_fifth(tries: int, jitter: float) -> None:
    middle = min(1000 * 2 ** (tries - 1), BACKOFF_MAX_MS)
    assert middle * (1 - BACKOFF_JITTER) <= backoff_ms(tries, jitter) <= middle * (1 + BACKOFF_JITTER)


def test_backoff_uses_its_whole_width() -> None:
    assert [backoff_ms(1, jitter) for jitter in (0.0, 0.5, 0.999999)] == [800, 1000, 1200]


@pytest.mark.parametrize(
    ("outcomes", "spent"),
    [
        ([], False),
        ([AttemptOutcome.RETRYABLE, AttemptOutcome.UNSENT], False),
        ([AttemptOutcome.RETRYABLE, AttemptOutcome.UNSENT, AttemptOutcome.RETRYABLE], True),
        ([AttemptOutcome.ROUTE_FAILED], True),
        ([AttemptOutcome.UNKNOWN, AttemptOutcome.UNKNOWN, AttemptOutcome.UNKNOWN], False),
    ],
)
def test_a_route_is_spent_by_one_refusal_or_three_failures(outcomes: list[AttemptOutcome], spent: bool) -> None:
    assert route_spent(0, [ended(outcome) for outcome in outcomes]) == spent
    assert not route_spent(1, [ended(outcome) for outcome in outcomes])


@pytest.mark.parametrize(
    ("outcome", "attempts", "state", "pause_ms"),
    [
        (AttemptOutcome.RETRYABLE, [ended(AttemptOutcome.RETRYABLE)], JobState.QUEUED, 1_000),
        (AttemptOutcome.UNSENT, [ended(AttemptOutcome.UNSENT)] * 2, JobState.QUEUED, 2_000),
        (AttemptOutcome.RETRYABLE, [ended(AttemptOutcome.RETRYABLE)] * 3, JobState.QUEUED, 0),
        (
            AttemptOutcome.RETRYABLE,
            [ended(AttemptOutcome.ROUTE_FAILED, 1), *[ended(AttemptOutcome.RETRYABLE)] * 3],
            JobState.FAILED,
            0,
        ),
        (AttemptOutcome.ROUTE_FAILED, [ended(AttemptOutcome.ROUTE_FAILED)], JobState.QUEUED, 0),
        (AttemptOutcome.FAILED, [ended(AttemptOutcome.FAILED)], JobState.FAILED, 0),
        (AttemptOutcome.CANCELLED, [ended(AttemptOutcome.CANCELLED)], JobState.CANCELLED, 0),
        (AttemptOutcome.UNKNOWN, [an_attempt(outcome=AttemptOutcome.UNKNOWN)], JobState.RUNNING, 1_000),
    ],
)
def test_what_becomes_of_a_job_after_a_report(
    outcome: AttemptOutcome, attempts: list[Attempt], state: JobState, pause_ms: int
) -> None:
    job = after_report(running(), a_report(outcome), attempts, route=0, now_ms=NOW_MS).job
    assert (job.state, job.holder, job.ended_epoch, job.ended_outcome) == (state, "", 1, outcome)
    assert job.not_before_ms == (NOW_MS + pause_ms if pause_ms else 0)
    assert job.reconciling == (outcome == AttemptOutcome.UNKNOWN)


def test_a_lost_lease_counts_and_the_last_one_fails_the_job() -> None:
    job = running()
    for count in range(1, SETBACKS_MAX):
        job = after_lost_lease(job, [], now_ms=NOW_MS).job
        assert (job.state, job.setbacks, job.holder) == (JobState.QUEUED, count, "worker-1")
        job = job.leased("worker-1", lease_ms=1, now_ms=NOW_MS).job
    assert after_lost_lease(job, [], now_ms=NOW_MS).job.state == JobState.FAILED


@pytest.mark.parametrize(
    ("attempt", "state", "reconciling"),
    [
        (an_attempt(), JobState.RUNNING, True),
        (an_attempt(repeatable=True), JobState.QUEUED, False),
        (an_attempt(upstream_task_id="t", state=AttemptState.ACCEPTED), JobState.RUNNING, False),
        (an_attempt(upstream_task_id="t", state=AttemptState.ACCEPTED, repeatable=True), JobState.RUNNING, False),
        (ended(AttemptOutcome.RETRYABLE), JobState.QUEUED, False),
    ],
)
def test_a_lost_lease_resumes_what_a_provider_may_be_at_work_on(
    attempt: Attempt, state: JobState, reconciling: bool
) -> None:
    job = after_lost_lease(running(), [attempt], now_ms=NOW_MS).job
    assert (job.state, job.waiting, job.reconciling) == (state, True, reconciling)


def test_an_ended_attempt_changes_no_more() -> None:
    attempt = ended(AttemptOutcome.RETRYABLE)
    with pytest.raises(Conflict):
        attempt.accepted_by_provider("t")
    with pytest.raises(Conflict):
        attempt.reported(AttemptOutcome.SUCCEEDED, epoch=2, failure=None, provider_cost_fen=0, now_ms=NOW_MS)
