"""Prints off garments by name: one or two tiles of the ratio asked for, refusals, the same bytes everywhere."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from imageops import OPERATIONS, Refused, decode, encode
from testkit.studiopictures import garment

EXTRACT = OPERATIONS["image.extract_pattern"]


@pytest.fixture(scope="module")
def shirt() -> bytes:
    return encode(garment())


def test_repeating_print_gives_two_different_tiles(shirt: bytes) -> None:
    outputs = EXTRACT.run([shirt], {}, 1)

    assert [(each.role, each.width, each.height) for each in outputs] == [("image", 1024, 1024)] * 2
    assert outputs[0].data != outputs[1].data


def test_print_without_a_repeat_gives_one_tile(photograph: Image.Image) -> None:
    outputs = EXTRACT.run([encode(photograph)], {"aspect_ratio": "16:9"}, 1)

    assert [(each.role, each.width, each.height) for each in outputs] == [("image", 1024, 576)]


@pytest.mark.parametrize(
    ("ratio", "size"), [("4:3", (1024, 768)), ("3:4", (768, 1024)), ("1:4", (256, 1024)), ("200:100", (1024, 512))]
)
def test_results_have_the_ratio_told(photograph: Image.Image, ratio: str, size: tuple[int, int]) -> None:
    outputs = EXTRACT.run([encode(photograph.resize((160, 120)))], {"aspect_ratio": ratio}, 1)

    assert {(each.width, each.height) for each in outputs} == {size}


def test_what_is_transparent_is_no_cloth(photograph: Image.Image) -> None:
    cloth = photograph.resize((256, 256)).convert("RGBA")
    beside = Image.new("RGBA", (512, 256), (255, 0, 255, 0))
    beside.paste(cloth, (0, 0))

    (output,) = EXTRACT.run([encode(beside)], {}, 1)

    magenta = np.asarray(decode(output.data)).astype(int) - (255, 0, 255)
    assert np.abs(magenta).max(axis=2).min() > 40


@pytest.mark.parametrize("ratio", ["wide", "0:1", "1:0", "5:1", "1:5", "1.5:1", "1000:1000", "", "1:1:1", 1.5])
def test_other_ratios_are_refused(shirt: bytes, ratio: object) -> None:
    with pytest.raises(Refused) as caught:
        EXTRACT.run([shirt], {"aspect_ratio": ratio}, 1)

    assert (caught.value.reason, caught.value.field) == ("invalid_parameter", "aspect_ratio")


@pytest.mark.parametrize("size", [(1, 1), (63, 500), (1, 10_000), (10_000, 1)])
def test_picture_with_too_little_cloth_is_refused(size: tuple[int, int]) -> None:
    levels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    with pytest.raises(Refused) as caught:
        EXTRACT.run([encode(Image.fromarray(levels))], {}, 1)

    assert (caught.value.reason, caught.value.field) == ("nothing_found", "inputs[0]")


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 140, 60)])
def test_plain_cloth_stays_plain(colour: tuple[int, int, int]) -> None:
    (output,) = EXTRACT.run([encode(Image.new("RGB", (200, 160), colour))], {}, 1)

    assert np.abs(np.asarray(decode(output.data)).astype(int) - colour).max() <= 2


def test_dots_finer_than_a_tile_can_be_still_repeat() -> None:
    y, x = np.mgrid[:160, :160]
    dots = np.where(((x % 8 - 4) ** 2 + (y % 8 - 4) ** 2 < 7)[..., None], (180, 30, 40), (240, 230, 210))

    outputs = EXTRACT.run([encode(Image.fromarray(dots.astype(np.uint8)))], {}, 1)

    assert [(each.width, each.height) for each in outputs] == [(1024, 1024)] * 2


def test_extraction_tells_its_progress(shirt: bytes) -> None:
    seen: list[float] = []
    EXTRACT.run([shirt], {}, 1, seen.append)

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 5


def test_same_tiles_come_out_of_another_process(shirt: bytes) -> None:
    program = (
        "import hashlib, sys; from imageops import OPERATIONS; "
        "made = OPERATIONS['image.extract_pattern'].run([sys.stdin.buffer.read()], {}, 7); "
        "print(*(hashlib.sha256(each.data).hexdigest() for each in made))"
    )
    there = subprocess.run([sys.executable, "-c", program], input=shirt, capture_output=True, check=True, timeout=120)

    here = EXTRACT.run([shirt], {}, 7)
    assert there.stdout.decode().split() == [hashlib.sha256(each.data).hexdigest() for each in here]
