"""What grows near: conifers, broad trees with leaves or blossom, flowers, grass at our feet."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, between, cover, smooth, stamp
from imageops.painting.colour import mix, ramp
from imageops.painting.shapes import BLACK, WHITE, dot

HEART: Colour = np.array([0.98, 0.80, 0.28], np.float32)


class Conifers:
    """Firs in front, each with its tiers of branches, thick at both sides and open in the middle."""

    def __init__(
        self,
        frame: Frame,
        rng: np.random.Generator,
        *,
        base: float,
        height: float,
        colour: Colour,
        light: Colour,
        count: int,
        snow: bool = False,
    ) -> None:
        self._trees = []
        for spot in np.sort(rng.uniform(0, 1, count)):
            side = float(spot) * 2 - 1
            x = frame.aspect * (0.5 + 0.56 * float(np.sign(side)) * abs(side) ** 0.35)
            tall = height * frame.unit * float(rng.uniform(0.45, 1.0))
            foot = base + float(rng.uniform(-0.02, 0.05))
            self._trees.append((foot, x, tall, float(rng.uniform(0.18, 0.25)), int(rng.integers(8, 13))))
        self._trees.sort()
        self._dark, self._lit, self._snow = colour, mix(colour, light, 0.35), snow
        self._white = mix(WHITE, light, 0.3)

    def paint(self, band: Band) -> None:
        for foot, x, tall, wide, tiers in self._trees:
            stamp(band, x, foot - tall / 2, tall * wide, tall / 2, partial(self._fir, tiers=tiers, phase=x * 40))

    def _fir(self, u: Array, v: Array, pixel: float, *, tiers: int, phase: float) -> tuple[Array, Array]:
        down = (v + 1) * 0.5  # 0 at the tip, 1 at the foot.
        step = down * tiers
        needle = np.sin(u * 23 + phase + step * 5) * 0.06 + np.sin(u * 57 + step * 9) * 0.04
        tier = (step - np.abs(u) * 0.9 + needle) % 1
        reach = down * (0.62 + 0.42 * tier)
        branches = cover(np.abs(u) - reach, pixel * 2) * (down < 0.94)
        trunk = cover(np.abs(u) - 0.05, pixel) * (down > 0.5)
        light = smooth(0.55, 0.1, tier) if self._snow else np.clip((1 - tier) * 0.55 - u * 0.3, 0, 1)
        colour = between(self._dark, self._white if self._snow else self._lit, light)
        return colour, np.maximum(branches, trunk)


class BroadTree:
    """A trunk that forks, and a crown of many leaves: green, autumn, or blossom."""

    def __init__(
        self,
        frame: Frame,
        rng: np.random.Generator,
        *,
        x: float,
        base: float,
        height: float,
        bark: Colour,
        leaves: list[Colour],
        light: Colour,
    ) -> None:
        self._limbs: list[tuple[float, float, float, float, float]] = []
        self._bark = bark
        tips = self._grow(rng, (x, base), height * 0.27, -np.pi / 2 + float(rng.uniform(-0.12, 0.12)), height * 0.038)
        # Sixteen tones a leaf, from the shade of the crown to the light on it.
        shades = np.linspace(0, 1, 16, dtype=np.float32)
        tones = [ramp([mix(leaf, bark, 0.42), mix(leaf, light, 0.5)], shades) for leaf in leaves]
        blobs = []
        for tip_x, tip_y in tips:
            for _ in range(42):
                away, turn = height * 0.135 * float(rng.power(1.1)), float(rng.uniform(0, 2 * np.pi))
                at_x, at_y = tip_x + away * np.cos(turn) * 1.3, tip_y + away * np.sin(turn) * 0.85
                bright = float(np.clip(0.45 - (at_y - tip_y) / (height * 0.22) + rng.normal(0, 0.2), 0, 1))
                tone = tones[int(rng.integers(len(tones)))][:, round(bright * 15)]
                size = height * float(0.005 + 0.012 * rng.power(0.6)) * (1.6 - 0.9 * bright)
                blobs.append((bright, float(at_x), float(at_y), size, tone))
        self._blobs = sorted(blobs, key=lambda blob: blob[0])

    def _grow(
        self, rng: np.random.Generator, start: tuple[float, float], length: float, angle: float, thick: float
    ) -> list[tuple[float, float]]:
        """Add a limb and what grows from it; return the tips."""
        ends, limbs = [], [(start, length, angle, thick, 0)]
        while limbs:
            (x, y), length, angle, thick, depth = limbs.pop()
            end = (float(x + length * np.cos(angle)), float(y + length * np.sin(angle)))
            self._limbs.append((x, y, *end, thick))
            if depth == 4:
                ends.append(end)
                continue
            for turn in (-1, 1) if depth else (-1, 0, 1):
                bend = turn * float(rng.uniform(0.3, 0.62)) + float(rng.uniform(-0.1, 0.1))
                limbs.append((end, length * float(rng.uniform(0.64, 0.8)), angle + bend, thick * 0.64, depth + 1))
        return ends

    def paint(self, band: Band) -> None:
        for x0, y0, x1, y1, thick in self._limbs:
            half = abs(x1 - x0) / 2 + thick, abs(y1 - y0) / 2 + thick
            shader = partial(self._limb, half=half, run=(x1 - x0, y1 - y0), thick=thick, unit=1 / band.frame.height)
            stamp(band, (x0 + x1) / 2, (y0 + y1) / 2, *half, shader)
        for _, x, y, size, colour in self._blobs:
            stamp(band, x, y, size, size, dot(colour, 0.9))

    def _limb(
        self,
        u: Array,
        v: Array,
        _pixel: float,
        *,
        half: tuple[float, float],
        run: tuple[float, float],
        thick: float,
        unit: float,
    ) -> tuple[Array, Array]:
        x, y = u * half[0], v * half[1]
        share = np.clip((x * run[0] + y * run[1]) / (run[0] ** 2 + run[1] ** 2) + 0.5, 0, 1)
        away = np.sqrt((x - (share - 0.5) * run[0]) ** 2 + (y - (share - 0.5) * run[1]) ** 2)
        return self._bark, cover(away - thick * (0.5 - 0.18 * share), unit)


class Flowers:
    """Blooms in perspective, small and many far away, large and few at our feet."""

    def __init__(
        self, frame: Frame, rng: np.random.Generator, *, top: float, colours: list[Colour], count: int, stem: Colour
    ) -> None:
        self._stem = stem
        self._blooms = []
        for near in np.sort(rng.power(1.6, int(count * max(1.0, frame.aspect)))):
            size = frame.unit * (0.008 + 0.062 * float(near) ** 2.2) * float(rng.uniform(0.75, 1.25))
            place = (float(rng.uniform(-0.02, frame.aspect + 0.02)), top + (1.02 - top) * float(near))
            colour = colours[int(rng.integers(len(colours)))]
            petals, turn = int(rng.choice([5, 5, 6, 8, 12])), float(rng.uniform(0, np.pi))
            self._blooms.append((place, size, size * float(rng.uniform(0.62, 0.95)), colour, petals, turn))

    def paint(self, band: Band) -> None:
        for (x, y), size, tall, colour, petals, turn in self._blooms:
            if size > 0.015:
                stem = partial(self._stalk, lean=0.12 * float(np.sin(turn * 7)))
                stamp(band, x, y + size * 2.2, size * 0.5, size * 2.2, stem)
            stamp(band, x, y, size, tall, partial(self._bloom, colour=colour, petals=petals, turn=turn))

    def _stalk(self, u: Array, v: Array, pixel: float, *, lean: float) -> tuple[Array, Array]:
        return self._stem, cover(np.abs(u - lean * (v + 1)) - 0.09, pixel)

    @staticmethod
    def _bloom(u: Array, v: Array, pixel: float, *, colour: Colour, petals: int, turn: float) -> tuple[Array, Array]:
        radius = np.sqrt(u * u + v * v)
        wave = np.cos(np.arctan2(v, u) * petals + turn)
        reach = 0.66 + 0.30 * wave
        shade = np.clip(0.35 + 0.75 * radius / np.maximum(reach, 0.2), 0, 1) * (0.82 + 0.18 * wave)
        heart = cover(radius - 0.2, pixel * 2)
        petal = between(mix(colour, BLACK, 0.38), mix(colour, WHITE, 0.18), shade)
        return between(petal, HEART, heart), np.maximum(cover(radius - reach, pixel * 1.5), heart)


class Grass:
    """Single blades along the lower edge."""

    def __init__(self, frame: Frame, rng: np.random.Generator, *, colour: Colour, light: Colour, height: float) -> None:
        self._blades = [
            (
                float(rng.uniform(-0.05, frame.aspect + 0.05)),
                height * frame.unit * float(rng.uniform(0.4, 1.0)),
                float(rng.uniform(-0.6, 0.6)),
                mix(colour, light, float(rng.uniform(0, 0.4))),
            )
            for _ in range(int(130 * max(1.0, frame.aspect)))
        ]

    def paint(self, band: Band) -> None:
        for x, tall, lean, colour in self._blades:
            shader = partial(self._blade, lean=lean, colour=colour)
            stamp(band, x, 1.0 - tall / 2 + 0.01, tall * 0.3, tall / 2, shader)

    @staticmethod
    def _blade(u: Array, v: Array, pixel: float, *, lean: float, colour: Colour) -> tuple[Array, Array]:
        up = (1 - v) * 0.5
        return colour, cover(np.abs(u - lean * up * up * 1.4) - 0.10 * (1 - up), pixel)
