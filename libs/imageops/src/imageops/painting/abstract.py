"""Pictures of nothing but colour and form: cut paper, flowing ink, geometry, soft orbs."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, columns_x, cover, smooth, stamp
from imageops.painting.colour import look_up, mix, ramp
from imageops.painting.noise import Field, along
from imageops.painting.shapes import BLACK, WHITE, glow, sphere


class PaperCut:
    """Sheets of coloured paper, one behind the other, each with its shadow on the next."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour]) -> None:
        count = int(rng.integers(7, 11))
        x = columns_x(frame)
        slant = float(rng.uniform(-0.35, 0.35)) / max(1.0, frame.aspect)
        sway = float(rng.uniform(0.05, 0.12))
        self._sheets = []
        for number in range(count):
            level = 0.10 + 0.95 * number / count
            edge = (
                level
                + slant * (x - np.float32(frame.aspect / 2))
                + along(rng, x, float(rng.uniform(0.8, 1.8)), octaves=2, gain=0.35) * sway
            )
            self._sheets.append(edge.astype(np.float32))
        order = colours if rng.random() < 0.5 else colours[::-1]
        self._tones = [ramp(order, np.array([share]))[:, 0] for share in np.linspace(0, 1, count + 1)]
        self._grain = Field(rng, frame, 160, 160, octaves=2)

    def paint(self, band: Band) -> None:
        band.rgb[:] = self._tones[0][:, None, None]
        band.blend(WHITE, np.clip(0.22 - band.y * 0.5, 0, 1) + np.zeros_like(band.x))
        for edge, tone in zip(self._sheets, self._tones[1:], strict=True):
            depth = band.y - edge[None, :]
            shadow = np.where(depth < 0, np.exp(np.minimum(depth, 0) * 26), 1) * 0.42
            band.blend(BLACK, shadow)
            rim = smooth(0.012, 0.0, depth) * 0.35
            shade = np.clip(depth * 0.5, 0, 0.22)
            colour = np.stack([(t + (1 - t) * rim) * (1 - shade) for t in tone])
            band.blend(colour, np.clip(depth / band.step + 0.5, 0, 1))
        band.rgb += self._grain.over(band) * 0.008


class Flow:
    """Ink or marble: a field folded by two others, with veins and a sheen."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour]) -> None:
        self._fold_a = Field(rng, frame, 1.3, 1.3, octaves=4)
        self._fold_b = Field(rng, frame, 1.7, 1.7, octaves=4)
        self._fine = Field(rng, frame, 5, 5, octaves=5, gain=0.6)
        self._colours = colours
        turn = float(rng.uniform(0, np.pi))
        self._cosine, self._sine = float(np.cos(turn)), float(np.sin(turn))
        self._folds, self._phase = float(rng.uniform(2.5, 5.0)), float(rng.uniform(0, 6))
        self._vein = mix(colours[-1], WHITE, 0.75) if rng.random() < 0.7 else np.array([0.95, 0.80, 0.45], np.float32)

    def paint(self, band: Band) -> None:
        value = self._value(band, 0.0)
        below = self._value(band, 2.5 * band.step)
        share = 0.5 + 0.5 * np.sin(value)
        band.rgb[:] = look_up(self._colours, share)
        sheen = np.clip((below - value) * np.float32(0.055 / band.step / 60), -0.16, 0.2)
        band.rgb += sheen
        vein = np.exp(-np.abs(np.sin(value * 0.5 + 0.4)) * 30)
        band.blend(self._vein, vein * 0.75)

    def _value(self, band: Band, shift: float) -> Array:
        a, b = self._fold_a.over(band, shift), self._fold_b.over(band, shift)
        across = band.x * self._cosine + (band.y + shift) * self._sine
        fine = self._fine.over(band, shift) * (0.07 + 0.05 * b)
        result: Array = across * self._folds + a * 1.9 + np.sin(b * 2 + across * 2) * 0.8 + fine + self._phase
        return result


class Geometry:
    """A wall of tiles: quarter rounds, half rounds, dots, steps and triangles."""

    _KINDS = 7

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour]) -> None:
        self._side = frame.unit / int(rng.integers(4, 8))
        rows, columns = int(np.ceil(1 / self._side)) + 1, int(np.ceil(frame.aspect / self._side)) + 1
        self._kind = rng.integers(0, self._KINDS, (rows, columns))
        self._turn = rng.integers(0, 4, (rows, columns))
        back = rng.integers(0, len(colours), (rows, columns))
        front = (back + rng.integers(1, len(colours), (rows, columns))) % len(colours)
        self._back = np.stack(colours, axis=1)[:, back]
        self._front = np.stack(colours, axis=1)[:, front]
        self._grain = Field(rng, frame, 140, 140, octaves=2)

    def paint(self, band: Band) -> None:
        row, column = (band.y / self._side), (band.x / self._side)
        i, j = row.astype(np.int32), column.astype(np.int32)
        v, u = (row - i) * 2 - 1, (column - j) * 2 - 1
        turn = self._turn[i, j]
        a = np.choose(turn, [u, v, -u, -v]).astype(np.float32)
        b = np.choose(turn, [v, -u, -v, u]).astype(np.float32)
        corner = np.sqrt((a + 1) ** 2 + (b + 1) ** 2)
        centre = np.sqrt(a * a + b * b)
        shapes = [
            corner - 2.0,
            np.maximum(centre - 0.72, -9.0),
            np.maximum(np.sqrt(a * a + (b + 1) ** 2) - 1.0, -9.0),
            np.abs(corner - 1.35) - 0.32,
            a + b,
            np.abs(centre - 0.6) - 0.16,
            np.abs(np.abs(a) - 0.5) - 0.18,
        ]
        distance = np.choose(self._kind[i, j], shapes).astype(np.float32)
        alpha = cover(distance, 2 * band.step / self._side)
        back, front = self._back[:, i, j], self._front[:, i, j]
        band.rgb[:] = back + (front - back) * alpha
        band.rgb += self._grain.over(band) * 0.012


class Orbs:
    """Glass spheres over a soft wash of colour."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: list[Colour]) -> None:
        self._wash = Field(rng, frame, 0.9, 0.9, octaves=2)
        self._wash_b = Field(rng, frame, 1.2, 1.2, octaves=2)
        self._colours = [mix(colour, WHITE, 0.15) for colour in colours]
        self._spheres = sorted(
            (
                frame.unit * float(0.03 + 0.20 * rng.power(0.45)),
                float(rng.uniform(0.05, 0.95)) * frame.aspect,
                float(rng.uniform(0.08, 0.92)),
                int(rng.integers(len(colours))),
            )
            for _ in range(13)
        )

    def paint(self, band: Band) -> None:
        share = np.clip(0.5 + 0.33 * self._wash.over(band), 0, 1)
        band.rgb[:] = look_up(self._colours, share)
        band.blend(self._colours[0], np.clip(0.3 * self._wash_b.over(band), 0, 0.6))
        for radius, x, y, number in self._spheres:
            stamp(band, x + radius * 0.18, y + radius * 0.28, radius * 1.25, radius * 1.25, glow(BLACK, 0.45, 1.0))
            stamp(band, x, y, radius, radius, partial(sphere, colour=self._colours[number]))
