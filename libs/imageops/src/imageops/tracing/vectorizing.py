"""Bitmap to vector: a few flat colours, traced as curves, written as EPS."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
import vtracer
from PIL import Image

from imageops.arrays import Pixels, to_image
from imageops.denoising import estimate_sigma
from imageops.errors import ParameterRefused
from imageops.palette import Palette, choose_palette
from imageops.progress import OnProgress, ignore_progress
from imageops.tracing.outlines import Outline, draw, read_svg, write_eps

COLOURS_MIN, COLOURS_MAX, COLOURS_DEFAULT = 2, 16, 5  # The studio contract's.

_TRACED_PIXELS_MAX = 1 << 22  # Curves have no pixels: of a larger picture a smaller copy gives the same ones.
_ENLARGED_MAX = 4  # Beyond it a drawing's curves get no smoother.
_APART = 8.0  # Lab units: shades nearer to each other are compression's, not the drawing's.
_SPECK_PX = 8  # Areas of fewer pixels are noise, and become part of their surroundings.
_GRAIN_MIN = 0.4  # Levels: below it the picture is a clean drawing, whose thin lines smoothing would take.
_BEND_PX, _BEND_ENLARGED_PX = 4.0, 8.0  # Shorter bends are the pixels' steps: of an enlarged drawing two source pixels.
_HARD_REACH_PX = 1.25  # How far from an edge colours are taken for pure; farther, channels of other edges mix new ones.
_EDGE_LEVELS, _NEAR_PX = 30.0, 5.0  # Of the smoothing: what counts as an edge, and how far it looks.


# The labels as the tracer is shown them: colours as far from each other as sixteen can be, for it mixes near ones up.
_CODES = np.array(
    [
        [c * 85 for c in code]
        for code in (
            *((r, g, b) for r in (0, 3) for g in (0, 3) for b in (0, 3)),
            *((r, g, b) for r in (1, 2) for g in (1, 2) for b in (1, 2)),
        )
    ],
    np.uint8,
)


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A traced picture."""

    eps: bytes  #: As many points wide and high as the picture has pixels.
    preview: Image.Image  #: The same curves as an RGB picture of the input's size.
    colours: int  #: How many different ones there are: at most those asked for.


def vectorize(
    image: Image.Image, colour_count: int = COLOURS_DEFAULT, seed: int = 0, on_progress: OnProgress = ignore_progress
) -> Vector:
    """Trace an RGB or RGBA picture in at most `colour_count` (2 to 16) flat colours.

    Transparent pixels are white. Made for logos and prints; a photograph becomes a poster of itself.
    The same arguments give the same bytes. Raises ParameterRefused.
    """
    if not COLOURS_MIN <= colour_count <= COLOURS_MAX:
        raise ParameterRefused("color_count", f"color_count is from {COLOURS_MIN} to {COLOURS_MAX}.")
    smooth = _prepared(_on_white(image))
    on_progress(0.2)
    factor = max(1, smooth.shape[1] // image.width)
    palette = choose_palette(smooth, colour_count, seed, apart=_APART if factor > 1 else 0.0)
    on_progress(0.3)
    labels = without_specks(palette.nearest(smooth), _SPECK_PX * factor, lose_colours=factor > 1)
    del smooth  # The tracer needs the room.
    on_progress(0.5)
    outlines = trace(labels, palette, bend_px=_BEND_ENLARGED_PX if factor > 1 else _BEND_PX)
    on_progress(0.7)
    width, height = image.size
    scale = width / labels.shape[1]
    eps = write_eps(outlines, width=width, height=height, scale=scale)
    on_progress(0.85)
    preview = to_image(draw(outlines, width=width, height=height, scale=scale))
    on_progress(1.0)
    return Vector(eps=eps, preview=preview, colours=len({outline.colour for outline in outlines}))


def trace(labels: Pixels, palette: Palette, *, bend_px: float = _BEND_PX) -> list[Outline]:
    """Return the outlines of areas of equal label (height x width), those below first.

    Curves have no bends shorter than about `bend_px`.
    """
    buffer = io.BytesIO()
    Image.fromarray(_CODES[labels]).save(buffer, "PNG", compress_level=1)
    svg = vtracer.convert_raw_image_to_svg(
        buffer.getvalue(),
        "png",
        colormode="color",
        hierarchical="stacked",
        mode="spline",
        filter_speckle=1,
        color_precision=8,
        layer_difference=0,
        corner_threshold=60,
        length_threshold=bend_px,
        splice_threshold=45,
        path_precision=2,
    )
    outlines = []
    for each in read_svg(svg):
        # The tracer averages over what it merges: the nearest code is the area's own.
        label = int(np.abs(_CODES.astype(np.int16) - each.colour).sum(axis=1).argmin())
        red, green, blue = palette.colours[min(label, len(palette.colours) - 1)].tolist()
        outlines.append(Outline(colour=(red, green, blue), loops=each.loops))
    return outlines


def without_grain(pixels: Pixels) -> Pixels:
    """Return the picture with noise and fine texture smoothed away."""
    smooth = cv2.medianBlur(cv2.bilateralFilter(pixels, 7, _EDGE_LEVELS, _NEAR_PX), 5)
    return np.asarray(smooth, np.uint8)


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    """Return a clean drawing `factor` times larger with hard edges where its soft ones pass the middle.

    Soft edges are what a drawing has for places between pixels: traced as they are, they would be
    steps, and bands of colours in between.
    """
    large = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    side = int(factor * _HARD_REACH_PX) * 2 + 1
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    low, high = cv2.erode(large, window), cv2.dilate(large, window)
    # Where an edge passes the middle, cubics tell best; but they swing beyond the colours that are there.
    curved = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    curved = np.clip(curved, low, high)
    hard = np.where(curved - low < high - curved, low, high)
    return np.asarray(hard, np.uint8)


def without_specks(labels: Pixels, pixels_min: int, *, lose_colours: bool = True) -> Pixels:
    """Return the labels with areas of less than `pixels_min` given to the nearest larger area.

    Unless `lose_colours`, the largest area of each label stays, however small.
    """
    specks = np.zeros(labels.shape, bool)
    for label in range(int(labels.max()) + 1):
        _, areas, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < pixels_min
        small[0] = False
        if len(small) > 1 and not lose_colours:
            small[1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = False
        specks |= small[areas]
    if specks.all() or not specks.any():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(
        specks.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    kept = np.zeros(int(nearest.max()) + 1, np.uint8)
    kept[nearest[~specks]] = labels[~specks]
    cleaned: Pixels = kept[nearest]
    return cleaned


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _prepared(image: Image.Image) -> Pixels:
    """Return the picture as it is traced: without grain, at a size that is enough for its curves."""
    ratio = (_TRACED_PIXELS_MAX / (image.width * image.height)) ** 0.5
    if ratio < 1:
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        image = image.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(image)
    if estimate_sigma(pixels) >= _GRAIN_MIN:
        return without_grain(pixels)
    factor = min(_ENLARGED_MAX, int(ratio))
    return enlarged(pixels, factor) if factor > 1 else pixels
