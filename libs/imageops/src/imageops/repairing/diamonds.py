"""Take rhinestones, sequins and sparkles off a picture and continue the print below them.

A stone is small, bright, without colour of its own, round or a few touching rounds, and darker all
around; a glint may stick out of it. A hole among smooth colours or in fine texture is bridged; where
flat colours of a print meet in it, the print is copied from elsewhere.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Array, Mask, Pixels, to_image, to_pixels
from imageops.denoising import estimate_sigma
from imageops.errors import ImageRefused, RefusalReason
from imageops.filling.patchmatch import fill
from imageops.progress import OnProgress, between, ignore_progress
from imageops.tiling import fill_thin_anywhere, marked_tiles

SENSITIVITY_DEFAULT = 0.5

_WORK_PIXELS = 1 << 20  # Stones are looked for in a copy of this size and in one four times as large.
_KERNELS_PX = (5, 9, 13, 21)  # Brighter than its surroundings within each of these.
_CONTRAST, _CONTRAST_SPAN = 80, 50  # Levels above the surroundings at the default sensitivity; -25 at 1, +25 at 0.
_LEVEL, _LEVEL_SPAN = 165, 40  # Levels of the darkest channel.
_CHROMA_MAX = 45  # Levels between the channels: silver, not a yellow dot of the print.
_SIDE_PX_MAX = 80  # Of several touching stones with their glints.
_STONE_PX_MAX = 21
_ROUNDNESS_MIN = 0.6  # Share of the circle around it.
_COVERED_MIN = 0.7  # Of touching stones: the share of their area that a few discs explain.
_DISCS_MAX = 6
_AROUND_PX = 4
_AROUND_BRIGHT_MAX = 0.25  # The share of a stone's surroundings that may be as bright: else it is part of a shape.
_RIM_PX = 2  # The stones' soft rim and shadow.

_RING_PX, _RING_PIXELS_MIN = 5, 8  # Around a hole: what tells which way of filling suits it.
_FLAT_STEP, _FLAT_MIN = 6.0, 0.6  # Levels from pixel to pixel, and the share of the ring with no larger step.
_EDGE_MIN = 40  # Levels between the colours that meet in the hole.

_FOUND, _BRIDGED = 0.2, 0.4  # Shares of the progress.


@dataclass(frozen=True, kw_only=True)
class Unstoned:
    """A picture without its stones, and how many there were: 0 means that it is the same picture."""

    image: Image.Image
    stones: int


def remove_diamonds(
    image: Image.Image,
    area: Image.Image | None = None,
    seed: int = 0,
    *,
    sensitivity: float = SENSITIVITY_DEFAULT,
    on_progress: OnProgress = ignore_progress,
) -> Unstoned:
    """Return an RGB or RGBA picture without its bright stones, of the same size and transparency.

    `area` (any mode, the picture's size) is bright where stones may be; `sensitivity` from 0 (only the
    brightest) to 1. Other pixels stay as they are. Raises ImageRefused when `area` has another size.
    """
    pixels, alpha = to_pixels(image)
    on_progress(0.0)
    found, stones = _find(pixels, sensitivity, _read_area(area, image.size))
    on_progress(_FOUND)
    if not stones:
        on_progress(1.0)
        return Unstoned(image=image.copy(), stones=0)
    across = _across_edges(pixels, found)
    result = fill_thin_anywhere(pixels, found & ~across, between(_FOUND, _BRIDGED, on_progress))
    result = fill(result, across, seed, between(_BRIDGED, 1.0, on_progress))
    return Unstoned(image=to_image(result, alpha), stones=stones)


def _read_area(area: Image.Image | None, size: tuple[int, int]) -> Mask | None:
    if area is None:
        return None
    if area.size != size:
        message = f"The area is {area.width} x {area.height}, the picture {size[0]} x {size[1]}."
        raise ImageRefused(RefusalReason.INVALID_INPUTS, message, "inputs[1]")
    return np.asarray(np.asarray(area.convert("L")) > 127)


def _find(pixels: Pixels, sensitivity: float, area: Mask | None) -> tuple[Mask, int]:
    """Return the pixels to fill and the number of stones."""
    rows, columns = pixels.shape[:2]
    marked = np.zeros((rows, columns), bool)
    stones = 0
    coarsest = max(1, math.ceil(math.sqrt(rows * columns / _WORK_PIXELS)))
    for scale in dict.fromkeys((coarsest, (coarsest + 1) // 2)):
        size = (max(1, columns // scale), max(1, rows // scale))
        small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        allowed = None
        if area is not None:
            allowed = cv2.resize(area.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        known = cv2.resize(marked.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        found, count = _find_in(small, sensitivity, known, allowed)
        grown = cv2.dilate(found.astype(np.uint8), _disc(_RIM_PX))
        marked |= cv2.resize(grown, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
        stones += count
    return marked, stones


def _find_in(pixels: Pixels, sensitivity: float, known: Mask, allowed: Mask | None) -> tuple[Mask, int]:
    darkest = pixels.min(axis=2)
    relief = np.zeros_like(darkest)
    for kernel in _KERNELS_PX:
        np.maximum(relief, cv2.morphologyEx(darkest, cv2.MORPH_TOPHAT, _disc(kernel // 2)), out=relief)
    contrast = _CONTRAST - _CONTRAST_SPAN * (sensitivity - SENSITIVITY_DEFAULT)
    level = _LEVEL - _LEVEL_SPAN * (sensitivity - SENSITIVITY_DEFAULT)
    bright = (relief > contrast) & (darkest > level)
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8), connectivity=8)
    areas = np.maximum(boxes[:, cv2.CC_STAT_AREA], 1)
    flat = numbers.ravel()
    chroma = np.bincount(flat, weights=(pixels.max(axis=2) - darkest).ravel(), minlength=count) / areas
    refused = np.bincount(flat[known.ravel()], minlength=count) > 0
    if allowed is not None:
        refused |= np.bincount(flat[~allowed.ravel()], minlength=count) * 2 > areas
    sides = boxes[:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max(axis=1)
    possible = ~refused & (areas >= 3) & (sides <= _SIDE_PX_MAX) & (chroma <= _CHROMA_MAX)
    body = bright & (cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0)
    kept = np.zeros(count, bool)
    stones = 0
    for number in np.flatnonzero(possible[1:]) + 1:
        x, y, width, height = (int(side) for side in boxes[number, :4])
        reach = _AROUND_PX + 1
        place = (slice(max(0, y - reach), y + height + reach), slice(max(0, x - reach), x + width + reach))
        piece = numbers[place] == number
        found = _count(piece, body[place] & piece)
        if found and _is_apart(piece, bright[place], darkest[place] > level - 30):
            kept[number] = True
            stones += found
    return kept[numbers], stones


def _count(piece: Mask, body: Mask) -> int:
    """Return how many stones a bright piece is, 0 if none; `body` is the piece without glints."""
    whole = body if body.sum() >= 4 else piece
    ys, xs = np.nonzero(whole)
    side = int(max(np.ptp(ys), np.ptp(xs))) + 1
    roundness = len(ys) / (math.pi / 4 * side * side)
    if whole is piece:  # Too small to have a body: a sparkle of a few pixels.
        return int(side <= 9 and roundness >= _ROUNDNESS_MIN / 2)
    if side <= _STONE_PX_MAX and roundness >= _ROUNDNESS_MIN:
        return 1
    radii, covered = _discs(whole)
    alike = max(radii) <= _STONE_PX_MAX / 2 and min(radii) >= 0.4 * max(radii)
    return len(radii) if len(radii) <= _DISCS_MAX and covered >= _COVERED_MIN and alike else 0


def _discs(piece: Mask) -> tuple[list[float], float]:
    """Return the radii of discs that fit into a piece side by side, and the share of it that they cover."""
    depth = cv2.distanceTransform(np.pad(piece, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    left, cover = depth.copy(), np.zeros(piece.shape, np.uint8)
    rows, columns = np.mgrid[: piece.shape[0], : piece.shape[1]]
    radii = [float(depth.max())]
    while len(radii) <= _DISCS_MAX:
        y, x = divmod(int(left.argmax()), piece.shape[1])
        radius = float(depth[y, x])
        if left[y, x] < 1.4:
            break
        radii.append(radius)
        cv2.circle(cover, (x, y), round(radius), 1, -1)
        left[(rows - y) ** 2 + (columns - x) ** 2 < (1.6 * radius) ** 2] = 0
    return radii[1:] or radii, float((cover[piece] > 0).mean())


def _is_apart(piece: Mask, bright: Mask, nearly: Mask) -> bool:
    around = cv2.dilate(piece.astype(np.uint8), np.ones((2 * _AROUND_PX + 1,) * 2, np.uint8)) > 0
    ring = around & ~bright
    return bool(ring.any()) and float(nearly[ring].mean()) <= _AROUND_BRIGHT_MAX


def _across_edges(pixels: Pixels, marked: Mask) -> Mask:
    """Return the holes that flat colours meet in: only copying continues the line between them."""
    across = np.zeros_like(marked)
    flat_max = _FLAT_STEP + 2 * estimate_sigma(pixels)
    for inner, outer in marked_tiles(marked):
        picture, holes = pixels[outer], marked[outer]
        steps = [cv2.Sobel(picture, cv2.CV_16S, dx, dy, ksize=3) for dx, dy in ((1, 0), (0, 1))]
        flat = np.maximum(np.abs(steps[0]), np.abs(steps[1])).max(axis=2) < 4 * flat_max
        count, numbers, boxes, _ = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=8)
        chosen = np.zeros(count, bool)
        for number in range(1, count):
            x, y, width, height = (int(side) for side in boxes[number, :4])
            reach = _RING_PX + 1
            place = (slice(max(0, y - reach), y + height + reach), slice(max(0, x - reach), x + width + reach))
            hole = (numbers[place] == number).astype(np.uint8)
            ring = (cv2.dilate(hole, np.ones((2 * _RING_PX + 1,) * 2, np.uint8)) > 0) & _clear_of(holes[place])
            if ring.sum() >= _RING_PIXELS_MIN and flat[place][ring].mean() > _FLAT_MIN:
                low, high = np.percentile(picture[place][ring], (8, 92), axis=0)
                chosen[number] = (high - low).max() > _EDGE_MIN
        rows = slice(inner[0].start - outer[0].start, inner[0].stop - outer[0].start)
        columns = slice(inner[1].start - outer[1].start, inner[1].stop - outer[1].start)
        across[inner] = chosen[numbers[rows, columns]]
    return across & marked


def _clear_of(holes: Mask) -> Mask:
    return np.asarray(cv2.dilate(holes.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)


def _disc(radius: int) -> Array:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
