"""What is around every request."""

from typing import Any

from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from edge.app import Shell


async def test_client_that_leaves_in_the_middle_of_its_body_is_no_failure() -> None:
    sent: list[Any] = []

    async def reads_on(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ClientDisconnect

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    async def send(message: Any) -> None:
        sent.append(message)

    with capture_logs() as logged:
        await Shell(reads_on)({"type": "http", "path": "/api/v1/assets"}, receive, send)
    assert not sent
    assert [(entry["event"], entry["log_level"]) for entry in logged] == [("client_left", "info")]
