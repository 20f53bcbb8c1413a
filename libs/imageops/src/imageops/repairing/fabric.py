"""Take the weave of the cloth out of a photographed print.

Threads multiply what lies under them, everywhere and with one rhythm, so in the logarithm of the
brightness they are peaks of the spectrum that most blocks of the picture share; what is drawn is not.
Each block's share of those peaks is shrunk to what lies between them, except where it is far stronger
than cloth can be: that is an edge of the drawing. The grain of the threads goes last.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Array, Floats, Mask, Pixels, to_image, to_pixels
from imageops.denoising import denoise, estimate_sigma
from imageops.progress import OnProgress, between, ignore_progress
from imageops.repairing.weaveborder import continue_weave

_BLOCK_PX = 64  # Twelve threads of the usual weave: enough for sharp peaks, small enough for bent cloth.
_HOP_PX = 16
_DETECT_HOP_PX = 32
_AT_ONCE = 128  # Blocks whose spectra are computed together.
_BLOCKS_MAX = 2048  # The median of more says the same.
_PIXELS_MIN = 1 << 20  # A weave too coarse for the blocks is looked for in smaller copies, down to this size.
_COPIES_MAX = 3

_RADIUS_MIN = 0.08  # Cycles a pixel: below it are the drawing's own shapes.
# Times the level between peaks: what proves a weave (JPEG blocks reach 4, faint weaves 6), and what belongs to it then.
_PEAK_SURE, _PEAK_PART = 4.5, 2.0
_CLOTH_MAX = 2.0  # Times the usual height of a peak: above it is drawing.
_BLACK = 4.0  # Levels added before the logarithm, so that the noise of black does not become the loudest.
_ENOUGH = 1e-6  # Keeps logarithms and divisions from zero.

_STEP = np.sin(np.pi * (np.arange(_BLOCK_PX) + 0.5) / _BLOCK_PX).astype(np.float32)
_WINDOW = np.outer(_STEP, _STEP).astype(np.float32)
_OVERLAP = (_BLOCK_PX / (2 * _HOP_PX)) ** 2  # What the squared windows over a pixel add up to.
_RADIUS: Array = np.hypot(
    np.fft.fftfreq(_BLOCK_PX)[:, None].astype(np.float32), np.fft.rfftfreq(_BLOCK_PX)[None].astype(np.float32)
)

_SHARES = (0.6, 1.0)  # Of the progress: the weave, the grain.
_INSIDE = 0.8  # Of the blocks, about, lie inside the picture.


class _Weave:
    """The peaks of a cloth in the spectrum of a block: where, how high, and the level between them."""

    def __init__(self, typical: Floats, level: Floats) -> None:
        self.found = bool((self._above(_PEAK_SURE, typical, level)).any())
        around = np.roll(self._above(_PEAK_PART, typical, level).astype(np.uint8), _BLOCK_PX // 2, axis=0)
        grown = np.roll(cv2.dilate(around, np.ones((3, 3), np.uint8)), -(_BLOCK_PX // 2), axis=0)
        self.where: Mask = (grown > 0) & (_RADIUS > _RADIUS_MIN)
        self.level = level
        self.cloth_max = np.maximum(typical, level) * np.float32(_CLOTH_MAX)

    @staticmethod
    def _above(times: float, typical: Floats, level: Floats) -> Mask:
        return np.asarray((typical > times * level) & (_RADIUS > _RADIUS_MIN))

    def shrink(self, spectra: Array) -> Array:
        """Return the spectra of blocks with the cloth's part of them at the level between the peaks."""
        heights = np.abs(spectra) + np.float32(_ENOUGH)
        drawn = heights - (self.cloth_max - self.level)
        kept = np.where(heights <= self.cloth_max, np.minimum(heights, self.level), drawn)
        return spectra * np.where(self.where, kept / heights, np.float32(1))


def remove_fabric(image: Image.Image, *, on_progress: OnProgress = ignore_progress) -> Image.Image:
    """Return an RGB or RGBA picture without the weave of its cloth, of the same size and transparency.

    A picture in which no weave is found comes back with the same pixels. Finds plain weaves of up to
    twelve pixels a thread, in large pictures up to four times that; strongly bent cloth keeps some.
    """
    pixels, alpha = to_pixels(image)
    on_progress(0.0)
    found = False
    scales = [1 << step for step in range(_COPIES_MAX) if pixels.shape[0] * pixels.shape[1] >= _PIXELS_MIN << 2 * step]
    scales = scales[::-1] or [1]
    for done, scale in enumerate(scales):
        low, high = (_SHARES[0] * part / len(scales) for part in (done, done + 1))
        change = _weave_of(pixels, scale, between(low, high, on_progress))
        if change is not None:
            pixels, found = _apply(pixels, change), True
    if not found:
        on_progress(1.0)
        return image.copy()
    pixels = denoise(pixels, estimate_sigma(pixels), between(*_SHARES, on_progress))
    return to_image(pixels, alpha)


