"""A city: rows of buildings with lit windows, the nearer the darker, and neon where it is asked for."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, Outline, between, columns_x, smooth, stamp
from imageops.painting.colour import mix
from imageops.painting.palette import Palette
from imageops.painting.shapes import WHITE

_SIGN_GLOW = 0.06  # How far a sign lights the wall around it.
_FLOORS, _COLUMNS = 128, 16  # The table of lit windows repeats after these.
_LIT_SHARE = {"day": 0.16, "dawn": 0.2, "sunset": 0.34, "night": 0.42}
_LAMPS = (np.array([1.0, 0.84, 0.55], np.float32), np.array([1.0, 0.93, 0.78], np.float32))
_LAMP_SHARES = (0.5, 0.3, 0.08, 0.07, 0.05)  # Warm white, then white, then three of the accents.


class Skyline(Outline):
    """One row of buildings; `near` 0 is the horizon and 1 across the street."""

    def __init__(
        self, frame: Frame, rng: np.random.Generator, palette: Palette, *, base: float, height: float, near: float
    ) -> None:
        x = columns_x(frame)
        width = 0.035 + 0.075 * near
        count = int(frame.aspect / (0.5 * width)) + 4
        edges = np.cumsum(rng.uniform(0.5, 1.5, count) * width) - 2 * width
        tall = height * (0.25 + 0.75 * rng.beta(1.4, 1.8, count))
        middle = float(rng.uniform(0.3, 0.7)) * frame.aspect  # Of town, where the towers are.
        tall *= 0.6 + 0.6 * np.exp(-(((edges - middle) / (0.45 * frame.aspect)) ** 2))
        index = np.clip(np.searchsorted(edges, x) - 1, 0, count - 2)
        across = (x - edges[index]) / np.diff(edges)[index]
        stepped = (rng.random(count)[index] < 0.35) & (np.abs(across - 0.5) < 0.28)
        roof = base - tall[index] * np.where(stepped, 1.12, 1.0)
        mast = (rng.random(count)[index] < 0.22) & (np.abs(across - 0.5) < 0.02)
        super().__init__(roof - np.where(mast, 0.22 * height, 0))
        self._index, self._across, self._roof = index, across.astype(np.float32), roof.astype(np.float32)
        self._floor = 0.010 + 0.012 * near
        per_wall = np.maximum(2, np.round(np.diff(edges) / (self._floor * 0.9)))
        self._column = (across * per_wall[index]).astype(np.float32)
        self._paint_walls(rng, palette, near, count)
        self._height, self._mist, self._haze = height, 0.75 * (1 - near) + 0.08, palette.haze

    def _paint_walls(self, rng: np.random.Generator, palette: Palette, near: float, count: int) -> None:
        wall = mix(palette.far, palette.near, 0.15 + 0.85 * near)
        tones = [mix(wall, palette.haze, float(share)) for share in rng.uniform(0, 0.16, 8)]
        side = 0.12 * (self._across - 0.5)  # One side of each tower takes more light.
        self._walls = (np.stack(tones, axis=1)[:, self._index % len(tones)] + side)[:, None, :].astype(np.float32)
        lamps = np.stack([*_LAMPS, *palette.accents[:3]], axis=1)
        kinds = rng.choice(len(_LAMP_SHARES), count, p=_LAMP_SHARES)
        self._lamps = lamps[:, kinds[self._index]][:, None, :]
        busy = _LIT_SHARE[palette.hour] * rng.uniform(0.4, 1.6, (count, 1, 1))
        self._lit = rng.random((count, _FLOORS, _COLUMNS)) < busy
        self._dark = palette.hour != "day"
        self._glass = mix(palette.sky[2], palette.light, 0.2)

    def surface(self, band: Band, depth: Array) -> Array:
        below_roof = band.y - self._roof[None, :]
        window, lit = self._windows(below_roof, band.step)
        walls = between(self._walls, self._glass, window * (0.10 if self._dark else 0.3))
        walls = between(walls, self._haze, smooth(0.0, self._height, below_roof) * self._mist)
        return between(walls, self._lamps, lit)

    def _windows(self, below_roof: Array, step: float) -> tuple[Array, Array]:
        """How much of each pixel is window, and how much of that is lit."""
        size = self._floor / step
        if size < 2.5:  # Windows finer than pixels are a shimmer, not a grid.
            flat = np.full_like(below_roof, 0.4)
            return flat, flat * 0.15
        floor = below_roof / self._floor
        edge = 0.45 - 1.2 / size
        tall = smooth(0.5, edge, np.abs(floor % 1 - 0.5) + 0.16)
        wide = smooth(0.5, edge, np.abs(self._column % 1 - 0.5) + 0.14)
        window = tall * wide[None, :] * (below_roof > self._floor)
        column = self._column.astype(np.int32) % _COLUMNS
        on = self._lit[self._index[None, :], floor.astype(np.int32) % _FLOORS, column[None, :]]
        return window, window * on * (0.95 if self._dark else 0.35)


class NeonSigns:
    """Upright signs that light the walls around them."""

    def __init__(
        self, frame: Frame, rng: np.random.Generator, colours: tuple[Colour, ...], *, top: float, base: float
    ) -> None:
        self._signs = []
        for _ in range(int(9 * max(1.0, frame.aspect))):
            place = float(rng.uniform(0, frame.aspect)), float(rng.uniform(top, base))
            size = float(rng.uniform(0.003, 0.008)), float(rng.uniform(0.02, 0.08))
            self._signs.append((place, size, colours[int(rng.integers(len(colours)))]))

    def paint(self, band: Band) -> None:
        for (x, y), (wide, tall), colour in self._signs:
            glow = partial(self._glow, size=(wide, tall), colour=colour)
            stamp(band, x, y, wide + _SIGN_GLOW, tall + _SIGN_GLOW, glow)
            stamp(band, x, y, wide * 0.6, tall, partial(self._tube, colour=mix(colour, WHITE, 0.6)))

    @staticmethod
    def _glow(u: Array, v: Array, _pixel: float, *, size: tuple[float, float], colour: Colour) -> tuple[Array, Array]:
        dx = np.maximum(np.abs(u) * (size[0] + _SIGN_GLOW) - size[0], 0)
        dy = np.maximum(np.abs(v) * (size[1] + _SIGN_GLOW) - size[1], 0)
        return colour, np.clip(np.exp(np.hypot(dx, dy) * -55) - 0.03, 0, 1) * 0.8

    @staticmethod
    def _tube(u: Array, v: Array, _pixel: float, *, colour: Colour) -> tuple[Array, Array]:
        return colour, np.full(np.broadcast(u, v).shape, 0.9, np.float32)
