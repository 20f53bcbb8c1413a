"""Fill the holes of a picture with what the rest of it looks like (PatchMatch completion).

Every pixel near a hole looks for the most similar patch elsewhere in the picture; the colours those
patches propose are averaged into the hole; and so on, from a coarse copy of the picture to the full
one (Wexler et al., with the search of Barnes et al. done for all pixels at once in numpy). Patches are
compared by their lowest cosine coefficients, which are quick to gather and blind to noise.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from imageops.arrays import Floats, Mask, Pixels, in_blocks
from imageops.filling.biharmonic import bridge
from imageops.filling.patchcopy import fill_large
from imageops.filling.patchpyramid import match, shrink
from imageops.filling.rims import correct_rim, smooth_fill
from imageops.progress import OnProgress, between, ignore_progress

_MARGIN_PX_MIN = 64  # A small hole still looks this far around for its texture.
_REGION_PIXELS_MAX = 1 << 18  # Larger ones are searched at a smaller size, which finds better, and copied at full size.
_LEAN, _LEAN_PX = 0.5, 12.0  # How far a filling leans to a smooth bridge across the hole, and how deep into it.
_BRIDGED_PX = 32  # Holes deeper than this are not bridged: across them there is nothing to guess from.
_BRIDGE_BLUR_PX = 1.5  # Deviation: only what is coarser than this leans, so that the texture stays.
_KNOWN_SHARE = 0.5  # Of a pixel of half the size that must be known for it to count as such.
_CELL_PX = 16  # Holes in neighbouring cells, or with one cell between them, are filled together.


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
    known = ~mask
    total, done = max(1, int(mask.sum())), 0
    for region in _regions(mask):
        after = done + int(region.hole.sum())
        _fill_region(
            result[region.place],
            known[region.place],
            allowed[region.place],
            region.hole,
            seed=seed,
            on_progress=between(done / total, after / total, on_progress),
        )
        done = after
    on_progress(1.0)
    return result


@dataclass(frozen=True, kw_only=True)
class _Region:
    """A group of holes and the part of the picture it is filled from."""

    place: tuple[slice, slice]
    hole: Mask  #: Of that part.


def _regions(mask: Mask) -> Iterator[_Region]:
    """Give the holes in groups; each cell of the picture belongs to one."""
    cells = in_blocks(mask, _CELL_PX)
    count, labels = cv2.connectedComponents(cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)))
    for label in range(1, count):
        marked = cells & (labels == label)
        rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
        sides = (int(each[-1] - each[0] + 1) * _CELL_PX for each in (rows, columns))
        margin = -(-max(_MARGIN_PX_MIN, *sides) // _CELL_PX)
        up, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
        near = marked[up : int(rows[-1]) + 1 + margin, left : int(columns[-1]) + 1 + margin]
        place = (
            slice(up * _CELL_PX, (up + near.shape[0]) * _CELL_PX),
            slice(left * _CELL_PX, (left + near.shape[1]) * _CELL_PX),
        )
        part = mask[place]
        grown = near.repeat(_CELL_PX, axis=0).repeat(_CELL_PX, axis=1)
        yield _Region(place=place, hole=part & grown[: part.shape[0], : part.shape[1]])


def _fill_region(
    picture: Pixels, known: Mask, sources: Mask, hole: Mask, *, seed: int, on_progress: OnProgress
) -> None:
    """Fill the hole in place."""
    factor = math.ceil(math.sqrt(hole.size / _REGION_PIXELS_MAX))
    if factor > 1:
        fill_large(picture, known, sources, hole, factor=factor, seed=seed, on_progress=on_progress)
        return
    level = match(picture.astype(np.float32), hole, known, sources, seed=seed, on_progress=on_progress)
    if level is None:
        filled = smooth_fill(picture.astype(np.float32), known)
    else:
        filled = level.picture
        correct_rim(filled, picture, hole, known)
        _lean(filled, picture, hole, known)
    picture[hole] = np.clip(np.rint(filled[hole]), 0, 255).astype(np.uint8)


def _lean(filled: Floats, picture: Pixels, hole: Mask, known: Mask) -> None:
    """Move the coarse shades of the filling near its rim towards a bridge across the hole, in place.

    Copied patches have the right grain and are in the wrong place, a bridge has no grain: together
    they are nearer to the truth than either.
    """
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    if depth.max() > _BRIDGED_PX or not known.any():
        return
    height, width = hole.shape
    small, shares = shrink(
        picture, known, 2
    )  # Half the size is enough for what is blurred, and bends ten times faster.
    half = bridge(smooth_fill(small, shares > 0), shares < _KNOWN_SHARE)
    wide = cv2.resize(half, (2 * half.shape[1], 2 * half.shape[0]), interpolation=cv2.INTER_LINEAR)[:height, :width]
    inside = hole.astype(np.float32)
    share = np.maximum(cv2.GaussianBlur(inside, (0, 0), _BRIDGE_BLUR_PX), 1e-3)
    lacking = cv2.GaussianBlur((wide - filled) * inside[..., None], (0, 0), _BRIDGE_BLUR_PX) / share[..., None]
    filled[hole] += (lacking * (_LEAN * np.exp(-depth / _LEAN_PX))[..., None])[hole]
