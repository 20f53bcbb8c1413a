"""A photographed T-shirt of which everything is known: its print, its outline, how it is turned."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from quality_damage import Mask, weave
from quality_pictures import Pixels

PERIOD = (137, 122)  # Width and height of one repeat, pixels.
WIDTH, HEIGHT = 900, 700
BACKDROP = (205, 210, 216)
DEGREES_EACH = -3.0  # How much farther each seed's shirt is turned.

_OUTLINE = ((0.33, 0.06), (0.43, 0.1), (0.57, 0.1), (0.67, 0.06), (0.9, 0.2), (0.83, 0.38))
_OUTLINE += ((0.74, 0.33), (0.74, 0.95), (0.26, 0.95), (0.26, 0.33), (0.17, 0.38), (0.1, 0.2))


@dataclass(frozen=True, kw_only=True)
class Shirt:
    """A picture, and where on it the shirt is."""

    pixels: Pixels
    mask: Mask
    degrees: float  #: How far the print is turned.


@cache
def motif() -> Pixels:
    """One repeat of the print: two flowers and a leaf on a plain ground."""
    scale = 2
    width, height = PERIOD[0] * scale, PERIOD[1] * scale
    repeat = np.full((height, width, 3), (232, 222, 200), np.uint8)
    for dy in (-height, 0, height):
        for dx in (-width, 0, width):
            _flower(repeat, (38 * scale + dx, 35 * scale + dy), 26 * scale, ((196, 60, 70), (246, 214, 120)))
            _flower(repeat, (104 * scale + dx, 90 * scale + dy), 18 * scale, ((40, 90, 150), (230, 230, 240)))
            leaf = (98 * scale + dx, 34 * scale + dy)
            cv2.ellipse(repeat, leaf, (20 * scale, 8 * scale), 30, 0, 360, (70, 130, 80), -1, cv2.LINE_AA)
    return np.asarray(cv2.resize(repeat, PERIOD, interpolation=cv2.INTER_AREA), np.uint8)


def _flower(
    canvas: Pixels, centre: tuple[int, int], radius: int, colours: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    for petal in range(5):
        angle = 2 * np.pi * petal / 5
        at = (int(centre[0] + np.cos(angle) * radius * 0.6), int(centre[1] + np.sin(angle) * radius * 0.6))
        cv2.circle(canvas, at, int(radius * 0.45), colours[0], -1, cv2.LINE_AA)
    cv2.circle(canvas, centre, int(radius * 0.35), colours[1], -1, cv2.LINE_AA)


@cache
def shirt(seed: int) -> Shirt:
    """A shirt with folds, weave, noise and a print bent by a pixel or two, before a plain backdrop."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    degrees = DEGREES_EACH * seed
    angle = np.deg2rad(degrees)
    coarse = rng.normal(0, 1, (5, 6, 2)).astype(np.float32)
    bent = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 1.5
    u, v = x + bent[..., 0], y + bent[..., 1]
    across = ((u * np.cos(angle) + v * np.sin(angle)) % PERIOD[0]).astype(np.float32)
    down = ((v * np.cos(angle) - u * np.sin(angle)) % PERIOD[1]).astype(np.float32)
    wide = cv2.copyMakeBorder(motif(), 2, 2, 2, 2, cv2.BORDER_WRAP)
    cloth = cv2.remap(wide, across + 2, down + 2, cv2.INTER_LINEAR)
    cover = np.zeros((HEIGHT, WIDTH), np.uint8)
    outline = (np.array(_OUTLINE) * (WIDTH, HEIGHT)).astype(np.int32)
    cv2.fillPoly(cover, [outline], 255, cv2.LINE_AA)
    folds = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 60)
    light = 1 + 0.10 * folds / folds.std() + 0.06 * np.sin(x / 90 + y / 140 + seed)
    lit = weave(np.clip(cloth * light[..., None], 0, 255).astype(np.uint8), seed, period=5.5, degrees=4)
    share = (cover / 255.0)[..., None]
    seen = lit * share + np.array(BACKDROP) * (1 - share) + rng.normal(0, 2.5, (HEIGHT, WIDTH, 3))
    return Shirt(pixels=np.clip(seen, 0, 255).astype(np.uint8), mask=cover > 127, degrees=degrees)
