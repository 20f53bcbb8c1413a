"""Make a film of pictures, or of a prompt by painting pictures of it first."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from imageops.errors import ParameterRefused
from imageops.filming.camera import Shot, choose_way, prepare_canvas
from imageops.filming.formats import ADAPTIVE, RATIOS, SHORT_SIDES, Size, film_size
from imageops.filming.mp4 import FPS, Mp4
from imageops.filming.scene import Planes, Scene
from imageops.generation import PROMPT_CHARACTERS_MAX, generate
from imageops.progress import OnProgress, between, ignore_progress

DURATION_S_MIN, DURATION_S_MAX = 4, 15
PICTURES_MAX = 10

FADE_S: Final = 0.8
PAINTED_S: Final = 4  # A painted picture holds the eye about as long; of a prompt there is one more than that.


@dataclass(frozen=True, kw_only=True)
class Film:
    """A finished film."""

    data: bytes  #: The MP4 file.
    size: Size


def make_film(
    pictures: Sequence[Image.Image],
    prompt: str,
    seed: int,
    *,
    duration_s: int = 5,
    ratio: str = ADAPTIVE,
    resolution: str = "720p",
    on_progress: OnProgress = ignore_progress,
) -> Film:
    """Return an H.264 MP4 of exactly `duration_s` (4 to 15), at 24 frames a second, without sound.

    `pictures` (RGB or RGBA, at most ten) are shown in order, each for the same time: the camera comes closer, draws
    back or travels along, and one fades into the next. They fill the frame: what does not fit is cut off. Without
    pictures some are painted from `prompt`; with them it only makes another variant. The same arguments give the same
    bytes. Raises ParameterRefused and whatever `on_progress` raises, which is asked before each frame.
    """
    _check(pictures, prompt, duration_s, ratio, resolution)
    size = film_size(ratio, resolution, pictures[0].size if pictures else None)
    frames = duration_s * FPS
    sizes = [each.size for each in pictures] or [size] * (1 + duration_s // PAINTED_S)
    shots = plan_shots(sizes, size, frames, _randomness(prompt, seed))

    def prepare(number: int) -> Scene:
        canvas = shots[number].canvas
        if pictures:
            return Scene(pictures[number], canvas)
        told = between(shots[number].begin / frames, shots[number].begin / frames, on_progress)
        return Scene(generate(prompt, canvas.width, canvas.height, seed, index=number, on_progress=told), canvas)

    with Mp4(size) as film:
        for number, planes in enumerate(_take(shots, prepare, frames)):
            on_progress(number / frames)
            film.add(planes)
        data = film.finish()
    on_progress(1.0)
    return Film(data=data, size=size)


def plan_shots(pictures: Sequence[Size], size: Size, frames: int, rng: np.random.Generator) -> list[Shot]:
    """Return a shot for each picture, together `frames` long, each beginning while the one before fades."""
    count = len(pictures)
    fade = min(round(FADE_S * FPS), frames // (2 * count)) if count > 1 else 0
    begins = [number * (frames - fade) // count for number in range(count + 1)]
    shots = []
    for number, picture in enumerate(pictures):
        length = begins[number + 1] + fade - begins[number]
        canvas = prepare_canvas(picture, size, length / FPS)
        start, end = choose_way(canvas, number, count, rng)
        shots.append(Shot(begin=begins[number], frames=length, canvas=canvas, start=start, end=end))
    return shots


def _take(shots: Sequence[Shot], prepare: Callable[[int], Scene], frames: int) -> Iterator[Planes]:
    """Yield every frame; at most two pictures are ready at a time, so that ten take no more memory than two."""
    number, scene, coming = 0, prepare(0), None
    for frame in range(frames):
        if frame == shots[number].begin + shots[number].frames and coming is not None:
            number, scene, coming = number + 1, coming, None
        planes = scene.view(shots[number].window(frame))
        if number + 1 < len(shots) and frame >= shots[number + 1].begin:
            coming = coming or prepare(number + 1)
            fade = shots[number].begin + shots[number].frames - shots[number + 1].begin
            share = (frame - shots[number + 1].begin + 1) / (fade + 1)
            planes = planes.faded(coming.view(shots[number + 1].window(frame)), share)
        yield planes


def _randomness(prompt: str, seed: int) -> np.random.Generator:
    key = json.dumps([prompt.strip(), seed]).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big"))


def _check(pictures: Sequence[Image.Image], prompt: str, duration_s: int, ratio: str, resolution: str) -> None:
    if not DURATION_S_MIN <= duration_s <= DURATION_S_MAX:
        raise ParameterRefused("duration", f"duration is from {DURATION_S_MIN} to {DURATION_S_MAX}.")
    if ratio not in (*RATIOS, ADAPTIVE):
        raise ParameterRefused("ratio", f"ratio is one of {', '.join((*RATIOS, ADAPTIVE))}.")
    if resolution not in SHORT_SIDES:
        raise ParameterRefused("resolution", f"resolution is one of {', '.join(SHORT_SIDES)}.")
    if not pictures and not prompt.strip():
        raise ParameterRefused("prompt", "prompt is required where there are no pictures.")
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        raise ParameterRefused("prompt", f"prompt's length is at most {PROMPT_CHARACTERS_MAX}.")
