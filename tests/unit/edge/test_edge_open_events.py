"""Server-sent events of the open contract: where they begin is checked wherever it is said."""

from typing import Any

import pytest

from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2

EVENTS = "/api/v1/jobs/job_1/events"


@pytest.mark.parametrize(
    ("query", "header", "named"),
    [
        ("x", "", "after"),
        ("x", "3", "after"),  # The header beats it, and a wrong one is wrong all the same.
        ("3", "x", "Last-Event-ID"),
        ("-1", "", "after"),
        ("١", "", "after"),
        ("1" * 19, "", "after"),
    ],
)
async def test_position_that_is_none_is_refused_by_its_name(front: Any, query: str, header: str, named: str) -> None:
    front.gateway.answers["GetJob"] = pb2.GetJobResponse(job=job_pb2.Job(id="job_1"))

    answer = await front.http.get(EVENTS, params={"after": query}, headers={"last-event-id": header})

    assert (answer.status_code, answer.json()) == (400, {"error": f"{named} must be the id of an event."})
