"""Smooth random fields: over the picture for clouds, rock and water, and along a line for ridges."""

import numpy as np
from PIL import Image

from imageops.painting.canvas import Array, Band, Frame

_MARGIN = 3  # Cells around the picture, so that interpolation never meets an edge.


class Field:
    """Fractal noise with mean 0 and a spread of about 1, sampled band by band.

    `cells_x` and `cells_y` are cells for one unit of length in the coarsest octave. Cells are random
    numbers, and between them Pillow's bicubic resize does in C what would be slow here.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        frame: Frame,
        cells_x: float,
        cells_y: float,
        *,
        octaves: int = 5,
        gain: float = 0.5,
    ) -> None:
        self._octaves: list[tuple[Image.Image, float, float]] = []
        weight, total = 1.0, 0.0
        for _ in range(octaves):
            if self._octaves and min(cells_x, cells_y) > 1.2 * frame.height:
                break  # Finer than pixels.
            columns = int(np.ceil(cells_x * frame.aspect)) + 2 * _MARGIN
            rows = int(np.ceil(cells_y)) + 2 * _MARGIN
            cells = rng.standard_normal((rows, columns), dtype=np.float32) * weight
            self._octaves.append((Image.fromarray(cells), cells_x, cells_y))
            total += weight * weight
            weight, cells_x, cells_y = weight * gain, cells_x * 2, cells_y * 2
        self._scale = np.float32(1.5 / np.sqrt(total))  # Bicubic interpolation takes about a third away.

    def over(self, band: Band, shift_y: float = 0.0) -> Array:
        """The field on a band's pixels, (rows, columns); `shift_y` looks that far further down."""
        top, bottom = (float(np.clip(y + shift_y, -0.2, 1.2)) for y in (band.top, band.bottom))
        total = np.zeros((band.rows, band.frame.width), np.float32)
        for cells, cells_x, cells_y in self._octaves:
            box = (
                float(_MARGIN),
                max(0.0, _MARGIN + top * cells_y),
                _MARGIN + band.frame.aspect * cells_x,
                min(float(cells.height), _MARGIN + bottom * cells_y),
            )
            size = (band.frame.width, band.rows)
            total += np.asarray(cells.resize(size, Image.Resampling.BICUBIC, box))
        return total * self._scale


def along(rng: np.random.Generator, x: Array, cells: float, *, octaves: int = 6, gain: float = 0.5) -> Array:
    """Fractal noise on a line at every `x`, mean 0 and spread about 1."""
    total, weight, power = np.zeros_like(x), 1.0, 0.0
    for _ in range(octaves):
        knots = rng.standard_normal(int(np.ceil(float(x.max()) * cells)) + 3).astype(np.float32)
        at = x * cells
        index = at.astype(np.int32)
        t = at - index
        t = t * t * (3 - 2 * t)
        total += weight * (knots[index] + (knots[index + 1] - knots[index]) * t)
        power += weight * weight
        weight, cells = weight * gain, cells * 2
    result: Array = total * np.float32(1.3 / np.sqrt(power))
    return result


class Sheet:
    """A square of noise that repeats, looked up at any coordinates: for surfaces seen in perspective."""

    _SIZE = 256

    def __init__(self, rng: np.random.Generator, cells: int = 16, octaves: int = 4) -> None:
        total = np.zeros((self._SIZE, self._SIZE), np.float32)
        for octave in range(octaves):
            side = min(cells << octave, self._SIZE)
            tile = np.pad(rng.standard_normal((side, side), dtype=np.float32), 4, mode="wrap")
            grown = Image.fromarray(tile).resize(
                (self._SIZE, self._SIZE), Image.Resampling.BICUBIC, (4, 4, 4 + side, 4 + side)
            )
            total += np.asarray(grown) * np.float32(0.5**octave)
        self._values = total / total.std()

    def at(self, u: Array, v: Array) -> Array:
        """The noise at (u, v), one period a unit of length, interpolated."""
        x, y = u * np.float32(self._SIZE), v * np.float32(self._SIZE)
        column, row = np.floor(x), np.floor(y)
        fx, fy = x - column, y - row
        i, j = column.astype(np.int32) & 255, row.astype(np.int32) & 255
        i1, j1 = (i + 1) & 255, (j + 1) & 255
        grid = self._values
        upper = grid[j, i] * (1 - fx) + grid[j, i1] * fx
        lower = grid[j1, i] * (1 - fx) + grid[j1, i1] * fx
        result: Array = upper * (1 - fy) + lower * fy
        return result
