"""Deep space: nebulae, dust, and a planet with bands and a ring."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, between, cover, smooth, stamp
from imageops.painting.colour import mix
from imageops.painting.noise import Field, along
from imageops.painting.shapes import BLACK, WHITE, glow, sphere

STARLIGHT: Colour = np.array([1.0, 0.93, 0.85], np.float32)


class Nebula:
    """Clouds of glowing gas with dark lanes of dust before them."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour]) -> None:
        self._gas = [Field(rng, frame, 1.5, 1.7, octaves=6, gain=0.58) for _ in colours]
        self._dust = Field(rng, frame, 2.2, 2.2, octaves=6, gain=0.6)
        self._colours, self._deep = colours, mix(colours[0], BLACK, 0.93)
        self._slope, self._middle = float(rng.uniform(-0.7, 0.7)), float(rng.uniform(0.35, 0.65))

    def paint(self, band: Band) -> None:
        line = self._middle + (band.x - band.frame.aspect / 2) * self._slope
        belt = np.exp(-(((band.y - line) / 0.34) ** 2))
        light = np.zeros_like(band.rgb)
        for gas, colour in zip(self._gas, self._colours, strict=True):
            body = np.clip(0.34 + 0.5 * gas.over(band), 0, 1.5)
            glowing = body * body * belt * 1.1
            for channel, part in enumerate(colour):
                light[channel] += part * glowing
        core = belt**6 * np.clip(0.3 + self._gas[0].over(band), 0, 2) * 0.3
        for channel, part in enumerate(STARLIGHT):
            light[channel] += part * core + self._deep[channel]
        band.rgb[:] = 1 - np.exp(-light * 1.25)  # Film: bright gas glows, and keeps its colour.
        band.blend(self._deep, smooth(0.0, 1.5, self._dust.over(band)) * belt * 0.8)


class Planet:
    """A banded world with its night side, air, and perhaps a ring."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour]) -> None:
        self._x, self._y = frame.aspect * float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.35, 0.65))
        self._radius = frame.unit * float(rng.uniform(0.17, 0.27))
        latitudes = np.linspace(0, 2, 512, dtype=np.float32)
        self._bands = np.clip(0.5 + 0.4 * along(rng, latitudes, 6, octaves=5), 0, 1)
        self._one, self._other, self._air = colours[0], colours[1], colours[2]
        tilt = float(rng.uniform(-0.5, 0.5))
        self._cosine, self._sine = float(np.cos(tilt)), float(np.sin(tilt))
        self._ringed = bool(rng.random() < 0.65)

    def paint(self, band: Band) -> None:
        x, y, radius = self._x, self._y, self._radius
        reach = radius * 2.3
        stamp(band, x, y, radius * 1.5, radius * 1.5, glow(self._air, 0.8))
        if self._ringed:
            stamp(band, x, y, reach, reach, partial(self._ring, front=False))
        stamp(band, x, y, radius, radius, self._globe)
        if self._ringed:
            stamp(band, x, y, reach, reach, partial(self._ring, front=True))

    def _globe(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        latitude = v * self._cosine - u * self._sine
        longitude = u * self._cosine + v * self._sine
        swirl = 0.03 * np.sin(longitude * 9 + latitude * 21)
        index = np.clip((latitude + swirl + 1) * 255, 0, 511).astype(np.int32)
        lit, alpha = sphere(u, v, pixel, colour=WHITE)
        surface = between(self._one, self._other, self._bands[index])
        return np.clip(surface * np.clip(lit * 1.05 - 0.08, 0.02, 1), 0, 1), alpha

    def _ring(self, u: Array, v: Array, pixel: float, *, front: bool) -> tuple[Array, Array]:
        a, b = u * self._cosine + v * self._sine, (v * self._cosine - u * self._sine) / 0.26
        radius = np.sqrt(a * a + b * b)
        index = np.clip(radius * 511, 0, 511).astype(np.int32)
        body = cover(np.abs(radius - 0.78) - 0.2, pixel * 4)
        side = (b > 0) if front else (b <= 0)
        return mix(self._other, WHITE, 0.3), body * (0.35 + 0.6 * self._bands[::-1][index]) * side
