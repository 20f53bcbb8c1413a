"""Tests of the structured log: its shape, and that no secret gets into it."""

import contextvars
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from kit import logging as kit_logging
from kit.logging import STRUCK_OUT, configure, get_logger, redact


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_event_is_one_json_object_with_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing")
    get_logger("billing.usecases").info("hold_captured", hold_id="h1", points=30)
    [event] = lines(capsys)
    at = event.pop("at")
    assert isinstance(at, str)
    assert at.endswith("Z")
    assert event == {
        "event": "hold_captured",
        "hold_id": "h1",
        "points": 30,
        "level": "info",
        "service": "billing",
        "module": "billing.usecases",
    }


@pytest.mark.parametrize(
    "name",
    ["secret", "client_secret", "api_key", "Authorization", "sign", "signature", "accessToken", "PASSWORD"],
)
def test_value_is_struck_out_when_its_name_speaks_of_secrets(name: str) -> None:
    event = redact(None, "info", {"event": "x", name: "hunter2", "facts": [{name: "hunter2"}]})
    assert event == {"event": "x", name: STRUCK_OUT, "facts": [{name: STRUCK_OUT}]}


def test_value_is_kept_when_its_name_is_harmless() -> None:
    event = {"event": "x", "job_id": "j1", "signal": "SIGTERM", "nested": {"points": 1}}
    assert redact(None, "info", dict(event)) == event


def test_search_for_secrets_ends_when_facts_contain_themselves() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert "..." in repr(redact(None, "info", {"loop": loop}))


def test_less_severe_events_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing", level="warning")
    log = get_logger("x")
    log.info("unheard")
    log.warning("heard")
    assert [event["event"] for event in lines(capsys)] == ["heard"]


def test_request_id_and_bound_facts_come_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing")

    def handle() -> None:
        kit_logging.request_id.set("req_1")
        structlog.contextvars.bind_contextvars(job_id="job_1")
        get_logger("x").info("inside")

    contextvars.Context().run(handle)
    get_logger("x").info("outside")
    inside, outside = lines(capsys)
    assert (inside["request_id"], inside["job_id"]) == ("req_1", "job_1")
    assert "request_id" not in outside


def test_records_of_libraries_leave_in_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing")
    logging.getLogger("somebody").warning("odd %s", "thing")
    [event] = lines(capsys)
    assert (event["event"], event["module"], event["service"]) == ("odd thing", "somebody", "billing")


def test_traceback_is_in_the_event_and_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing")
    password = "hunter2"
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        get_logger("x").exception("failed")
    [event] = lines(capsys)
    assert "RuntimeError: broken" in str(event["exception"])
    assert password not in str(event)


def test_things_json_does_not_know_are_written_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing")
    get_logger("x").info("odd", thing=object(), data=b"\xff", numbers={1: 2})
    [event] = lines(capsys)
    assert event["numbers"] == {"1": 2}


def test_console_format_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure("billing", format="console")
    get_logger("x").info("hold_captured", hold_id="h1", token="hunter2")
    shown = capsys.readouterr().out
    assert "hold_captured" in shown
    assert "h1" in shown
    assert "hunter2" not in shown
