"""Every reason has an answer in all four contracts, from one table; and ranges are read as the RFC says."""

import re

import orjson
import pytest

from edge.answers import WORDS, open_error, points_error, points_job_failure, signed_error, studio_error
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


#: The return codes of the signed contract's table that can follow a refusal.
SIGNED_CODES = {201, 202, 400, 404, 500, 601, 602, 604, 606, 607, 609, 610, 999}


def test_table_has_every_reason_once() -> None:
    assert set(WORDS) == set(ErrorReason)


@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_reason_is_worded_in_all_four_contracts(reason: ErrorReason) -> None:
    error = AppError.of(reason, "An English sentence.")
    chinese = re.compile(r"[\u4e00-\u9fff]{2}")
    open_body = orjson.loads(bytes(open_error(error).body))
    assert open_body["error"]

    points = points_error(error)
    body = orjson.loads(bytes(points.body))
    assert body["code"] == points.status_code == http_status(reason)
    assert chinese.search(body["message"])
    assert chinese.search(points_job_failure(reason))

    signed = signed_error(error)
    body = orjson.loads(bytes(signed.body))
    assert (signed.status_code, body["charge"]) == (200, False)
    assert body["code"] in SIGNED_CODES
    assert chinese.search(body["msg"])

    for submitting in (True, False):
        studio = studio_error(error, submitting=submitting)
        body = orjson.loads(bytes(studio.body))
        assert (studio.status_code, body["err_code"]) == (200, 1)
        assert chinese.search(body["err_msg"])


def test_every_code_of_the_signed_table_has_a_reason() -> None:
    assert {words.signed_code for words in WORDS.values()} == SIGNED_CODES


def test_points_clients_find_the_words_they_look_for() -> None:
    """The contract's own program tells its user what to do by these words."""
    for reason in ErrorReason:
        message = orjson.loads(bytes(points_error(AppError.of(reason)).body))["message"]
        assert ("未登录" in message) == (http_status(reason) == 401)
        assert ("积分不足" in message) == (reason is ErrorReason.INSUFFICIENT_FUNDS)


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
