"""Every reason has an answer in the open contract, with a status, and ranges are read as the RFC says."""

import orjson
import pytest

from edge.answers import open_error
from edge.files import RangeNotSatisfiable, Span, read_range
from kit.errors import AppError, ErrorReason, http_status


@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_reason_is_answered_with_its_status_and_a_sentence(reason: ErrorReason) -> None:
    answer = open_error(AppError.of(reason, field="width", retry_after_s=1.2))
    body = orjson.loads(bytes(answer.body))
    assert answer.status_code == http_status(reason) >= 400
    assert set(body) == {"error"}
    assert "width" in body["error"]
    assert answer.headers["retry-after"] == "2"


def test_unauthorised_answer_names_the_scheme() -> None:
    answer = open_error(AppError.of(ErrorReason.CREDENTIAL_INVALID))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert orjson.loads(bytes(answer.body)) == {"error": "Invalid API key."}


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-3", Span(0, 4)),
        ("bytes=5-", Span(5, 5)),
        ("bytes=-3", Span(7, 3)),
        ("bytes=-30", Span(0, 10)),
        ("bytes=8-99", Span(8, 2)),
        ("bytes=0-1,4-5", None),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=١-٢", None),
    ],
)
def test_range_is_read(header: str | None, span: Span | None) -> None:
    assert read_range(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_range_outside_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        read_range(header, 10)
