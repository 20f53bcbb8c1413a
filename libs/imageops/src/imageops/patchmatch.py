"""Fill the holes of a picture with what the rest of it looks like (PatchMatch completion).

Every pixel near a hole looks for the most similar patch elsewhere in the picture; the colours those
patches propose are averaged into the hole; and so on, from a coarse copy of the picture to the full
one (Wexler et al., with the search of Barnes et al. done for all pixels at once in numpy). Patches are
compared by their lowest cosine coefficients, which are quick to gather and blind to noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from imageops.arrays import Floats, Mask, Pixels
from imageops.patchsearch import Level
from imageops.progress import OnProgress, between, ignore_progress
from imageops.rims import RIM_PX, correct_rim, smooth_fill

_MARGIN_PX_MIN = 128  # A small hole still looks this far around for its texture.
_REGION_PIXELS_MAX = 1 << 20  # Larger regions are searched at a smaller size, and the finds copied at full size.
_GAP_PX = 48  # Holes closer than this are filled together.
_COARSEST_PX = 5  # How deep the hole may be on the coarsest copy: about one patch.
_COARSEST_SIDE_PX = 24  # And how small that copy may be.
_CENTRES_MIN = 64  # Whole patches below which there is nothing to choose from.
_JUMPS = (8, 4, 2, 1)  # A good match spreads this far in one round.
_TRIES = 8  # Random looks around each match and round: from the whole picture down to the next pixel.
_SHARP = 1.0  # How much the last vote prefers near matches: more keeps grain, less is nearer to the truth.
_ROUNDS_COARSEST, _ROUNDS, _ROUNDS_FINEST = 10, 5, 3  # Of search and vote; later ones change little.


def fill(
    image: Pixels,
    mask: Mask,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
    *,
    sources: Mask | None = None,
) -> Pixels:
    """Return a copy of `image` (height x width x 3, 8-bit) whose pixels under `mask` are filled.

    Colours are copied from pixels outside the mask, or only from those of `sources` where it is given.
    Pixels outside the mask stay as they are, to the bit. The same arguments give the same pixels.
    Holes far apart are filled one after another, each from its surroundings, so that memory is bounded
    by the largest of them. Where there is nothing to copy from, a hole is blended from its rim.
    """
    assert image.dtype == np.uint8
    assert image.shape[:2] == mask.shape
    result = image.copy()
    allowed = ~mask if sources is None else sources & ~mask
    regions = list(_regions(mask))
    total, done = sum(region.holes for region in regions), 0
    for region in regions:
        part = between(done / total, (done + region.holes) / total, on_progress)
        _fill_region(result, mask, allowed, region, seed=seed, on_progress=part)
        done += region.holes
    on_progress(1.0)
    return result


@dataclass(frozen=True, kw_only=True)
class _Region:
    """A group of holes and the part of the picture it is filled from."""

    rows: slice
    columns: slice
    holes: int  #: Pixels.


def _regions(mask: Mask) -> Iterator[_Region]:
    ones = mask.astype(np.uint8)
    grown = cv2.dilate(ones, np.ones((_GAP_PX + 1, _GAP_PX + 1), np.uint8))
    count, labels = cv2.connectedComponents(grown)
    labels *= ones  # In place: labels are as large as four pictures' planes.
    for label in range(1, count):
        part = labels == label
        ys, xs = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        margin = max(_MARGIN_PX_MIN, int(ys[-1] - ys[0]), int(xs[-1] - xs[0]))
        yield _Region(
            rows=slice(max(0, int(ys[0]) - margin), int(ys[-1]) + 1 + margin),
            columns=slice(max(0, int(xs[0]) - margin), int(xs[-1]) + 1 + margin),
            holes=int(part.sum()),
        )


def _fill_region(
    result: Pixels, mask: Mask, allowed: Mask, region: _Region, *, seed: int, on_progress: OnProgress
) -> None:
    place = (region.rows, region.columns)
    hole, sources = mask[place], allowed[place]
    target = result[place]
    picture = smooth_fill(target.astype(np.float32), ~hole)
    levels = _pyramid(picture, hole, sources)
    if levels:
        picture = _match(levels, seed, on_progress)
        correct_rim(picture, target, hole, sources)
    target[hole] = np.clip(np.rint(picture[hole]), 0, 255).astype(np.uint8)


def _match(levels: list[Level], seed: int, on_progress: OnProgress) -> Floats:
    """Return the finest level's picture filled, from the coarsest on."""
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
                level.accept(rim=RIM_PX, sharp=_SHARP)
            else:
                level.accept()
        coarse = level
    return levels[-1].picture


def _pyramid(picture: Floats, hole: Mask, sources: Mask) -> list[Level]:
    """Return the levels, the coarsest first."""
    levels = [Level(picture, hole, sources)]
    if len(levels[0].centres) < _CENTRES_MIN:
        return []
    while True:
        finest = levels[-1]
        depth = cv2.distanceTransform(finest.hole.astype(np.uint8), cv2.DIST_L2, 3).max()
        if depth <= _COARSEST_PX or min(finest.hole.shape) < 2 * _COARSEST_SIDE_PX:
            break
        smaller = Level(*_half(finest.picture, hole=finest.hole, sources=sources))
        sources = _half_mask(sources, every=True)
        if len(smaller.centres) < _CENTRES_MIN:
            break
        levels.append(smaller)
    return levels[::-1]


def _half(picture: Floats, *, hole: Mask, sources: Mask) -> tuple[Floats, Mask, Mask]:
    known = ~hole
    height, width = hole.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    stack = np.dstack([picture * known[..., None], known.astype(np.float32), picture])
    stack = cv2.copyMakeBorder(stack, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    small = np.dstack(
        [
            cv2.resize(stack[..., :4], half, interpolation=cv2.INTER_AREA),
            cv2.resize(stack[..., 4:], half, interpolation=cv2.INTER_AREA),
        ]
    )
    share = small[..., 3:4]
    colours = np.where(share > 0, small[..., :3] / np.maximum(share, 1e-6), small[..., 4:])
    return np.ascontiguousarray(colours, np.float32), share[..., 0] < 0.5, _half_mask(sources, every=True)


def _half_mask(mask: Mask, *, every: bool) -> Mask:
    height, width = mask.shape
    even = np.pad(mask, ((0, height % 2), (0, width % 2)), mode="edge")
    four = np.stack([even[::2, ::2], even[1::2, ::2], even[::2, 1::2], even[1::2, 1::2]])
    halved: Mask = four.all(axis=0) if every else four.any(axis=0)
    return halved
