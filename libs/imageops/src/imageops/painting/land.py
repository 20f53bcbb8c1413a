"""What stands on the ground: ridges with rock and snow, dunes, rolling meadows, lines of trees."""

import numpy as np

from imageops.painting.canvas import Array, Band, Colour, Frame, Outline, between, columns_x, smooth
from imageops.painting.colour import mix
from imageops.painting.noise import Field, along
from imageops.painting.shapes import BLACK, WHITE

_SLANT = 0.55  # How far to the side a face runs for each length down.


class Ridge(Outline):
    """A mountain range: a jagged outline, faces in light and shadow, mist at its foot, maybe snow."""

    def __init__(
        self,
        frame: Frame,
        rng: np.random.Generator,
        *,
        base: float,
        height: float,
        colour: Colour,
        light: Colour,
        haze: Colour,
        mist: float,
        snow: float,
        cells: float,
    ) -> None:
        x = columns_x(frame)
        rough = along(rng, x, cells, octaves=7, gain=0.48)
        sharp = 1.1 - np.abs(along(rng, x, cells * 0.8, octaves=6, gain=0.5))
        super().__init__(base - height * np.clip(0.45 + 0.4 * (0.55 * sharp + 0.45 * rough), 0.05, 1.25))
        self._rock = Field(rng, frame, cells * 4.0, cells * 3.2, octaves=6, gain=0.6)
        window = max(3, int(0.035 * frame.height))
        even = np.convolve(np.pad(self._top, window, mode="edge"), np.ones(window) / window, mode="same")
        self._facing = np.clip(np.gradient(even, x[0] * 2)[window:-window] * 0.55, -0.5, 0.5).astype(np.float32)
        self._height, self._mist, self._snow, self._haze = height, mist, snow, haze
        self._lit, self._shadow = mix(colour, light, 0.34), mix(colour, BLACK, 0.22)
        self._white = mix(WHITE, light, 0.25)
        self._blue = mix(self._white, colour, 0.5)

    def surface(self, band: Band, depth: Array) -> Array:
        rock = self._rock.over(band)
        # Faces run down and aside from the crest, broken by the rock, not straight down under it.
        aside = (np.clip(depth, 0, 1) * _SLANT + rock * 0.012) / band.step
        column = np.arange(band.frame.width, dtype=np.int32) + aside.astype(np.int32)
        facing = self._facing[np.clip(column, 0, band.frame.width - 1)]
        face = np.clip(0.5 + facing + rock * 0.2, 0, 1)
        ground = between(self._shadow, self._lit, face)
        if self._snow > 0:
            line = self._snow * self._height * (1.0 + 0.55 * rock)
            ground = between(ground, between(self._blue, self._white, face), smooth(0.01, -0.01, depth - line))
        return between(ground, self._haze, smooth(0.0, self._height * 1.15, depth) * self._mist)


class Dune(Outline):
    """A dune: a smooth crest, its lee side in shadow, ripples of sand on the other."""

    def __init__(
        self, frame: Frame, rng: np.random.Generator, *, base: float, height: float, colour: Colour, shade: Colour
    ) -> None:
        x = columns_x(frame)
        super().__init__(base - height * (0.5 + 0.4 * along(rng, x, 1.3, octaves=2)))
        # Where the crest runs down towards us; on one side of it the slope looks away from the light.
        self._crest = (0.2 * np.clip(along(rng, x, 1.7, octaves=2), -1.2, 1.2)).astype(np.float32)
        self._warp = Field(rng, frame, 3, 5, octaves=3)
        self._colour, self._shade = colour, shade

    def surface(self, band: Band, depth: Array) -> Array:
        warp = self._warp.over(band)
        lee = smooth(-0.02, 0.02, self._crest[None, :] - depth + warp * 0.012)
        ripple = np.sin(depth * 90 + warp * 3.0 + band.x * 14) * 0.035
        shade = np.clip(lee * 0.8 + smooth(0.0, 0.5, depth) * 0.25 - ripple, 0, 1)
        return between(self._colour, self._shade, shade)


class Meadow(Outline):
    """A rolling field: tufts near, a soft carpet far, and specks of flowers in it."""

    def __init__(
        self,
        frame: Frame,
        rng: np.random.Generator,
        *,
        base: float,
        height: float,
        colour: Colour,
        light: Colour,
        specks: tuple[Colour, ...] = (),
        amount: float = 0.0,
        haze: Colour | None = None,
    ) -> None:
        super().__init__(base - height * (0.5 + 0.45 * along(rng, columns_x(frame), 1.2, octaves=3, gain=0.35)))
        self._patches = Field(rng, frame, 2.5, 9, octaves=4)
        size = 1 / frame.unit  # Small things stay small where the picture is narrow.
        self._blades = Field(rng, frame, 80 * size, 36 * size, octaves=3, gain=0.8)
        self._seeds = [Field(rng, frame, 75 * size, 110 * size, octaves=2, gain=0.7) for _ in specks]
        self._lit, self._dark = mix(colour, light, 0.4), mix(colour, BLACK, 0.35)
        self._specks, self._amount, self._haze = specks, amount, haze

    def surface(self, band: Band, depth: Array) -> Array:
        near = np.clip(depth * 2.2, 0, 1)
        light = 0.62 - 0.35 * near + self._patches.over(band) * 0.14
        light += self._blades.over(band) * (0.03 + near * 0.14)
        colour = between(self._dark, self._lit, np.clip(light, 0, 1))
        threshold = 2.2 - 1.6 * self._amount
        for seeds, speck in zip(self._seeds, self._specks, strict=True):
            here = smooth(threshold, threshold + 0.4, seeds.over(band) + near * 0.3)
            colour = between(colour, speck, here * 0.9)
        if self._haze is not None:
            colour = between(colour, self._haze, smooth(0.16, 0.0, depth) * 0.45)
        return colour


class Treeline(Outline):
    """Conifers side by side as one dark outline: forests in the distance."""

    def __init__(
        self,
        frame: Frame,
        rng: np.random.Generator,
        *,
        base: float,
        height: float,
        colour: Colour,
        haze: Colour,
        mist: float,
    ) -> None:
        x = columns_x(frame)
        ground = base + along(rng, x, 1.5, octaves=3) * (0.25 * height)
        top = ground.copy()
        for _ in range(int(frame.aspect / (height * 0.13)) + 2):
            at, tall = float(rng.uniform(-0.05, frame.aspect + 0.05)), height * float(rng.uniform(0.45, 1.1))
            reach = tall * float(rng.uniform(0.16, 0.24))
            left, right = np.searchsorted(x, [at - reach, at + reach])
            away = np.abs(x[left:right] - at) / reach
            saw = (away * 7) % 1.0 * 0.09  # Branches step down from the tip.
            foot = float(np.interp(at, x, ground))
            top[left:right] = np.minimum(top[left:right], foot - tall * np.clip(1 - away**0.85 + saw, 0, 1))
        super().__init__(top)
        self._colour, self._haze, self._mist, self._height = colour, haze, mist, height

    def surface(self, band: Band, depth: Array) -> Array:
        fog = smooth(0.1 * self._height, 1.3 * self._height, depth) * self._mist
        return between(self._colour, self._haze, fog)
