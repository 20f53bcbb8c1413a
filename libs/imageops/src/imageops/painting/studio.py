"""A product on its stage: backdrop, plinths, a bottle and balls, soft light from the left."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, between, cover, smooth, stamp
from imageops.painting.colour import mix
from imageops.painting.noise import Field
from imageops.painting.shapes import BLACK, WHITE, box, dot, glow, sphere

PAPER: Colour = np.array([0.97, 0.96, 0.94], np.float32)


class Stage:
    """A wall with a disc on it, dappled by leaves before some window, and a floor."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colour: Colour, *, floor: float) -> None:
        self._wall, self._floor_y = colour, floor
        self._floor = mix(colour, WHITE, 0.3)
        self._disc = (
            frame.aspect * float(rng.uniform(0.42, 0.58)),
            float(rng.uniform(0.36, 0.46)),
            frame.unit * float(rng.uniform(0.28, 0.4)),
        )
        self._disc_colour = mix(colour, WHITE, float(rng.choice([0.55, 0.4, 0.7])))
        self._leaves = Field(rng, frame, 3.2, 4.2, octaves=2)
        self._grain = Field(rng, frame, 150, 150, octaves=2)

    def paint(self, band: Band) -> None:
        aspect = band.frame.aspect
        light = np.exp(-(((band.x / aspect - 0.3) / 0.75) ** 2) - ((band.y - 0.25) / 0.8) ** 2)
        for plane, part in zip(band.rgb, self._wall, strict=True):
            plane[:] = np.clip(part * (0.72 + 0.38 * light), 0, 1)
        x, y, radius = self._disc
        stamp(band, x, y, radius, radius, dot(self._disc_colour))
        band.blend(mix(self._wall, BLACK, 0.6), smooth(0.1, 0.9, self._leaves.over(band)) * 0.16)
        floor = band.below(self._floor_y)
        near = np.clip((floor.y - self._floor_y) / (1 - self._floor_y), 0, 1)
        shade = (0.86 + 0.2 * near) * (0.85 + 0.2 * light[band.rows - floor.rows :])
        for plane, part in zip(floor.rgb, self._floor, strict=True):
            plane[:] = np.clip(part * shade, 0, 1)
        band.rgb += self._grain.over(band) * 0.006


class Plinth:
    """A cylinder to put something on; `top` is the y of its lid's middle."""

    def __init__(self, *, x: float, top: float, height: float, radius: float, colour: Colour) -> None:
        self._at, self._colour = (x, top, height, radius), colour
        self._squash = radius * 0.26  # Half the lid's height as we see it.

    def paint(self, band: Band) -> None:
        x, top, height, radius = self._at
        foot = top + height
        stamp(band, x + radius * 0.55, foot, radius * 2.0, self._squash * 2.2, glow(BLACK, 0.55, 1.3))
        stamp(band, x, top + height / 2, radius, height / 2 + self._squash, self._body)

    def _body(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        _, _, height, radius = self._at
        down = (v + 1) * (height / 2 + self._squash)  # From the lid's back edge, in y.
        bulge = np.sqrt(np.clip(1 - u * u, 0, 1)) * self._squash
        side = np.maximum(self._squash - down, down - self._squash - height - bulge) / radius
        light = np.clip(0.98 - 0.42 * (u + 0.35) ** 2, 0, 1)
        lid = cover(np.sqrt(u * u + ((down - self._squash) / self._squash) ** 2) - 0.995, pixel * 2)
        wall = np.stack([part * light for part in self._colour])
        edge = cover(np.maximum(side, np.abs(u) - 0.995), pixel)
        return between(wall, np.clip(self._colour * 1.12 + 0.05, 0, 1), lid), np.maximum(edge, lid)


class Bottle:
    """A rounded flask with a cap, a label and a long highlight."""

    def __init__(self, *, x: float, base: float, size: float, glass: Colour, cap: Colour) -> None:
        self._at, self._glass, self._cap = (x, base, size), glass, cap

    def paint(self, band: Band) -> None:
        x, base, size = self._at
        stamp(band, x + size * 0.3, base, size * 0.9, size * 0.14, glow(BLACK, 0.6, 1.0))
        stamp(band, x, base - size, size * 0.5, size, self._shape)

    def _shape(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        w = u * 0.5  # The stamp is half as wide as high; w and v are alike.
        corner = 0.11
        dx, dy = np.abs(w) - (0.42 - corner), np.abs(v - 0.34) - (0.64 - corner)
        body = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner
        neck = box(w, v, x=0, y=-0.36, half_width=0.13, half_height=0.10)
        cap = box(w, v, x=0, y=-0.68, half_width=0.19, half_height=0.26)
        label = cover(box(w, v, x=0, y=0.42, half_width=0.26, half_height=0.24), pixel)
        light = np.clip(1.0 - 1.35 * (w + 0.10) ** 2 / 0.17, 0.30, 1.1)
        shine = smooth(0.035, 0.0, np.abs(w + 0.29)) * smooth(0.9, 0.6, np.abs(v - 0.3)) * 0.75
        glass = np.stack([np.clip(part * light + np.clip(v, 0, 1) * 0.18, 0, 1) for part in self._glass])
        glass = between(glass, WHITE, shine)
        paper = np.stack([part * np.clip(light + 0.1, 0, 1) for part in PAPER])
        lines = smooth(0.02, 0.0, np.abs(v - 0.36)) * (np.abs(w) < 0.16)
        lines = np.maximum(lines, smooth(0.012, 0.0, np.abs(v - 0.47)) * (np.abs(w) < 0.11))
        flask = between(glass, between(paper, self._cap, lines), label)
        metal = np.stack(
            [np.clip(part * np.clip(1.15 - 2.2 * np.abs(w + 0.06), 0.35, 1.15), 0, 1) for part in self._cap]
        )
        shape = cover(np.minimum(np.minimum(body, neck), cap), pixel * 0.5)
        return between(flask, metal, cover(cap, pixel)), shape


class Ball:
    """A sphere with its shadow."""

    def __init__(self, *, x: float, base: float, radius: float, colour: Colour) -> None:
        self._at, self._colour = (x, base, radius), colour

    def paint(self, band: Band) -> None:
        x, base, radius = self._at
        stamp(band, x + radius * 0.4, base, radius * 1.5, radius * 0.32, glow(BLACK, 0.6, 1.0))
        stamp(band, x, base - radius, radius, radius, partial(sphere, colour=self._colour))
