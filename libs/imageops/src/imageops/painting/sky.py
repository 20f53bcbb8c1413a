"""What is above: the gradient of the hour, sun and moon, stars, clouds, aurora, rainbow."""

from functools import partial

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, between, columns_x, cover, smooth, stamp
from imageops.painting.colour import mix, ramp
from imageops.painting.noise import Field, along
from imageops.painting.palette import Palette
from imageops.painting.shapes import WHITE, glow

WARM: Colour = np.array([1.0, 0.86, 0.72], np.float32)
COLD: Colour = np.array([0.78, 0.88, 1.0], np.float32)
VIOLET: Colour = np.array([0.5, 0.15, 0.7], np.float32)


class Sky:
    """The gradient from zenith to horizon, brighter around the sun."""

    def __init__(self, palette: Palette, horizon: float, sun: tuple[float, float]) -> None:
        self._colours, self._horizon = list(palette.sky), horizon
        self._light, self._sun = palette.light, sun
        self._glow = {"day": 0.35, "dawn": 0.55, "sunset": 0.75, "night": 0.25}[palette.hour]

    def paint(self, band: Band) -> None:
        height = np.clip(band.y[:, 0] / self._horizon, 0, 1)
        band.rgb[:] = ramp(self._colours, height)[:, :, None]
        x, y = self._sun
        distance = np.sqrt((band.x - x) ** 2 + (1.6 * (band.y - y)) ** 2)
        band.blend(self._light, np.exp(distance * -4.5) * self._glow)


class Disc:
    """The sun, or the moon with its seas."""

    def __init__(self, frame: Frame, palette: Palette, at: tuple[float, float], rng: np.random.Generator) -> None:
        self._at, self._moon = at, palette.night
        self._radius = frame.unit * float(rng.uniform(0.045, 0.075) if palette.night else rng.uniform(0.04, 0.08))
        self._colour = mix(palette.light, WHITE, 0.5)
        self._shade = mix(palette.light, palette.sky[1], 0.35)
        self._seas = rng.uniform(-0.7, 0.7, (9, 2)), rng.uniform(0.1, 0.38, 9)

    def paint(self, band: Band) -> None:
        x, y = self._at
        radius = self._radius
        stamp(band, x, y, radius * 5, radius * 5, glow(self._colour, 0.55, 3.0))
        stamp(band, x, y, radius * 1.02, radius * 1.02, self._face)

    def _face(self, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        alpha = cover(np.sqrt(u * u + v * v) - 0.98, pixel)
        if not self._moon:
            return self._colour, alpha
        dark = np.zeros(alpha.shape, np.float32)
        for (x, y), size in zip(*self._seas, strict=True):
            dark = np.maximum(dark, smooth(size, size * 0.4, np.sqrt((u - x) ** 2 + (v - y) ** 2)))
        dark *= 0.45
        return between(self._colour, self._shade, dark), alpha


class Stars:
    """Points of light, thick in a band when it is the milky way."""

    def __init__(self, frame: Frame, rng: np.random.Generator, horizon: float, count: int, *, milky: bool) -> None:
        count = int(count * max(1.0, frame.aspect))
        x = rng.uniform(0, frame.aspect, count)
        y = rng.uniform(0, horizon, count)
        if milky:
            half = count // 2
            y[:half] = horizon * (0.75 - 0.6 * x[:half] / frame.aspect) + rng.normal(0, 0.07, half)
        size = 0.0009 + 0.0016 * rng.power(0.35, count)
        heat = rng.uniform(0, 1, count)
        size = np.maximum(size, 0.6 / frame.height)  # Smaller than a pixel it would twinkle out.
        self._stars = np.column_stack([x, y, size, heat]).tolist()

    def paint(self, band: Band) -> None:
        for x, y, size, heat in self._stars:
            if band.top - 0.02 < y < band.bottom + 0.02:
                stamp(band, x, y, size * 3.5, size * 3.5, partial(_spark, colour=mix(COLD, WARM, heat)))


def _spark(u: Array, v: Array, _pixel: float, *, colour: Colour) -> tuple[Array, Array]:
    return colour, np.exp((u * u + v * v) * -7) * 0.95


class Clouds:
    """Banks of cloud, lit from above, thinner towards the zenith; `amount` 0 to 1."""

    def __init__(
        self, frame: Frame, rng: np.random.Generator, palette: Palette, *, horizon: float, amount: float
    ) -> None:
        scale = float(rng.uniform(1.6, 3.2))
        self._field = Field(rng, frame, scale, scale * float(rng.uniform(2.2, 4.0)), octaves=6, gain=0.55)
        self._horizon, self._amount = horizon, amount
        shine = {"day": 0.9, "dawn": 0.75, "sunset": 0.6, "night": 0.12}[palette.hour]
        self._lit = mix(palette.sky[-1], WHITE if palette.hour == "day" else palette.light, shine)
        self._dark = mix(palette.sky[1], palette.haze, 0.45)

    def paint(self, band: Band) -> None:
        part = band.above(self._horizon)
        if not part.rows:
            return
        here, higher = self._field.over(part), self._field.over(part, -0.018)
        y = part.y / self._horizon
        fade = smooth(0.0, 0.25, y) * smooth(1.02, 0.8, y)
        threshold = 1.5 - 2.6 * self._amount
        alpha = smooth(threshold - 0.5, threshold + 1.1, here) * fade * 0.9
        light = np.clip(0.62 + (here - higher) * 0.55, 0, 1)
        part.blend(between(self._dark, self._lit, light), alpha)


class Aurora:
    """Curtains of light that hang and wave."""

    def __init__(self, frame: Frame, rng: np.random.Generator, colours: tuple[Colour, ...], horizon: float) -> None:
        x = columns_x(frame)
        self._curtains = []
        for number in range(3):
            base = horizon * float(rng.uniform(0.45, 0.8)) + along(rng, x, 1.1, octaves=3) * 0.06
            rays = np.clip(0.6 + 0.4 * along(rng, x, 9, octaves=5, gain=0.7), 0.05, 1.6)
            rays *= np.clip(0.55 + 0.5 * along(rng, x, 0.9, octaves=2), 0, 1.2)
            reach = float(rng.uniform(0.12, 0.26))
            self._curtains.append((base, rays, reach, colours[number % len(colours)]))

    def paint(self, band: Band) -> None:
        for base, rays, reach, colour in self._curtains:
            height = (base[None, :] - band.y) / reach  # 0 at the hem, rising upwards.
            glow = np.where(height > 0, np.exp(-height * 1.6), np.exp(height * 14))
            light = glow * rays[None, :] * 0.5
            band.add(colour, light * np.clip(1.2 - 0.5 * height, 0, 1))
            band.add(VIOLET, light * np.clip(height * 0.5, 0, 0.6))
