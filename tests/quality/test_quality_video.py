"""Films: they move all the time and smoothly, and begin and end with the pictures they were made of."""

import io
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from quality_metrics import Array, hold, luma
from quality_pictures import PHOTOGRAPHS, Pixels, picture

from imageops import OPERATIONS, encode
from imageops.filming.film import make_film
from imageops.filming.mp4 import FPS

SIZE = (854, 480)
SECONDS = 4
FRAMES = SECONDS * FPS
STILL = 0.3  # Levels of mean difference below which a pair of frames does not move.
PROMPTS = ("sea", "雪山日出,金色阳光洒满湖面", "galaxy")
SETS = {"one": PHOTOGRAPHS[1:2], "two": PHOTOGRAPHS[:2], "four": PHOTOGRAPHS}


def decoded(data: bytes) -> list[Pixels]:
    with av.open(io.BytesIO(data), "r") as film:
        return [np.asarray(frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)]


@cache
def filmed(names: tuple[str, ...], prompt: str = "") -> list[Pixels]:
    """The frames of a film of these pictures, or of a prompt."""
    inputs = [encode(Image.fromarray(picture(name))) for name in names]
    parameters = {"prompt": prompt, "duration": SECONDS, "resolution": "480p", "ratio": "16:9"}
    (output,) = OPERATIONS["video.generate"].run(inputs, parameters, 5)
    return decoded(output.data)


def cover(pixels: Pixels, x: float = 0.5, y: float = 0.5) -> Pixels:
    """All of a picture that fits into the frame; `x` and `y` (0 to 1) say which part of what does not."""
    height, width = pixels.shape[:2]
    scale = max(SIZE[0] / width, SIZE[1] / height)
    across, down = SIZE[0] / scale, SIZE[1] / scale
    left, top = (width - across) * x, (height - down) * y
    box = (left, top, left + across, top + down)
    return np.asarray(Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC, box=box))


def slideshow(names: Sequence[str]) -> list[Pixels]:
    """The naive film: each picture stands still, and is then another."""
    stills = [cover(picture(name)) for name in names]
    return [stills[number * len(stills) // FRAMES] for number in range(FRAMES)]


def stepping(name: str) -> list[Pixels]:
    """The naive camera: it comes closer by whole pixels."""
    whole = Image.fromarray(cover(picture(name)))
    frames = []
    for number in range(FRAMES):
        left, top = (round(side * 0.063 * number / FRAMES) for side in SIZE)
        box = (left, top, SIZE[0] - left, SIZE[1] - top)
        frames.append(np.asarray(whole.crop(box).resize(SIZE, Image.Resampling.BILINEAR)))
    return frames


def steps(frames: Sequence[Pixels]) -> Array:
    """How much each frame differs from the one before, in levels."""
    return np.array([np.abs(luma(one) - luma(other)).mean() for one, other in pairwise(frames)])


def moving(frames: Sequence[Pixels]) -> float:
    return float((steps(frames) >= STILL).mean())


def hardest(frames: Sequence[Pixels]) -> float:
    """The largest step in medians of the steps that are any."""
    sizes = steps(frames)
    return float(sizes.max() / max(float(np.median(sizes)), STILL))


def jerky(frames: Sequence[Pixels]) -> float:
    """How much the pace changes from frame to frame, as a share of the pace."""
    sizes = steps(frames)
    return float(np.abs(np.diff(sizes)).mean() / sizes.mean())


def alike(one: Pixels, other: Pixels) -> float:
    """Correlation of brightness, -1 to 1, without the finest detail."""
    small = [cv2.resize(luma(each), (214, 120), interpolation=cv2.INTER_AREA) for each in (one, other)]
    return float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1])


def shown(frame: Pixels, pixels: Pixels) -> float:
    """How well a frame shows the picture, by that part of it that the camera may look at."""
    places = np.linspace(0, 1, 41)
    return max(max(alike(frame, cover(pixels, x=at)), alike(frame, cover(pixels, y=at))) for at in places)


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_films_of_photographs_never_stand_still_and_never_jump(names: tuple[str, ...]) -> None:
    frames = filmed(names)
    assert len(frames) == FRAMES
    naive = slideshow(names)
    hold(f"moving pairs of frames, {len(names)} pictures", moving(frames), bar=0.98, naive=moving(naive))
    jumps = hardest(naive) if len(names) > 1 else None
    hold("largest step in medians", hardest(frames), bar=4, naive=jumps, upper=True)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_films_of_a_prompt_never_stand_still_and_never_jump(prompt: str) -> None:
    frames = filmed((), prompt)
    cut = [frames[0]] * (FRAMES // 2) + [frames[-1]] * (FRAMES // 2)
    hold(f"moving pairs of frames, {prompt}", moving(frames), bar=0.98, naive=moving(cut))
    hold("largest step in medians", hardest(frames), bar=4, naive=hardest(cut), upper=True)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_camera_moves_by_fractions_of_a_pixel(name: str) -> None:
    wide = Image.fromarray(cover(picture(name)))
    film = make_film([wide], "", 5, duration_s=SECONDS, ratio="16:9", resolution="480p")
    hold(f"change of pace, {name}", jerky(decoded(film.data)), bar=0.12, naive=jerky(stepping(name)), upper=True)


@pytest.mark.parametrize("names", [SETS["two"], SETS["four"]], ids=["two", "four"])
def test_the_first_and_last_frame_show_the_first_and_last_picture(names: tuple[str, ...]) -> None:
    frames = filmed(names)
    for number, other in ((0, -1), (-1, 0)):
        reached = shown(frames[number], picture(names[number]))
        naive = shown(frames[other], picture(names[number]))
        hold(f"likeness of frame {number} to {names[number]}", reached, bar=0.9, naive=naive)


def test_pictures_are_cut_and_not_squeezed() -> None:
    name = PHOTOGRAPHS[0]
    squeezed = np.asarray(Image.fromarray(picture(name)).resize(SIZE))
    hold("likeness to a cut", shown(filmed((name,))[0], picture(name)), bar=0.97, naive=shown(squeezed, picture(name)))


def test_every_picture_is_shown() -> None:
    frames = filmed(PHOTOGRAPHS)
    for number, name in enumerate(PHOTOGRAPHS):
        middle = frames[(2 * number + 1) * FRAMES // (2 * len(PHOTOGRAPHS))]
        others = [shown(middle, picture(each)) for each in PHOTOGRAPHS if each != name]
        hold(f"likeness of the middle of shot {number}", shown(middle, picture(name)), bar=0.85, naive=max(others))


def test_colours_are_those_of_the_picture() -> None:
    """The naive way takes the full range of levels for the limited one."""
    wide = cover(picture("coffee"))
    film = make_film([Image.fromarray(wide)], "", 5, duration_s=SECONDS, ratio="16:9", resolution="480p")
    truth = wide.astype(float).mean(axis=(0, 1))
    off = np.abs(decoded(film.data)[0].astype(float).mean(axis=(0, 1)) - truth).max()
    hold("levels off in the mean", off, bar=2, naive=np.abs(truth * 219 / 255 + 16 - truth).max(), upper=True)
