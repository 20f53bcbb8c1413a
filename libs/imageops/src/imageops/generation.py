"""Text to image without a model: a procedural preview whose scene and colours follow the prompt's words.

Honest about what it is: it knows some two hundred words of English and Chinese, paints what they name
as a landscape, a city, a still life, a nebula or an abstract, and lets the rest of the prompt only
choose among the endless variations. It is not a diffusion model and draws nobody's face.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from imageops.errors import ParameterRefused
from imageops.painting.canvas import Band, Colour, Frame, Layer, Streams
from imageops.painting.compose import compose
from imageops.painting.finish import Finish
from imageops.painting.palette import choose_palette, leading_colours
from imageops.painting.reading import read
from imageops.progress import OnProgress, ignore_progress

SIDE_PX_MIN, SIDE_PX_MAX = 64, 4096
PROMPT_CHARACTERS_MAX = 4000

_BAND_PIXELS = 1 << 18  # A band's planes stay in the cache, and progress moves four times a megapixel.
_REFERENCE_PX = 64  # A thumbnail says which colours lead.


def generate(
    prompt: str,
    width: int,
    height: int,
    seed: int,
    *,
    index: int = 0,
    style: str | None = None,
    negative_prompt: str = "",
    references: Sequence[Image.Image] = (),
    on_progress: OnProgress = ignore_progress,
) -> Image.Image:
    """Paint an RGB picture of exactly `width` x `height` pixels (64 to 4096 each).

    The same arguments give the same pixels; another prompt, seed, index or style gives a clearly
    different picture. Words of `negative_prompt` are left out. `references` lend their leading colours
    where the prompt names none. Raises ParameterRefused and whatever `on_progress` raises.
    """
    for name, side in (("width", width), ("height", height)):
        if not SIDE_PX_MIN <= side <= SIDE_PX_MAX:
            raise ParameterRefused(name, f"{name} is from {SIDE_PX_MIN} to {SIDE_PX_MAX}.")
    if not 1 <= len(prompt) <= PROMPT_CHARACTERS_MAX:
        raise ParameterRefused("prompt", f"prompt's length is from 1 to {PROMPT_CHARACTERS_MAX}.")
    key = json.dumps([prompt.strip(), negative_prompt.strip(), style or "", seed, index]).encode()
    streams = Streams(hashlib.blake2b(key, digest_size=32).digest())
    reading = read(prompt, negative_prompt=negative_prompt, style=style)
    finish = Finish(reading.style, streams("finish"))
    frame = finish.frame(width, height)
    palette = choose_palette(reading, streams("palette"), _colours_of(references))
    layers = compose(reading, frame, streams, palette)
    return finish.complete(_paint(frame, layers, finish, on_progress), width, height)


def _paint(frame: Frame, layers: list[Layer], finish: Finish, on_progress: OnProgress) -> Image.Image:
    picture = Image.new("RGB", (frame.width, frame.height))
    rows = max(16, _BAND_PIXELS // frame.width)
    for first in range(0, frame.height, rows):
        on_progress(first / frame.height)
        last = min(frame.height, first + rows)
        band = Band(frame, first / frame.height, last / frame.height, last - first)
        for layer in layers:
            layer.paint(band)
        picture.paste(Image.fromarray(finish.develop(band)), (0, first))
    on_progress(1.0)
    return picture


def _colours_of(references: Sequence[Image.Image]) -> list[Colour]:
    samples = [
        np.asarray(image.convert("RGB").resize((_REFERENCE_PX, _REFERENCE_PX), Image.Resampling.BOX)).reshape(-1, 3)
        for image in references
    ]
    return leading_colours(np.concatenate(samples)) if samples else []
