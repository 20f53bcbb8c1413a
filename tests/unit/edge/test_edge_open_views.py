"""What the open contract says of a job's money, whatever the end and the operator's rules."""

from typing import Any

import pytest

from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.answers import points_job_failure
from edge.open.views import capability_view, charges_view, job_view, quote_view
from kit.errors import ErrorReason


def points(value: int) -> money_pb2.Amount:
    return money_pb2.Amount(unit=money_pb2.UNIT_POINTS, value=value)


def ended(state: str, held: int, charged: int) -> dict[str, Any]:
    """The view of a job that ended so."""
    job = job_pb2.Job(
        id="job_1",
        state=f"JOB_STATE_{state}",
        held=points(held),
        charged=points(charged),
        refund_id="resolve:job_1" if charged < held else "",
    )
    if state != "SUCCEEDED":
        job.failure.reason = f"ERROR_REASON_JOB_{state}"  # type: ignore[assignment]
    return job_view(job)


@pytest.mark.parametrize(
    ("state", "held", "charged", "cost", "error"),
    [
        ("SUCCEEDED", 30, 30, (True, False), None),
        ("SUCCEEDED", 60, 30, (True, True), None),  # One of two outputs.
        ("SUCCEEDED", 0, 0, (True, False), None),
        ("CANCELLED", 30, 0, (False, True), (False, 0, "resolve:job_1")),
        ("CANCELLED", 30, 15, (True, True), (True, 15, "resolve:job_1")),
        ("EXPIRED", 30, 30, (True, False), (True, 30, None)),
        ("EXPIRED", 0, 0, (False, True), (False, 0, None)),
    ],
)
def test_cost_and_error_say_what_was_charged(
    state: str, held: int, charged: int, cost: tuple[bool, bool], error: tuple[bool, int, str | None] | None
) -> None:
    view = ended(state, held, charged)
    assert view["cost"] == {"unit": "points", "amount": held, "charged": cost[0], "refunded": cost[1]}
    told = view["error"] and (view["error"]["charged"], view["error"]["chargedAmount"], view["error"]["refundId"])
    assert told == error


def test_a_job_that_runs_has_cost_nothing_yet() -> None:
    view = job_view(job_pb2.Job(state=job_pb2.JOB_STATE_RUNNING, held=points(30)))
    assert view["cost"] == {"unit": "points", "amount": 30, "charged": False, "refunded": False}


def test_prices_are_told_by_what_is_measured() -> None:
    model = pb2.Model(
        parameters_schema_json="{}",
        inputs_schema_json="[]",
        price_rules=[
            pb2.PriceRule(unit=money_pb2.UNIT_COUNT, amount=1, per="output"),
            pb2.PriceRule(unit=money_pb2.UNIT_POINTS, amount=8, per="second", minimum=20),
        ],
        charges=money_pb2.ChargeRules(cancelled_running=50),
    )
    view = capability_view(model)
    assert view["price"] == [{"count": 1}, {"points": 8, "per": "second", "minimum": 20}]
    assert view["charges"] == {"cancelledRunning": 50}
    assert charges_view(money_pb2.ChargeRules()) == {}


def test_a_quote_is_for_all_outputs() -> None:
    quote = pb2.QuoteJobResponse(
        quote_id="q",
        price=money_pb2.Price(
            options=[money_pb2.PriceOption(unit=money_pb2.UNIT_FEN, amount_per_output=30)], outputs=3
        ),
    )
    quote.expire_time.FromSeconds(60)
    assert quote_view(quote) == {
        "quoteId": "q",
        "outputs": 3,
        "price": [{"fen": 90}],
        "charges": {},
        "expiresAt": "1970-01-01T00:01:00.000Z",
    }


@pytest.mark.parametrize(
    ("charged", "refunded", "end"),
    [(0, True, "积分已退还"), (15, True, "已扣除15积分,其余积分已退还"), (30, False, "已扣除30积分")],
)
def test_points_say_what_became_of_them(charged: int, refunded: bool, end: str) -> None:
    message = points_job_failure(ErrorReason.JOB_CANCELLED, charged=charged, refunded=refunded)
    assert message == f"任务已取消,{end}"
