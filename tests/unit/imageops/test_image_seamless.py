"""Tiles by name: three pictures of the right sizes, every refusal with its field, the same bytes everywhere."""

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imageops import OPERATIONS, Refused, decode, encode
from imageops.enlarging.expanding import Shares
from imageops.operation import Output
from imageops.repeating.seamless import make_seamless

SEAMLESS = OPERATIONS["image.seamless"]


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    levels = np.random.default_rng(3).integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    return Image.fromarray(levels)


def by_role(outputs: list[Output]) -> dict[str, Image.Image]:
    return {each.role: decode(each.data) for each in outputs}


def test_seamless_gives_tile_sized_tile_and_grid(photograph: Image.Image) -> None:
    outputs = SEAMLESS.run([encode(photograph)], {"fit": 0.5, "direction": 0.0}, 1)

    made = by_role(outputs)
    assert [each.role for each in outputs] == ["image", "tile", "grid"]
    tile = made["image"]
    assert tile.width < photograph.width
    assert tile.height < photograph.height
    assert made["tile"].size == photograph.size
    assert (np.asarray(made["grid"]) == np.tile(np.asarray(tile), (2, 2, 1))).all()


@pytest.mark.parametrize(("direction", "copies"), [(1, (2, 1, 1)), (2, (1, 2, 1))])
def test_grid_repeats_in_the_one_direction_told(
    photograph: Image.Image, direction: int, copies: tuple[int, int, int]
) -> None:
    made = by_role(SEAMLESS.run([encode(photograph)], {"direction": direction}, 1))

    untouched = 0 if direction == 1 else 1
    assert made["image"].size[untouched] == photograph.size[untouched]
    assert (np.asarray(made["grid"]) == np.tile(np.asarray(made["image"]), copies)).all()


def test_expanded_picture_has_more_to_cut_from(photograph: Image.Image) -> None:
    small = photograph.resize((160, 120))
    plain = make_seamless(small, direction=1)
    grown = make_seamless(small, direction=1, growth=Shares(left=0.1, right=0.2))

    assert plain.image.width == 160
    assert grown.image.width == 208
    assert grown.sized.size == small.size


def test_transparent_picture_stays_transparent(photograph: Image.Image) -> None:
    clear = photograph.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    done = make_seamless(clear, direction=2)

    assert {done.image.mode, done.sized.mode, done.grid.mode} == {"RGBA"}
    assert np.asarray(done.image)[0, :, 3].max() == 0
    assert np.asarray(done.image)[-1, :, 3].min() >= 250


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15), (1, 10_000)])
def test_picture_too_small_to_blend_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(Refused) as caught:
        SEAMLESS.run([encode(noise(*size))], {}, 1)

    assert (caught.value.reason, caught.value.field) == ("nothing_found", "inputs[0]")
    assert f"{size[0]} x {size[1]}" in caught.value.message


@pytest.mark.parametrize(("size", "direction"), [((1, 10_000), 1), ((10_000, 1), 2), ((16, 16), 0), ((17, 16), 0)])
def test_narrow_picture_repeats_along_its_length(size: tuple[int, int], direction: int) -> None:
    made = by_role(SEAMLESS.run([encode(noise(*size))], {"direction": direction}, 1))

    assert made["tile"].size == size


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"fit": 0.09}, "fit"),
        ({"fit": 0.91}, "fit"),
        ({"fit": "wide"}, "fit"),
        ({"direction": 3}, "direction"),
        ({"direction": -1}, "direction"),
        ({"direction": 0.5}, "direction"),
        *(({f"expand_{side}": 0.31}, f"expand_{side}") for side in ("top", "bottom", "left", "right")),
        ({"expand_top": -0.1}, "expand_top"),
        ({"expand": 0.1}, "expand"),
    ],
)
def test_seamless_names_the_field_it_refuses(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        SEAMLESS.run([encode(noise(64, 64))], parameters, 1)

    assert (caught.value.reason, caught.value.field) == ("invalid_parameter", field)


def test_seamless_tells_its_progress(photograph: Image.Image) -> None:
    seen: list[float] = []
    SEAMLESS.run([encode(photograph.resize((200, 150)))], {"expand_top": 0.2}, 1, seen.append)

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 8


def test_same_tile_comes_out_of_another_process(photograph: Image.Image) -> None:
    picture = encode(photograph.resize((200, 150)))
    program = (
        "import hashlib, sys; from imageops import OPERATIONS; "
        "made = OPERATIONS['image.seamless'].run([sys.stdin.buffer.read()], {'expand_right': 0.2}, 7); "
        "print(*(hashlib.sha256(each.data).hexdigest() for each in made))"
    )
    there = subprocess.run([sys.executable, "-c", program], input=picture, capture_output=True, check=True, timeout=120)

    here = SEAMLESS.run([picture], {"expand_right": 0.2}, 7)
    assert there.stdout.decode().split() == [hashlib.sha256(each.data).hexdigest() for each in here]
