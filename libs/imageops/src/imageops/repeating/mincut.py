"""Make a picture repeat without a seam: overlap its ends, cut where they differ least, blend along the cut.

The width of the overlap is searched too: where a print repeats itself, the search lands on whole
repeats, and the cut passes through nothing. Works along the rows; transpose for the other direction.
"""

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Pixels, Places
from imageops.progress import OnProgress, ignore_progress

SIDE_PX_MIN = 16  # Below it an overlap has no room for a cut.

_OVERLAP_MIN = 0.04  # Of the side: enough for a blend.
_SEARCHED_PX = 192  # The long side of the copy on which every width is tried.
_AT_ONCE = 1 << 22  # Numbers of the cheapest ways to each pixel, of all overlaps that are tried together.
_NEVER = np.float32(1e30)
_SPREAD = 2  # Widths tried to each side on every larger copy.
_ALIKE = 0.1  # Many a cut through a plain ground costs nothing; where a print repeats, the overlap is alike as well.
_TURN_MAX = 0.03  # Of the side: how far the tile may begin beside the picture's edge.
_END = 0.2  # Of the overlap, at each end: where the blend goes over into the picture as it was.


def make_repeat(
    picture: Pixels, overlap_max: float, on_progress: OnProgress = ignore_progress, *, overlap: int = 0
) -> Pixels:
    """Return `picture` (height x width x channels, 8-bit) narrower, such that its right end meets its left.

    The overlap takes from 4 % to `overlap_max` (a share below one half) of the width, which must be
    at least SIDE_PX_MIN; or it is `overlap` pixels where that is known. Where top and bottom met before, they still do.
    """
    width = picture.shape[1]
    assert width >= SIDE_PX_MIN
    overlap = overlap or _best_overlap(picture, overlap_max)
    on_progress(0.5)
    before, behind = picture[:, width - overlap :], picture[:, :overlap]
    cut = _cheapest_cuts(_difference(before, behind)[None])[0][0]
    result = picture[:, : width - overlap].copy()
    result[:, :overlap] = _blend(before, behind, cut)
    on_progress(1.0)
    return np.asarray(np.roll(result, -_calmest(result), axis=1))


def _calmest(tile: Pixels) -> int:
    """Return the column to begin at: near the first, where the fewest things would be cut in two."""
    reach = max(1, int(tile.shape[1] * _TURN_MAX))
    near = np.take(tile, np.arange(-reach - 1, reach + 1), axis=1, mode="wrap").astype(np.float32)
    steps = np.abs(np.diff(near, axis=1)).mean(axis=(0, 2))
    return int(steps.argmin()) - reach


