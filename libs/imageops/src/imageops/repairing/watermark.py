"""Take a half-transparent watermark off a picture that its owner may change.

Under writing of one ink and one opacity the picture is still there, only paler: both numbers are told
by the pixels on either side of the writing's rim, and the ink is subtracted. What the soft rim itself
hides is bridged from both sides. Where a mark hides everything it is filled like any other hole.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Array, Floats, Mask, Pixels, to_image, to_pixels
from imageops.errors import ImageRefused, RefusalReason
from imageops.filling.biharmonic import fill_thin
from imageops.filling.patchmatch import fill
from imageops.progress import OnProgress, between, ignore_progress
from imageops.repairing.marks import find_marks
from imageops.tiling import fill_thin_anywhere, marked_tiles, replace_marked

_SAMPLES_MAX = 200_000  # Pixels beside a rim; more do not make the opacity more certain.
_AROUND_PX = 3.0  # Deviation of the window that a marked pixel's outside is averaged in.
_TURNS = 25
_OPACITY_MIN, _OPACITY_MAX = 0.05, 0.9  # Outside, there is nothing to subtract, or nothing left below.
_EXPLAINED_MAX = 0.6  # Of the step at the rim: if more remains, the mask is no outline of a mark.
_WHITE_NEAR = 20  # Levels: an ink this close to white is white.
_THIN_PX = 6  # Half the width of what is bridged smoothly instead of filled with texture.
_PARTLY = 0.03  # Below the ink's opacity by more than this, a pixel of a mark we found is only partly covered.

_FOUND = 0.5  # The share of the progress that finding the mark takes.


@dataclass(frozen=True, kw_only=True)
class _Ink:
    opacity: float
    colour: Floats  # Three levels.


def remove_watermark(
    image: Image.Image,
    mask: Image.Image | None = None,
    seed: int = 0,
    *,
    on_progress: OnProgress = ignore_progress,
) -> Image.Image:
    """Return an RGB or RGBA picture without its mark, of the same size and transparency.

    `mask` (any mode, the picture's size) is bright where the mark is: drawn along its outline, the
    picture below is recovered; drawn generously, what is under the mask is filled anew. Without a mask
    white or black half-transparent writing is looked for, as well as can be. Pixels outside the mark
    stay as they are. Raises ImageRefused: no mark found, mask of another size or empty.
    """
    pixels, alpha = to_pixels(image)
    if mask is not None:
        marked = _read_mask(mask, image.size)
        result = _clean(pixels, marked, 1, seed, found=False, on_progress=on_progress)
        return to_image(result, alpha)
    marks = find_marks(pixels, between(0.0, _FOUND, on_progress))
    if marks is None:
        raise ImageRefused(RefusalReason.NOTHING_FOUND, "No watermark was found in the picture.", "inputs[0]")
    rows, columns = pixels.shape[:2]
    whole = cv2.resize(marks.mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST)
    marked = cv2.dilate(whole, _square(marks.scale)) > 0
    rest = between(_FOUND, 1.0, on_progress)
    return to_image(_clean(pixels, marked, marks.scale, seed, found=True, on_progress=rest), alpha)


def _read_mask(mask: Image.Image, size: tuple[int, int]) -> Mask:
    if mask.size != size:
        message = f"The mask is {mask.width} x {mask.height}, the picture {size[0]} x {size[1]}."
        raise ImageRefused(RefusalReason.INVALID_INPUTS, message, "inputs[1]")
    marked = np.asarray(mask.convert("L")) > 127
    if not marked.any():
        raise ImageRefused(RefusalReason.INVALID_INPUTS, "The mask is empty: white pixels are the mark.", "inputs[1]")
    if marked.all():
        raise ImageRefused(RefusalReason.INVALID_INPUTS, "The mask covers the whole picture.", "inputs[1]")
    return np.asarray(marked)


def _clean(pixels: Pixels, marked: Mask, rim_px: int, seed: int, *, found: bool, on_progress: OnProgress) -> Pixels:
    """Return the picture without what is under `marked`, whose soft rim is `rim_px` wide.

    `found`: by ourselves, so that single pixels may be wrong.
    """
    ink = _estimate(pixels, marked, rim_px)
    if ink is None:
        thick = cv2.distanceTransform(np.pad(marked, 1).astype(np.uint8), cv2.DIST_L2, 3).max() > _THIN_PX
        return fill(pixels, marked, seed, on_progress) if thick else fill_thin_anywhere(pixels, marked, on_progress)
    return replace_marked(pixels, marked, lambda tile, hole: _subtract(tile, hole, ink, rim_px, found), on_progress)


def _square(reach: int) -> Array:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def _core(marked: Mask, rim_px: int) -> Mask:
    return np.asarray(cv2.erode(marked.astype(np.uint8), _square(rim_px), borderValue=1) > 0)


def _estimate(pixels: Pixels, marked: Mask, rim_px: int) -> _Ink | None:
    """Return ink and opacity, or None where one ink does not explain the step at the mask's rim."""
    insides, outsides = [], []
    count = 0
    for inner, _ in marked_tiles(marked):
        outside = cv2.dilate(marked[inner].astype(np.uint8), _square(rim_px)) == 0
        weight = cv2.GaussianBlur(outside.astype(np.float32), (0, 0), _AROUND_PX * rim_px)
        use = _core(marked[inner], rim_px) & (weight > 0.05)
        blurred = cv2.GaussianBlur(pixels[inner] * outside[..., None].astype(np.float32), (0, 0), _AROUND_PX * rim_px)
        outsides.append(blurred[use] / weight[use][:, None])
        insides.append(pixels[inner][use].astype(np.float32))
        count += len(insides[-1])
        if count >= _SAMPLES_MAX:
            break
    if count < 16:
        return None
    inside, outside_mean = np.concatenate(insides), np.concatenate(outsides)
    ink = _regress(inside, outside_mean)
    if not _OPACITY_MIN < ink.opacity < _OPACITY_MAX:
        return None
    step = float(np.median(np.abs(inside - outside_mean)))
    left = inside - (outside_mean * (1 - ink.opacity) + ink.opacity * ink.colour)
    return ink if float(np.median(np.abs(left))) <= _EXPLAINED_MAX * step else None


def _regress(inside: Floats, outside: Floats) -> _Ink:
    """Return the line inside = (1 - opacity) x outside + opacity x ink that most pixels lie near."""
    weights = np.ones(len(inside), np.float32)
    for _ in range(_TURNS):
        total = weights.sum() + 1e-6
        middle_in = (weights[:, None] * inside).sum(axis=0) / total
        middle_out = (weights[:, None] * outside).sum(axis=0) / total
        spread = outside - middle_out
        slope = float((weights[:, None] * spread * (inside - middle_in)).sum())
        slope /= float((weights[:, None] * spread**2).sum()) + 1e-6
        start = middle_in - slope * middle_out
        weights = _trust(inside - slope * outside - start)
    opacity = 1 - slope
    colour = start / max(opacity, 1e-3)
    for plain in (0.0, 255.0):
        if opacity > _OPACITY_MIN and (np.abs(colour - plain) < _WHITE_NEAR).all():
            return _Ink(opacity=_opacity_of(inside, outside, plain), colour=np.full(3, plain, np.float32))
    return _Ink(opacity=opacity, colour=colour.astype(np.float32))


def _opacity_of(inside: Floats, outside: Floats, ink: float) -> float:
    """Return the opacity of an ink whose colour is known."""
    room = ink - outside
    weights = np.ones(len(inside), np.float32)
    opacity = 0.0
    for _ in range(_TURNS):
        each = weights[:, None] * room
        opacity = float((each * (inside - outside)).sum() / max(float((each * room).sum()), 1e-6))
        weights = _trust(inside - outside - opacity * room)
    return opacity


def _trust(misses: Floats) -> Floats:
    """Return weights of 1 for what lies on the line, down to 0 for what lies far off (Tukey's biweight)."""
    distance = np.abs(misses).mean(axis=1)
    scale = 3 * max(1.0, 1.4826 * float(np.median(distance)))
    near = np.maximum(1 - (distance / np.float32(scale)) ** 2, 0)
    return np.asarray(near * near, np.float32)


def _subtract(picture: Pixels, marked: Mask, ink: _Ink, rim_px: int, found: bool) -> Pixels:
    core = _core(marked, rim_px)
    if found:
        bridged = fill_thin(picture, marked)[marked].astype(np.float32)
        covered = np.zeros(marked.shape, np.float32)
        covered[marked] = _coverage(picture[marked].astype(np.float32), bridged, ink.colour)
        deep = cv2.distanceTransform(marked.astype(np.uint8), cv2.DIST_L2, 3) > 4 * rim_px
        core &= (covered > ink.opacity - _PARTLY) | deep
    result = picture.copy()
    result[core] = _unmixed(picture[core].astype(np.float32), np.float32(ink.opacity), ink.colour)
    rim = marked & ~core
    result = fill_thin(result, rim)
    under = picture[rim].astype(np.float32)
    opacity = np.clip(_coverage(under, result[rim].astype(np.float32), ink.colour), 0, ink.opacity)
    result[rim] = _unmixed(under, opacity[:, None], ink.colour)
    return result


def _coverage(seen: Floats, below: Floats, ink: Floats) -> Floats:
    """Return how much ink explains best what is seen, if `below` lies under it (both pixels x 3)."""
    room = ink - below
    return np.asarray(((seen - below) * room).sum(axis=1) / np.maximum((room * room).sum(axis=1), 1), np.float32)


def _unmixed(seen: Floats, opacity: Floats | np.float32, ink: Floats) -> Pixels:
    plain = (seen - opacity * ink) / np.maximum(1 - opacity, 1 - _OPACITY_MAX)
    return np.clip(np.rint(plain), 0, 255).astype(np.uint8)
