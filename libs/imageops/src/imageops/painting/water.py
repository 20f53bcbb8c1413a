"""Water: what stands above it mirrored and broken by waves, with the sun's path on it."""

import numpy as np

from imageops.painting.canvas import Array, Band, Frame, Layer, Streams, between, smooth
from imageops.painting.colour import mix, ramp
from imageops.painting.noise import Sheet
from imageops.painting.palette import Palette
from imageops.painting.shapes import BLACK

_REACH = 0.035  # How far, in y, a wave moves what it mirrors.


class Water:
    """A surface from `horizon` down, mirroring `scene`; `calm` 1 is a lake at dawn, 0 the open sea."""

    def __init__(
        self,
        frame: Frame,
        streams: Streams,
        palette: Palette,
        *,
        horizon: float,
        scene: list[Layer],
        calm: float,
        sun_x: float,
    ) -> None:
        rng = streams("water")
        self._waves = Sheet(rng, cells=10, octaves=5)
        self._drift = rng.uniform(0, 1, 4).tolist()
        self._horizon, self._scene, self._calm, self._sun_x = horizon, scene, calm, sun_x
        deep = mix(palette.haze, palette.water, 0.75)
        self._deep = [palette.haze, deep, palette.water, mix(palette.water, palette.near, 0.4)]
        self._light, self._shine = palette.light, 0.5 if palette.night else 0.85
        self._shadow = mix(palette.water, BLACK, 0.45)
        self._squeeze = min(1.0, (horizon - 2 * _REACH) / (1 - horizon))

    def paint(self, band: Band) -> None:
        water = band.below(self._horizon)
        if not water.rows:
            return
        depth = water.y - self._horizon
        near = np.clip(depth / (1 - self._horizon), 0, 1)
        waves = self._wave(water, depth)
        body = ramp(self._deep, near[:, 0])[:, :, None]
        # Seen flat, water mirrors; seen from above it shows its own colour.
        surface = between(body, self._mirror(water, waves, near), (0.35 + 0.5 * self._calm) * (1 - near * 0.55))
        chop = 0.30 - 0.2 * self._calm
        water.rgb[:] = between(surface, self._shadow, np.clip(-waves, 0, 1.5) * chop * (0.3 + 0.7 * near))
        water.add(self._light, np.clip(waves - 0.9, 0, 1) * (chop * 0.5 * self._shine))
        path = np.exp(-(((water.x - self._sun_x) / (0.03 + depth * 0.22)) ** 2))
        sparks = smooth(0.15, 0.9, waves + path * 0.5)
        water.blend(self._light, path * sparks * (self._shine * (0.9 - 0.35 * self._calm)))

    def _wave(self, water: Band, depth: Array) -> Array:
        """Waves in perspective: long and thin at the horizon, broad at our feet."""
        distance = 0.10 / (depth + 0.012)
        u = (water.x - water.frame.aspect / 2) * distance
        a, b, c, d = self._drift
        first = self._waves.at(u * 0.55 + a, distance * 1.9 + b)
        second = self._waves.at(u * 1.3 + c, distance * 3.1 + d)
        result: Array = (first * 0.65 + second * 0.45) * np.clip(depth * 9, 0.25, 1)
        return result

    def _mirror(self, water: Band, waves: Array, near: Array) -> Array:
        """What is above the horizon, upside down; each pixel looks up or down by its wave."""
        step = water.step * self._squeeze
        margin = int(np.ceil(_REACH / step))
        bottom = self._horizon - (water.top - self._horizon) * self._squeeze + margin * step
        top = self._horizon - (water.bottom - self._horizon) * self._squeeze - margin * step
        seen = Band(water.frame, top, bottom, water.rows + 2 * margin)
        for layer in self._scene:
            layer.paint(seen)
        flipped = seen.rgb[:, ::-1]
        amplitude = (0.25 + near) * ((1.15 - self._calm) * 0.36 * margin)
        move = np.clip(np.rint(waves * amplitude), -margin, margin).astype(np.int32)
        row = np.arange(water.rows, dtype=np.int32)[:, None] + margin + move
        column = np.arange(water.frame.width, dtype=np.int32)[None, :] + move // 2
        result: Array = flipped[:, row, np.clip(column, 0, water.frame.width - 1)]
        return result
