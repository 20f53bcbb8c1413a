"""Prices by the second and the megapixel: exact, rounded up once, refused when nothing tells how much there is."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import CatalogInvalid, Model, Pixels, PriceRule, Size, load

VIDEO = """
models:
  - name: m
    capability: video.generate
    title: t
    price: [{count: 1}, {points: 8, per: second, minimum: 20}]
    measure: {second: duration}
    charges: {cancelled_running: 50, moderated_output: 100}
    parameters:
      duration: {type: integer, minimum: 1, maximum: 15, default: 5}
    routes: [{provider: local, upstream_model: x}]
"""
DRAWN = """
models:
  - name: m
    capability: image.generate
    title: t
    price: [{points: 10, per: megapixel}]
    measure: {megapixel: {width: width, height: height}}
    required: [width, height]
    outputs_parameter: num
    parameters:
      width: {type: integer, minimum: 64, maximum: 4096}
      height: {type: integer, minimum: 64, maximum: 4096}
      num: {type: integer, minimum: 1, maximum: 4, default: 1}
    routes: [{provider: local, upstream_model: x}]
"""
UPSCALED = """
models:
  - name: m
    capability: image.upscale
    title: t
    price: [{points: 3, per: megapixel, minimum: 2}]
    measure:
      megapixel:
        input: image
        longer_side: resolution
        longer_side_pixels: {2k: 2048, 4k: 4096}
        scale: scale
        scale_default: 2
    parameters:
      resolution: {enum: [2k, 4k]}
      scale: {type: number, minimum: 1, maximum: 8}
    inputs: [{role: image, min: 1}]
    routes: [{provider: local, upstream_model: x}]
"""


def read(folder: Path, text: str) -> Model:
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    return load(folder).models["m"]


def amounts(model: Model, size: Size | None = None, **parameters: Any) -> list[int]:
    return [option.amount_per_output for option in model.price_options(model.validate(parameters), size)]


@pytest.mark.parametrize(("given_s", "points"), [({}, 40), ({"duration": 1}, 20), ({"duration": 3}, 24)])
def test_seconds_cost_by_the_second_and_at_least_the_minimum(
    tmp_path: Path, given_s: dict[str, int], points: int
) -> None:
    assert amounts(read(tmp_path, VIDEO), **given_s) == [1, points]


@pytest.mark.parametrize(
    ("width", "height", "points"), [(1000, 1000, 10), (1000, 1001, 11), (64, 64, 1), (4096, 4096, 168)]
)
def test_megapixels_come_from_width_and_height_rounded_up(tmp_path: Path, width: int, height: int, points: int) -> None:
    assert amounts(read(tmp_path, DRAWN), width=width, height=height, num=3) == [points]


@pytest.mark.parametrize(
    ("parameters", "points"),
    [
        ({}, 12),  # 2000 x 2000 by the default factor 2.
        ({"scale": 1.5}, 7),  # 2.25 megapixels, 6.75 points.
        ({"scale": 1.1}, 4),  # 1.21 exactly: binary floats would not say so.
        ({"resolution": "2k"}, 13),  # 2048 squared.
        ({"resolution": "4k", "scale": 1}, 51),  # The resolution goes first.
        ({"scale": 1}, 3),
    ],
)
def test_megapixels_come_from_the_input_enlarged(tmp_path: Path, parameters: dict[str, Any], points: int) -> None:
    model = read(tmp_path, UPSCALED)
    assert model.measure.input == "image"
    assert amounts(model, Size(width=1000, height=1000), **parameters) == [points]


def test_the_shorter_side_follows_the_longer_one_and_the_minimum_holds(tmp_path: Path) -> None:
    model = read(tmp_path, UPSCALED)
    assert amounts(model, Size(width=4096, height=8), resolution="2k") == [2]
    assert amounts(model, Size(width=500, height=1000), resolution="2k") == [7]  # 1024 x 2048.


@given(width=st.integers(64, 4096), height=st.integers(64, 4096))
def test_the_price_is_the_least_whole_number_that_covers_the_megapixels(width: int, height: int) -> None:
    quantity = Pixels(width="w", height="h").megapixels({"w": width, "h": height}, None)
    points = PriceRule(unit="points", amount=10, per="megapixel").option({"megapixel": quantity}).amount_per_output
    assert (points - 1) * 1_000_000 < width * height * 10 <= points * 1_000_000


def test_what_the_price_depends_on_is_named(tmp_path: Path) -> None:
    drawn = read(tmp_path, DRAWN)
    assert drawn.priced_by(drawn.validate({"width": 70, "height": 80})) == {"height": 80, "num": 1, "width": 70}
    upscaled = read(tmp_path, UPSCALED)
    assert upscaled.priced_by({"scale": 2}) == {"resolution": None, "scale": 2}


def test_charge_rules_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, VIDEO).charges == {"cancelled_running": 50, "moderated_output": 100}
    assert read(tmp_path, DRAWN).charges == {}


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (VIDEO, "    measure: {second: duration}\n", "", "a price per second needs measure.second"),
        (VIDEO, "per: second", "per: megapixel", "a price per megapixel needs measure.megapixel"),
        (VIDEO, "per: second", "per: hour", "per must be one of"),
        (VIDEO, "{count: 1}", "{count: 1, fen: 2}", "exactly one unit"),
        (VIDEO, "{count: 1}", "{per: output}", "exactly one unit"),
        (VIDEO, "minimum: 20", "minimum: -1", "minimum must not be negative"),
        (VIDEO, "points: 8", "points: 1000000001", "points must be at most"),
        (VIDEO, "second: duration", "second: length", "'length' is not one of the parameters"),
        (VIDEO, "minimum: 1, maximum: 15, default: 5", "minimum: 0, maximum: 15, default: 5", "minimum above 0"),
        (VIDEO, "minimum: 1, maximum: 15, default: 5", "minimum: 1, default: 5", "minimum above 0"),
        (VIDEO, ", default: 5", "", "'duration' must be required or have a default"),
        (DRAWN, "width: {type: integer", "width: {type: string", "must be a number"),
        (VIDEO, "cancelled_running: 50", "cancelled_running: 101", "101"),
        (VIDEO, "cancelled_running: 50", "cancelled: 50", "cancelled"),
        (VIDEO, "cancelled_running: 50", "cancelled_running: 0.5", "0.5"),
        (DRAWN, "{width: width, height: height}", "{width: width}", "either width and height, or input"),
        (DRAWN, "{width: width, height: height}", "{width: width, height: height, scale: num}", "go with input"),
        (DRAWN, "required: [width, height]", "required: [width]", "'height' must be required"),
        (UPSCALED, "min: 1}", "max: 1}", "no input of role 'image' is required"),
        (UPSCALED, "input: image", "input: mask", "no input of role 'mask' is required"),
        (UPSCALED, "{2k: 2048, 4k: 4096}", "{2k: 2048}", "exactly the words of 'resolution'"),
        (UPSCALED, "4k: 4096", "4k: 0", "more than 0"),
    ],
)
def test_a_formula_that_cannot_be_worked_out_is_refused(
    tmp_path: Path, text: str, old: str, new: str, expected: str
) -> None:
    assert old in text
    with pytest.raises(CatalogInvalid) as caught:
        read(tmp_path, text.replace(old, new))
    assert expected in str(caught.value)
