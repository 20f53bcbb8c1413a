"""Library calls that several operations are made of, as one would write them by hand."""

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

_NLM_TILE, _NLM_MARGIN = 256, 14
_NLM_SHIFTS = [(dy, dx) for dy in range(7) for dx in range(-6, 7) if dy or dx > 0]
_WAVELET = np.array([-0.48296291, 0.83651630, -0.22414387, -0.12940952], np.float32)


def non_local_means(pixels: Array, sigma: float) -> None:
    """Patches of 5 x 5 within 6 pixels, every pair once, as OpenCV's arithmetic on tiles that stay in the cache."""
    rows, columns, channels = pixels.shape
    wide = cv2.copyMakeBorder(pixels, *(4 * (_NLM_MARGIN,)), cv2.BORDER_REFLECT_101)
    result = np.empty_like(pixels)
    slope, floor = -1 / (channels * (0.75 * sigma) ** 2), 2 * sigma * sigma * channels
    for y in range(0, rows, _NLM_TILE):
        for x in range(0, columns, _NLM_TILE):
            tile = wide[y : y + _NLM_TILE + 2 * _NLM_MARGIN, x : x + _NLM_TILE + 2 * _NLM_MARGIN]
            planes = cv2.split(tile.astype(np.float32))
            made = np.rint(_means_of(planes, slope, floor))[_NLM_MARGIN:-_NLM_MARGIN, _NLM_MARGIN:-_NLM_MARGIN]
            result[y : y + _NLM_TILE, x : x + _NLM_TILE] = made


def _means_of(planes: Any, slope: float, floor: float) -> Array:
    rows, columns = planes[0].shape
    weights = np.ones((rows, columns), np.float32)
    sums = [plane.copy() for plane in planes]
    for dy, dx in _NLM_SHIFTS:
        left, right = max(0, -dx), columns - max(0, dx)
        here, there = (slice(0, rows - dy), slice(left, right)), (slice(dy, rows), slice(left + dx, right + dx))
        squares: Any = None
        for plane in planes:
            gap = cv2.subtract(plane[here], plane[there])
            squares = cv2.multiply(gap, gap) if squares is None else cv2.accumulateSquare(gap, squares)
        mean = cv2.boxFilter(squares, cv2.CV_32F, (5, 5))
        np.clip(mean, floor, floor - 30 / slope, out=mean)
        weight = cv2.exp(cv2.addWeighted(mean, slope, mean, 0.0, -slope * floor))
        weights[here] += weight
        weights[there] += weight
        for total, plane in zip(sums, planes, strict=True):
            total[here] += cv2.multiply(weight, plane[there])
            total[there] += cv2.multiply(weight, plane[here])
    return np.stack([total / weights for total in sums], axis=2)


def grain_of(pixels: Array) -> float:
    """The median of the finest diagonal wavelet coefficients."""
    levels = []
    for channel in range(pixels.shape[2]):
        plane = np.ascontiguousarray(pixels[..., channel], np.float32)
        levels.append(np.median(np.abs(cv2.sepFilter2D(plane, cv2.CV_32F, _WAVELET, _WAVELET)[1::2, 1::2])))
    return float(np.mean(levels)) / 0.6745


def to_lab(pixels: Array) -> Array:
    """CIE Lab of 8-bit pixels."""
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB))


def from_lab(lab: Array) -> Array:
    """8-bit pixels of CIE Lab."""
    return np.clip(np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255), 0, 255).astype(np.uint8)


def five_colours(pixels: Array) -> Array:
    """K-means in Lab on a sample of 256 pixels a side, three tries; the colours in Lab."""
    step = max(1, -(-max(pixels.shape[:2]) // 256))
    sample = to_lab(np.ascontiguousarray(pixels[::step, ::step]))
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 0.2)
    cv2.setRNGSeed(1)
    _, _, centres = cv2.kmeans(sample.reshape(-1, 3), 5, np.empty(0), stop, 3, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres)


def nearest(pixels: Array, colours: Array) -> Array:
    """The number of each pixel's nearest colour, by a table of 64 levels a channel."""
    levels = (np.arange(64, dtype=np.float32) * 4 + 2) / 255
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=3).reshape(64, -1, 3)
    lab = cv2.cvtColor(cube, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    table = np.argmin(np.stack([((lab - colour) ** 2).sum(axis=1) for colour in colours]), axis=0).astype(np.uint8)
    labels = np.empty(pixels.shape[:2], np.uint8)
    for row, line in enumerate(pixels >> 2):
        labels[row] = table.take((line[:, 0].astype(np.intp) << 12) + (line[:, 1].astype(np.intp) << 6) + line[:, 2])
    return labels
