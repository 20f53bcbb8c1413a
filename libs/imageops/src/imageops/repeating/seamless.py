"""Make a picture into a tile that repeats without a seam, and show how it repeats."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Pixels
from imageops.enlarging.expanding import Shares, expand
from imageops.errors import ImageRefused, ParameterRefused, RefusalReason
from imageops.progress import OnProgress, between, ignore_progress
from imageops.repeating.mincut import SIDE_PX_MIN, make_repeat

FIT_MIN, FIT_MAX = 0.1, 0.9
BOTH, UP_DOWN, LEFT_RIGHT = 0, 1, 2  # The directions of the public contracts.
GRID_SIDE_PX_MAX = 16_383  # The longest side that all our file formats know; above it the grid is shown smaller.
GRID_PIXELS_MAX = 1 << 26  # So that the widest preview and its file stay inside a worker.

_OVERLAP = 0.6  # Of the side at fit 1: how much blending may take,
_OVERLAP_ONE, _OVERLAP_BOTH = 0.48, 0.36  # but never more, so that two fifths of the picture remain.
_WRAP_PX = 8  # More than resampling looks at.


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A picture that repeats."""

    image: Image.Image  #: The tile at the picture's own scale; blending took a part of it.
    sized: Image.Image  #: The tile resampled to the size of the input.
    grid: Image.Image  #: The tile repeated 2 x 2, or twice in the one direction.


def make_seamless(
    image: Image.Image,
    *,
    fit: float = 0.5,
    direction: int = BOTH,
    growth: Shares | None = None,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
) -> Tile:
    """Return an RGB or RGBA picture as a tile that repeats in both directions, up and down, or left and right.

    `fit` (0.1 to 0.9) is how much of the picture blending may take: more finds smoother seams, less
    keeps more of the picture. `growth` expands the picture first. In a direction that does not repeat
    nothing changes. Raises ParameterRefused, and ImageRefused where a side is too short to blend.
    """
    if not FIT_MIN <= fit <= FIT_MAX:
        raise ParameterRefused("fit", f"fit is from {FIT_MIN} to {FIT_MAX}.")
    if direction not in (BOTH, UP_DOWN, LEFT_RIGHT):
        raise ParameterRefused("direction", "direction is 0, 1 or 2.")
    _check_sides(image, direction)
    grown = growth is not None and any((growth.top, growth.bottom, growth.left, growth.right))
    source = expand(image, growth, seed, between(0, 0.5, on_progress)) if growth and grown else image
    told = between(0.5 if grown else 0.0, 0.8, on_progress)
    pixels = _premultiplied(source)
    limit = min(fit * _OVERLAP, _OVERLAP_BOTH if direction == BOTH else _OVERLAP_ONE)
    if direction != UP_DOWN:
        pixels = make_repeat(pixels, limit, between(0, 0.5, told))
    if direction != LEFT_RIGHT:
        turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
        pixels = np.ascontiguousarray(make_repeat(turned, limit, between(0.5, 1, told)).transpose(1, 0, 2))
    tile = _plain(pixels)
    across, down = 1 + (direction != UP_DOWN), 1 + (direction != LEFT_RIGHT)
    sized = _plain(resize_tile(pixels, image.width, image.height))
    on_progress(0.9)
    grid = _repeat(pixels, across, down)
    on_progress(1.0)
    return Tile(image=tile, sized=sized, grid=_plain(grid))


def resize_tile(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return a tile (height x width x channels) resampled such that it still repeats."""
    if pixels.shape[:2] == (height, width):
        return pixels
    wide = cv2.copyMakeBorder(pixels, _WRAP_PX, _WRAP_PX, _WRAP_PX, _WRAP_PX, cv2.BORDER_WRAP)
    box = (_WRAP_PX, _WRAP_PX, _WRAP_PX + pixels.shape[1], _WRAP_PX + pixels.shape[0])
    result = np.empty((height, width, pixels.shape[2]), np.uint8)
    for channel in range(pixels.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(wide[..., channel]))
        result[..., channel] = np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC, box))
    return result


def _check_sides(image: Image.Image, direction: int) -> None:
    sides = {BOTH: image.size, UP_DOWN: (image.height,), LEFT_RIGHT: (image.width,)}[direction]
    if min(sides) < SIDE_PX_MIN:
        size = f"{image.width} x {image.height}"
        message = f"The picture is {size}; a tile needs at least {SIDE_PX_MIN} pixels in each direction it repeats in."
        raise ImageRefused(RefusalReason.NOTHING_FOUND, message, "inputs[0]")


def _repeat(pixels: Pixels, across: int, down: int) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = min(
        1.0,
        GRID_SIDE_PX_MAX / max(width * across, height * down),
        (GRID_PIXELS_MAX / (width * across * height * down)) ** 0.5,
    )
    if ratio < 1:
        pixels = resize_tile(pixels, max(1, int(width * ratio)), max(1, int(height * ratio)))
    return np.tile(pixels, (down, across, 1))


def _premultiplied(image: Image.Image) -> Pixels:
    """Return colours times alpha, so that what is transparent lends no colour, or plain colours."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        pixels = np.array(image)
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels[..., :3] = (pixels[..., :3] * alpha + 127) // 255
        return pixels
    return np.asarray(image.convert("RGB"))


def _plain(pixels: Pixels) -> Image.Image:
    if pixels.shape[2] == 3:
        return Image.fromarray(pixels)
    plain = pixels.copy()
    alpha = np.maximum(pixels[..., 3:], 1).astype(np.uint16)
    plain[..., :3] = np.minimum((pixels[..., :3].astype(np.uint16) * 255 + alpha // 2) // alpha, 255)
    return Image.fromarray(plain)
