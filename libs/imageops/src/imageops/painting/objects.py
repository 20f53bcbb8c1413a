"""Small recognisable things in the landscape: birds, boats, houses, temples, balloons, lanterns, a cat."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, between, cover, smooth, stamp
from imageops.painting.colour import mix
from imageops.painting.shapes import box, disc, glow, wedge

WINDOW: Colour = np.array([1.0, 0.82, 0.45], np.float32)
EMBER: Colour = np.array([0.90, 0.38, 0.12], np.float32)
FLAME: Colour = np.array([1.0, 0.90, 0.55], np.float32)
WICKER: Colour = np.array([0.33, 0.22, 0.13], np.float32)


class Birds:
    """A loose flock, wings up and down."""

    def __init__(self, frame: Frame, rng: np.random.Generator, *, y: float, colour: Colour, count: int) -> None:
        x = frame.aspect * rng.uniform(0.2, 0.8)
        away = rng.normal(0, 1, (count, 2)) * [0.16 * frame.aspect, 0.05]
        sizes, beats = frame.unit * rng.uniform(0.012, 0.03, count), rng.uniform(-0.2, 0.9, count)
        self._birds = np.column_stack([x + away[:, 0], y + away[:, 1], sizes, beats]).tolist()
        self._colour = colour

    def paint(self, band: Band) -> None:
        for x, y, size, beat in self._birds:
            stamp(band, x, y, size, size * 0.6, partial(self._bird, beat=beat))

    def _bird(self, u: Array, v: Array, pixel: float, *, beat: float) -> tuple[Array, Array]:
        out = np.abs(u)
        wing = 0.45 - beat * np.sin(out * 2.4) * 0.75
        thick = 0.16 * (1 - out) + 0.02
        return self._colour, cover(np.maximum(np.abs(v - wing) - thick, out - 1), pixel * 1.5)


class Sailboat:
    """A hull and two sails."""

    def __init__(self, *, x: float, y: float, size: float, hull: Colour, sail: Colour) -> None:
        self._at, self._hull, self._sail = (x, y, size), hull, sail

    def paint(self, band: Band) -> None:
        x, y, size = self._at
        stamp(band, x, y + size * 0.55, size * 0.7, size * 0.5, self._reflection)
        stamp(band, x, y - size * 0.72, size, size, self._shape)

    def _reflection(self, u: Array, v: Array, _pixel: float) -> tuple[Array, Array]:
        ripple = 0.5 + 0.5 * np.sin(v * 30 + np.sin(u * 5))
        return self._sail, smooth(1.0, 0.0, np.abs(u) + np.abs(v) * 0.6) * ripple * 0.4

    def _shape(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        hull = np.maximum(np.abs(u) - 0.75 + (v - 0.55) * 0.9, np.abs(v - 0.62) - 0.1)
        down = (v + 0.92) / 1.36
        inside = np.maximum(-down, down - 1)
        main = np.maximum(np.maximum(u + 0.03, -u - 0.03 - down * 0.62), inside)
        jib = np.maximum(np.maximum(-u + 0.04, u - 0.04 - (down - 0.18) * 0.52), inside)
        wood, cloth = cover(hull, pixel), cover(np.minimum(main, jib), pixel)
        shade = np.clip(0.8 + u * 0.4, 0, 1)
        return between(self._hull, np.stack([part * shade for part in self._sail]), cloth), np.maximum(wood, cloth)


class House:
    """A cottage with a pitched roof, a chimney and lit windows."""

    def __init__(self, *, x: float, base: float, size: float, wall: Colour, roof: Colour, lit: bool) -> None:
        self._at, self._wall, self._roof, self._lit = (x, base, size), wall, roof, lit
        self._window = WINDOW if lit else mix(WINDOW, wall, 0.55)

    def paint(self, band: Band) -> None:
        x, base, size = self._at
        if self._lit:
            stamp(band, x, base - size * 0.4, size * 2.4, size * 2.4, glow(WINDOW, 0.4))
        stamp(band, x, base - size * 0.95, size * 1.05, size, self._shape)

    def _shape(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        wall = cover(box(u, v, x=0, y=0.5, half_width=0.7, half_height=0.5), pixel)
        chimney = cover(box(u, v, x=0.42, y=-0.5, half_width=0.09, half_height=0.32), pixel)
        roof = np.maximum(cover(wedge(u, v, x=0, top=-0.75, base=0.08, half_width=1.0), pixel), chimney)
        door = cover(box(u, v, x=0, y=0.7, half_width=0.13, half_height=0.3), pixel)
        pane = box(np.abs(u), v, x=0.42, y=0.45, half_width=0.14, half_height=0.16)
        window = cover(pane, pixel) * (np.abs(np.abs(u) - 0.42) > 0.015)
        house = between(np.stack([part * (0.86 + 0.14 * u) for part in self._wall]), self._roof * 0.6, door)
        house = between(house, self._window, window)
        return between(house, np.stack([part * (0.9 + 0.2 * v) for part in self._roof]), roof), np.maximum(wall, roof)


class Pagoda:
    """Tiers of sweeping roofs, as temples have them."""

    def __init__(self, *, x: float, base: float, size: float, wall: Colour, roof: Colour, lit: bool) -> None:
        self._at, self._wall, self._roof, self._lit = (x, base, size), wall, roof, lit

    def paint(self, band: Band) -> None:
        x, base, size = self._at
        if self._lit:
            stamp(band, x, base - size * 0.8, size * 1.3, size * 1.3, glow(WINDOW, 0.35))
        stamp(band, x, base - size, size * 0.62, size, self._shape)

    def _shape(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        walls = roofs = np.full(np.broadcast(u, v).shape, 9, np.float32)
        for tier in range(5):
            base, wide = 1.0 - tier * 0.36, 0.62 - tier * 0.085
            walls = np.minimum(walls, box(u, v, x=0, y=base - 0.13, half_width=wide * 0.72, half_height=0.14))
            eave = base - 0.24 - 0.10 * np.clip(np.abs(u) / (wide * 1.45), 0, 1) ** 3
            slope = np.clip((v - (base - 0.40)) / 0.16, 0, 1)
            sweep = np.abs(u) - wide * (0.62 + 0.83 * slope**1.7)
            roofs = np.minimum(roofs, np.maximum(sweep, np.maximum(v - eave, base - 0.40 - v)))
        roofs = np.minimum(roofs, box(u, v, x=0, y=-0.86, half_width=0.025, half_height=0.14))
        wall, roof = cover(walls, pixel), cover(roofs, pixel)
        lamps = wall * ((u * 9) % 1 > 0.35) * (0.8 if self._lit else 0.1)
        tiles = np.stack([np.clip(part * (1.05 + 0.25 * u), 0, 1) for part in self._roof])
        return between(between(self._wall, WINDOW, lamps), tiles, roof), np.maximum(wall, roof)


class Balloons:
    """Hot-air balloons in gores of two colours."""

    def __init__(self, frame: Frame, rng: np.random.Generator, *, colours: list[Colour], horizon: float) -> None:
        self._balloons = []
        count = int(rng.integers(4, 7))
        for number in range(count):
            last = number == count - 1  # The nearest, and so the largest and in front.
            size = frame.unit * float(rng.uniform(0.10, 0.14) if last else rng.uniform(0.03, 0.055))
            x = frame.aspect * (0.08 + 0.84 * (number * 0.618 % 1.0) + float(rng.uniform(-0.04, 0.04)))
            y = horizon * float(rng.uniform(0.3, 0.5) if last else rng.uniform(0.15, 0.75))
            one, other = (colours[int(which)] for which in rng.permutation(len(colours))[:2])
            self._balloons.append((x, y, size, one, other))

    def paint(self, band: Band) -> None:
        for x, y, size, one, other in self._balloons:
            stamp(band, x, y, size, size * 1.4, partial(self._shape, one=one, other=other))

    @staticmethod
    def _shape(u: Array, v: Array, pixel: float, *, one: Colour, other: Colour) -> tuple[Array, Array]:
        w = v * 1.4
        crown = np.sqrt(u * u + (w + 0.42) ** 2) - 0.95
        taper = np.maximum(np.abs(u) - 0.86 + w * 0.78, np.maximum(w - 0.86, -w - 0.05))
        basket = box(u, w, x=0, y=1.22, half_width=0.15, half_height=0.13)
        ropes = box(np.abs(u), w, x=0.14, y=1.0, half_width=0.015, half_height=0.16)
        half = np.sqrt(np.clip(1 - np.clip(np.abs(w + 0.42), 0, 0.99) ** 2, 0.05, 1))
        gore = smooth(-0.15, 0.15, np.sin(np.arcsin(np.clip(u / half, -1, 1)) * 4))
        light = np.clip(0.95 - 0.35 * (u * 0.9 + 0.3) - 0.12 * w, 0.4, 1.15)
        cloth, wood = cover(np.minimum(crown, taper), pixel), cover(np.minimum(basket, ropes), pixel)
        envelope = np.clip(between(one, other, gore) * light, 0, 1)
        return between(envelope, WICKER, wood * (1 - cloth)), np.maximum(cloth, wood)


class Lanterns:
    """Paper lanterns rising into the night."""

    def __init__(self, frame: Frame, rng: np.random.Generator, *, horizon: float) -> None:
        count = int(26 * max(1.0, frame.aspect))
        sizes = frame.unit * (0.007 + 0.035 * rng.power(0.35, count))
        places = rng.uniform(0, frame.aspect, count), rng.uniform(0.05, horizon, count)
        self._lanterns = sorted(zip(sizes.tolist(), *(place.tolist() for place in places), strict=True))

    def paint(self, band: Band) -> None:
        for size, x, y in self._lanterns:
            stamp(band, x, y, size * 4, size * 4, glow(EMBER, 0.5, 2.5))
            stamp(band, x, y, size * 0.8, size, self._shape)

    @staticmethod
    def _shape(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        paper = np.maximum(np.abs(u) - 0.85 + v * 0.2, np.abs(v) - 0.95)
        heat = np.clip(0.35 + 0.65 * (v + 1) / 2 - 0.25 * np.abs(u), 0, 1)
        return between(EMBER, FLAME, heat), cover(paper, pixel)


class Cat:
    """A cat that sits with its back to us and looks at what we look at."""

    def __init__(self, *, x: float, base: float, size: float, colour: Colour, light: Colour) -> None:
        self._at, self._colour, self._rim = (x, base, size), colour, mix(colour, light, 0.6)

    def paint(self, band: Band) -> None:
        x, base, size = self._at
        stamp(band, x, base - size, size, size, self._shape)

    def _shape(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        head = disc(u, v, x=0, y=-0.38, radius=0.30, squash=0.84)
        ears = wedge(np.abs(u), v, x=0.185, top=-0.80, base=-0.38, half_width=0.19)
        body = np.maximum(disc(u, v, x=0, y=0.62, radius=0.50, squash=1.42), v - 0.98)
        body = np.minimum(body, wedge(u, v, x=0, top=-0.72, base=0.3, half_width=0.42))
        bend = 0.86 - 0.10 * np.sin((u - 0.3) * 4.2)
        tail = np.maximum(np.abs(v - bend) - 0.07, np.maximum(0.3 - u, u - 0.95))
        shape = np.minimum(np.minimum(head, ears), np.minimum(body, tail))
        rim = smooth(-0.06, -0.005, shape) * smooth(0.6, -0.9, v)
        stripes = smooth(0.72, 0.9, np.sin(v * 26 + np.abs(u) * 7)) * (np.abs(u) < 0.36) * 0.25
        fur = np.stack([part * (1 - stripes) for part in self._colour])
        return between(fur, self._rim, rim), cover(shape, pixel)
