"""Take grain out of a picture by non-local means, and tell how much grain there is.

Each pixel becomes the mean of the pixels around it whose neighbourhoods look alike. Differences that
grain alone explains count as none, so edges and texture stronger than the grain stay.
"""

import math

import cv2
import numpy as np

from imageops.arrays import Array, Floats
from imageops.progress import OnProgress, ignore_progress

_REACH_PX = 6  # How far alike neighbourhoods are looked for; twice as far costs four times, for 0.1 dB.
_PATCH_PX = 2  # To each side: 5 x 5 patches.
_SOFTNESS = 0.75  # Of the noise: where a difference halves a weight. Best at 10 levels, near the best at 25.
_TILE_PX = 256  # Planes of a tile stay in the CPU's cache.
_MARGIN_PX = 2 * _REACH_PX + _PATCH_PX  # Both pixels of a pair learn from it, so pairs begin this far outside.
_UNLIKE_MAX = 30.0  # Beyond it a weight is nothing, and as a number so small that CPUs compute slowly with it.
_SAMPLE_PIXELS_MAX = 1 << 21  # The median of more says the same.

# Daubechies' second wavelet: blind to straight slopes, so that gradients and soft edges are no grain.
_WAVELET = np.array([-0.48296291, 0.83651630, -0.22414387, -0.12940952], np.float32)


def estimate_sigma(pixels: Array) -> float:
    """Return the standard deviation of the grain in a picture (height x width [x channels]), in its own units.

    The median of the finest diagonal wavelet coefficients, averaged over the channels. Of a large
    picture the middle is asked. A picture too small to tell has none.
    """
    rows, columns = pixels.shape[:2]
    if min(rows, columns) < 8:
        return 0.0
    share = min(1.0, math.sqrt(_SAMPLE_PIXELS_MAX / (rows * columns)))
    top, left = int(rows * (1 - share) / 2), int(columns * (1 - share) / 2)
    middle = pixels[top : rows - top, left : columns - left]
    planes = [middle] if middle.ndim == 2 else [middle[..., channel] for channel in range(middle.shape[2])]
    found = [np.median(np.abs(_diagonal(plane))) / 0.6745 for plane in planes]
    return float(np.mean(found))


def denoise(pixels: Array, sigma: float, on_progress: OnProgress = ignore_progress) -> Array:
    """Return a copy (height x width x channels, 8-bit or float32 as given) without grain of deviation `sigma`.

    `sigma` is in the units of the pixels; 0 returns them as they are. Works in tiles: memory is that
    of the result. The same arguments give the same pixels.
    """
    result = pixels.copy()
    if sigma <= 0:
        return result
    rows, columns = pixels.shape[:2]
    corners = [(y, x) for y in range(0, rows, _TILE_PX) for x in range(0, columns, _TILE_PX)]
    for done, (y, x) in enumerate(corners):
        on_progress(done / len(corners))
        height, width = min(_TILE_PX, rows - y), min(_TILE_PX, columns - x)
        tile = _denoise_tile(_with_margin(pixels, y, x, height, width), sigma)
        if pixels.dtype == np.uint8:
            tile = np.rint(tile)
        result[y : y + height, x : x + width] = tile
    on_progress(1.0)
    return result


def _diagonal(plane: Array) -> Floats:
    floats = np.ascontiguousarray(plane, dtype=np.float32)
    return cv2.sepFilter2D(floats, cv2.CV_32F, _WAVELET, _WAVELET)[1::2, 1::2].astype(np.float32, copy=False)


def _with_margin(pixels: Array, y: int, x: int, height: int, width: int) -> list[Floats]:
    """Return each channel of a tile and what surrounds it, mirrored where the picture ends."""
    top, left = max(0, y - _MARGIN_PX), max(0, x - _MARGIN_PX)
    bottom = min(pixels.shape[0], y + height + _MARGIN_PX)
    right = min(pixels.shape[1], x + width + _MARGIN_PX)
    above, before = _MARGIN_PX - (y - top), _MARGIN_PX - (x - left)
    below, after = _MARGIN_PX - (bottom - y - height), _MARGIN_PX - (right - x - width)
    return [
        np.asarray(
            cv2.copyMakeBorder(
                pixels[top:bottom, left:right, channel].astype(np.float32),
                above,
                below,
                before,
                after,
                cv2.BORDER_REFLECT_101,
            ),
            np.float32,
        )
        for channel in range(pixels.shape[2])
    ]


def _denoise_tile(planes: list[Floats], sigma: float) -> Floats:
    """Return the inner part of the tile, height x width x channels."""
    rows, columns = planes[0].shape
    weights = np.ones((rows, columns), np.float32)
    sums = [plane.copy() for plane in planes]
    shifts = [(dy, dx) for dy in range(_REACH_PX + 1) for dx in range(-_REACH_PX, _REACH_PX + 1) if dy or dx > 0]
    for dy, dx in shifts:
        left, right = max(0, -dx), columns - max(0, dx)
        here = (slice(0, rows - dy), slice(left, right))
        there = (slice(dy, rows), slice(left + dx, right + dx))
        weight = _likeness([plane[here] for plane in planes], [plane[there] for plane in planes], sigma)
        weights[here] += weight
        weights[there] += weight
        for total, plane in zip(sums, planes, strict=True):
            total[here] += cv2.multiply(weight, plane[there])
            total[there] += cv2.multiply(weight, plane[here])
    inner = (slice(_MARGIN_PX, rows - _MARGIN_PX), slice(_MARGIN_PX, columns - _MARGIN_PX))
    return np.stack([total[inner] / weights[inner] for total in sums], axis=2)


def _likeness(one: list[Floats], other: list[Floats], sigma: float) -> Floats:
    """Return 1 where the patches differ by no more than grain does, and less the more they differ."""
    squares: Array | None = None
    for a, b in zip(one, other, strict=True):
        difference = cv2.subtract(a, b)
        squares = cv2.multiply(difference, difference) if squares is None else cv2.accumulateSquare(difference, squares)
    assert squares is not None
    side = 2 * _PATCH_PX + 1
    mean = cv2.boxFilter(squares, cv2.CV_32F, (side, side))
    by_grain = 2 * sigma * sigma * len(one)
    slope = -1.0 / (len(one) * (_SOFTNESS * sigma) ** 2)
    np.clip(mean, by_grain, by_grain - _UNLIKE_MAX / slope, out=mean)
    return np.asarray(cv2.exp(cv2.addWeighted(mean, slope, mean, 0.0, -slope * by_grain)), np.float32)
