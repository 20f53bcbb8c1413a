"""What is in the air, in front of everything: snow, rain, petals, fireflies, banks of mist."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, cover, smooth, stamp
from imageops.painting.noise import Field
from imageops.painting.shapes import WHITE, dot, glow


class Flakes:
    """Snow: many small flakes, and a few large ones out of focus."""

    def __init__(self, frame: Frame, rng: np.random.Generator, count: int = 420) -> None:
        count = int(count * max(1.0, frame.aspect))
        sizes = frame.unit * (0.0016 + 0.011 * rng.power(0.22, count))
        self._flakes = np.column_stack([rng.uniform(0, frame.aspect, count), rng.uniform(0, 1, count), sizes]).tolist()

    def paint(self, band: Band) -> None:
        for x, y, size in self._flakes:
            stamp(band, x, y, size, size, glow(WHITE, 1.0 if size < 0.006 else 0.55, 0.7))


class Rain:
    """Streaks of rain, and the grey they leave."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colour: Colour) -> None:
        self._fine = Field(rng, frame, 260, 9, octaves=1)
        self._coarse = Field(rng, frame, 110, 4, octaves=1)
        self._colour = colour

    def paint(self, band: Band) -> None:
        streaks = smooth(1.2, 3.0, self._fine.over(band)) + smooth(1.5, 3.2, self._coarse.over(band))
        band.blend(self._colour, streaks * 0.3 + 0.05)


class Petals:
    """Petals or leaves on the wind, turned every way."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour], count: int = 90) -> None:
        self._petals = []
        for _ in range(int(count * max(1.0, frame.aspect))):
            place = float(rng.uniform(0, frame.aspect)), float(rng.uniform(0, 1))
            size, turn = frame.unit * float(0.004 + 0.012 * rng.power(0.4)), float(rng.uniform(0, 2 * np.pi))
            self._petals.append(
                (place, size, turn, float(rng.uniform(0.3, 0.8)), colours[int(rng.integers(len(colours)))])
            )

    def paint(self, band: Band) -> None:
        for (x, y), size, turn, narrow, colour in self._petals:
            stamp(band, x, y, size, size, partial(self._petal, turn=turn, narrow=narrow, colour=colour))

    @staticmethod
    def _petal(u: Array, v: Array, pixel: float, *, turn: float, narrow: float, colour: Colour) -> tuple[Array, Array]:
        cosine, sine = float(np.cos(turn)), float(np.sin(turn))
        a, b = u * cosine + v * sine, (v * cosine - u * sine) / narrow
        shape = np.sqrt(a * a + b * b * np.clip(1.25 - 0.5 * a, 0.1, 2)) - 0.9
        return np.stack([np.clip(part * (0.86 + 0.22 * a), 0, 1) for part in colour]), cover(shape, pixel * 2) * 0.92


class Fireflies:
    """Points of warm light that hang about."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colour: Colour, *, top: float, count: int = 80) -> None:
        count = int(count * max(1.0, frame.aspect))
        sizes = frame.unit * (0.004 + 0.022 * rng.power(0.35, count))
        self._lights = np.column_stack(
            [rng.uniform(0, frame.aspect, count), rng.uniform(top, 1, count), sizes]
        ).tolist()
        self._colour = colour

    def paint(self, band: Band) -> None:
        for x, y, size in self._lights:
            stamp(band, x, y, size, size, glow(self._colour, 0.8, 2.2))
            stamp(band, x, y, size * 0.2, size * 0.2, dot(WHITE))


class Mist:
    """A bank of mist around a height."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colour: Colour, *, y: float, depth: float) -> None:
        self._field = Field(rng, frame, 1.2, 5, octaves=4)
        self._colour, self._y, self._depth = colour, y, depth

    def paint(self, band: Band) -> None:
        away = (band.y - self._y) / self._depth
        band.blend(self._colour, np.exp(-away * away) * np.clip(0.58 + 0.3 * self._field.over(band), 0, 0.9))