def _weave_of(pixels: Pixels, scale: int, on_progress: OnProgress) -> Floats | None:
    """Return what to add to the logarithm of the picture, 1 / `scale` of its size, or None without a weave."""
    size = (pixels.shape[1] // scale, pixels.shape[0] // scale)
    small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if min(size) < 2 * _BLOCK_PX:
        return None
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    logarithm = np.log(grey.astype(np.float32) + np.float32(_BLACK))
    weave = _find(logarithm)
    return _suppress(logarithm, weave, on_progress) - logarithm if weave.found else None


def _find(logarithm: Floats) -> _Weave:
    rows, columns = (range(0, side - _BLOCK_PX + 1, _DETECT_HOP_PX) for side in logarithm.shape)
    every = math.ceil(math.sqrt(len(rows) * len(columns) / _BLOCKS_MAX))
    corners = [(y, x) for y in rows[::every] for x in columns[::every]]
    heights = np.empty((len(corners), *_RADIUS.shape), np.float32)
    for first in range(0, len(corners), _AT_ONCE):
        part = corners[first : first + _AT_ONCE]
        blocks = np.stack([logarithm[y : y + _BLOCK_PX, x : x + _BLOCK_PX] for y, x in part])
        blocks -= blocks.mean(axis=(1, 2), keepdims=True)
        heights[first : first + len(part)] = np.abs(np.fft.rfft2(blocks * _WINDOW))
    # Row by row, for the median needs a copy.
    typical = np.stack([np.median(heights[:, row], axis=0) for row in range(_BLOCK_PX)]).astype(np.float32)
    return _Weave(typical, _level_between(typical))


def _level_between(typical: Floats) -> Floats:
    """Return the height of the spectrum as a smooth function of the frequency, peaks passed over."""
    ring = np.rint(_RADIUS * _BLOCK_PX).astype(int)
    profile = np.array([np.percentile(typical[ring == radius], 30) for radius in range(ring.max() + 1)])
    padded = np.pad(np.log(profile + _ENOUGH), 2, mode="edge")
    smooth = np.exp(np.convolve(padded, np.ones(5) / 5, "valid"))
    return np.asarray(np.interp(_RADIUS * _BLOCK_PX, np.arange(len(smooth)), smooth), np.float32)


def _suppress(logarithm: Floats, weave: _Weave, on_progress: OnProgress) -> Floats:
    """Return the logarithm without the weave: by the blocks inside the picture, then by those across its border."""
    rows, columns = logarithm.shape
    pad = (_BLOCK_PX, _BLOCK_PX + _HOP_PX)
    result = np.zeros((rows + sum(pad), columns + sum(pad)), np.float32)
    inner = result[pad[0] : pad[0] + rows, pad[0] : pad[0] + columns]
    inside = [range(pad[0], pad[0] + side - _BLOCK_PX + 1, _HOP_PX) for side in (rows, columns)]
    ends = [
        (*range(_HOP_PX, pad[0], _HOP_PX), *range(starts[-1] + _HOP_PX, pad[0] + side, _HOP_PX))
        for starts, side in zip(inside, (rows, columns), strict=True)
    ]
    padded = np.pad(logarithm, pad)
    _add_clean(result, padded, weave, (inside[0], inside[1]), between(0, _INSIDE, on_progress))
    down, right = (_shares(side, starts, pad[0]) for side, starts in zip((rows, columns), inside, strict=True))
    for row in range(rows):
        padded[pad[0] + row, pad[0] : pad[0] + columns] -= inner[row] / (down[row] * right)
    continue_weave(padded, logarithm, pad)
    every = sorted((*inside[1], *ends[1]))
    _add_clean(result, padded, weave, (ends[0], every), between(_INSIDE, (1 + _INSIDE) / 2, on_progress))
    _add_clean(result, padded, weave, (inside[0], ends[1]), between((1 + _INSIDE) / 2, 1, on_progress))
    return inner


def _add_clean(
    result: Floats,
    padded: Floats,
    weave: _Weave,
    starts: tuple[Sequence[int], Sequence[int]],
    on_progress: OnProgress,
) -> None:
    """Add the blocks that begin at these rows and columns of `padded`, without the weave, where they lie."""
    tops, lefts = starts
    for done, top in enumerate(tops):
        on_progress(done / len(tops))
        band = padded[top : top + _BLOCK_PX]
        blocks = np.stack([band[:, left : left + _BLOCK_PX] for left in lefts])
        means = blocks.mean(axis=(1, 2), keepdims=True)
        spectra = weave.shrink(np.fft.rfft2((blocks - means) * _WINDOW))
        clean = np.fft.irfft2(spectra, s=(_BLOCK_PX, _BLOCK_PX)) + means * _WINDOW
        clean *= _WINDOW / np.float32(_OVERLAP)
        for left, block in zip(lefts, clean, strict=True):
            result[top : top + _BLOCK_PX, left : left + _BLOCK_PX] += block


def _shares(side: int, starts: Sequence[int], pad: int) -> Floats:
    """Return how much of all blocks over each row or column of the picture those that begin at `starts` are."""
    shares = np.full(side + pad, _ENOUGH, np.float32)
    for start in starts:
        shares[start : start + _BLOCK_PX] += _STEP**2 / np.float32(math.sqrt(_OVERLAP))
    return shares[pad:]


def _apply(pixels: Pixels, change: Floats) -> Pixels:
    """Return the picture with every channel multiplied by the exponential of `change`, stretched to its size."""
    rows, columns = pixels.shape[:2]
    factor = np.exp(change)
    if factor.shape != (rows, columns):
        factor = np.asarray(cv2.resize(factor, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)
    result = np.empty_like(pixels)
    for channel in range(pixels.shape[2]):
        plane = (pixels[..., channel] + np.float32(_BLACK)) * factor - np.float32(_BLACK)
        result[..., channel] = np.clip(np.rint(plane), 0, 255)
    return result
