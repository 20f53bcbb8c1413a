"""Operations by name: parameters checked with their field, bytes in, bytes out."""

import io
from typing import Any

import pytest
from PIL import Image

from imageops import OPERATIONS, Refused, decode, encode


@pytest.fixture(scope="module")
def photograph_png(photograph: Image.Image) -> bytes:
    return encode(photograph.resize((96, 64)))


def refusal(name: str, inputs: list[bytes], parameters: dict[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(Refused) as caught:
        OPERATIONS[name].run(inputs, parameters, 1)
    assert caught.value.message.endswith(".")
    return caught.value.reason, caught.value.field


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
def test_upscale_gives_one_file_of_the_size_told(photograph_png: bytes, file_format: str) -> None:
    (output,) = OPERATIONS["image.upscale"].run([photograph_png], {"scale": 3, "format": file_format}, 1)
    assert (output.mime_type, output.width, output.height) == (f"image/{file_format}", 288, 192)
    assert decode(output.data).size == (288, 192)


def test_upscale_doubles_when_nothing_is_told(photograph_png: bytes) -> None:
    (output,) = OPERATIONS["image.upscale"].run([photograph_png], {}, 1)
    assert (output.width, output.height) == (192, 128)
    (output,) = OPERATIONS["image.upscale"].run([photograph_png], {"resolution": "2k", "scale": None}, 1)
    assert (output.width, output.height) == (2048, 1365)


def test_generate_gives_as_many_different_files_as_asked_for() -> None:
    parameters = {"prompt": "sea", "width": 64.0, "height": 80, "count": 6}
    outputs = OPERATIONS["image.generate"].run([], parameters, 5)
    assert len({output.data for output in outputs}) == 6
    assert {(output.width, output.height) for output in outputs} == {(64, 80)}
    again = OPERATIONS["image.generate"].run([], parameters, 5)
    assert [output.data for output in again] == [output.data for output in outputs]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"prompt": "sea", "width": 63}, "width"),
        ({"prompt": "sea", "width": 4097}, "width"),
        ({"prompt": "sea", "width": 64.5}, "width"),
        ({"prompt": "sea", "height": "64"}, "height"),
        ({"prompt": "sea", "height": True}, "height"),
        ({"prompt": "sea", "height": float("nan")}, "height"),
        ({"prompt": "sea", "count": 7}, "count"),
        ({"prompt": "sea", "count": 0}, "count"),
        ({"prompt": "sea", "format": "gif"}, "format"),
        ({"prompt": "sea", "style": ["oil"]}, "style"),
        ({"prompt": "sea", "sampler": "euler"}, "sampler"),
    ],
)
def test_generate_names_the_field_it_refuses(parameters: dict[str, Any], field: str) -> None:
    assert refusal("image.generate", [], parameters) == ("invalid_parameter", field)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"scale": 0.9}, "scale"),
        ({"scale": 9}, "scale"),
        ({"scale": float("inf")}, "scale"),
        ({"scale": 2, "resolution": "4k"}, "scale"),
        ({"resolution": "16k"}, "resolution"),
        ({"resolution": 4096}, "resolution"),
        ({"sampler": "euler"}, "sampler"),
        ({"s_noise": 0.99}, "s_noise"),
        ({"s_noise": 1.11}, "s_noise"),
        ({"steps": 19}, "steps"),
        ({"steps": 41}, "steps"),
        ({"steps": "30"}, "steps"),
        ({"high_fidelity": "true"}, "high_fidelity"),
        ({"strong_inpaint": 1}, "strong_inpaint"),
        ({"strong_inpaint_intensity": 1.5}, "strong_inpaint_intensity"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"neg_prompt": 5}, "neg_prompt"),
        ({"vector_switch": "yes"}, "vector_switch"),
        ({"color_count": 17}, "color_count"),
        ({"auto_generate_prompt": 0}, "auto_generate_prompt"),
    ],
)
def test_upscale_names_the_field_it_refuses(photograph_png: bytes, parameters: dict[str, Any], field: str) -> None:
    assert refusal("image.upscale", [photograph_png], parameters) == ("invalid_parameter", field)


def test_inputs_are_refused_by_number_and_by_name(photograph_png: bytes) -> None:
    assert refusal("image.upscale", [], {}) == ("invalid_inputs", "inputs")
    assert refusal("image.upscale", [photograph_png] * 2, {}) == ("invalid_inputs", "inputs")
    assert refusal("image.upscale", [b"<html>"], {}) == ("unsupported_format", "inputs[0]")
    references = [photograph_png, photograph_png[:60]]
    assert refusal("image.generate", references, {"prompt": "sea"}) == ("damaged", "inputs[1]")


@pytest.mark.parametrize("name", ["image.generate", "image.upscale"])
def test_progress_rises_from_nothing_to_one(photograph_png: bytes, name: str) -> None:
    seen: list[float] = []
    parameters = (
        {"prompt": "sea", "width": 700, "height": 700, "count": 3} if name == "image.generate" else {"scale": 8}
    )
    inputs = [photograph_png] * OPERATIONS[name].inputs_min
    OPERATIONS[name].run(inputs, parameters, 1, seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 5


def test_every_operation_describes_itself() -> None:
    assert set(OPERATIONS) >= {"image.generate", "image.upscale"}
    for name, operation in OPERATIONS.items():
        assert operation.capability == name
        assert operation.summary.endswith(".")
        assert all(parameter.summary.endswith(".") for parameter in operation.parameters)


def test_orientation_and_metadata_do_not_survive_an_operation(photograph: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a secret place"
    buffer = io.BytesIO()
    photograph.resize((96, 64)).save(buffer, "JPEG", exif=exif)
    (output,) = OPERATIONS["image.upscale"].run([buffer.getvalue()], {"scale": 1, "format": "jpeg"}, 1)
    assert (output.width, output.height) == (64, 96)
    assert b"secret" not in output.data
