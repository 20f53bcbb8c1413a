"""Protos in, protos out."""

import pytest

from atelier.billing.v1 import hold_pb2
from atelier.common.v1 import money_pb2
from atelier.events.v1 import billing_events_pb2
from atelier.jobs.v1 import job_pb2
from billing.api import mapping
from billing.api.mapping import from_page_token, to_page_token
from billing.charge import UNIT_OF
from billing.domain import Hold, HoldState, Unit
from billing.jobs_client import _FINISHED
from kit.errors import PageTokenInvalid

QUERY = ("entries", "partner-a", "")


def test_every_unit_and_state_has_its_proto() -> None:
    named = [value for value in money_pb2.Unit.values() if value]
    assert sorted(UNIT_OF) == sorted(named)
    assert {UNIT_OF[value] for value in named} == set(Unit)
    assert {mapping._PROTO_UNIT[unit]: unit for unit in Unit} == dict(UNIT_OF)
    assert set(mapping._PROTO_STATE) == set(HoldState)
    assert sorted(mapping._PROTO_STATE.values()) == [value for value in hold_pb2.HoldState.values() if value]


def test_every_terminal_state_of_a_job_is_known() -> None:
    alive = {job_pb2.JOB_STATE_UNSPECIFIED, job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING}
    assert set(job_pb2.JobState.values()) - alive == _FINISHED


def test_times_keep_their_milliseconds() -> None:
    for ms in (0, 1, 999, 1_767_225_600_123):
        assert mapping.to_ms(mapping.to_timestamp(ms)) == ms


def test_the_event_of_a_resolved_hold_has_one_id() -> None:
    hold = Hold(
        id="job-1",
        client_id="partner-a",
        unit=Unit.FEN,
        amount_per_output=30,
        outputs=2,
        input_hash="h",
        create_ms=1,
        expire_ms=2,
        state=HoldState.CAPTURED,
        captured=30,
        resolve_ms=1500,
    )
    event = mapping.hold_resolved_event(hold)
    payload = billing_events_pb2.HoldResolved.FromString(event.payload)
    assert (event.id, event.key, event.subject) == ("hold_resolved:job-1", "job-1", "atelier.billing.v1.hold_resolved")
    assert payload.event_id == event.id
    assert (payload.hold_id, payload.client_id, payload.captured) == ("job-1", "partner-a", 30)
    assert (payload.amount.unit, payload.amount.value) == (money_pb2.UNIT_FEN, 60)
    assert mapping.to_ms(payload.occur_time) == 1500


def test_a_page_token_leads_back_to_its_position() -> None:
    assert to_page_token(None, query=QUERY) == ""
    assert from_page_token("", query=QUERY, numbers=2) is None
    assert from_page_token(to_page_token((17, 2), query=QUERY), query=QUERY, numbers=2) == (17, 2)


@pytest.mark.parametrize(
    "token",
    [
        to_page_token((17, 2), query=("entries", "partner-b", "")),
        to_page_token((17, 2), query=("entries", "partner-a", "job-1")),
        to_page_token((17, 2), query=QUERY).replace("17", "18"),
        to_page_token((17, 2), query=QUERY) + "0",
        "17.2",
        "17",
        ".",
        "-1.2.x",
        "１７.2.x",
        "9" * 200,
        "nonsense",
    ],
)
def test_a_page_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        from_page_token(token, query=QUERY, numbers=2)


def test_a_page_token_of_another_length_is_refused() -> None:
    with pytest.raises(PageTokenInvalid):
        from_page_token(to_page_token((17, 2, 3), query=QUERY), query=QUERY, numbers=2)
