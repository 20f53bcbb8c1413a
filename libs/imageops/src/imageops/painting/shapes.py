"""Simple shaders for stamps, and signed distances (negative inside) to put other shapes together."""

import numpy as np

from imageops.painting.canvas import Array, Colour, Shader, cover

BLACK: Colour = np.zeros(3, np.float32)
WHITE: Colour = np.ones(3, np.float32)


def dot(colour: Colour, strength: float = 1.0) -> Shader:
    """A disc that fills the stamp, with a clean edge."""

    def shade(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        return colour, cover(np.sqrt(u * u + v * v) - 0.97, pixel) * strength

    return shade


def glow(colour: Colour, strength: float, power: float = 2.0) -> Shader:
    """Light that falls off to nothing at the stamp's edge; with BLACK, a soft shadow."""

    def shade(u: Array, v: Array, _pixel: float) -> tuple[Array, Array]:
        return colour, np.clip(1 - np.sqrt(u * u + v * v), 0, 1) ** power * strength

    return shade


def sphere(u: Array, v: Array, pixel: float, *, colour: Colour) -> tuple[Array, Array]:
    """A ball lit from the upper left, with a highlight and light from below at its rim."""
    flat = u * u + v * v
    z = np.sqrt(np.clip(0.98 - flat, 0, 1))
    light = np.clip(-0.45 * u - 0.6 * v + 0.66 * z, 0, 1)
    rim = np.clip(1 - z, 0, 1) ** 3 * np.clip(0.5 + v, 0, 1)
    shine = np.clip(-0.38 * u - 0.52 * v + 0.77 * z, 0, 1) ** 40
    body = 0.28 + 0.85 * light + 0.5 * rim
    planes = np.stack([np.clip(part * body + shine * 0.85, 0, 1) for part in colour])
    return planes, cover(np.sqrt(flat) - 0.985, pixel)


def box(u: Array, v: Array, *, x: float, y: float, half_width: float, half_height: float) -> Array:
    """Distance to an upright rectangle around (x, y)."""
    distance: Array = np.maximum(np.abs(u - x) - half_width, np.abs(v - y) - half_height)
    return distance


def disc(u: Array, v: Array, *, x: float, y: float, radius: float, squash: float = 1.0) -> Array:
    """Distance to a disc, its height `squash` of its width."""
    distance: Array = np.sqrt((u - x) ** 2 + ((v - y) / squash) ** 2) - radius
    return distance


def wedge(u: Array, v: Array, *, x: float, top: float, base: float, half_width: float) -> Array:
    """Distance to a triangle that stands on `base` with its tip above x."""
    down = (v - top) / (base - top)
    distance: Array = np.maximum(np.abs(u - x) - down * half_width, v - base)
    return distance
