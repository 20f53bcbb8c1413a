"""Smooth fields across holes: a first guess for a hole, and the repair of a patched hole's rim."""

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Mask, Pixels

RIM_PX = 2  # Around a hole, where a proposal can be compared with the truth.

DECAY_PX = 25.0  # How deep a rim's correction reaches into the hole.


def smooth_fill(values: Floats, known: Mask) -> Floats:
    """Return `values` (height x width x channels) with the unknown ones blended from the nearest known.

    Push-pull: averages of what is known, coarser and coarser, then back up into the gaps.
    """
    weight = known.astype(np.float32)
    return _pull(values * weight[..., None], weight)


def _pull(sums: Array, weight: Array) -> Floats:
    """Return the means of what is known with the gaps filled, in place of the sums."""
    height, width = weight.shape
    if min(height, width) <= 1 or weight.min() >= 1:
        return _smallest(sums, weight)
    small = _halved(sums, weight)
    own = np.minimum(weight, 1)[..., None]
    sums /= np.maximum(weight, 1e-6)[..., None]
    sums *= own
    size = (small.shape[1] * 2, small.shape[0] * 2)
    coarse = _channels(_pull(small[..., :-1], small[..., -1]))
    wide = _channels(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR))[:height, :width]
    wide *= 1 - own
    sums += wide
    return sums


def _smallest(sums: Array, weight: Array) -> Floats:
    means = sums / np.maximum(weight, 1e-6)[..., None]
    if weight.size > 1 and weight.min() <= 0:
        mean = sums.reshape(-1, sums.shape[2]).sum(axis=0) / max(float(weight.sum()), 1e-6)
        means = np.where(weight[..., None] > 0, means, mean)
    return means.astype(np.float32)


def _halved(sums: Array, weight: Array) -> Array:
    """Return sums and, behind them, weights of half the size, where a weight of one is enough."""
    height, width = weight.shape
    even = np.zeros((height + height % 2, width + width % 2, sums.shape[2] + 1), np.float32)
    even[:height, :width, :-1] = sums
    even[:height, :width, -1] = weight
    small: Array = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA) * 4
    full = np.minimum(1, 1 / np.maximum(small[..., -1:], 1e-6))
    small[..., :-1] *= full
    small[..., -1:] *= full
    return small


def _channels(array: Array) -> Array:
    return array if array.ndim == 3 else array[..., None]


def correct_rim(filled: Floats, truth: Pixels | Floats, hole: Mask, known: Mask) -> None:
    """Add to the colours in `hole` what the filling lacks at its rim, less and less towards the middle.

    `filled` (height x width x 3, 0 to 255) also holds what was proposed for the pixels around the hole;
    `truth` is compared with it where it is `known`.
    """
    grown = cv2.dilate(hole.astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)).astype(bool)
    rim = grown & known & ~hole
    field = smooth_fill(np.where(rim[..., None], truth - filled, 0).astype(np.float32), rim)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    filled[hole] += (field * np.exp(-depth / DECAY_PX)[..., None])[hole]
