"""Find the pixels of a half-transparent mark: white or black writing laid over a picture.

Where a mark of opacity `a` ends, the pixel inside is (1 - a) times the one outside plus `a` times the
ink, in all channels, whatever the picture shows there. Pixels between two others tell their `a`; only
a mark makes many of them tell the same. Given `a`, every pixel is marked or not, whichever makes the
picture without the mark the smoothest (belief propagation), and each piece must keep the rule above
along its rim. Text is found best; a mark on brick or gravel, thin or strongly blurred, is not.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Mask, Pixels
from imageops.progress import OnProgress, between, ignore_progress

_WORK_PIXELS = 1 << 20  # Marks are found in a copy of this size; if none is, in one four times as large.
_TILE_PX, _HALO_PX = 512, 48  # Of the search: some thirty planes of a tile stay in 60 MB.

_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_STROKES_PX = (3, 4, 6, 8, 11)  # Half the strokes' width, and their soft rim.
_FIT_MAX = 4.0  # Levels by which three channels on two sides may miss one opacity.
_STEP_MIN = 15.0  # Levels: a fainter mark is not told from the picture's own texture.
_OPACITY_MIN, _OPACITY_MAX = 16, 75  # Percent. Fainter ones cannot be told from light, stronger ones hide all.
_PEAK_MIN = 4.0  # Times as many votes as opacities a little higher have; pictures without a mark reach 2.
_VOTES_FLOOR = 3e-4  # Of all pixels: fewer votes are chance.

_NEIGHBOURS = ((0, 3), (3, 0), (2, 2), (2, -2))  # Across the soft rim of a mark.
_DIFFERENCE_MAX = 30.0  # Levels: a larger step is an edge of the picture, with the mark or without.
_COST_MARKED, _COST_BORDER = 1.0, 4.0
_TURNS = 25

_RIM_REACHES = (1.0, 1.7, 2.4)
_RIM_FIT_MAX = 10.0  # Levels.
_RIM_SURE, _RIM_LINKED = 0.45, 0.25  # Share of the rim that must keep the rule: alone, and beside a sure piece.
_PIECE_PX_MIN, _LETTER_PX_MIN = 12, 40


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Where a mark lies: `mask` is 1 / `scale` of the picture's size, `white` tells the ink."""

    mask: Mask
    scale: int
    white: bool


