"""Fill a hole in a picture too large to search: match at a smaller size, copy what was found at full size."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from imageops.arrays import Floats, Mask, Pixels, Places, in_blocks
from imageops.filling.patchpyramid import match, shrink
from imageops.filling.patchsearch import Level
from imageops.filling.rims import DECAY_PX, RIM_PX, smooth_fill
from imageops.progress import OnProgress, between

_BAND_PIXELS = 1 << 17  # Of the picture, copied at once.
_MATCHED = 0.7  # The search's share of the work.


def fill_large(
    picture: Pixels, known: Mask, sources: Mask, hole: Mask, *, factor: int, seed: int, on_progress: OnProgress
) -> None:
    """Fill the hole in place, searching in a copy `factor` times smaller."""
    small, shares = shrink(picture, known, factor)
    some, every = in_blocks(hole, factor), ~in_blocks(~sources, factor)
    told = between(0, _MATCHED, on_progress)
    level = match(small, some, shares > 0, every & ~some, seed=seed, on_progress=told)
    if level is None:
        guess = cv2.resize(smooth_fill(small, shares > 0), hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
        picture[hole] = np.clip(np.rint(guess[hole]), 0, 255).astype(np.uint8)
        return
    finds = Finds.none(some.shape)
    finds.add(level, some)
    finds.copy(picture, hole, known, factor=factor, on_progress=between(_MATCHED, 1, on_progress))


@dataclass(kw_only=True)
class Finds:
    """For each pixel of the smaller copy, where its patch was found: steps down and right, and what to add to it."""

    down: Places
    right: Places
    shifts: Floats  #: Height x width x 3, in levels.
    found: Mask

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Self:
        """Return finds of nothing yet."""
        return cls(
            down=np.zeros(shape, np.intp),
            right=np.zeros(shape, np.intp),
            shifts=np.zeros((*shape, 3), np.float32),
            found=np.zeros(shape, bool),
        )

    def add(self, level: Level, hole: Mask) -> None:
        """Take what was found for the hole, and around it where nothing was found before."""
        new = hole[level.ys, level.xs] | ~self.found[level.ys, level.xs]
        ys, xs = level.ys[new], level.xs[new]
        width = hole.shape[1]
        self.down[ys, xs] = level.at[new] // width - ys
        self.right[ys, xs] = level.at[new] % width - xs
        self.shifts[ys, xs] = level.shifts()[new]
        self.found[ys, xs] = True

    def copy(self, picture: Pixels, hole: Mask, known: Mask, *, factor: int, on_progress: OnProgress) -> None:
        """Fill `hole` in place with copies of `known` pixels, at the full size."""
        self._match_rim(picture, hole, known, factor)
        for rows in _bands(hole.shape):
            on_progress(rows.start / len(hole))
            ys, xs = np.nonzero(hole[rows])
            if len(ys):
                colours = self._colours(picture, ys + rows.start, xs, factor)
                picture[ys + rows.start, xs] = np.clip(np.rint(colours), 0, 255).astype(np.uint8)

    def _match_rim(self, picture: Pixels, hole: Mask, known: Mask, factor: int) -> None:
        """Shift what is copied so that it meets the hole's rim, less and less towards the middle."""
        grown = cv2.dilate(hole.astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)).astype(bool)
        grown &= known
        ys, xs = np.nonzero(grown)
        lacking = picture[ys, xs] - self._colours(picture, ys, xs, factor)
        height, width = self.found.shape
        cells = (ys // factor) * width + xs // factor
        counts = np.bincount(cells, minlength=height * width).reshape(height, width)
        sums = [np.bincount(cells, lacking[:, c], height * width).reshape(height, width) for c in range(3)]
        means = np.dstack(sums) / np.maximum(counts, 1)[..., None]
        field = smooth_fill(means.astype(np.float32), counts > 0)
        depth = cv2.distanceTransform(in_blocks(hole, factor).astype(np.uint8), cv2.DIST_L2, 3)
        self.shifts += field * np.exp(-depth / DECAY_PX)[..., None]

    def _colours(self, picture: Pixels, ys: Places, xs: Places, factor: int) -> Floats:
        """Return the copies for these pixels, each blended from the finds of the four cells around it."""
        height, width = self.found.shape
        pixels = picture.reshape(-1, 3)
        total = np.zeros((len(ys), 3), np.float32)
        shares = np.full(len(ys), 1e-9, np.float32)
        for row, part_y in _corners(ys, factor, height):
            for column, part_x in _corners(xs, factor, width):
                cell = row * width + column
                weight = part_y * part_x * self.found.ravel().take(cell)
                y = np.clip(ys + factor * self.down.ravel().take(cell), 0, picture.shape[0] - 1)
                x = np.clip(xs + factor * self.right.ravel().take(cell), 0, picture.shape[1] - 1)
                colour = pixels.take(y * picture.shape[1] + x, axis=0) + self.shifts.reshape(-1, 3).take(cell, axis=0)
                total += colour * weight[:, None]
                shares += weight
        total /= shares[:, None]
        return total


def _corners(at: Places, factor: int, count: int) -> list[tuple[Places, Floats]]:
    """Return the cells before and behind these places along one axis, and the share of each."""
    place = (at + 0.5) / factor - 0.5
    before = np.floor(place).astype(np.intp)
    share = (place - before).astype(np.float32)
    return [(np.clip(before, 0, count - 1), 1 - share), (np.clip(before + 1, 0, count - 1), share)]


def _bands(shape: tuple[int, ...]) -> list[slice]:
    rows = max(1, _BAND_PIXELS // shape[1])
    return [slice(row, min(shape[0], row + rows)) for row in range(0, shape[0], rows)]
