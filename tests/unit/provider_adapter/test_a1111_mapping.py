"""AUTOMATIC1111's words: each documented error to its class, the pictures among an answer's images, sizes."""

import base64
import io
from typing import Any

import orjson
import pytest
from PIL import Image

from provider_adapter.domain import Outcome
from provider_adapter.ports import OutputFile, Unreadable
from provider_adapter.providers.a1111 import mapping
from provider_adapter.providers.a1111.options import Options
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble, failed


def reply(status: int, body: Any) -> Reply:
    return Reply(status=status, headers={}, body=body if isinstance(body, bytes) else orjson.dumps(body))


def error(status: int, detail: str = "", *, name: str = "HTTPException", errors: str = "") -> Reply:
    return reply(status, {"error": name, "detail": detail, "body": "", "errors": errors})


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (error(401, "Incorrect username or password"), Trouble.ACCOUNT),
        (error(404, "Sampler not found"), Trouble.INVALID),
        (error(404, "Init image not found"), Trouble.INVALID),
        (reply(404, {"detail": "Not Found"}), Trouble.INVALID),
        (error(422, "body.width", name="RequestValidationError"), Trouble.INVALID),
        (error(500, "Invalid encoded image"), Trouble.INVALID),
        (error(500, name="OutOfMemoryError", errors="CUDA out of memory."), Trouble.BROKEN),
        (error(500, name="RuntimeError", errors="CUDA error: out of memory"), Trouble.BROKEN),
        (error(500, name="RuntimeError", errors="shapes"), Trouble.UNAVAILABLE),
        (reply(500, b"Internal Server Error"), Trouble.UNAVAILABLE),
        (reply(429, b""), Trouble.THROTTLED),
        (reply(503, b"Service Unavailable"), Trouble.UNAVAILABLE),
        (reply(502, b"<html>"), Trouble.NO_ANSWER),
        (reply(504, b""), Trouble.NO_ANSWER),
        (reply(307, b""), Trouble.NO_ANSWER),
    ],
)
def test_every_documented_error_has_its_class(answer: Reply, trouble: Trouble) -> None:
    expected, found = failed(trouble), mapping.refused(answer).failed
    assert (found.outcome, found.failure.reason) == (expected.outcome, expected.failure.reason)
    assert "memory" not in repr(found)


@pytest.mark.parametrize(
    ("parameters", "size", "larger"),
    [
        ({}, (300, 200), (600, 400)),
        ({"scale": 1}, (300, 200), (300, 200)),
        ({"scale": 1.5}, (3, 5), (5, 8)),
        ({"scale": 8}, (64, 64), (512, 512)),
        ({"resolution": "2k"}, (3, 2), (2048, 1365)),
        ({"resolution": "4k", "scale": 2}, (3000, 1000), (4096, 1365)),
        ({"resolution": "8k"}, (1, 8192), (1, 8192)),
    ],
)
def test_enlarged_size_is_that_of_the_built_in_engine(
    parameters: dict[str, Any], size: tuple[int, int], larger: tuple[int, int]
) -> None:
    assert mapping.enlarged_size(parameters, size) == larger


