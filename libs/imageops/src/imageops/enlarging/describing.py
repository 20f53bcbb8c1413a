"""What a picture looks like, in plain words: its colours, its light, its layout. Measured, nothing guessed."""

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Floats, to_pixels
from imageops.palette import choose_palette, to_lab

_SIDE_PX = 256  # Enough for words.
_CLUSTERS = 6
_SHARE_MIN = 0.07  # Of the picture, for a colour to be named.
_NAMED_MAX = 4
_NAMES = {
    "black": (20, 20, 22),
    "white": (245, 245, 243),
    "grey": (128, 128, 128),
    "red": (205, 35, 40),
    "orange": (240, 140, 30),
    "yellow": (245, 220, 60),
    "green": (45, 150, 60),
    "turquoise": (50, 185, 180),
    "blue": (40, 80, 190),
    "light blue": (150, 200, 240),
    "purple": (125, 50, 160),
    "pink": (240, 150, 185),
    "brown": (120, 75, 40),
    "beige": (225, 205, 170),
}
_DARK, _BRIGHT = 35.0, 68.0  # Mean L.
_SOFT, _STRONG = 12.0, 24.0  # Deviation of L.
_GREY, _MUTED, _VIVID = 4.0, 18.0, 36.0  # Mean chroma.
_SMOOTH, _DETAILED = 2.0, 6.0  # Mean step of L between neighbours.


def describe(image: Image.Image) -> str:
    """Return a line of English about an RGB or RGBA picture; the same picture gives the same line."""
    pixels, _ = to_pixels(_small(image, Image.Resampling.BOX))
    lab = to_lab(pixels)
    light, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    steps = [np.abs(np.diff(light, axis=axis)).mean() if light.shape[axis] > 1 else 0.0 for axis in (0, 1)]
    parts = [
        _shape(image.width / image.height),
        _listed(dominant_colours(image)),
        _word(float(light.mean()), (_DARK, _BRIGHT), ("dark", "evenly lit", "bright")),
        _word(float(light.std()), (_SOFT, _STRONG), ("low contrast", "medium contrast", "high contrast")),
        _word(
            float(chroma.mean()),
            (_GREY, _MUTED, _VIVID),
            ("no colour", "muted colours", "rich colours", "vivid colours"),
        ),
        _word(float(np.mean(steps)), (_SMOOTH, _DETAILED), ("smooth areas", "fine detail", "dense texture")),
        _weight(light),
    ]
    return ", ".join(part for part in parts if part)


def dominant_colours(image: Image.Image) -> list[str]:
    """Return up to four names of colours, the one of most pixels first."""
    pixels, _ = to_pixels(_small(image, Image.Resampling.NEAREST))
    palette = choose_palette(pixels, _CLUSTERS)
    counts = np.bincount(palette.nearest(pixels).ravel(), minlength=len(palette.colours))
    known = to_lab(np.array([list(_NAMES.values())], np.uint8))[0]
    shares: dict[str, float] = {}
    for colour, count in zip(to_lab(palette.colours[None])[0], counts / counts.sum(), strict=True):
        name = list(_NAMES)[int(((known - colour) ** 2).sum(axis=1).argmin())]
        shares[name] = shares.get(name, 0.0) + float(count)
    named = sorted((name for name, share in shares.items() if share >= _SHARE_MIN), key=lambda name: -shares[name])
    return named[:_NAMED_MAX]


def _small(image: Image.Image, kernel: Image.Resampling) -> Image.Image:
    share = min(1.0, _SIDE_PX / max(image.size))
    return image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), kernel)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def _word(value: float, bounds: tuple[float, ...], words: tuple[str, ...]) -> str:
    return words[sum(value >= bound for bound in bounds)]


def _shape(ratio: float) -> str:
    return "square picture" if 0.9 <= ratio <= 1.1 else "wide picture" if ratio > 1 else "tall picture"


def _weight(light: Floats) -> str:
    """Where most of the detail is."""
    if min(light.shape) < 9:
        return ""
    edges = np.abs(cv2.Laplacian(light, cv2.CV_32F))
    total = float(edges.sum())
    if total < 1:
        return "plain surface"
    rows, columns = (side // 4 for side in light.shape)
    centre = float(edges[rows : light.shape[0] - rows, columns : light.shape[1] - columns].sum()) / total
    return "detail in the centre" if centre > 0.4 else "detail all over" if centre > 0.15 else "detail at the sides"
