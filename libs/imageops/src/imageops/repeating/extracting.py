"""Extract the printed pattern from a photographed garment, as a picture that repeats without a seam."""

import math
import re
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Floats, Mask, Pixels, to_pixels
from imageops.errors import ImageRefused, ParameterRefused, RefusalReason
from imageops.progress import OnProgress, between, ignore_progress
from imageops.repairing.fabric import remove_fabric
from imageops.repeating.garment import find_garment, without_hem, without_light
from imageops.repeating.lattice import Lattice, Vector, find_lattice
from imageops.repeating.mincut import SIDE_PX_MIN, make_repeat
from imageops.repeating.seamless import make_seamless, resize_tile

LONG_SIDE_PX = 1024  # Of the results.
RATIO_MAX = 4.0  # Of the longer side to the shorter.
CLOTH_SIDE_PX_MIN = 64  # A smaller piece of cloth shows no pattern.

_WORKED_PIXELS_MAX = 1 << 20  # The results have no more; larger photographs are made smaller first.
_MARGIN = 0.14  # Of a cell, around it: room to register, and to blend its ends.
_CELLS_MIN, _CELLS_MAX = 2, 24  # Cells to take the median of.
_FIT = 0.5
_REPEATS_MAX = 16  # Of a cell in a result, each way.
_STRETCH_UNSEEN = 0.06  # Logarithm of a change of proportions.


def extract_pattern(
    image: Image.Image, aspect_ratio: str = "1:1", on_progress: OnProgress = ignore_progress
) -> Iterator[Image.Image]:
    """Give one or two RGB pictures of the print, of the ratio asked for and 1024 pixels on the long side.

    The first is made of one clean cell of the print, where it repeats; the other (or only) one is the
    largest piece of cloth made seamless. Both repeat without a seam. Weave and light are taken off.
    The same arguments give the same pixels. Raises ParameterRefused, and ImageRefused where there is
    too little cloth.
    """
    width, height = output_size(aspect_ratio)
    pixels, alpha = to_pixels(_shrunk(image))
    garment = without_hem(find_garment(pixels) if alpha is None else np.asarray(alpha > 127))
    on_progress(0.1)
    square = _largest_rectangle(garment, 1.0)
    if min(square[0].stop - square[0].start, square[1].stop - square[1].start) < CLOTH_SIDE_PX_MIN:
        raise ImageRefused(RefusalReason.NOTHING_FOUND, "The picture shows too little cloth.", "inputs[0]")
    plain, _ = to_pixels(remove_fabric(Image.fromarray(pixels), on_progress=between(0.1, 0.5, on_progress)))
    even = without_light(plain, garment)
    on_progress(0.6)
    lattice = find_lattice(even[square])
    if lattice is not None:
        cell = _clean_cell(even, garment, lattice)
        if cell is not None:
            yield Image.fromarray(_repeated(cell, width, height, _life_size))
    on_progress(0.8)
    piece = even[_largest_rectangle(garment, width / height)]
    tile = np.asarray(make_seamless(Image.fromarray(piece), fit=_FIT).image)
    yield Image.fromarray(_repeated(tile, width, height, _fewest))
    on_progress(1.0)


def output_size(aspect_ratio: str) -> tuple[int, int]:
    """Return the results' width and height. Raises ParameterRefused."""
    match = re.fullmatch(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})", aspect_ratio)
    ratio = int(match[1]) / int(match[2]) if match else 0.0
    if not 1 / RATIO_MAX <= ratio <= RATIO_MAX:
        raise ParameterRefused("aspect_ratio", "aspect_ratio is two whole numbers such as 4:3, from 1:4 to 4:1.")
    if ratio >= 1:
        return LONG_SIDE_PX, round(LONG_SIDE_PX / ratio)
    return round(LONG_SIDE_PX * ratio), LONG_SIDE_PX


def _shrunk(image: Image.Image) -> Image.Image:
    ratio = (_WORKED_PIXELS_MAX / (image.width * image.height)) ** 0.5
    if ratio >= 1:
        return image
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.BOX)


def _largest_rectangle(mask: Mask, ratio: float) -> tuple[slice, slice]:
    """Return the largest upright rectangle of about this ratio (width to height) that lies in the mask."""
    sums = cv2.integral(mask.astype(np.uint8))
    low, high, best = 0, mask.shape[0] + 1, (slice(0, 0), slice(0, 0))
    while high - low > 1:
        rows = (low + high) // 2
        columns = max(1, round(rows * ratio))
        full = np.zeros((0, 0), bool)
        if columns <= mask.shape[1] and rows <= mask.shape[0]:
            inside = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
            full = inside == rows * columns
        if full.any():
            y, x = (int(each) for each in np.unravel_index(int(full.argmax()), full.shape))
            low, best = rows, (slice(y, y + rows), slice(x, x + columns))
        else:
            high = rows
    return best