def find_marks(pixels: Pixels, on_progress: OnProgress = ignore_progress) -> Marks | None:
    """Return the pixels of a mark in a picture (height x width x 3), or None where none can be told."""
    smallest = 1
    while pixels.shape[0] * pixels.shape[1] > _WORK_PIXELS * smallest**2:
        smallest += 1
    for scale in dict.fromkeys((smallest, (smallest + 1) // 2)):
        size = (pixels.shape[1] // scale, pixels.shape[0] // scale)
        small = pixels if scale == 1 else np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        if min(small.shape[:2]) < 4 * max(_STROKES_PX):
            continue
        peaks = [(*_opacity(ink_white), white) for ink_white, white in ((small, True), (255 - small, False))]
        peak, opacity, white = max(peaks)
        on_progress(0.3)
        if peak < _PEAK_MIN:
            continue
        mask = _segment(small if white else 255 - small, opacity, between(0.3, 1.0, on_progress))
        if mask.any():
            return Marks(mask=mask, scale=scale, white=white)
    return None


def _opacity(pixels: Pixels) -> tuple[float, float]:
    """Return how far one opacity of white ink stands out, and that opacity."""
    rows, columns = pixels.shape[:2]
    edge = max(_STROKES_PX)
    votes = np.zeros(100)
    # Every other row and column votes: a quarter of the work, and of marks there are enough.
    here = pixels[edge : rows - edge : 2, edge : columns - edge : 2].astype(np.float32)
    for reach in _STROKES_PX:
        for dy, dx in _DIRECTIONS:
            step = reach if dy * dx == 0 else max(1, round(reach * 0.7))
            sides = [
                pixels[edge + y : rows - edge + y : 2, edge + x : columns - edge + x : 2].astype(np.float32)
                for y, x in ((dy * step, dx * step), (-dy * step, -dx * step))
            ]
            votes += _vote(here, sides)
    votes /= here.shape[0] * here.shape[1]
    smooth = np.convolve(votes, np.ones(3), "same")
    best = (0.0, 0.0)
    for percent in range(_OPACITY_MIN, _OPACITY_MAX):
        above = float(smooth[percent + 4 : percent + 9].mean()) + _VOTES_FLOOR
        below = float(np.median(smooth[percent - 10 : percent - 3]))
        if smooth[percent] >= below:
            around = slice(percent - 1, percent + 2)
            centre = float(np.average(np.arange(100)[around] + 0.5, weights=votes[around] + 1e-9))
            best = max(best, (float(smooth[percent]) / above, centre / 100))
    return best


def _vote(here: Floats, sides: list[Floats]) -> Array:
    """Return the histogram of the opacities of pixels that both sides and all channels agree on."""
    room = [255 - side for side in sides]
    rise = [here - side for side in sides]
    weight = sum(np.einsum("ijk,ijk->ij", each, each) for each in room)
    opacity = sum(np.einsum("ijk,ijk->ij", a, b) for a, b in zip(rise, room, strict=True)) / np.maximum(weight, 1)
    agreed = (opacity > 0.1) & (opacity < 0.8)
    for a, b in zip(rise, room, strict=True):
        agreed &= a.mean(axis=2) > _STEP_MIN
        agreed &= np.abs(a - opacity[..., None] * b).max(axis=2) < _FIT_MAX
    return np.histogram(opacity[agreed], bins=100, range=(0, 1))[0].astype(np.float64)


def _segment(pixels: Pixels, opacity: float, on_progress: OnProgress) -> Mask:
    rows, columns = pixels.shape[:2]
    marked = np.zeros((rows, columns), bool)
    corners = [(y, x) for y in range(0, rows, _TILE_PX) for x in range(0, columns, _TILE_PX)]
    for done, (y, x) in enumerate(corners):
        on_progress(done / len(corners))
        top, left = max(0, y - _HALO_PX), max(0, x - _HALO_PX)
        tile = pixels[top : y + _TILE_PX + _HALO_PX, left : x + _TILE_PX + _HALO_PX].astype(np.float32)
        found = _smoothest(tile, _without(tile, opacity))
        inner = found[y - top : y - top + _TILE_PX, x - left : x - left + _TILE_PX]
        marked[y : y + _TILE_PX, x : x + _TILE_PX] = inner
    return _choose(*_pieces(pixels, opacity, marked))


def _without(picture: Floats, opacity: float) -> Floats:
    """Return what every pixel would be if white ink of that opacity lay over it."""
    return (picture - np.float32(255 * opacity)) / np.float32(1 - opacity)


def _shift(plane: Array, dy: int, dx: int) -> Array:
    """Return the plane's value at each pixel's neighbour (dy, dx) further; 0 beyond the picture."""
    moved = np.zeros_like(plane)
    rows, columns = plane.shape[:2]
    moved[max(0, -dy) : rows - max(0, dy), max(0, -dx) : columns - max(0, dx)] = plane[
        max(0, dy) : rows + min(0, dy), max(0, dx) : columns + min(0, dx)
    ]
    return moved


def _smoothest(picture: Floats, without: Floats) -> Mask:
    """Return the pixels that are best taken as marked, by loopy belief propagation."""
    possible = (without.min(axis=2) > -6) & ((picture - without).mean(axis=2) > _STEP_MIN / 2)
    alone = np.where(possible, np.float32(_COST_MARKED), np.float32(1e4))
    links = list(_links(picture, without))
    messages = [[np.zeros_like(alone), np.zeros_like(alone)] for _ in links]
    for _ in range(_TURNS):
        belief = _belief(alone, links, messages)
        for link, pair in zip(links, messages, strict=True):
            (dy, dx), (same, there, here, both) = link
            other = _shift(belief, dy, dx) - pair[1]
            own = belief - pair[0]
            to_here = np.minimum(here, both + other) - np.minimum(same, there + other)
            to_there = np.minimum(there, both + own) - np.minimum(same, here + own)
            pair[0] = (pair[0] + to_here) * np.float32(0.5)
            pair[1] = (pair[1] + to_there) * np.float32(0.5)
    return np.asarray(_belief(alone, links, messages) < 0)


_Link = tuple[tuple[int, int], tuple[Floats, Floats, Floats, Floats]]


def _links(picture: Floats, without: Floats) -> "list[_Link]":
    """Return for each neighbour what it costs when neither, only it, only the pixel, or both are marked."""
    ones = np.ones(picture.shape[:2], np.float32)
    links: list[_Link] = []
    for dy, dx in _NEIGHBOURS:
        exists = _shift(ones, dy, dx)
        beyond, beyond_without = _shift(picture, dy, dx), _shift(without, dy, dx)
        costs = [
            np.minimum(np.abs(here - there).mean(axis=2), np.float32(_DIFFERENCE_MAX)) * exists
            for here in (picture, without)
            for there in (beyond, beyond_without)
        ]
        links.append(((dy, dx), (costs[0], costs[1], costs[2], costs[3])))
    for dy, dx in ((0, 1), (1, 0)):
        border = _shift(ones, dy, dx) * np.float32(_COST_BORDER)
        links.append(((dy, dx), (np.zeros_like(ones), border, border, np.zeros_like(ones))))
    return links


def _belief(alone: Floats, links: "list[_Link]", messages: list[list[Floats]]) -> Floats:
    belief = alone.copy()
    for ((dy, dx), _), (to_here, to_there) in zip(links, messages, strict=True):
        belief += to_here
        belief += _shift(to_there, -dy, -dx)
    return belief


def _pieces(pixels: Pixels, opacity: float, marked: Mask) -> tuple[Array, Array, Floats]:
    """Return the marked pieces' numbers, their boxes and areas, and the share of each rim that keeps the rule."""
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=8)
    clear = cv2.dilate(marked.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    rims, kept = np.zeros(count), np.zeros(count)
    for dy, dx in (*_NEIGHBOURS, *((-y, -x) for y, x in _NEIGHBOURS)):
        rim = marked & _shift(clear, dy, dx)
        places = np.flatnonzero(rim)
        without = _without(pixels.reshape(-1, 3)[places].astype(np.float32), opacity)
        best = np.full(len(places), np.inf, np.float32)
        for reach in _RIM_REACHES:
            y, x = round(dy * reach), round(dx * reach)
            miss = np.abs(without - _beside(pixels, places, y, x)).mean(axis=1)
            best = np.where(_beside(clear, places, y, x)[:, 0], np.minimum(best, miss), best)
        of = numbers.ravel()[places]
        rims += np.bincount(of, minlength=count)
        kept += np.bincount(of[best < _RIM_FIT_MAX], minlength=count)
    return numbers, boxes, (kept / np.maximum(rims, 1)).astype(np.float32)


def _beside(plane: Array, places: Array, dy: int, dx: int) -> Array:
    """Return the values (places x channels) of these flat places' neighbours; 0 beyond the picture."""
    rows, columns = plane.shape[:2]
    ys, xs = places // columns + dy, places % columns + dx
    inside = (ys >= 0) & (ys < rows) & (xs >= 0) & (xs < columns)
    values = plane.reshape(rows * columns, -1)[np.where(inside, ys * columns + xs, 0)]
    values[~inside] = 0
    return np.asarray(values)


def _choose(numbers: Array, boxes: Array, shares: Floats) -> Mask:
    """Return the pieces whose rim proves them, and those beside them that look like letters of the same word."""
    areas = boxes[:, cv2.CC_STAT_AREA]
    sizes = np.maximum(boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT])
    possible = areas >= _PIECE_PX_MIN
    possible[0] = False
    sure = possible & (shares >= _RIM_SURE)
    letters = sure & (areas >= _LETTER_PX_MIN)
    if not letters.any():
        return np.zeros(numbers.shape, bool)
    reach = max(1, int(np.median(sizes[letters])))
    for _ in range(2):
        beside = cv2.dilate(
            (sure & (areas >= _LETTER_PX_MIN))[numbers].astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)
        )
        near = np.bincount(numbers.ravel(), weights=beside.ravel(), minlength=len(areas)) > 0.7 * areas
        sure |= possible & near & (shares >= _RIM_LINKED) & (sizes <= 3 * reach)
    return np.asarray(sure[numbers])
