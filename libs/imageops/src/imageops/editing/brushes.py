"""Effects that paint the picture anew: watercolour, oil, cartoon, pencil.

Painting is done on a copy of limited size, for a brush has a width: on a larger picture the strokes
are larger, not finer. Widths follow the copy's shorter side, so that every size looks alike.
"""

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Pixels
from imageops.editing.effects import Effect
from imageops.progress import OnProgress, between

_SECTORS = 8
_PAPER = np.float32(16)  # Levels added before dividing by the surroundings: the grain of black is no line.
_SQUARINGS = 3  # Of a sector's weight: how strongly the calmest one of the neighbourhood wins.
_BAND_PIXELS = 1 << 17  # Computed in floats at once: a band's planes stay in the cache.
_SUM = np.ones((1, 3), np.float32)


def paint(pixels: Pixels, effect: Effect, seed: int, work_pixels: int, on_progress: OnProgress) -> Pixels:
    """Return the picture (height x width x 3) painted in one of this module's ways."""
    rows, columns = pixels.shape[:2]
    scale = max(1.0, math.sqrt(rows * columns / work_pixels))
    size = (max(1, round(columns / scale)), max(1, round(rows / scale)))
    small = pixels if scale == 1 else np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    painted = _WAYS[effect](small, seed, between(0.0, 0.9, on_progress))
    if scale == 1:
        return painted
    return np.asarray(cv2.resize(painted, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


def _unit(pixels: Pixels) -> float:
    return float(min(pixels.shape[:2]))


def _kuwahara(pixels: Pixels, radius: int, on_progress: OnProgress) -> Pixels:
    """Return each pixel as the mean of the calmest sectors of its disc: flat strokes with sharp borders."""
    kernels = _sector_kernels(radius)
    wide = cv2.copyMakeBorder(pixels, radius, radius, radius, radius, cv2.BORDER_REFLECT_101)
    result = np.empty_like(pixels)
    for rows in _bands(pixels):
        on_progress(rows.start / len(pixels))
        picture = wide[rows.start : rows.stop + 2 * radius].astype(np.float32) * np.float32(1 / 255)
        strokes = _calmest_sectors(picture, kernels)[radius:-radius, radius:-radius]
        result[rows] = np.clip(np.rint(strokes * 255), 0, 255)
    return result


def _calmest_sectors(picture: Floats, kernels: list[Floats]) -> Array:
    square = cv2.transform(picture * picture, _SUM)
    total, weights = np.zeros_like(picture), np.zeros(picture.shape[:2], np.float32)
    for kernel in kernels:
        mean = cv2.filter2D(picture, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        spread: Array = cv2.filter2D(square, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        spread -= cv2.transform(mean * mean, _SUM)
        weight = 1 / (1 + np.sqrt(np.maximum(spread, 0)) * np.float32(255 / 10))
        for _ in range(_SQUARINGS):
            weight *= weight
        total += mean * weight[..., None]
        weights += weight
    total /= weights[..., None]
    return total


def _bands(pixels: Array) -> Iterator[slice]:
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    return (slice(row, min(len(pixels), row + rows)) for row in range(0, len(pixels), rows))


def _sector_kernels(radius: int) -> list[Floats]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    fall = np.exp(-(x**2 + y**2) / (2 * (radius * 0.6) ** 2)) * (x**2 + y**2 <= (radius + 0.5) ** 2)
    kernels = []
    for sector in range(_SECTORS):
        turn = 2 * math.pi * sector / _SECTORS
        along = np.cos(np.arctan2(y, x) - turn)
        share = np.clip((along - math.cos(math.pi / _SECTORS * 1.4)) / 0.2, 0, 1)
        share[radius, radius] = 1
        kernel = (fall * share).astype(np.float32)
        kernels.append(kernel / kernel.sum())
    return kernels


def _noise(shape: tuple[int, ...], seed: int, grain: float) -> Floats:
    """Return smooth noise of deviation 1, `grain` pixels fine."""
    rng = np.random.default_rng(seed)
    rows, columns = (math.ceil(side / grain) + 3 for side in shape[:2])
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    large = cv2.resize(coarse, (round(columns * grain), round(rows * grain)), interpolation=cv2.INTER_CUBIC)
    noise = np.asarray(large[: shape[0], : shape[1]], np.float32)
    return noise / (float(noise.std()) + np.float32(1e-6))


def _watercolour(pixels: Pixels, seed: int, on_progress: OnProgress) -> Pixels:
    unit = _unit(pixels)
    rows, columns = pixels.shape[:2]
    wobble = np.float32(unit / 450)
    grain = max(4.0, unit / 22)
    x, y = (_noise(pixels.shape, seed + axis, grain) * wobble for axis in (0, 1))
    x += np.arange(columns, dtype=np.float32)
    y += np.arange(rows, dtype=np.float32)[:, None]
    moved = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    del x, y
    washed = _kuwahara(np.asarray(moved, np.uint8), max(2, min(5, round(unit / 130))), between(0.1, 0.8, on_progress))
    lab = _to_lab(washed)
    light: Array = np.ascontiguousarray(lab[..., 0])
    # Pigment gathers at the border of a wash, and the paper's tooth takes it unevenly.
    edges: Array = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)) / 8
    edges = cv2.GaussianBlur(edges, (0, 0), max(0.7, unit / 700))
    pools: Array = _noise(pixels.shape, seed + 2, max(6.0, unit / 12)) + 0.5 * _noise(
        pixels.shape, seed + 3, max(4.0, unit / 30)
    )
    paper = cv2.GaussianBlur(_noise(pixels.shape, seed + 4, 1.0), (0, 0), 0.8)
    light = 100 - (100 - light) * (0.87 + 0.055 * pools)
    light -= np.minimum(edges * 0.9, 14) + paper * 0.6 - 1.0
    lab[..., 0] = np.clip(light, 0, 100)
    lab[..., 1:] *= np.asarray(1.1 + 0.05 * pools, np.float32)[..., None]
    return _from_lab(lab)


def _oil(pixels: Pixels, seed: int, on_progress: OnProgress) -> Pixels:
    unit = _unit(pixels)
    radius = max(2, min(5, round(unit / 150)))
    once = _kuwahara(pixels, radius, between(0.0, 0.4, on_progress))
    twice = _kuwahara(once, radius, between(0.4, 0.8, on_progress))
    lab = _to_lab(twice)
    bristles = _along_strokes(np.ascontiguousarray(lab[..., 0]), seed, reach=max(4, round(unit / 60)))
    # Light falls on the ridges of the paint from the upper left.
    relief = cv2.Sobel(bristles, cv2.CV_32F, 1, 0) + cv2.Sobel(bristles, cv2.CV_32F, 0, 1)
    lab[..., 0] = np.clip(lab[..., 0] + np.clip(relief * (0.3 + 0.7 * lab[..., 0] / 100), -5, 5), 0, 100)
    lab[..., 1:] *= np.float32(1.12)
    return _from_lab(lab)


def _along_strokes(light: Floats, seed: int, reach: int) -> Floats:
    """Return noise smeared along the picture's contours, as bristles leave it."""
    dx, dy = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    spread = max(2.0, reach / 2)
    xx, yy, xy = (cv2.GaussianBlur(each, (0, 0), spread) for each in (dx * dx, dy * dy, dx * dy))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.float32(math.pi / 2)
    step_x, step_y = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    noise = _noise(light.shape, seed, 1.5)
    x = np.arange(light.shape[1], dtype=np.float32)
    y = np.arange(light.shape[0], dtype=np.float32)[:, None]
    total = noise.copy()
    for step in range(1, reach + 1):
        for sign in (-1, 1):
            shift = np.float32(sign * step)
            total += cv2.remap(
                noise, x + step_x * shift, y + step_y * shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
            )
    return np.asarray(total / np.float32(math.sqrt(2 * reach + 1)), np.float32)


def _cartoon(pixels: Pixels, _seed: int, on_progress: OnProgress) -> Pixels:
    unit = _unit(pixels)
    flat = pixels
    for turn in range(4):
        on_progress(turn / 5)
        flat = np.asarray(cv2.bilateralFilter(flat, 7, 28, 5), np.uint8)
    lab = _to_lab(flat)
    step = np.float32(12.5)
    level = lab[..., 0] / step
    nearest = np.floor(level) + 0.5
    lab[..., 0] = step * (nearest + 0.5 * np.tanh((level - nearest) * 5) / math.tanh(2.5))
    lab[..., 1:] *= np.float32(1.18)
    fine = max(0.8, unit / 550)
    grey = cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY).astype(np.float32)
    difference = cv2.GaussianBlur(grey, (0, 0), fine) - 0.98 * cv2.GaussianBlur(grey, (0, 0), fine * 1.6)
    lines = np.where(difference > 0, np.float32(1), 1 + np.tanh(difference * np.float32(0.9)))
    lab[..., 0] *= np.clip(lines, 0.1, 1)
    lab[..., 1:] *= np.clip(lines, 0.1, 1)[..., None]
    return _from_lab(lab)


def _sketch(pixels: Pixels, _seed: int, on_progress: OnProgress) -> Pixels:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    on_progress(0.3)
    around = cv2.GaussianBlur(255 - grey, (0, 0), max(1.5, _unit(pixels) / 170))
    # Only what is darker than around it is drawn: the paper stays white in the deepest shadow, too.
    drawn = np.clip((grey + _PAPER) / (255 - around + _PAPER), 0, 1)
    # A pencil shades a little of the tone below.
    drawn = drawn ** np.float32(1.8) * (0.9 + 0.1 * grey / 255)
    line = np.clip(np.rint(drawn * 255), 0, 255).astype(np.uint8)
    return np.repeat(line[..., None], 3, axis=2)


def _to_lab(pixels: Pixels) -> Floats:
    lab = np.empty(pixels.shape, np.float32)
    for rows in _bands(pixels):
        lab[rows] = cv2.cvtColor(pixels[rows].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab


def _from_lab(lab: Floats) -> Pixels:
    pixels = np.empty(lab.shape, np.uint8)
    for rows in _bands(lab):
        pixels[rows] = np.clip(np.rint(cv2.cvtColor(lab[rows], cv2.COLOR_LAB2RGB) * 255), 0, 255)
    return pixels


_WAYS: dict[Effect, Callable[[Pixels, int, OnProgress], Pixels]] = {
    Effect.WATERCOLOUR: _watercolour,
    Effect.OIL: _oil,
    Effect.CARTOON: _cartoon,
    Effect.SKETCH: _sketch,
}
BRUSHES = frozenset(_WAYS)
