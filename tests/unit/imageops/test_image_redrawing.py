"""Redraws by name: what comes out beside the picture, what words mean, and equal bytes everywhere."""

import hashlib
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imageops import OPERATIONS, encode, upscale
from imageops.enlarging.describing import describe, dominant_colours
from imageops.enlarging.redraw import Qualities, Wishes, read_qualities, redraw
from testkit.postscript import render

DOCUMENTS: dict[str, Any] = {
    "scale": 1.0,
    "s_noise": 1.003,
    "steps": 30,
    "high_fidelity": False,
    "strong_inpaint": False,
}
EVERYTHING: dict[str, Any] = {
    "scale": 1.5,
    "s_noise": 1.05,
    "steps": 37,
    "high_fidelity": False,
    "strong_inpaint": True,
    "strong_inpaint_intensity": 0.7,
    "prompt": "sharp and vivid",
    "neg_prompt": "dark",
    "vector_switch": True,
    "color_count": 4,
    "auto_generate_prompt": True,
}
SHA256_OF_RUN = """
import hashlib, json, sys
from imageops import OPERATIONS
outputs = OPERATIONS["image.upscale"].run([sys.stdin.buffer.read()], json.loads(sys.argv[1]), 3)
print([hashlib.sha256(each.data).hexdigest() for each in outputs])
"""


def test_redraw_gives_a_drawing_and_a_description_when_told(photograph: Image.Image) -> None:
    seen: list[float] = []
    data = encode(photograph.resize((128, 96)))
    made = {each.role: each for each in OPERATIONS["image.upscale"].run([data], EVERYTHING, 1, seen.append)}
    assert set(made) == {"image", "vector", "vector_colours", "generated_prompt"}
    assert (made["image"].width, made["image"].height) == (192, 144)
    drawn = render(made["vector"].data)
    assert drawn.shape == (144, 192, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 4
    assert made["generated_prompt"].data.decode().startswith("wide picture, ")
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_bytes_are_equal_in_another_process(photograph: Image.Image) -> None:
    data = encode(photograph.resize((128, 96)))
    here = OPERATIONS["image.upscale"].run([data], EVERYTHING, 3)
    command = [sys.executable, "-c", SHA256_OF_RUN, json.dumps(EVERYTHING)]
    there = subprocess.run(command, input=data, capture_output=True, check=True)
    assert there.stdout.decode().strip() == str([hashlib.sha256(each.data).hexdigest() for each in here])


def test_grain_differs_by_seed(photograph: Image.Image) -> None:
    one, other, again = (redraw(photograph, Wishes(s_noise=1.05), seed, scale=1) for seed in (1, 2, 1))
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_nothing_told_is_plain_enlarging(photograph: Image.Image) -> None:
    small = photograph.resize((96, 72))
    assert redraw(small, Wishes(), scale=2).tobytes() == upscale(small, scale=2).tobytes()


@pytest.mark.parametrize("parameters", [DOCUMENTS, EVERYTHING])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (3, 2)])
def test_any_size_is_redrawn(size: tuple[int, int], parameters: dict[str, Any]) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), np.uint8))
    made = OPERATIONS["image.upscale"].run([encode(picture)], parameters, 1)
    scale = parameters["scale"]
    assert (made[0].width, made[0].height) == tuple(int(side * scale + 0.5) for side in size)


def test_transparency_stays(photograph: Image.Image) -> None:
    picture = photograph.resize((64, 48)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((64, 48)))
    result = redraw(picture, Wishes(strong_inpaint=0.5, s_noise=1.05, prompt="bright"), scale=1)
    assert result.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
    opaque = redraw(photograph.convert("RGBA"), Wishes(strong_inpaint=0.5, s_noise=1.05), scale=1)
    assert opaque.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize(
    ("prompt", "neg_prompt", "meant"),
    [
        ("", "", Qualities()),
        ("a cat with a hat", "extra fingers", Qualities()),
        ("Sharp, CLEAN, bright, vivid", "", Qualities(sharp=1, clean=1, bright=1, vivid=1)),
        ("", "模糊, 噪点, 昏暗, 灰暗", Qualities(sharp=1, clean=1, bright=1, vivid=1)),
        ("film grain", "", Qualities(clean=-1)),
        ("noise-free", "", Qualities(clean=1)),
        ("sharp", "sharp", Qualities()),
        ("sharp", "blurry", Qualities(sharp=1)),
    ],
)
def test_words_ask_for_qualities(prompt: str, neg_prompt: str, meant: Qualities) -> None:
    assert read_qualities(prompt, neg_prompt) == meant


def test_description_says_what_is_there() -> None:
    picture = Image.new("RGB", (300, 200), (250, 250, 250))
    picture.paste((36, 70, 200), (0, 0, 100, 200))
    assert dominant_colours(picture) == ["white", "blue"]
    assert describe(picture).startswith("wide picture, white and blue, bright, high contrast")
    assert describe(Image.new("RGB", (100, 200), (5, 5, 5))).startswith(
        "tall picture, black, dark, low contrast, no colour"
    )
    assert describe(Image.new("RGBA", (1, 1), (5, 5, 5, 0)))
