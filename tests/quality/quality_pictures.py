"""Pictures to measure on: photographs that scikit-image brings along, and a print of our own."""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

Pixels = npt.NDArray[np.uint8]

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
TEXTURES = ("brick", "grass", "gravel")


@cache
def picture(name: str) -> Pixels:
    """A bundled picture as height x width x 3, read-only."""
    pixels: Any = getattr(skimage.data, name)()
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    pixels = np.ascontiguousarray(pixels[..., :3])
    pixels.flags.writeable = False
    return pixels  # type: ignore[no-any-return]


@cache
def textile_print(side: int = 512, period: float = 61.7) -> Pixels:
    """Four flat colours in a repeat that is no whole number of pixels."""
    scale = 4
    large = np.empty((side * scale, side * scale, 3), np.uint8)
    large[:] = (24, 62, 98)
    step = period * scale
    count = int(side / period) + 2
    for row in range(-1, count):
        for column in range(-1, count):
            x, y = (column + 0.5 * (row % 2)) * step, row * step
            centre = (round(x), round(y))
            for turn in range(5):
                angle = np.deg2rad(72 * turn + 18)
                petal = (round(x + np.cos(angle) * step * 0.2), round(y + np.sin(angle) * step * 0.2))
                cv2.circle(large, petal, round(step * 0.14), (222, 84, 96), -1)
            cv2.circle(large, centre, round(step * 0.11), (246, 214, 120), -1)
            leaf = (round(x + step * 0.5), round(y + step * 0.08))
            cv2.ellipse(large, leaf, (round(step * 0.19), round(step * 0.07)), 35, 0, 360, (92, 158, 112), -1)
    pixels = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels
