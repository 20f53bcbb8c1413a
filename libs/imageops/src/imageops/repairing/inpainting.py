"""Replace what a mask marks by what the rest of the picture suggests: thin marks smoothly, wide ones by patches."""

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Mask, Pixels, to_image, to_pixels
from imageops.errors import ImageRefused, RefusalReason
from imageops.filling.biharmonic import fill_thin
from imageops.filling.patchmatch import fill
from imageops.filling.rims import smooth_fill
from imageops.progress import OnProgress, between, ignore_progress
from imageops.tiling import replace_marked

_THIN_PX = 8.0  # How deep a mark may be that is bridged smoothly: two crossing scratches are deeper than one.
_CALM_PX = 1.0  # Deviation of the blur that takes the grain off a rim.
_MARKED = 128  # Levels of the mask from which a pixel is replaced.


def inpaint(
    image: Image.Image, mask: Image.Image, seed: int = 0, *, on_progress: OnProgress = ignore_progress
) -> Image.Image:
    """Return the picture (RGB or RGBA) with what is white in `mask` replaced by its surroundings' textures.

    The mask has the picture's size; where it has transparency, what is transparent counts as black.
    Pixels that are not marked stay, to the bit, and so does the alpha channel. The same arguments
    give the same pixels. Raises ImageRefused where the mask is of another size, empty or full.
    """
    if mask.size != image.size:
        message = f"The mask is {mask.width} x {mask.height}, the picture {image.width} x {image.height}."
        raise ImageRefused(RefusalReason.INVALID_INPUTS, message, "inputs[1]")
    marked = read_mask(mask)
    if not marked.any() or marked.all():
        what = "no" if not marked.any() else "every"
        raise ImageRefused(RefusalReason.INVALID_INPUTS, f"The mask marks {what} pixel.", "inputs[1]")
    pixels, alpha = to_pixels(image)
    deep = _deep(marked)
    thin = marked & ~deep
    result = pixels
    if deep.any() and thin.any():
        # What was there may have nothing to do with the picture: patches are not to be compared with it.
        result = replace_marked(result, marked, _smooth)
    if deep.any():
        told = between(0, 0.8 if thin.any() else 1.0, on_progress)
        result = fill(result, deep, seed, told, sources=~marked)
    if thin.any():
        result = replace_marked(result, thin, _bridge, between(0.8 if deep.any() else 0.0, 1.0, on_progress))
    on_progress(1.0)
    return to_image(result, alpha)


def read_mask(mask: Image.Image) -> Mask:
    """Return where a picture is white enough to mean yes."""
    if mask.mode == "RGBA":
        black = Image.new("RGB", mask.size)
        black.paste(mask, mask=mask.getchannel("A"))
        mask = black
    marked: Mask = np.asarray(np.asarray(mask.convert("L")) >= _MARKED)
    return marked


def _smooth(pixels: Pixels, hole: Mask) -> Pixels:
    return np.clip(np.rint(smooth_fill(pixels.astype(np.float32), ~hole)), 0, 255).astype(np.uint8)


def _bridge(pixels: Pixels, hole: Mask) -> Pixels:
    """Return the mean of two bridges: from the rim as it is, and from the rim without the grain it swings with."""
    known = (~hole).astype(np.float32)[..., None]
    near = np.maximum(cv2.GaussianBlur(known, (0, 0), _CALM_PX)[..., None], 1e-6)
    calm = np.clip(np.rint(cv2.GaussianBlur(pixels * known, (0, 0), _CALM_PX) / near), 0, 255).astype(np.uint8)
    both = fill_thin(pixels, hole).astype(np.uint16) + fill_thin(calm, hole)
    return ((both + 1) // 2).astype(np.uint8)


def _deep(marked: Mask) -> Mask:
    """Return where the marks are too wide to be bridged smoothly; a scratch that runs into such a place is not."""
    depth = cv2.distanceTransform(marked.astype(np.uint8), cv2.DIST_L2, 3)
    reach = 2 * int(_THIN_PX) + 1
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach + 2, reach + 2))
    wide: Mask = marked & (cv2.dilate((depth > _THIN_PX).astype(np.uint8), round_) > 0)
    return wide
