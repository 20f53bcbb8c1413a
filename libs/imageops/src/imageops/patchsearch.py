"""The nearest patches of a picture's hole: search and vote on one level of the pyramid."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from imageops.arrays import Floats, Mask, Whole
from imageops.rims import RIM_PX

RADIUS = 3  # 7 x 7 patches: small enough to fit between things, large enough to know a texture.

_COSINES = 4  # Of each direction in lightness; two in the colours, which change slowly.
_CHUNK = 1 << 15  # Pixels compared at once: their coefficients stay in the cache.
_SHRINK = 0.5  # Of the random search's reach from try to try.
_FADE = 1.3  # A vote counts this much less with every pixel it lies deeper in the hole.

# Orthonormal lightness and two colour differences: distances are those of RGB.
_OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32) / np.sqrt(np.array([[3], [2], [6]], np.float32))


def describe(picture: Floats) -> Floats:
    """Return each pixel's patch as cosine coefficients: height x width x coefficients."""
    planes = cv2.split(cv2.transform(picture, _OPPONENT))
    side = np.arange(-RADIUS, RADIUS + 1) + RADIUS + 0.5
    count = 2 * RADIUS + 1
    waves = [np.cos(np.pi * k * side / count) * math.sqrt((2 if k else 1) / count) for k in range(_COSINES)]
    kept = []
    for plane, cosines in zip(planes, (_COSINES, 2, 2), strict=True):
        for v in range(cosines):
            for u in range(cosines):
                if u + v < cosines + (cosines > 2):
                    kept.append(cv2.sepFilter2D(plane, cv2.CV_32F, waves[u], waves[v], borderType=cv2.BORDER_REFLECT))
    return np.stack(kept, axis=2)


