"""Where layers paint: a band of rows, in units that do not depend on the picture's size.

Coordinates: y runs from 0 at the top to 1 at the bottom, x from 0 to the aspect (width / height), so a
circle is round everywhere. Colours are sRGB, 0 to 1, as planes of shape (3, rows, columns), float32.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Colour = Array  # Of shape (3,).


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The whole picture."""

    width: int
    height: int

    @property
    def aspect(self) -> float:
        return self.width / self.height

    @property
    def unit(self) -> float:
        """The length things are measured by: the short side, so that nothing outgrows a narrow picture."""
        return min(1.0, self.aspect)


class Band:
    """Some rows of the picture, `top` to `bottom` in y; what is painted stays in `rgb`."""

    def __init__(self, frame: Frame, top: float, bottom: float, rows: int, rgb: Array | None = None) -> None:
        self.frame, self.top, self.bottom, self.rows = frame, top, bottom, rows
        self.rgb: Array = np.zeros((3, rows, frame.width), np.float32) if rgb is None else rgb
        self.step = (bottom - top) / max(1, rows)  # The height of a row; a pixel's width is the same.
        self.y = (top + (np.arange(rows, dtype=np.float32) + 0.5) * self.step).astype(np.float32)[:, None]

    @cached_property
    def x(self) -> Array:
        """Pixel centres, shape (1, columns)."""
        return columns_x(self.frame)[None, :]

    def blend(self, colour: Array, alpha: Array | float) -> None:
        """Lay a colour (3,) or planes (3, rows, columns) over the band, as opaque as `alpha` says."""
        for channel, part in enumerate(colour):
            self.rgb[channel] += (part - self.rgb[channel]) * alpha

    def add(self, colour: Colour, amount: Array) -> None:
        """Add light of a colour."""
        for channel, part in enumerate(colour):
            self.rgb[channel] += part * amount

    def below(self, y: float) -> "Band":
        """The rows whose centres lie at or below `y`, as a band on the same pixels; maybe of none."""
        first = int(np.searchsorted(self.y[:, 0], y))
        return Band(self.frame, self.top + first * self.step, self.bottom, self.rows - first, self.rgb[:, first:])

    def above(self, y: float) -> "Band":
        """The other rows."""
        last = int(np.searchsorted(self.y[:, 0], y))
        return Band(self.frame, self.top, self.top + last * self.step, last, self.rgb[:, :last])


class Layer(Protocol):
    """Something that paints itself over what is there."""

    def paint(self, band: Band) -> None: ...


class Outline:
    """A layer that fills everything below an outline, the y of each column."""

    def __init__(self, top: Array) -> None:
        self._top = top.astype(np.float32)

    def paint(self, band: Band) -> None:
        part = band.below(float(self._top.min()) - band.step)
        if part.rows:
            depth = part.y - self._top[None, :]
            part.blend(self.surface(part, depth), np.clip(depth / part.step + 0.5, 0, 1))

    def surface(self, band: Band, depth: Array) -> Array:
        """The colour planes of a band; `depth` is how far below the outline each pixel lies."""
        raise NotImplementedError


class Streams:
    """Random numbers by name: one layer's choices never move another's."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, name: str) -> np.random.Generator:
        digest = hashlib.blake2b(name.encode(), key=self._key, digest_size=32).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def columns_x(frame: Frame) -> Array:
    """The x of every column's centre, shape (columns,)."""
    return ((np.arange(frame.width, dtype=np.float32) + 0.5) / frame.height).astype(np.float32)


def smooth(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, and an S between; `low` may be the larger, which turns it round."""
    t = np.clip((value - low) * np.float32(1.0 / (high - low)), 0, 1)
    result: Array = t * t * (3 - 2 * t)
    return result


# Takes local coordinates, -1 to 1 over the stamp, and the size of a pixel in them; gives colour and alpha.
Shader = Callable[[Array, Array, float], tuple[Array, Array]]


def stamp(  # noqa: PLR0917 - where, how large, what: as every drawing call has it
    band: Band, x: float, y: float, half_width: float, half_height: float, shader: Shader
) -> None:
    """Paint a small thing in the box around (x, y), touching only the pixels inside it."""
    frame = band.frame
    first = max(0, int(np.floor((y - half_height - band.top) / band.step)))
    last = min(band.rows, int(np.ceil((y + half_height - band.top) / band.step)))
    left = max(0, int(np.floor((x - half_width) * frame.height)))
    right = min(frame.width, int(np.ceil((x + half_width) * frame.height)))
    if first >= last or left >= right:
        return
    v = (band.y[first:last] - y) / half_height
    u = (band.x[:, left:right] - x) / half_width
    colour, alpha = shader(u, v, 1.0 / (frame.height * min(half_width, half_height)))
    window = band.rgb[:, first:last, left:right]
    for channel, part in enumerate(colour):
        window[channel] += (part - window[channel]) * alpha


def between(one: Array, other: Array, share: Array | float) -> Array:
    """The planes `share` of the way from one to the other; each is a colour (3,) or planes (3, ...)."""
    return np.stack([a + (b - a) * share for a, b in zip(one, other, strict=True)])


def cover(distance: Array, pixel: float) -> Array:
    """How much of a pixel a shape covers, from its signed distance (negative inside)."""
    covered: Array = np.clip(0.5 - distance / pixel, 0, 1)
    return covered
