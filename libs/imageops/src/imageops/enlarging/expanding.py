"""Expand a picture beyond its sides with more of what is there (outpainting without a model).

The canvas grows in rings, from the picture outwards, each filled by patches of the original alone: so
texture goes on, light and colour meet the border, and what one ring made up is no source for the next.
Things cut off by the border are not completed.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from imageops.arrays import Mask, Pixels, to_image, to_pixels
from imageops.errors import ParameterRefused
from imageops.filling.patchmatch import fill
from imageops.progress import OnProgress, between, ignore_progress

SHARE_MAX = 0.3  # Of the contracts: beyond it there is more made up than was photographed.

_RING_SHARE = 0.06  # Of the side that grows: what one ring adds at most.


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How far each side moves out, as a share (0 to 0.3) of the picture's height or width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    def __post_init__(self) -> None:
        for name in ("top", "bottom", "left", "right"):
            if not 0.0 <= getattr(self, name) <= SHARE_MAX:
                raise ParameterRefused(f"expand_{name}", f"expand_{name} is from 0 to {SHARE_MAX:g}.")


@dataclass(frozen=True, kw_only=True)
class _Margins:
    """Pixels that are added on each side."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, size: tuple[int, int], shares: Shares) -> "_Margins":
        width, height = size
        across = round(width * (1 + shares.left + shares.right)) - width
        down = round(height * (1 + shares.top + shares.bottom)) - height
        left, top = min(across, round(width * shares.left)), min(down, round(height * shares.top))
        return cls(top=top, bottom=down - top, left=left, right=across - left)


def expand(image: Image.Image, shares: Shares, seed: int = 0, on_progress: OnProgress = ignore_progress) -> Image.Image:
    """Return an RGB or RGBA picture of width x (1 + left + right) by height x (1 + top + bottom), rounded.

    The original's pixels are in it unchanged; what is added is opaque. No share returns a copy. The
    same arguments give the same pixels.
    """
    pixels, alpha = to_pixels(image)
    margins = _Margins.of(image.size, shares)
    sides = ((margins.top, margins.bottom), (margins.left, margins.right))
    canvas = np.pad(pixels, (*sides, (0, 0)), mode="edge")
    if canvas.shape != pixels.shape:
        _grow(canvas, margins, pixels.shape[:2], seed, on_progress)
    on_progress(1.0)
    grown = to_image(canvas)
    if image.mode == "RGBA":
        opaque = np.full(pixels.shape[:2], 255, np.uint8) if alpha is None else alpha
        grown.putalpha(Image.fromarray(np.pad(opaque, sides, constant_values=255)))
    return grown


def _grow(canvas: Pixels, margins: _Margins, shape: tuple[int, ...], seed: int, on_progress: OnProgress) -> None:
    """Fill what surrounds the original, in place, ring by ring."""
    rows, columns = shape
    rings = _rings(margins, rows, columns)
    done_before = _inner(margins, rows, columns, 0.0)
    original: Mask = np.zeros(canvas.shape[:2], bool)
    original[done_before] = True
    for number in range(1, rings + 1):
        inner, outer = done_before, _inner(margins, rows, columns, number / rings)
        done_before = outer
        ring: Mask = np.ones(canvas.shape[:2], bool)
        ring[inner] = False
        told = between((number - 1) / rings, number / rings, on_progress)
        view = canvas[outer]
        view[:] = fill(view, ring[outer], seed + number, told, sources=original[outer])


def _rings(margins: _Margins, rows: int, columns: int) -> int:
    shares = (max(margins.top, margins.bottom) / rows, max(margins.left, margins.right) / columns)
    return max(1, int(np.ceil(max(shares) / _RING_SHARE - 1e-6)))


def _inner(margins: _Margins, rows: int, columns: int, share: float) -> tuple[slice, slice]:
    """Return what is filled when this share of every margin is."""
    top, left = round(margins.top * (1 - share)), round(margins.left * (1 - share))
    bottom, right = round(margins.bottom * share), round(margins.right * share)
    return slice(top, margins.top + rows + bottom), slice(left, margins.left + columns + right)
