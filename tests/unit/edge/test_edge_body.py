"""Request bodies: what is wrong with them has a name."""

import pytest
from starlette.requests import Request

from edge.body import LEVELS_MAX, read_json_object
from kit.errors import BodyTooLarge, InvalidArgument


def _request(body: bytes) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"prompt": "x", "width": NaN}', "width"),
        (b'{"width": -Infinity}', "width"),
        (b'{"width": 1e999, "height": 1}', "width"),
        ('{"提示": "山 : , { [", "width": nan}'.encode(), "width"),
        (b'{"a": "\\"", "width": [1, {"b": NaN}]}', "width"),
        (b'{"a": {"b": 1}, "prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "prompt"),
        (b'{"a": 1,,}', None),
        (b'{"a": 1', None),
        (b"[", None),
        (b"", None),
        (b'{"' + b"a" * 70_000 + b'": NaN}', None),
        (b'{"a": "\xff"}', None),
    ],
)
async def test_malformed_json_is_refused_and_blamed_on_its_member(body: bytes, field: str | None) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await read_json_object(_request(body))

    assert "not valid JSON" in caught.value.message
    if field is not None:
        assert caught.value.field == field


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
async def test_body_is_refused_when_it_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match="must be a JSON object"):
        await read_json_object(_request(body))


@pytest.mark.parametrize(
    "deep",
    [b"[" * LEVELS_MAX + b"]" * LEVELS_MAX, b'{"a":' * 300 + b"1" + b"}" * 300, b"[{}," * 999 + b"1" + b"]" * 999],
)
async def test_body_that_could_not_be_written_again_is_refused(deep: bytes) -> None:
    """orjson reads four times as deep as it writes: the parameters of such a body were an error of ours."""
    with pytest.raises(InvalidArgument, match="levels deep") as caught:
        await read_json_object(_request(b'{"flat": ' + b"[[1]]" + b', "seed": ' + deep + b"}"))
    assert caught.value.field == "seed"


async def test_many_brackets_are_not_levels() -> None:
    body = (
        b'{"a": ' + b"[" * (LEVELS_MAX - 1) + b"]" * (LEVELS_MAX - 1) + b', "b": [' + b",".join([b"[{}]"] * 99) + b"]}"
    )
    assert len((await read_json_object(_request(body)))["b"]) == 99


async def test_body_is_refused_when_it_is_too_large() -> None:
    with pytest.raises(BodyTooLarge):
        await read_json_object(_request(b'{"a": "' + b"x" * 100 + b'"}'), limit=100)
