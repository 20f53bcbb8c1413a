"""Painting from words: repeatable, different where it should be, and of the colours asked for."""

import hashlib
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imageops import ParameterRefused, generate
from imageops.painting.colour import to_oklab
from imageops.painting.reading import read
from imageops.painting.words import COLOURS, STYLE_WORDS

STYLES = [line.split()[1] for line in STYLE_WORDS.strip().splitlines()]
PROMPTS = [
    "壮丽的山脉日出，金色阳光洒满山谷",
    "科幻风格的未来城市，霓虹灯光",
    "梦幻的樱花树下，粉色花瓣飘落",
    "生成一张专业产品主图",
    "a calm mountain lake at dusk",
    "a cat watching the sunset over the sea",
    "red flowers under a blue sky",
    "desert dunes at noon",
    "starry night over a pine forest, aurora",
    "a snowy village house at night",
    "galaxy with a ringed planet",
    "autumn trees in the fog",
    "rain over the city",
    "hot air balloons above green hills",
    "geometric pattern",
    "something nobody has a word for",
]


def paint(prompt: str, seed: int = 1, side: int = 128, **options: Any) -> Image.Image:
    return generate(prompt, side, side, seed, **options)


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean(difference**2)))))


def worst(pictures: list[Image.Image]) -> float:
    return max(psnr(one, other) for one, other in itertools.combinations(pictures, 2))


def test_different_prompts_give_different_pictures() -> None:
    assert worst([paint(prompt) for prompt in PROMPTS]) < 25


@pytest.mark.parametrize("prompt", PROMPTS)
def test_different_seeds_and_indexes_give_different_pictures(prompt: str) -> None:
    pictures = [paint(prompt, seed, 96) for seed in range(5)] + [paint(prompt, 0, 96, index=n) for n in range(1, 6)]
    assert worst(pictures) < 25


def test_different_words_of_the_same_meaning_give_different_pictures() -> None:
    assert worst([paint(words) for words in ("sea", "the sea", "a sea", "ocean", "the ocean", "大海", "海洋")]) < 25


def test_different_styles_give_different_pictures() -> None:
    pictures = [paint("mountain lake at sunset", style=style) for style in [None, *STYLES]]
    assert len(STYLES) == 17
    assert worst(pictures) < 25


@pytest.mark.parametrize("prompt", PROMPTS)
def test_pictures_are_rich(prompt: str) -> None:
    grey = np.asarray(paint(prompt).convert("L"))
    counts = np.bincount(grey.ravel(), minlength=256) / grey.size
    entropy = -sum(share * np.log2(share) for share in counts if share)
    assert entropy >= 2.5
    assert grey.std() >= 20


@pytest.mark.parametrize("size", [(64, 64), (64, 4096), (4096, 64), (720, 1280), (333, 77)])
def test_size_is_exact(size: tuple[int, int]) -> None:
    for prompt in ("樱花 mountain lake, snow", "neon city", "像素风格 房子"):
        picture = generate(prompt, *size, 1)
        assert (picture.size, picture.mode) == (size, "RGB")


@pytest.mark.parametrize("side", ["width", "height"])
@pytest.mark.parametrize("value", [0, 63, 4097, -5])
def test_size_is_refused_when_it_is_out_of_range(side: str, value: int) -> None:
    with pytest.raises(ParameterRefused) as caught:
        generate("sea", value if side == "width" else 64, value if side == "height" else 64, 1)
    assert caught.value.field == side


SCRIPT = """
import hashlib, sys
from imageops import generate
for prompt in sys.argv[1:]:
    print(hashlib.sha256(generate(prompt, 200, 150, 9, index=2, style="油画").tobytes()).hexdigest())
"""


def test_pixels_are_equal_in_every_process() -> None:
    here = [
        hashlib.sha256(generate(prompt, 200, 150, 9, index=2, style="油画").tobytes()).hexdigest() for prompt in PROMPTS
    ]
    for salt in ("0", "12345"):
        command = [sys.executable, "-c", SCRIPT, *PROMPTS]
        environment = {"PYTHONHASHSEED": salt, "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}
        there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert there.stdout.split() == here


def hue_share(picture: Image.Image, hue: float) -> float:
    """Of the pixels that have a colour, the share within 35 degrees of a hue."""
    planes = (np.asarray(picture).reshape(-1, 3).T / 255).astype(np.float32)
    _, a, b = to_oklab(planes)
    away = np.abs((np.rad2deg(np.arctan2(b, a)) - hue + 180) % 360 - 180)
    chromatic: npt.NDArray[np.bool_] = np.hypot(a, b) > 0.04
    return float(np.mean(away[chromatic] <= 35))


CHINESE = {"red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "purple": "紫色"}


@pytest.mark.parametrize("tag", list(CHINESE))
def test_a_named_colour_leads_the_picture(tag: str) -> None:
    for words in (tag, f"a {tag} abstract", f"{CHINESE[tag]}的抽象背景"):
        shares = [hue_share(paint(words, seed, 64), COLOURS[tag][2]) for seed in range(4)]
        others = [hue_share(paint("an abstract", seed, 64), COLOURS[tag][2]) for seed in range(4)]
        assert np.mean(shares) >= 0.6
        assert np.mean(shares) > np.mean(others) + 0.3


def test_references_lend_their_colours() -> None:
    green = Image.new("RGB", (300, 200), (20, 160, 40))
    lent = [hue_share(paint("abstract", seed, 64, references=[green]), 145) for seed in range(4)]
    assert np.mean(lent) >= 0.6
    named = [hue_share(paint("purple abstract", seed, 64, references=[green]), 303) for seed in range(4)]
    assert np.mean(named) >= 0.6  # The prompt outranks them.
    grey = Image.new("RGBA", (5, 5), (128, 128, 128, 0))
    assert paint("sea", references=[grey, green]).size == (128, 128)


def test_progress_rises_to_one_and_may_stop_the_work() -> None:
    seen: list[float] = []
    generate("sea", 1024, 1024, 1, on_progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 4

    def stop(_fraction: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        paint("sea", on_progress=stop)


def test_bands_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    for prompt in ("mountain lake at dusk", "樱花", "neon city", "galaxy", "abstract"):
        banded = np.asarray(paint(prompt, side=256)).astype(int)
        monkeypatch.setattr("imageops.generation._BAND_PIXELS", 1 << 12)
        narrow = np.asarray(paint(prompt, side=256)).astype(int)
        monkeypatch.undo()
        # Rounding of a row's coordinates may move an edge by a hair, nowhere a visible line.
        assert np.mean(np.abs(banded - narrow) > 8) < 0.002
        assert np.abs(banded - narrow).mean(axis=(1, 2)).max() < 4


@pytest.mark.parametrize(
    ("prompt", "scene", "colours", "bound", "style"),
    [
        (
            "壮丽的山脉日出,金色阳光洒满山谷,风景摄影风格",
            ("mountain", "dawn", "day"),
            (),
            (("light", "gold"),),
            "photo",
        ),
        ("黄昏", ("sunset",), (), (), None),
        ("red flowers under a blue sky", ("flower", "sky"), (), (("flower", "red"), ("sky", "blue")), None),
        ("粉色的花瓣", ("petal",), (), (("flower", "pink"),), None),
        ("Mountains, purple mood", ("mountain",), ("purple",), (), None),
        ("oil painting of a snowy village", ("snow", "house"), (), (), "oil"),
        ("low-poly cats", ("cat",), (), (), "lowpoly"),
        ("雪山", ("mountain", "snow"), (), (), None),
        ("concatenate, redness, seasonal", (), (), (), None),
        ("", (), (), (), None),
    ],
)
def test_words_are_read_whole_and_bound_to_what_they_colour(
    prompt: str, scene: tuple[str, ...], colours: tuple[str, ...], bound: tuple[Any, ...], style: str | None
) -> None:
    reading = read(prompt)
    assert set(reading.scene) == set(scene)
    assert (reading.colours, reading.bound, reading.style) == (colours, bound, style)


def test_negative_words_are_left_out_and_a_given_style_outranks_one_found() -> None:
    reading = read("mountain lake at night, red, oil painting", negative_prompt="lake, red", style="水彩画")
    assert reading.scene == ("mountain", "night")
    assert reading.colours == ()
    assert reading.style == "watercolour"
