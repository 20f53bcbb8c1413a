"""Continue a picture beyond its borders, ring by ring, with textures of its own (outpainting)."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Mask, Pixels, in_blocks, to_image, to_pixels
from imageops.errors import ParameterRefused
from imageops.patchcopy import Finds
from imageops.patchpyramid import match, shrink
from imageops.progress import OnProgress, between, ignore_progress
from imageops.rims import correct_rim, smooth_fill

SHARE_MAX = 0.3  # Of a side; what is invented beyond that has nothing to do with the picture.

_RING = 0.06  # Of a side: what one ring adds. Thicker ones repeat themselves, thinner ones cost more.
_SEARCHED_PIXELS_MAX = 400_000  # Of the whole canvas; larger ones are searched smaller and copied at full size.
_SEARCHED = 0.8  # The search's share of the work.


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What is added on each side, as a share (0 to 0.3) of the picture's height or width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def __post_init__(self) -> None:
        for side in ("top", "bottom", "left", "right"):
            if not 0.0 <= getattr(self, side) <= SHARE_MAX:
                raise ParameterRefused(f"expand_{side}", f"expand_{side} is from 0 to {SHARE_MAX:g}.")


def expand(image: Image.Image, growth: Growth, seed: int = 0, on_progress: OnProgress = ignore_progress) -> Image.Image:
    """Return the picture (RGB or RGBA) on a larger canvas, the new margins filled with its own textures.

    The width is that of the picture times 1 + left + right, rounded; the left margin is rounded on
    its own and the right one is the rest; heights alike. The picture's own pixels stay, to the bit.
    What the border cuts through is not completed, only continued. The same arguments give the same pixels.
    """
    pixels, alpha = to_pixels(image)
    canvas, place = _canvas(pixels, growth)
    own = np.zeros(canvas.shape[:2], bool)
    own[place] = True
    if own.all():
        return image.copy()
    factor = math.ceil(math.sqrt(own.size / _SEARCHED_PIXELS_MAX))
    small, shares = shrink(canvas, own, factor)
    finds, guess = Finds.none(shares.shape), small
    rings = _rings(growth, place, factor, shares.shape)
    whole = ~in_blocks(~own, factor)
    known = shares > 0.99
    for number, ring in enumerate(rings):
        hole = ~known[ring]
        told = between(_SEARCHED * number / len(rings), _SEARCHED * (number + 1) / len(rings), on_progress)
        level = match(guess[ring], hole, known[ring], whole[ring], seed=seed + number, on_progress=told)
        if level is None:
            guess[ring] = smooth_fill(guess[ring], known[ring])
        else:
            if factor == 1:
                correct_rim(level.picture, guess[ring], hole, known[ring])
            guess[ring][hole] = level.picture[hole]
            finds.within(ring).add(level, hole)
        known[ring] = True
    if factor > 1 and finds.found.any():
        finds.copy(canvas, ~own, own, factor=factor, on_progress=between(_SEARCHED, 1.0, on_progress))
    else:
        grown = cv2.resize(guess, canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR) if factor > 1 else guess
        canvas[~own] = np.clip(np.rint(grown[~own]), 0, 255).astype(np.uint8)
    on_progress(1.0)
    return to_image(canvas, None if alpha is None else _grown_alpha(alpha, own, place))


def _canvas(pixels: Pixels, growth: Growth) -> tuple[Pixels, tuple[slice, slice]]:
    """Return the empty canvas with the picture in it, and where that is."""
    height, width = pixels.shape[:2]
    size = (round(height * (1 + growth.top + growth.bottom)), round(width * (1 + growth.left + growth.right)))
    top = min(round(height * growth.top), size[0] - height)
    left = min(round(width * growth.left), size[1] - width)
    canvas = np.zeros((*size, 3), np.uint8)
    place = (slice(top, top + height), slice(left, left + width))
    canvas[place] = pixels
    return canvas, place


def _rings(
    growth: Growth, place: tuple[slice, slice], factor: int, shape: tuple[int, ...]
) -> list[tuple[slice, slice]]:
    """Return what is known after each ring, in pixels of the smaller copy; the last is all of it."""
    count = max(1, math.ceil(max(growth.top, growth.bottom, growth.left, growth.right) / _RING))
    rings = []
    for turn in range(1, count + 1):
        sides = []
        for side, end in zip(place, shape, strict=True):
            first, last = side.start // factor, -(-side.stop // factor)
            sides.append(slice(first - first * turn // count, last + -(-(end - last) * turn // count)))
        rings.append((sides[0], sides[1]))
    return rings


def _grown_alpha(alpha: Pixels, own: Mask, place: tuple[slice, slice]) -> Pixels:
    """Return the transparency continued from the picture's border outwards."""
    top, left = place[0].start, place[1].start
    bottom, right = own.shape[0] - place[0].stop, own.shape[1] - place[1].stop
    return np.asarray(cv2.copyMakeBorder(alpha, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)
