"""The nearest patches of a picture's hole: search and vote on one level of the pyramid."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from imageops.arrays import Floats, Mask, Places
from imageops.filling.rims import RIM_PX

RADIUS = 3  # 7 x 7 patches: small enough to fit between things, large enough to know a texture.

_COSINES = 4  # Of each direction in lightness; two in the colours, which change slowly.
_CHUNK = 1 << 15  # Pixels compared at once: their coefficients stay in the cache.
_SHRINK = 0.5  # Of the random search's reach from try to try.
_FAR = 40.0  # A patch a whole side away is as bad as one that differs by so many levels: what is near fits best.
_SHIFT_MAX = 16.0  # Levels by which a copied patch may be made lighter, darker or more colourful to fit its place,
_SHIFT_PX = 20.0  # and how deep into the hole: far from the rim it would only blend everything to grey.
_FADE = math.log(2.2)  # The logarithm of how much less a vote counts with every pixel it lies deeper in the hole.
_VOTE_MIN = (
    -27.0
)  # Likewise, of the worst patch's vote: above nothing, so that a pixel with bad ones only has a colour.
_NOBODY = -1e9  # And of a pixel that is no target.
_SHARP, _SHARP_LAST = 1.0, 0.5  # How much a vote prefers near matches: less is nearer to the truth, more keeps grain.
# In the last vote patches count less the farther from their middle: at the rim, where the truth is within reach,
# hardly; deep inside, where their mean would only be blurred, as a Gaussian of this deviation.
_FOCUS_RIM_PX, _FOCUS_DEEP_PX, _DEEP_PX = 8.0, 0.8, 10.0

_NUMBERS = 2 + 13 + 4 + 4  # That describe a patch.
_MEAN = 0.7  # How much a patch's mean counts: a copy may be shifted to fit.

# Orthonormal lightness and two colour differences: distances are those of RGB.
_OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32) / np.sqrt(np.array([[3], [2], [6]], np.float32))


def _planes(picture: Floats) -> Iterator[Floats]:
    """Give one by one each pixel's place and its patch's cosine coefficients, height x width each."""
    height, width = picture.shape[:2]
    count = 2 * RADIUS + 1
    far = np.float32(_FAR * count / max(height, width))
    yield np.repeat(np.arange(height, dtype=np.float32)[:, None] * far, width, axis=1)
    yield np.repeat(np.arange(width, dtype=np.float32)[None] * far, height, axis=0)
    side = np.arange(count) + 0.5
    waves = [np.cos(np.pi * k * side / count) * math.sqrt((2 if k else 1) / count) for k in range(_COSINES)]
    alone = np.ones(1)
    for plane, cosines in zip(cv2.split(cv2.transform(picture, _OPPONENT)), (_COSINES, 2, 2), strict=True):
        for u in range(cosines):
            across = cv2.sepFilter2D(plane, cv2.CV_32F, waves[u], alone, borderType=cv2.BORDER_REFLECT)
            for v in range(cosines - max(0, u - 1) if cosines > 2 else cosines):
                down = waves[v] if u + v else waves[v] * _MEAN
                yield np.asarray(cv2.sepFilter2D(across, cv2.CV_32F, alone, down, borderType=cv2.BORDER_REFLECT))


def _describe(picture: Floats, at: Places | None = None) -> Floats:
    """Return the descriptions of the pixels with these flat indices, or of all: pixels x numbers."""
    pixels = picture.shape[0] * picture.shape[1] if at is None else len(at)
    described = np.empty((pixels, _NUMBERS), np.float32)
    for number, plane in enumerate(_planes(picture)):
        described[:, number] = plane.ravel() if at is None else plane.ravel().take(at)
    return described


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
        self.centres = np.flatnonzero(self._valid)
        reach = RADIUS + RIM_PX
        wide = cv2.dilate(hole.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
        ys, xs = np.nonzero(wide)
        self.ys, self.xs = ys, xs
        # Where a pixel stands in the lists of targets; -1 for those that are none, and outside the picture.
        self._index = np.full((height + 2 * reach, width + 2 * reach), -1, np.intp)
        self._reach = reach
        self._sources = np.empty((0, _NUMBERS), np.float32)
        self._index[self.ys + reach, self.xs + reach] = np.arange(len(self.ys))
        self.at = np.zeros(len(self.ys), np.intp)  # Flat index of the source patch's centre.
        self.cost = np.full(len(self.ys), np.inf, np.float32)
        depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
        depth = depth[self.ys, self.xs]
        self._deep = depth * np.float32(_FADE)
        self._shift_max = (_SHIFT_MAX * np.exp(-depth / _SHIFT_PX)).astype(np.float32)

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
        self.at = np.where(good, ys * self._width + xs, anywhere)
        self.cost = np.where(good, coarse.cost[np.maximum(index, 0)], coarse.cost.max()).astype(np.float32)
        self.accept()

    def index_at(self, ys: Places, xs: Places) -> Places:
        index: Places = self._index[ys + self._reach, xs + self._reach]
        return index

    def _is_valid(self, ys: Places, xs: Places) -> Mask:
        height, width = self._valid.shape
        inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
        good: Mask = inside & self._valid[np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)]
        return good

    def search(self, rng: np.random.Generator, *, jumps: tuple[int, ...], tries: int) -> None:
        """Find better patches for the present estimate."""
        if not len(self._sources):  # Sources are never in the hole, and so never change.
            self._sources = _describe(self.picture)
        self._wanted = _describe(self.picture, self.ys * self._width + self.xs)
        self.cost = self._costs(np.arange(len(self.at)), self.at)
        for jump in jumps:
            for dy, dx in ((0, -jump), (-jump, 0), (0, jump), (jump, 0)):
                self._propagate(dy, dx)
        reach = float(max(self._valid.shape))
        for _ in range(tries):
            self._try_around(rng, max(1, round(reach)))
            reach = max(1.0, reach * _SHRINK)

    def forget(self) -> None:
        """Give the memory back that searching takes; what was found stays."""
        self._sources = self._wanted = np.empty((0, _NUMBERS), np.float32)

    def _propagate(self, dy: int, dx: int) -> None:
        height, width = self._valid.shape
        ys, xs = self.ys + dy, self.xs + dx
        near = self.index_at(np.clip(ys, -1, height), np.clip(xs, -1, width))
        has = near >= 0
        who = np.flatnonzero(has)
        found = self.at[near[who]]
        self._offer(who, found // width - dy, found % width - dx)

    def _try_around(self, rng: np.random.Generator, reach: int) -> None:
        steps = rng.integers(-reach, reach + 1, (2, len(self.at)))
        self._offer(np.arange(len(self.at)), self.at // self._width + steps[0], self.at % self._width + steps[1])

    def _offer(self, who: npt.NDArray[np.intp], ys: Places, xs: Places) -> None:
        """Take the proposed patches where they are nearer than the present ones."""
        at = ys * self._width + xs
        wanted = self._is_valid(ys, xs) & (at != self.at[who])
        who, at = who[wanted], at[wanted]
        cost = self._costs(who, at)
        better = cost < self.cost[who]
        who = who[better]
        self.at[who], self.cost[who] = at[better], cost[better]

    def _costs(self, who: npt.NDArray[np.integer], at: Places) -> Floats:
        costs = np.empty(len(who), np.float32)
        for first in range(0, len(who), _CHUNK):
            part = slice(first, first + _CHUNK)
            difference = self._sources.take(at[part], axis=0)
            difference -= self._wanted.take(who[part], axis=0)
            np.einsum("ij,ij->i", difference, difference, out=costs[part])
        return costs

    def vote(self, *, rim: int = 0, last: bool = False) -> tuple[Places, Places, Floats]:
        """Return the hole's pixels (and `rim` pixels around it), and the colours that the patches propose."""
        grown = self.hole
        if rim:
            grown = cv2.dilate(grown.astype(np.uint8), np.ones((2 * rim + 1,) * 2, np.uint8)).astype(bool)
        ys, xs = np.nonzero(grown)
        usual = float(np.quantile(self.cost, 0.75)) if len(self.cost) else 0.0
        sharp = _SHARP_LAST if last else _SHARP
        weights = np.maximum(self.cost * (-sharp / max(usual, 1.0)), _VOTE_MIN) - self._deep
        weights = np.append(weights, _NOBODY).astype(np.float32)  # Logarithms: deep in a hole there are no others.
        shifts = self.shifts()
        colours = np.zeros((len(ys), 3), np.float32)
        for first in range(0, len(ys), _CHUNK):
            part = slice(first, first + _CHUNK)
            colours[part] = self._colours(ys[part], xs[part], weights, shifts, last=last)
        return ys, xs, colours

    def shifts(self) -> Floats:
        """Return by how much the mean of each patch's place differs from its source's."""
        side = 2 * RADIUS + 1
        means = cv2.blur(self.picture, (side, side), borderType=cv2.BORDER_REFLECT).reshape(-1, 3)
        here = means.take(self.ys * self._width + self.xs, axis=0)
        limit = self._shift_max[:, None]
        shifts: Floats = np.clip(here - means.take(self.at, axis=0), -limit, limit)
        return shifts

    def _colours(self, ys: Places, xs: Places, weights: Floats, shifts: Floats, *, last: bool) -> Floats:
        sources = self.picture.reshape(-1, 3)
        total = np.zeros((len(ys), 3), np.float32)
        share = np.zeros(len(ys), np.float32)
        own = np.append(self._deep, 0).take(self.index_at(ys, xs), mode="wrap")
        width = _FOCUS_DEEP_PX + (_FOCUS_RIM_PX - _FOCUS_DEEP_PX) * np.exp(own / (-_FADE * _DEEP_PX))
        narrow = -0.5 / width**2 if last else np.zeros_like(own)
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                near = self.index_at(ys + dy, xs + dx)
                # Of a vote only what it counts beside the others for the same pixel matters.
                weight = np.exp(weights.take(near, mode="wrap") + own + narrow * (dy * dy + dx * dx))
                colour = sources.take(self.at.take(near, mode="wrap") - (dy * self._width + dx), axis=0)
                colour += shifts.take(near, axis=0, mode="wrap")
                total += colour * weight[:, None]
                share += weight
        total /= share[:, None]
        return total

    def accept(self, *, rim: int = 0, last: bool = False) -> None:
        """Make what the patches propose the new estimate, in the hole and `rim` pixels around it."""
        ys, xs, colours = self.vote(rim=rim, last=last)
        self.picture[ys, xs] = colours
