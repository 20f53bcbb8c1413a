"""From coarse to fine: a picture with a hole at several sizes, matched one after the other."""

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Mask
from imageops.filling.biharmonic import bridge
from imageops.filling.patchsearch import Level
from imageops.filling.rims import RIM_PX, smooth_fill
from imageops.progress import OnProgress

_COARSEST_PX = 5  # How deep the hole may be on the coarsest copy: about one patch.
_COARSEST_SIDE_PX = 24  # And how small that copy may be.
_CENTRES_MIN = 64  # Whole patches below which there is nothing to choose from.
_BRIDGED_LEVELS_MAX = 4  # A hole that is deeper still has nothing to do with its rim.
_JUMPS = (8, 4, 2, 1)  # A good match spreads this far in one round.
_TRIES = 8  # Random looks around each match and round: from the whole picture down to the next pixel.
_GUESSED = 1e-3  # The weight of a first guess beside the pixels that are known.
_BAND_PIXELS = 1 << 18  # What is in memory as floats at once.
_WHITE = np.ones(3, np.float32)
_ROUNDS_COARSEST, _ROUNDS, _ROUNDS_FINEST = 10, 5, 3  # Of search and vote; later ones change little.


def match(
    picture: Floats, hole: Mask, known: Mask, sources: Mask, *, seed: int, on_progress: OnProgress
) -> Level | None:
    """Return the finest level with the hole filled, or None where there is nothing to copy from.

    `picture` is height x width x 3, 0 to 255. Its `known` pixels are compared with, those of `sources`
    are also copied; the others are in the hole or left alone.
    """
    levels = _pyramid(smooth_fill(picture, known), hole, sources)
    if 0 < len(levels) <= _BRIDGED_LEVELS_MAX:
        # What bends across the coarsest hole begins nearer to the truth than what is flat inside.
        first = levels[0]
        first.picture = bridge(first.picture, first.hole)
    rng = np.random.default_rng(seed % 2**64)
    coarse = None
    for number, level in enumerate(levels):
        level.start(rng, coarse)
        last = level is levels[-1]
        rounds = _ROUNDS_FINEST if last else _ROUNDS if coarse else _ROUNDS_COARSEST
        for turn in range(rounds):
            on_progress((number + turn / rounds) / len(levels))
            level.search(rng, jumps=_JUMPS if turn == 0 else (1,), tries=_TRIES)
            if last and turn == rounds - 1:
                level.accept(rim=RIM_PX, last=True)
            else:
                level.accept()
        level.forget()
        coarse = level
    return coarse


def shrink(picture: Array, weights: Array, factor: int) -> tuple[Floats, Floats]:
    """Return a picture `factor` times smaller, height x width x 3, and the mean weight of each of its pixels.

    Colours are averaged by their weights. Sides that are no multiple of the factor are rounded up.
    """
    height, width = weights.shape
    rows, columns = -(-height // factor), -(-width // factor)
    small, shares = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32)
    band = max(1, _BAND_PIXELS // (width * factor))
    for row in range(0, rows, band):
        place = slice(row, min(rows, row + band))
        taken = slice(row * factor, place.stop * factor)
        weight = np.asarray(weights[taken], np.float32)
        stack = np.dstack([picture[taken] * weight[..., None], weight])
        below, right = (place.stop - row) * factor - len(weight), columns * factor - width
        padded = cv2.copyMakeBorder(stack, 0, below, 0, right, cv2.BORDER_REPLICATE)
        mean = cv2.resize(padded, (columns, place.stop - row), interpolation=cv2.INTER_AREA)
        shares[place] = mean[..., 3]
        small[place] = mean[..., :3] / np.maximum(mean[..., 3:], 1e-9)
    return small, shares


def _pyramid(picture: Floats, hole: Mask, sources: Mask) -> list[Level]:
    """Return the levels, the coarsest first; none where no patch is whole."""
    levels: list[Level] = []
    while True:
        level = Level(picture, hole, sources)
        if len(level.centres) < _CENTRES_MIN:
            break
        levels.append(level)
        depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max()
        if depth <= _COARSEST_PX or min(hole.shape) < 2 * _COARSEST_SIDE_PX:
            break
        picture, shares = shrink(picture, np.where(hole, _GUESSED, 1), 2)
        hole = shares < 0.5 + _GUESSED / 2
        sources = shrink(sources[..., None] * _WHITE, np.ones(sources.shape), 2)[0][..., 0] > 0.99
    return levels[::-1]
