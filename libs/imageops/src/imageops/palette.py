"""Few colours for a whole picture: k-means in Lab, and every pixel to its nearest."""

from dataclasses import dataclass

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Pixels

_SAMPLE_PX = 256  # The long side of what the colours are chosen from: 65 thousand pixels say enough.
_TRIES = 3  # Of k-means, from other starts; the tightest wins.
_TURNS_MAX, _MOVE_MIN = 40, 0.2  # Of one try: enough, and close enough in Lab units.
_FLAT_SHARE = 0.4  # Of a colour's pixels that are alike: then it is a flat area's.
_BITS = 6  # Of each channel in the table of nearest colours: finer than anybody sees.


@dataclass(frozen=True, kw_only=True)
class Palette:
    """A few sRGB colours, the one of most pixels first: count x 3, 8-bit."""

    colours: Pixels

    def nearest(self, pixels: Pixels) -> Pixels:
        """Return the index of each pixel's nearest colour (by Lab distance), height x width."""
        steps = 1 << _BITS
        levels = (np.arange(steps, dtype=np.float32) + 0.5) * (256 / steps)
        cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=3).reshape(steps, -1, 3)
        cube_lab, own = to_lab(cube).reshape(-1, 3), to_lab(self.colours[None].astype(np.float32))[0]
        best = np.full(len(cube_lab), np.inf, np.float32)
        table = np.zeros(len(cube_lab), np.uint8)
        for index, colour in enumerate(own):
            distance = ((cube_lab - colour) ** 2).sum(axis=1)
            nearer = distance < best
            table[nearer], best[nearer] = index, distance[nearer]
        labels = np.empty(pixels.shape[:2], np.uint8)
        for row, line in enumerate(pixels):
            red, green, blue = (line[:, c].astype(np.intp) >> (8 - _BITS) for c in range(3))
            labels[row] = table.take((red << (2 * _BITS)) + (green << _BITS) + blue)
        return labels


def choose_palette(pixels: Pixels, count: int, seed: int = 0, *, apart: float = 0.0) -> Palette:
    """Return at most `count` colours (2 or more) that stand for a picture of height x width x 3.

    A picture of fewer colours gives fewer; so does one whose colours are less than `apart` (in Lab
    units) from others: of such the one of most pixels stays. The same arguments give the same colours.
    """
    step = max(1, -(-max(pixels.shape[:2]) // _SAMPLE_PX))
    # Single pixels, not means: those of an edge would be colours that the picture does not have.
    sample = np.ascontiguousarray(pixels[step // 2 :: step, step // 2 :: step])
    if not sample.size:
        sample = pixels
    flat = sample.reshape(-1, 3)
    distinct, _ = _distinct(flat)
    if len(distinct) > count:
        distinct = _own(flat, Palette(colours=_means(flat, count, seed)))
    palette = Palette(colours=distinct)
    order = np.argsort(-np.bincount(palette.nearest(sample).ravel(), minlength=len(distinct)), kind="stable")
    return Palette(colours=_thinned(distinct[order], apart))


def to_lab(pixels: Floats | Pixels) -> Floats:
    """Return CIE Lab (L 0 to 100) of sRGB levels 0 to 255."""
    scaled = np.ascontiguousarray(pixels, np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), np.float32)


def from_lab(lab: Floats) -> Pixels:
    """Return 8-bit sRGB."""
    rgb = cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_Lab2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)


def _thinned(colours: Pixels, apart: float) -> Pixels:
    """Leave out colours too near to one before them."""
    lab = to_lab(colours[None])[0]
    kept = [0]
    for index in range(1, len(lab)):
        if np.linalg.norm(lab[kept] - lab[index], axis=1).min() >= apart:
            kept.append(index)
    return colours[kept]


def _distinct(flat: Pixels) -> tuple[Pixels, Array]:
    """Return the colours of a list of them, in order, and how often each is there.

    As one number each: numpy sorts rows of three twenty times slower.
    """
    codes = flat.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    found, counts = np.unique(codes, return_counts=True)
    return np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8), counts


def _own(flat: Pixels, palette: Palette) -> Pixels:
    """Return the means with those of flat areas replaced by the area's own colour, which soft edges pull away from."""
    labels = palette.nearest(flat[None])[0]
    result = palette.colours.copy()
    for index in range(len(result)):
        members = flat[labels == index]
        if len(members):
            colours, counts = _distinct(members)
            if counts.max() >= _FLAT_SHARE * len(members):
                result[index] = colours[counts.argmax()]
    return _distinct(result)[0]


def _means(flat: Pixels, count: int, seed: int) -> Pixels:
    lab = to_lab(flat[None])[0]
    cv2.setRNGSeed(seed % 2**31)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, _TURNS_MAX, _MOVE_MIN)
    nothing = np.empty(0, np.int32)
    _, _, centres = cv2.kmeans(lab, count, nothing, criteria, _TRIES, cv2.KMEANS_PP_CENTERS)
    return _distinct(from_lab(centres[None].astype(np.float32))[0])[0]
