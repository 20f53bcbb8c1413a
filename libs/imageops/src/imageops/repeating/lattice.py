"""The repeat of a print: found by how it resembles itself, and one clean cell of it."""

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imageops.arrays import Array, Floats, Pixels
from imageops.palette import to_lab

_SEARCHED_PX = 384  # The side of what the repeat is looked for in.
_STEP_MIN, _STEP_MAX = 0.04, 0.5  # Of that side: no repeat is shorter, and longer ones are not seen twice.
_AS_GOOD = 0.8  # Of the best likeness: a shift that resembles so much is a repeat too.
_LIKE_MIN = 0.25  # Likeness (1 is equal) below which a print has no repeat.
_PLAIN = 1.0  # Mean square in Lab units below which there is no print at all.
_SQUARE_DEGREES = 7.0  # How far from a right angle a cell's sides may be, to be straightened.

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Two shifts (x, y in pixels) at about a right angle after which the print is the same again."""

    across: Vector
    down: Vector


def find_lattice(pixels: Pixels) -> Lattice | None:
    """Return the smallest upright repeat of an even-lit print (height x width x 3), None if there is none."""
    side = min(pixels.shape[:2])
    ratio = min(1.0, _SEARCHED_PX / side)
    size = (round(pixels.shape[1] * ratio), round(pixels.shape[0] * ratio))
    likeness = _likeness(to_lab(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)))
    shifts = [] if likeness is None else _peaks(likeness, min(size))
    if not shifts:
        return None
    shortest = shifts[0]
    other = next((each for each in shifts if _angle(shortest, each) > math.radians(25)), None)
    if other is None:
        return None
    return _upright(shortest / ratio, other / ratio)


def _likeness(lab: Floats) -> Floats | None:
    """Return how much the picture resembles itself at each shift, 1 at none, shift (0, 0) in the middle.

    None where there is nothing but one colour.
    """
    height, width = lab.shape[:2]
    mean = cv2.GaussianBlur(lab, (0, 0), max(height, width) / 6)
    flat = lab - mean
    twice = (2 * height, 2 * width)  # Beside it is nothing, so that no shift meets the other end.
    raw = np.fft.irfft2(sum(_power(flat[..., channel], twice) for channel in range(3)), s=twice)
    overlap = np.fft.irfft2(_power(np.ones((height, width)), twice), s=twice)
    even = raw / np.maximum(overlap, 0.1 * height * width)
    return None if even[0, 0] < _PLAIN else np.fft.fftshift(even / even[0, 0]).astype(np.float32)


def _power(plane: Array, size: tuple[int, int]) -> Array:
    power: Array = np.abs(np.fft.rfft2(plane, s=size)) ** 2
    return power


def _peaks(likeness: Floats, side: int) -> list[Vector]:
    """Return the shifts of one half plane that are as good as the best, the shortest first."""
    smooth = cv2.GaussianBlur(likeness, (0, 0), 1.0)
    top = cv2.dilate(smooth, np.ones((7, 7), np.uint8)) <= smooth
    ys, xs = np.nonzero(top)
    middle = np.array(likeness.shape) // 2
    found = []
    for y, x in zip(ys, xs, strict=True):
        down, right = int(y - middle[0]), int(x - middle[1])
        if (down, right) <= (0, 0) or not _STEP_MIN * side <= math.hypot(down, right) <= _STEP_MAX * side:
            continue
        found.append((float(smooth[y, x]), _refined(smooth, int(y), int(x)) - middle[::-1]))
    best = max((value for value, _ in found), default=0.0)
    good = [shift for value, shift in found if value >= max(_LIKE_MIN, _AS_GOOD * best)]
    return sorted(good, key=lambda shift: float(np.hypot(*shift)))


def _refined(smooth: Array, y: int, x: int) -> Vector:
    """Return a peak's place (x, y) to a fraction of a pixel, by the parabola through its neighbours."""
    place = [float(x), float(y)]
    for axis, (before, behind) in enumerate(
        (
            (smooth[y, x - 1], smooth[y, x + 1]) if 0 < x < smooth.shape[1] - 1 else (0, 0),
            (smooth[y - 1, x], smooth[y + 1, x]) if 0 < y < smooth.shape[0] - 1 else (0, 0),
        )
    ):
        bend = float(before + behind - 2 * smooth[y, x])
        if bend < -1e-9:
            place[axis] += float(np.clip((before - behind) / (2 * bend), -0.5, 0.5))
    return np.array(place)


def _angle(one: Vector, other: Vector) -> float:
    cross, dot = one[0] * other[1] - one[1] * other[0], float(one @ other)
    return math.atan2(abs(cross), abs(dot))


def _upright(one: Vector, other: Vector) -> Lattice | None:
    """Return the smallest cell with about a right angle that the two shifts span, turned the way the picture is."""
    sums = [i * one + j * other for i, j in itertools.product(range(-3, 4), repeat=2) if (i, j) != (0, 0)]
    best: tuple[float, Vector, Vector] | None = None
    for across, down in itertools.permutations(sums, 2):
        if across[0] <= abs(across[1]) or down[1] <= abs(down[0]):
            continue
        if math.degrees(_angle(across, down)) < 90 - _SQUARE_DEGREES:
            continue
        area = float(np.hypot(*across) * np.hypot(*down))
        if best is None or area < best[0] * 0.98:
            best = (area, across, down)
    return None if best is None else Lattice(across=best[1], down=best[2])
