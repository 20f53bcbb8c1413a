"""OpenAI's words: each documented error to its class, what is sent as JSON and as a form, what an answer holds."""

import base64
import io
from typing import Any

import orjson
import pytest
from PIL import Image

from provider_adapter.domain import Outcome
from provider_adapter.ports import Unreadable
from provider_adapter.providers.openai.mapping import fields_of, files_of, form_of, refused
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble, failed


def reply(status: int, body: Any, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=content
    )


def error(status: int, *, code: str | None = None, kind: str = "invalid_request_error", **more: Any) -> Reply:
    return reply(status, {"error": {"message": "their words", "type": kind, "param": None, "code": code, **more}})


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (error(400), Trouble.INVALID),
        (error(400, code="moderation_blocked", kind="image_generation_user_error"), Trouble.INPUT_MODERATED),
        (
            error(400, code="moderation_blocked", moderation_details={"moderation_stage": "input"}),
            Trouble.INPUT_MODERATED,
        ),
        (
            error(400, code="moderation_blocked", moderation_details={"moderation_stage": "output"}),
            Trouble.OUTPUT_MODERATED,
        ),
        (error(400, code="content_policy_violation"), Trouble.INPUT_MODERATED),
        (error(401, code="invalid_api_key"), Trouble.ACCOUNT),
        (error(403), Trouble.ACCOUNT),
        (error(404, code="model_not_found"), Trouble.UNSUPPORTED),
        (error(404), Trouble.INVALID),
        (error(408), Trouble.TIMED_OUT),
        (reply(408, b""), Trouble.NO_ANSWER),
        (error(409), Trouble.UNAVAILABLE),
        (error(413), Trouble.INVALID),
        (error(429, code="rate_limit_exceeded", kind="requests"), Trouble.THROTTLED),
        (error(429), Trouble.THROTTLED),
        (error(429, code="insufficient_quota", kind="insufficient_quota"), Trouble.ACCOUNT),
        (error(429, kind="insufficient_quota"), Trouble.ACCOUNT),
        (error(500, kind="server_error"), Trouble.UNAVAILABLE),
        (error(502, kind="server_error"), Trouble.UNAVAILABLE),
        (reply(502, b"<html>Bad Gateway</html>"), Trouble.NO_ANSWER),
        (reply(504, b""), Trouble.NO_ANSWER),
        (error(503, code="overloaded"), Trouble.UNAVAILABLE),
        (error(200, kind="something_new"), Trouble.BROKEN),
        (reply(302, b""), Trouble.NO_ANSWER),
    ],
)
def test_every_documented_error_has_its_class(answer: Reply, trouble: Trouble) -> None:
    expected, found = failed(trouble), refused(answer).failed
    assert (found.outcome, found.failure.reason) == (expected.outcome, expected.failure.reason)
    assert "their words" not in repr(found)


@pytest.mark.parametrize(
    ("param", "field"),
    [("prompt", "prompt"), ("size", "width"), ("mask", "inputs"), ("image[1]", "inputs"), ("user", ""), (None, "")],
)
def test_parameter_at_fault_is_named_in_our_words(param: str | None, field: str) -> None:
    assert refused(error(400, param=param)).failed.failure.field == field


def test_retry_after_is_told_for_what_passes_by_itself() -> None:
    body = {"error": {"type": "requests", "code": "rate_limit_exceeded"}}
    assert refused(reply(429, body, retry_after="7")).failed.retry_after_s == 7
    assert refused(reply(429, body, retry_after_ms="2500")).failed.retry_after_s == 2.5
    assert (
        refused(reply(401, body | {"error": {"code": "invalid_api_key"}}, retry_after="7")).failed.retry_after_s is None
    )


class Order:
    """A task as far as the mapping looks at it."""

    upstream_model = "gpt-image-1"

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters


def fields(size: tuple[int, int] | None = None, **parameters: Any) -> dict[str, Any]:
    return fields_of(Order(**parameters), size)  # type: ignore[arg-type]


def test_request_has_the_vendors_fields_and_the_operators_last() -> None:
    assert fields(prompt="a fox") == {"model": "gpt-image-1", "prompt": "a fox", "n": 1}
    hints = {"negative_prompt": "cats", "scale": 50, "seed": 3, "force_single": True, "width": 1000, "height": 700}
    assert fields((1008, 704), prompt="a fox", quality="high", **hints) == {
        "model": "gpt-image-1",
        "prompt": "a fox",
        "n": 1,
        "size": "1008x704",
        "quality": "high",
    }
    extra = {"background": "transparent", "n": 2, "quality": "low"}
    assert fields(prompt="a fox", quality="high", extra=extra) == {
        "model": "gpt-image-1",
        "prompt": "a fox",
        **extra,
    }


@pytest.mark.parametrize("prompt", [None, "", 7, "x" * 32_001])
def test_prompt_out_of_range_is_refused(prompt: object) -> None:
    with pytest.raises(Refused) as refusal:
        fields(prompt=prompt)
    assert refusal.value.failed.failure.field == "prompt"
    assert refusal.value.failed.outcome is Outcome.ROUTE_FAILED


def test_form_has_texts_alone() -> None:
    assert form_of({"prompt": "true", "n": 1, "stream": False, "user": "é"}) == {
        "prompt": "true",
        "n": "1",
        "stream": "false",
        "user": "é",
    }


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Addresses(Results):
    """Results that remember which URLs were asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def at(self, url: object, *, role: str = "image", cost_fen: int = 0) -> Any:
        self.asked.append(url)
        return url


async def test_every_picture_is_cut_to_the_order() -> None:
    data = {"data": [{"b64_json": b64(png((1024, 1024)))}, {"b64_json": b64(png((64, 64)))}]}
    large, small = files_of(reply(200, data), Addresses(), (512, 500), 0)
    sizes = [Image.open(io.BytesIO(b"".join([chunk async for chunk in file.chunks()]))).size for file in (large, small)]
    assert sizes == [(512, 500), (64, 64)]


def test_url_is_taken_where_a_server_answers_with_one() -> None:
    results = Addresses()
    files_of(reply(200, {"data": [{"url": "https://files.example/1.png"}]}), results, None, 0)
    assert results.asked == ["https://files.example/1.png"]


@pytest.mark.parametrize("data", [[], None, [7], [{}], [{"b64_json": "!"}], [{"b64_json": 5}], "x"])
def test_answer_without_a_picture_is_not_usable(data: object) -> None:
    with pytest.raises(Unreadable) as unreadable:
        files_of(reply(200, {"data": data}), Addresses(), None, 30)
    assert unreadable.value.failed.cost_fen == 30
    assert unreadable.value.failed.outcome is Outcome.RETRYABLE


def test_answer_that_is_no_json_is_not_readable() -> None:
    with pytest.raises(NotReadable):
        files_of(reply(200, b"<html>"), Addresses(), None, 0)