def _best_overlap(picture: Pixels, overlap_max: float) -> int:
    """Return the width of the overlap that is cheapest to cut: every width on a small copy, then its like."""
    copies: list[Array] = [picture]
    while max(copies[-1].shape[:2]) > _SEARCHED_PX * 2:
        height, width = (side // 2 if side >= 4 * SIDE_PX_MIN else side for side in copies[-1].shape[:2])
        copies.append(cv2.resize(copies[-1], (width, height), interpolation=cv2.INTER_AREA))
    best = previous = 0
    for copy in reversed(copies):
        least, most = max(2, round(copy.shape[1] * _OVERLAP_MIN)), max(2, int(copy.shape[1] * overlap_max))
        tried = range(least, most + 1)
        if best:
            middle = best * copy.shape[1] // previous
            tried = range(max(least, middle - _SPREAD), min(most, middle + _SPREAD) + 1)
        costs: dict[int, float] = {}
        # As many at once as fit into the cache: row by row, many narrow overlaps take no longer than one.
        at_once = max(1, _AT_ONCE // (3 * copy.shape[0] * most))
        for first in range(tried.start, tried.stop, at_once):
            costs |= _costs(copy, range(first, min(tried.stop, first + at_once)))
        best, previous = min(costs, key=lambda each: costs[each]), copy.shape[1]
    return best


def _costs(picture: Array, overlaps: range) -> dict[int, float]:
    """Return how bad each overlap is: its cheapest cut, and a little of all of it, which blends across the cut."""
    differences = [_difference(picture[:, -each:], picture[:, :each]) for each in overlaps]
    # Beside a narrower overlap than the widest, every cut is dearer than any.
    costs = np.full((len(differences), picture.shape[0], overlaps[-1]), _NEVER)
    for cost, difference in zip(costs, differences, strict=True):
        cost[:, : difference.shape[1]] = difference
    means = [float(cost.mean()) for cost in differences]
    cheapest = _cheapest_cuts(costs)[1]
    return {each: cut + _ALIKE * mean for each, cut, mean in zip(overlaps, cheapest, means, strict=True)}


def _difference(one: Array, other: Array) -> Floats:
    """Return the squared difference per pixel, height x width."""
    gap = one.astype(np.float32) - other
    squared: Floats = np.einsum("ijk,ijk->ij", gap, gap)
    return squared


def _cheapest_cuts(costs: Floats) -> tuple[Places, list[float]]:
    """Return the column of each cost's cheapest cut in every row, closed from bottom to top, and its mean cost.

    `costs` is count x height x width; so many cuts, count x height, come back.
    """
    count, height, width = costs.shape
    # Three times over: the middle one knows both its neighbours. A column on either side saves asking for the ends.
    total = np.full((3 * height, count, width + 2), _NEVER)
    total[0, :, 1:-1] = costs[:, 0]
    for row in range(1, 3 * height):
        above, here = total[row - 1], total[row, :, 1:-1]
        np.minimum(above[:, :-2], above[:, 1:-1], out=here)
        np.minimum(here, above[:, 2:], out=here)
        here += costs[:, row % height]
    path = np.empty((3 * height, count), np.intp)
    path[-1] = total[-1].argmin(axis=1) - 1
    near = np.arange(count)[:, None] * (width + 2) + np.arange(3)
    for row in range(3 * height - 2, height - 1, -1):
        at = path[row + 1]
        path[row] = at + total[row].take(near + at[:, None]).argmin(axis=1) - 1
    cuts = path[height : 2 * height].T
    rows = np.arange(height)
    return cuts, [float(cost[rows, cut].mean()) for cost, cut in zip(costs, cuts, strict=True)]


def _blend(before: Pixels, behind: Pixels, cut: Places) -> Pixels:
    """Return `before` left of the cut and `behind` right of it: coarse shapes blend widely, fine ones sharply."""
    width = before.shape[1]
    columns = np.arange(width)
    share = (columns[None] < cut[:, None]).astype(np.float32)
    end = max(1.0, _END * width)
    ramp = np.minimum(1, np.minimum(columns + 0.5, width - columns - 0.5) / end).astype(np.float32)
    # The two ends must be the pictures themselves, or there would be a step beside the overlap.
    share = share * ramp + (columns < width / 2) * (1 - ramp)
    result = np.empty_like(before)
    for channel in range(before.shape[2]):
        mixed = _layers(before[..., channel].astype(np.float32), behind[..., channel].astype(np.float32), share)
        pure = np.where(columns < width / 2, before[..., channel], behind[..., channel])
        result[..., channel] = np.clip(np.rint(mixed * ramp + pure * (1 - ramp)), 0, 255)
    return result


def _layers(one: Array, other: Array, share: Array) -> Array:
    """Blend by Laplacian pyramids (Burt and Adelson)."""
    if min(share.shape) < 8:
        plain: Array = one * share + other * (1 - share)
        return plain
    half = ((share.shape[1] + 1) // 2, (share.shape[0] + 1) // 2)
    small: list[Array] = [np.asarray(cv2.pyrDown(each, dstsize=half)) for each in (one, other, share)]
    coarse = _layers(small[0], small[1], small[2])
    size = share.shape[::-1]
    fine_one = one - cv2.pyrUp(small[0], dstsize=size)
    fine_other = other - cv2.pyrUp(small[1], dstsize=size)
    mixed: Array = fine_one * share + fine_other * (1 - share) + cv2.pyrUp(coarse, dstsize=size)
    return mixed
