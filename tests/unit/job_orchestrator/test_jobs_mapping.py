"""The domain's words are the proto's words, and a job survives its row and its message."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from atelier.common.v1 import money_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2, job_service_pb2
from job_orchestrator.api.page_tokens import from_token, to_token
from job_orchestrator.domain.attempt import AttemptOutcome, AttemptState
from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.job import EventKind, Job, JobState
from job_orchestrator.domain.order import Amount, Failure, Output
from job_orchestrator.mapping.job import to_event_proto, to_job_proto, to_reason_proto, to_unix_ms
from job_orchestrator.mapping.order import to_order
from job_orchestrator.outbox import PUBLISHED, to_outbox
from job_orchestrator.ports import Cursor, JobFilter
from job_orchestrator.sql.rows import job_at_event, job_of, order_row, standing_json, standing_row
from kit.errors import ErrorReason, PageTokenInvalid

NOW_MS = 1_767_225_600_123


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix", "nothing"),
    [
        (JobState, job_pb2.JobState, "JOB_STATE_", {"UNSPECIFIED"}),
        (AttemptState, attempt_pb2.AttemptState, "ATTEMPT_STATE_", {"UNSPECIFIED"}),
        (AttemptOutcome, attempt_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_", {"UNSPECIFIED", "NONE"}),
    ],
)
def test_enums_have_the_names_and_numbers_of_the_proto(ours: Any, theirs: Any, prefix: str, nothing: set[str]) -> None:
    domain = {one.name: int(one) for one in ours if one.name not in nothing}
    proto = {name.removeprefix(prefix): number for name, number in theirs.items()}
    assert domain == {name: number for name, number in proto.items() if name not in nothing}


@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_reason_has_a_number(reason: ErrorReason) -> None:
    assert to_reason_proto(reason) > 0


def an_order() -> job_service_pb2.AcceptJobRequest:
    return job_service_pb2.AcceptJobRequest(
        job_id="job_" + "0" * 26,
        external_id="TASK-1",
        contract="points",
        model="draw",
        capability="image.generate",
        parameters_json='{"prompt":"房子 \\u0000"}',
        inputs=[
            job_pb2.Input(role="image", asset_id="asset_1", label="@图片1"),
            job_pb2.Input(role="mask", url="https://example.com/a.png"),
        ],
        routes=[job_pb2.Route(provider="local", upstream_model="draw", parameters_json="{}", weight=3)],
        pool="default",
        priority=-7,
        price=money_pb2.Price(
            options=[money_pb2.PriceOption(unit=money_pb2.UNIT_FEN, amount_per_output=30)],
            outputs=4,
            catalog_version="7",
        ),
        deadline=Duration(seconds=90, nanos=500_000_000),
        retention=Duration(seconds=86_400),
        webhook_url="https://example.com/hook",
        labels={"a": "é", "b": ""},
    )


def a_job() -> Job:
    order = to_order(an_order(), client_id="partner-a")
    return Job.accepted(order, held=Amount(unit=3, value=120), position=9, now_ms=NOW_MS).job


def jobs() -> list[Job]:
    job = a_job()
    leased = job.leased("worker-1", lease_ms=30_000, now_ms=NOW_MS).job
    output = Output(asset_id="asset_2", sha256="ab" * 32, size_bytes=5, role="image", mime_type="image/png", width=1)
    failure = Failure(reason=ErrorReason.PROVIDER_MODERATED, message="No.", field="prompt")
    return [
        job,
        leased,
        leased.given_back(resume=True, reconciling=True, not_before_ms=NOW_MS + 5).job,
        leased.cancel_asked(now_ms=NOW_MS).job,
        leased.succeeded((output,), now_ms=NOW_MS).job,
        leased.failed(failure, now_ms=NOW_MS).job,
        job.expired(now_ms=NOW_MS).job,
    ]


@pytest.mark.parametrize("job", jobs())
def test_a_job_survives_its_row_and_its_snapshot(job: Job) -> None:
    standing = standing_row(job)
    row = order_row(job) | standing
    assert job_of(row) == job
    assert job_at_event(order_row(job) | {"standing_json": standing_json(standing)}) == job


def test_a_snapshot_holds_only_what_differs() -> None:
    assert standing_json(standing_row(a_job())) == "{}"


def test_a_message_says_what_was_asked_for() -> None:
    asked, told = an_order(), to_job_proto(a_job())
    for name in ("external_id", "contract", "model", "capability", "parameters_json", "webhook_url", "price"):
        assert getattr(told, name) == getattr(asked, name)
    assert list(told.inputs) == list(asked.inputs)
    assert dict(told.labels) == dict(asked.labels)
    assert told.retention == asked.retention
    assert (to_unix_ms(told.create_time), to_unix_ms(told.deadline)) == (NOW_MS, NOW_MS + 90_500)
    assert (told.held.unit, told.held.value) == (money_pb2.UNIT_FEN, 120)
    assert not told.HasField("start_time")
    assert not told.HasField("failure")


def test_orders_that_differ_have_different_fingerprints() -> None:
    def fingerprint(**changes: Any) -> str:
        order = an_order()
        for name, value in changes.items():
            setattr(order, name, value)
        return to_order(order, client_id="a").fingerprint

    assert fingerprint() == fingerprint(pool="video", webhook_url="") != fingerprint(model="other")
    assert fingerprint(fingerprint="given") == "given"


@pytest.mark.parametrize("kind", sorted(PUBLISHED))
def test_each_published_event_has_its_payload(kind: EventKind) -> None:
    job = next((one for one in jobs() if one.state.name.lower() == kind), a_job().cancel_asked(now_ms=NOW_MS).job)
    event = JobEvent(position=4, kind=kind, time_ms=NOW_MS, job=job)
    told = to_outbox(event)
    assert told.subject == f"atelier.jobs.v1.job_{kind}"
    assert (told.id, told.key) == (f"{job.id}-{job.sequence}", job.id)
    assert told.payload


def test_an_event_of_the_log_is_never_published_by_mistake() -> None:
    event = JobEvent(position=1, kind=EventKind.PROGRESSED, time_ms=NOW_MS, job=a_job())
    assert to_event_proto(event).kind == "progressed"
    with pytest.raises(AssertionError):
        to_outbox(event)


def test_a_page_token_leads_back_to_its_place_and_nowhere_else() -> None:
    query = JobFilter(client_id="a", states=frozenset({JobState.QUEUED}), models=frozenset({"x", "y"}), before_ms=5)
    end = Cursor(create_ms=NOW_MS, tie="77")
    token = to_token(end, query, kind="client")
    assert from_token(token, query, kind="client") == end
    assert to_token(None, query, kind="client") == ""
    assert from_token("", query, kind="client") is None
    for other in (JobFilter(client_id="b"), JobFilter(client_id="a")):
        with pytest.raises(PageTokenInvalid):
            from_token(token, other, kind="client")
    with pytest.raises(PageTokenInvalid):
        from_token(token, query, kind="all")