def _clean_cell(pixels: Pixels, garment: Mask, lattice: Lattice) -> Pixels | None:
    """Return the median of the print's cells, straightened, registered and closed at its ends."""
    lattice = Lattice(across=_long_enough(lattice.across), down=_long_enough(lattice.down))
    size = (round(float(np.hypot(*lattice.across))), round(float(np.hypot(*lattice.down))))
    cells = _cells(pixels, garment, lattice, size)
    if len(cells) < _CELLS_MIN:
        return None
    guide = np.median(np.stack(cells), axis=0).astype(np.uint8)
    registered = np.stack([_registered(cell, guide) for cell in cells])
    clean = np.median(registered, axis=0).astype(np.uint8)
    # The margin is what the ends are blended over: the cell that remains is one repeat.
    margin = clean.shape[1] - size[0], clean.shape[0] - size[1]
    closed = _close(clean, margin[0])
    turned = _close(np.ascontiguousarray(closed.transpose(1, 0, 2)), margin[1])
    return np.ascontiguousarray(turned.transpose(1, 0, 2))


def _long_enough(step: Vector) -> Vector:
    """Return as many repeats as a cell must have for its ends to be blended."""
    return step * math.ceil(SIDE_PX_MIN / float(np.hypot(*step)))


def _close(cell: Pixels, overlap: int) -> Pixels:
    return make_repeat(cell, 0.48, overlap=overlap)


def _cells(pixels: Pixels, garment: Mask, lattice: Lattice, size: tuple[int, int]) -> list[Pixels]:
    """Return the cells that lie wholly on the garment, the most central first, each with its margin."""
    wide = [round(each * (1 + 2 * _MARGIN)) for each in size]
    v, u = np.mgrid[: wide[1], : wide[0]].astype(np.float64)
    u, v = u / size[0] - _MARGIN, v / size[1] - _MARGIN
    ys, xs = np.nonzero(garment)
    middle = np.array([xs.mean(), ys.mean()])
    found = []
    for i in range(-12, 12):
        for j in range(-12, 12):
            corner = middle + (i - 0.5) * lattice.across + (j - 0.5) * lattice.down
            x = (corner[0] + u * lattice.across[0] + v * lattice.down[0]).astype(np.float32)
            y = (corner[1] + u * lattice.across[1] + v * lattice.down[1]).astype(np.float32)
            if min(x.min(), y.min()) < 0 or x.max() > pixels.shape[1] - 1 or y.max() > pixels.shape[0] - 1:
                continue
            if garment[y.astype(np.intp), x.astype(np.intp)].all():
                cell = np.asarray(cv2.remap(pixels, x, y, cv2.INTER_CUBIC), np.uint8)
                found.append((math.hypot(i, j), (i, j), cell))
    found.sort(key=lambda each: each[:2])
    return [cell for _, _, cell in found[:_CELLS_MAX]]


def _registered(cell: Pixels, guide: Pixels) -> Pixels:
    """Return a cell bent slightly so that it lies on the guide."""
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (guide, cell)]
    nothing = np.zeros((*grey[0].shape, 2), np.float32)
    flow: Floats = np.asarray(cv2.calcOpticalFlowFarneback(grey[0], grey[1], nothing, 0.5, 3, 21, 4, 7, 1.5, 0))
    ys, xs = np.mgrid[: grey[0].shape[0], : grey[0].shape[1]].astype(np.float32)
    moved = cv2.remap(cell, xs + flow[..., 0], ys + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def _repeated(cell: Pixels, width: int, height: int, strain: Callable[[float, float], float]) -> Pixels:
    """Return whole cells side by side, in a picture of this size; how many is what the least strain says.

    `strain` is told how much wider and how much taller a cell becomes.
    """
    rows, columns = cell.shape[:2]
    counts = ((i, j) for i in range(1, _REPEATS_MAX + 1) for j in range(1, _REPEATS_MAX + 1))
    across, down = min(counts, key=lambda each: strain(width / (each[0] * columns), height / (each[1] * rows)))
    return resize_tile(np.tile(cell, (down, across, 1)), width, height)


def _life_size(wider: float, taller: float) -> float:
    """Prefer cells as large as they were, and even more so as wide to tall."""
    return 8 * abs(math.log(wider / taller)) + abs(math.log(wider * taller)) / 2


def _fewest(wider: float, taller: float) -> float:
    """Prefer large cells, unless they look too wide or too tall then."""
    return 6 * max(0.0, abs(math.log(wider / taller)) - _STRETCH_UNSEEN) - math.log(wider * taller) / 4
