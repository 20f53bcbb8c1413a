"""What an ended job costs: every reason has an outcome, every outcome its rule, every sum is whole and rounded down."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_orchestrator.domain.attempt import AttemptOutcome
from job_orchestrator.domain.charge import CHARGEABLE, OUTCOME_OF, Outcome, charged, outcome_of
from job_orchestrator.domain.job import Job
from job_orchestrator.domain.order import Amount, Failure, Order, Output, Price, PriceOption, Route
from kit.errors import ErrorReason

NOW_MS = 1_000_000
OUTPUT = Output(asset_id="asset_1", sha256="ab" * 32, size_bytes=1)
ALL = dict.fromkeys(CHARGEABLE, 100)

#: What the reasons that workers and sweepers really give must come to; the rest is the house's fault.
EXPECTED = {
    "CONTENT_MODERATED": "MODERATED_INPUT",
    "PROVIDER_MODERATED": "MODERATED_OUTPUT",
    "PROVIDER_FAILED": "PROVIDER_FAULT",
    "PROVIDER_TIMEOUT": "PROVIDER_FAULT",
    "PROVIDER_RESULT_INVALID": "PROVIDER_FAULT",
    "PROVIDER_UNAVAILABLE": "PROVIDER_FAULT",
    "PROVIDER_REJECTED": "REJECTED",
    "INVALID_ARGUMENT": "REJECTED",
    "BODY_TOO_LARGE": "REJECTED",
    "INPUT_UNSUPPORTED": "REJECTED",
    "INPUT_TOO_LARGE": "REJECTED",
    "INPUT_FETCH_REFUSED": "REJECTED",
    "ASSET_NOT_FOUND": "REJECTED",
    "JOB_EXPIRED": "EXPIRED",
    "JOB_CANCELLED": "CANCELLED_RUNNING",
}


def a_job(*, value: int = 30, outputs: int = 2, charges: dict[Outcome, int] | None = None) -> Job:
    order = Order(
        job_id="job_1",
        client_id="partner-a",
        external_id="",
        contract="open",
        model="image.generate",
        capability="image.generate",
        parameters_json="{}",
        inputs=(),
        routes=(Route(provider="one"),),
        pool="default",
        priority=0,
        price=Price(options=(PriceOption(unit=1, amount_per_output=value),), outputs=outputs),
        charges=charges or {},
        deadline_s=600,
        retention_s=None,
        webhook_url="",
        fingerprint="f",
    )
    return Job.accepted(order, held=Amount(unit=1, value=value * outputs), position=1, now_ms=NOW_MS).job


def running(**wanted: Any) -> Job:
    return a_job(**wanted).leased("worker-1", lease_ms=30_000, now_ms=NOW_MS).job


def test_every_reason_has_an_outcome() -> None:
    assert set(OUTCOME_OF) == set(ErrorReason)
    for reason, outcome in OUTCOME_OF.items():
        assert outcome.name == EXPECTED.get(reason.name, "OUR_FAULT"), reason


@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_reason_of_a_failed_job_is_charged_by_the_rule_of_its_outcome(reason: ErrorReason) -> None:
    outcome = OUTCOME_OF[reason]
    failed = running(charges={outcome: 50}).failed(Failure(reason=reason), now_ms=NOW_MS).job
    expected = 30 if outcome in CHARGEABLE else 0
    assert (failed.outcome, failed.charged) == (outcome, expected)
    assert failed.refund_id == "resolve:job_1"
    others = {other: 100 for other in CHARGEABLE if other != outcome}
    assert running(charges=others).failed(Failure(reason=reason), now_ms=NOW_MS).job.charged == 0


def test_without_rules_only_a_success_costs() -> None:
    job = running()
    assert job.succeeded((OUTPUT, OUTPUT), now_ms=NOW_MS).job.charged == 60
    for end in (job.expired, job.cancelled):
        change = end(now_ms=NOW_MS)
        assert (change.job.charged, change.job.refund_id) == (0, "resolve:job_1")


def test_a_refusal_that_names_a_field_is_about_the_input() -> None:
    refused = Failure(reason=ErrorReason.PROVIDER_MODERATED, field="prompt")
    assert outcome_of(refused) is Outcome.MODERATED_INPUT
    assert outcome_of(replace(refused, field="")) is Outcome.MODERATED_OUTPUT


def test_a_success_costs_what_was_delivered_whatever_the_rules() -> None:
    job = running(charges=ALL)
    part = job.succeeded((OUTPUT, replace(OUTPUT, extra=True)), now_ms=NOW_MS).job
    assert (part.outcome, part.charged, part.refund_id) == (Outcome.SUCCEEDED, 30, "resolve:job_1")
    whole = job.succeeded((OUTPUT,) * 3, now_ms=NOW_MS).job
    assert (whole.charged, whole.refund_id) == (60, "")


def test_cancelled_counts_by_where_the_job_was() -> None:
    charges = {Outcome.CANCELLED_QUEUED: 10, Outcome.CANCELLED_RUNNING: 50}
    queued = a_job(charges=charges).cancel_asked(now_ms=NOW_MS).job
    assert (queued.outcome, queued.charged) == (Outcome.CANCELLED_QUEUED, 6)
    asked = running(charges=charges).cancel_asked(now_ms=NOW_MS).job
    assert (asked.outcome, asked.charged, asked.refund_id) == (Outcome.NONE, 0, "")
    stopped = asked.ended(1, AttemptOutcome.CANCELLED).cancelled(now_ms=NOW_MS).job
    assert (stopped.outcome, stopped.charged) == (Outcome.CANCELLED_RUNNING, 30)
    back = running(charges=charges).given_back(resume=False, reconciling=False).job
    assert back.cancel_asked(now_ms=NOW_MS).job.outcome is Outcome.CANCELLED_QUEUED


def test_an_expired_job_costs_its_rule_queued_or_running() -> None:
    for job in (a_job(charges={Outcome.EXPIRED: 25}), running(charges={Outcome.EXPIRED: 25})):
        assert job.expired(now_ms=NOW_MS).job.charged == 15


def test_a_whole_charge_gives_nothing_back() -> None:
    job = running(charges={Outcome.EXPIRED: 100}).expired(now_ms=NOW_MS).job
    assert (job.charged, job.refund_id) == (60, "")


def test_a_free_job_costs_nothing_and_gives_nothing_back() -> None:
    job = running(value=0, charges=ALL)
    for change in (job.expired(now_ms=NOW_MS), job.succeeded((OUTPUT,), now_ms=NOW_MS)):
        assert (change.job.charged, change.job.refund_id) == (0, "")


@given(
    outcome=st.sampled_from(CHARGEABLE),
    value=st.integers(0, 10**9),
    outputs=st.integers(1, 16),
    percent=st.integers(0, 100),
)
def test_a_charge_is_the_greatest_whole_number_within_its_percent(
    outcome: Outcome, value: int, outputs: int, percent: int
) -> None:
    held = Amount(unit=1, value=value * outputs)
    found = charged(outcome, held=held, outputs=outputs, delivered=0, charges={outcome: percent})
    assert found * 100 <= held.value * percent < (found + 1) * 100
    assert 0 <= found <= held.value


@given(value=st.integers(0, 10**9), outputs=st.integers(1, 16), data=st.data())
def test_a_success_costs_so_much_for_each_output(value: int, outputs: int, data: st.DataObject) -> None:
    delivered = data.draw(st.integers(0, outputs))
    held = Amount(unit=1, value=value * outputs)
    found = charged(Outcome.SUCCEEDED, held=held, outputs=outputs, delivered=delivered, charges=ALL)
    assert found == value * delivered


def test_what_providers_report_adds_up() -> None:
    job = running().spent(7).spent(5).spent(-5)
    assert job.failed(Failure(reason=ErrorReason.PROVIDER_FAILED), now_ms=NOW_MS).job.provider_cost_fen == 7
