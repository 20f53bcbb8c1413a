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
    cut = _cheapest_cut(_difference(before, behind))[0]
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
        costs = {each: _cost(_difference(copy[:, -each:], copy[:, :each])) for each in tried}
        best, previous = min(costs, key=lambda each: costs[each]), copy.shape[1]
    return best


def _cost(difference: Floats) -> float:
    """Return how bad an overlap is: its cheapest cut, and a little of all of it, which blends across the cut."""
    return _cheapest_cut(difference)[1] + _ALIKE * float(difference.mean())


def _difference(one: Array, other: Array) -> Floats:
    """Return the squared difference per pixel, height x width."""
    gap = one.astype(np.float32) - other
    squared: Floats = np.einsum("ijk,ijk->ij", gap, gap)
    return squared


def _cheapest_cut(cost: Floats) -> tuple[Places, float]:
    """Return the column of the cheapest cut in every row, closed from bottom to top, and its mean cost."""
    height, width = cost.shape
    total = np.empty((3 * height, width), np.float32)  # Three times over: the middle one knows both its neighbours.
    total[0] = cost[0]
    for row in range(1, 3 * height):
        above = total[row - 1]
        best = above.copy()
        np.minimum(best[1:], above[:-1], out=best[1:])
        np.minimum(best[:-1], above[1:], out=best[:-1])
        np.add(cost[row % height], best, out=total[row])
    path = np.empty(3 * height, np.intp)
    path[-1] = int(total[-1].argmin())
    for row in range(3 * height - 2, -1, -1):
        at = path[row + 1]
        low = max(0, at - 1)
        path[row] = low + int(total[row, low : at + 2].argmin())
    cut = path[height : 2 * height]
    return cut, float(cost[np.arange(height), cut].mean())


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