class Level:
    """One size of a picture with a hole: its current estimate, and the patches found for it.

    `picture` is height x width x 3, 0 to 255, and holds an estimate where `hole` is set; `sources` are
    the pixels to copy from.
    """

    def __init__(self, picture: Floats, hole: Mask, sources: Mask) -> None:
        self.picture = picture
        self.hole = hole
        height, width = hole.shape
        self._width = width
        whole = cv2.erode(
            sources.astype(np.uint8),
            np.ones((2 * RADIUS + 1,) * 2, np.uint8),
            borderType=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        self._valid: Mask = whole.astype(bool)
        self.centres = np.flatnonzero(self._valid).astype(np.int32)
        reach = RADIUS + RIM_PX
        wide = cv2.dilate(hole.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
        ys, xs = np.nonzero(wide)
        self.ys, self.xs = ys.astype(np.int32), xs.astype(np.int32)
        # Where a pixel stands in the lists of targets; -1 for those that are none, and outside the picture.
        self._index = np.full((height + 2 * reach, width + 2 * reach), -1, np.int32)
        self._reach = reach
        self._index[self.ys + reach, self.xs + reach] = np.arange(len(self.ys), dtype=np.int32)
        self.at = np.zeros(len(self.ys), np.int32)  # Flat index of the source patch's centre.
        self.cost = np.full(len(self.ys), np.inf, np.float32)
        depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
        self._trust = (_FADE ** -depth[self.ys, self.xs]).astype(np.float32)

    def start(self, rng: np.random.Generator, coarse: "Level | None" = None) -> None:
        """Take what the coarser level found, or begin anywhere."""
        anywhere = self.centres[rng.integers(0, len(self.centres), len(self.ys))]
        if coarse is None:
            self.at = anywhere
            return
        height, width = coarse.hole.shape
        index = coarse.index_at(np.minimum(self.ys >> 1, height - 1), np.minimum(self.xs >> 1, width - 1))
        found = coarse.at[np.maximum(index, 0)]
        ys = (found // width) * 2 + (self.ys & 1)
        xs = (found % width) * 2 + (self.xs & 1)
        good = (index >= 0) & self._is_valid(ys, xs)
        self.at = np.where(good, ys * self._width + xs, anywhere).astype(np.int32)
        self.cost = np.where(good, coarse.cost[np.maximum(index, 0)], coarse.cost.max()).astype(np.float32)
        self.accept()

    def index_at(self, ys: Whole, xs: Whole) -> Whole:
        index: Whole = self._index[ys + self._reach, xs + self._reach]
        return index

    def _is_valid(self, ys: Whole, xs: Whole) -> Mask:
        height, width = self._valid.shape
        inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
        good: Mask = inside & self._valid[np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)]
        return good

    def search(self, rng: np.random.Generator, *, jumps: tuple[int, ...], tries: int) -> None:
        """Find better patches for the present estimate."""
        described = describe(self.picture)
        self._sources = described.reshape(-1, described.shape[2])
        self._wanted = self._sources[self.ys * self._width + self.xs]
        self.cost = self._costs(np.arange(len(self.at), dtype=np.int32), self.at)
        for jump in jumps:
            for dy, dx in ((0, -jump), (-jump, 0), (0, jump), (jump, 0)):
                self._propagate(dy, dx)
        reach = float(max(self._valid.shape))
        for _ in range(tries):
            self._try_around(rng, max(1, round(reach)))
            reach = max(1.0, reach * _SHRINK)

    def _propagate(self, dy: int, dx: int) -> None:
        height, width = self._valid.shape
        ys, xs = self.ys + dy, self.xs + dx
        near = self.index_at(np.clip(ys, -1, height), np.clip(xs, -1, width))
        has = near >= 0
        who = np.flatnonzero(has)
        found = self.at[near[who]]
        self._offer(who, found // width - dy, found % width - dx)

    def _try_around(self, rng: np.random.Generator, reach: int) -> None:
        steps = rng.integers(-reach, reach + 1, (2, len(self.at)), dtype=np.int32)
        self._offer(np.arange(len(self.at)), self.at // self._width + steps[0], self.at % self._width + steps[1])

    def _offer(self, who: npt.NDArray[np.intp], ys: Whole, xs: Whole) -> None:
        """Take the proposed patches where they are nearer than the present ones."""
        at = ys * self._width + xs
        wanted = self._is_valid(ys, xs) & (at != self.at[who])
        who, at = who[wanted], at[wanted]
        cost = self._costs(who, at)
        better = cost < self.cost[who]
        who = who[better]
        self.at[who], self.cost[who] = at[better], cost[better]

    def _costs(self, who: npt.NDArray[np.integer], at: Whole) -> Floats:
        costs = np.empty(len(who), np.float32)
        for first in range(0, len(who), _CHUNK):
            part = slice(first, first + _CHUNK)
            difference = self._sources[at[part]]
            difference -= self._wanted[who[part]]
            np.einsum("ij,ij->i", difference, difference, out=costs[part])
        return costs

    def vote(self, *, rim: int = 0, sharp: float = 1.0) -> tuple[Whole, Whole, Floats]:
        """Return the hole's pixels (and `rim` pixels around it), and the colours that the patches propose."""
        grown = self.hole
        if rim:
            grown = cv2.dilate(grown.astype(np.uint8), np.ones((2 * rim + 1,) * 2, np.uint8)).astype(bool)
        ys, xs = (each.astype(np.int32) for each in np.nonzero(grown))
        usual = float(np.quantile(self.cost, 0.75)) if len(self.cost) else 0.0
        weights = np.exp(self.cost * (-sharp / max(usual, 1.0))) * self._trust + 1e-12
        weights = np.append(weights, 0).astype(np.float32)  # The last one is for pixels that are no targets.
        sources = self.picture.reshape(-1, 3)
        colours = np.zeros((len(ys), 3), np.float32)
        for first in range(0, len(ys), _CHUNK):
            part = slice(first, first + _CHUNK)
            colours[part] = self._colours(ys[part], xs[part], weights, sources)
        return ys, xs, colours

    def _colours(self, ys: Whole, xs: Whole, weights: Floats, sources: Floats) -> Floats:
        total = np.zeros((len(ys), 3), np.float32)
        share = np.zeros(len(ys), np.float32)
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                near = self.index_at(ys + dy, xs + dx)
                weight = weights[near]
                colour = sources[self.at[near] - (dy * self._width + dx)]
                total += colour * weight[:, None]
                share += weight
        total /= share[:, None]
        return total

    def accept(self, *, rim: int = 0, sharp: float = 1.0) -> None:
        """Make what the patches propose the new estimate, in the hole and `rim` pixels around it."""
        ys, xs, colours = self.vote(rim=rim, sharp=sharp)
        self.picture[ys, xs] = colours