@pytest.mark.parametrize(
    ("parameters", "size", "field"),
    [
        ({"scale": 0.5}, (64, 64), "scale"),
        ({"scale": 8.1}, (64, 64), "scale"),
        ({"scale": float("nan")}, (64, 64), "scale"),
        ({"scale": 8}, (1025, 1025), "scale"),
        ({"resolution": "2k"}, (2049, 10), "resolution"),
        ({"resolution": "16k"}, (64, 64), "resolution"),
    ],
)
def test_what_cannot_be_enlarged_is_refused_by_its_field(
    parameters: dict[str, Any], size: tuple[int, int], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        mapping.enlarged_size(parameters, size)
    assert refused.value.failed.failure.field == field


class Order:
    """A task as far as the mapping looks at it."""

    capability = "image.generate"
    seed = 7

    def __init__(self, upstream_model: str = "loaded", **parameters: Any) -> None:
        self.upstream_model, self.parameters = upstream_model, parameters


def options(**changes: Any) -> Options:
    return Options.model_validate({"name": "gpu", "kind": "a1111", **changes})


def drawn(order: Order, **changes: Any) -> tuple[dict[str, Any], Any]:
    return mapping.drawn(order, options(**changes))  # type: ignore[arg-type]


PLAIN = {
    "prompt": "a fox",
    "negative_prompt": "",
    "seed": 7,
    "batch_size": 1,
    "n_iter": 1,
    "send_images": True,
    "save_images": False,
}


def test_drawing_asks_for_multiples_of_eight_and_says_what_was_ordered() -> None:
    assert drawn(Order(prompt="a fox")) == (PLAIN, None)
    body, ordered = drawn(Order(prompt="a fox", negative_prompt="cats", width=1000, height=333, quality="high"))
    assert body == {**PLAIN, "negative_prompt": "cats", "width": 1000, "height": 336}
    assert ordered == (1000, 333)


def test_model_and_the_operators_extra_are_passed_on() -> None:
    body, _ = drawn(Order("xl.safetensors", prompt="a fox", extra={"steps": 30, "sampler_name": "Euler a"}))
    assert body == {
        **PLAIN,
        "override_settings": {"sd_model_checkpoint": "xl.safetensors"},
        "steps": 30,
        "sampler_name": "Euler a",
    }


@pytest.mark.parametrize(("scale", "cfg_scale"), [(0, 1), (50, 8), (100, 15), (33.3, 5.66)])
def test_scale_is_spread_over_the_range_that_the_operator_names(scale: float, cfg_scale: float) -> None:
    body, _ = drawn(Order(prompt="a fox", scale=scale), cfg_scale=[1, 15])
    assert body["cfg_scale"] == cfg_scale
    assert "cfg_scale" not in drawn(Order(prompt="a fox", scale=scale))[0]
    assert "cfg_scale" not in drawn(Order(prompt="a fox"), cfg_scale=[1, 15])[0]


def test_more_pixels_than_the_operator_allows_are_refused() -> None:
    assert drawn(Order(width=1024, height=1024), pixels_max=1024 * 1024)
    with pytest.raises(Refused) as refused:
        drawn(Order(width=1024, height=1025), pixels_max=1024 * 1024)
    assert refused.value.failed.failure.field == "width"


@pytest.mark.parametrize(
    ("size", "asked"),
    [((64, 64), (512, 512)), ((4096, 2048), (512, 256)), ((1000, 700), (512, 360)), ((4000, 10), (512, 8))],
)
def test_surroundings_of_a_mask_are_drawn_in_the_pictures_shape(size: tuple[int, int], asked: tuple[int, int]) -> None:
    picture = mapping.Picture(base64="cA==", size=size, field="inputs[0]")
    body, cut = mapping.repainted(Order(prompt="a fox"), options(), picture, "bQ==")  # type: ignore[arg-type]
    assert (body["width"], body["height"], cut) == (*asked, size)


def png(side: int) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def answer(images: list[Any], info: Any) -> Reply:
    return reply(200, {"images": images, "parameters": {}, "info": orjson.dumps(info).decode()})


async def side(file: OutputFile) -> int:
    return Image.open(io.BytesIO(b"".join([chunk async for chunk in file.chunks()]))).width


@pytest.mark.parametrize(
    ("sides", "info", "expected"),
    [
        ([8], {"all_seeds": [7]}, [(8, "image", False)]),
        ([8], "no object", [(8, "image", False)]),
        ([8, 8], {"all_seeds": [7, 8]}, [(8, "image", False)] * 2),
        ([16, 8, 8], {"all_seeds": [7, 8]}, [(16, "grid", True), (8, "image", False), (8, "image", False)]),
        ([8, 16], {"all_seeds": [7], "index_of_first_image": 0}, [(8, "image", False), (16, "image", True)]),
        ([8, 16], {"all_seeds": [7], "index_of_first_image": 5}, [(8, "image", False), (16, "image", False)]),
    ],
)
async def test_pictures_are_told_from_what_comes_with_them(
    sides: list[int], info: Any, expected: list[tuple[int, str, bool]]
) -> None:
    files = mapping.files_of(answer([png(each) for each in sides], info), None, 0)
    assert [(await side(file), file.role, file.extra) for file in files] == expected


async def test_pictures_are_cut_and_by_products_are_not() -> None:
    files = mapping.files_of(answer([png(32), png(32)], {"all_seeds": [7]}), (30, 20), 0)
    assert [(await side(file), file.extra) for file in files] == [(32, True), (30, False)]


@pytest.mark.parametrize("body", [{}, {"images": []}, {"images": None}, {"images": [5]}, {"image": ""}, {"image": "!"}])
def test_answer_without_a_picture_is_not_usable(body: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as unreadable:
        mapping.files_of(reply(200, body), None, 5)
    assert (unreadable.value.failed.outcome, unreadable.value.failed.cost_fen) == (Outcome.RETRYABLE, 5)


def test_answer_that_is_no_json_is_not_readable() -> None:
    with pytest.raises(NotReadable):
        mapping.files_of(reply(200, b"<html>"), None, 0)
