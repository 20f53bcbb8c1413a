"""The colours of a picture: chosen by the hour and weather, turned towards the colours the prompt names."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from imageops.painting.canvas import Colour
from imageops.painting.colour import from_oklab, lch, mix, oklch, to_oklab, turn
from imageops.painting.reading import Reading
from imageops.painting.shapes import WHITE
from imageops.painting.words import COLOURS

# How far a colour named for the whole picture pulls it: less, and "blue" is a blue corner; outdoors more
# would leave no day and night.
_NAMED_SHARE = 0.9
_NAMED_SHARE_OUTDOORS = 0.7
_INDOORS = frozenset({"abstract", "geometric", "papercut", "space", "planet", "product", "object"})
_HOURS = ("dawn", "sunset", "night", "day")


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours by what they are for."""

    hour: str  #: dawn, day, sunset or night.
    sky: tuple[Colour, ...]  #: From the zenith to the horizon.
    light: Colour  #: The sun or moon, and whatever it falls on.
    haze: Colour  #: What distance fades into.
    far: Colour
    near: Colour
    ground: Colour
    water: Colour
    accents: tuple[Colour, ...]  #: Flowers, sails, lights: four or more, the named colours first.
    thing: Colour | None = None  #: The one thing's own colour, where the prompt gives it: "a red boat".

    @property
    def night(self) -> bool:
        return self.hour == "night"


def choose_palette(reading: Reading, rng: np.random.Generator, references: list[Colour]) -> Palette:
    """Return the palette of a reading; `references` are the leading colours of the pictures given, if any."""
    hour = _hour(reading, rng)
    palette = _of_hour(hour, rng)
    if reading.has("neon"):
        palette = _neon(palette, rng)
    if reading.has("snow"):
        palette = _snowy(palette)
    if reading.has("autumn"):
        palette = _autumn(palette, rng)
    if reading.has("mist", "rain", "storm"):
        palette = _muted(palette)
    named = [oklch(*COLOURS[tag]) for tag in reading.colours] or references
    if named:
        indoors = _INDOORS.issuperset(reading.scene)
        palette = _tinted(palette, named, _NAMED_SHARE if indoors else _NAMED_SHARE_OUTDOORS)
    for target, tag in reading.bound:
        palette = _coloured(palette, target, oklch(*COLOURS[tag]))
    return palette


def _hour(reading: Reading, rng: np.random.Generator) -> str:
    for hour in _HOURS:
        if reading.has(hour):
            return hour
    if reading.has("star", "moon", "aurora", "firefly", "lantern", "neon"):
        return "night"
    if reading.has("autumn", "sakura", "flower", "field", "desert", "balloon"):
        return str(rng.choice(_HOURS, p=(0.3, 0.2, 0.0, 0.5)))
    weights = (0.15, 0.3, 0.45, 0.1) if reading.has("city") else (0.3, 0.2, 0.05, 0.45)
    return str(rng.choice(_HOURS, p=weights))


def _of_hour(hour: str, rng: np.random.Generator) -> Palette:
    drift = rng.uniform(-16, 16)  # Of every hue, so that no two days are of the same blue.
    lift = rng.uniform(-0.07, 0.05)
    accents = tuple(oklch(0.7, 0.17, float(hue)) for hue in (rng.uniform(0, 360) + np.array([0, 40, 160, 220])))

    def hue(lightness: float, chroma: float, degrees: float) -> Colour:
        return oklch(lightness + lift, chroma, degrees + drift)

    if hour == "day":
        return Palette(
            hour=hour,
            sky=(hue(0.56, 0.13, 255), hue(0.72, 0.10, 245), hue(0.87, 0.06, 230), hue(0.94, 0.03, 215)),
            light=oklch(0.98, 0.04, 95),
            haze=hue(0.88, 0.05, 235),
            far=hue(0.66, 0.07, 250),
            near=hue(0.38, 0.07, 170),
            ground=hue(0.62, 0.13, 135),
            water=hue(0.50, 0.10, 235),
            accents=accents,
        )
    if hour == "dawn":
        return Palette(
            hour=hour,
            sky=(hue(0.52, 0.10, 275), hue(0.70, 0.09, 320), hue(0.84, 0.10, 40), hue(0.94, 0.09, 80)),
            light=oklch(0.97, 0.08, 85),
            haze=hue(0.87, 0.07, 55),
            far=hue(0.63, 0.08, 310),
            near=hue(0.33, 0.07, 285),
            ground=hue(0.55, 0.10, 120),
            water=hue(0.55, 0.08, 270),
            accents=accents,
        )
    if hour == "sunset":
        return Palette(
            hour=hour,
            sky=(hue(0.32, 0.11, 285), hue(0.50, 0.15, 340), hue(0.68, 0.18, 38), hue(0.86, 0.15, 78)),
            light=oklch(0.96, 0.10, 88),
            haze=hue(0.74, 0.14, 50),
            far=hue(0.50, 0.12, 10),
            near=hue(0.22, 0.06, 310),
            ground=hue(0.38, 0.08, 70),
            water=hue(0.40, 0.10, 320),
            accents=accents,
        )
    return Palette(
        hour=hour,
        sky=(hue(0.15, 0.06, 275), hue(0.22, 0.08, 270), hue(0.33, 0.10, 262), hue(0.46, 0.09, 250)),
        light=oklch(0.96, 0.03, 100),
        haze=hue(0.40, 0.08, 255),
        far=hue(0.30, 0.07, 265),
        near=hue(0.13, 0.03, 270),
        ground=hue(0.24, 0.05, 200),
        water=hue(0.22, 0.07, 262),
        accents=accents,
    )


def _neon(palette: Palette, rng: np.random.Generator) -> Palette:
    base = float(rng.choice([300, 325, 270]))
    return replace(
        palette,
        sky=(
            oklch(0.14, 0.08, base - 20),
            oklch(0.26, 0.14, base),
            oklch(0.44, 0.20, base + 20),
            oklch(0.62, 0.20, base + 45),
        ),
        haze=oklch(0.48, 0.19, base + 15),
        far=oklch(0.34, 0.14, base - 15),
        near=oklch(0.12, 0.05, base - 35),
        water=oklch(0.18, 0.08, base - 30),
        ground=oklch(0.16, 0.05, base - 30),
        accents=(oklch(0.72, 0.24, 345), oklch(0.83, 0.15, 200), oklch(0.85, 0.18, 100), oklch(0.66, 0.23, 300)),
    )


def _snowy(palette: Palette) -> Palette:
    white = mix(palette.haze, WHITE, 0.75 if not palette.night else 0.45)
    return replace(
        palette,
        ground=white,
        near=mix(palette.near, palette.haze, 0.15),
        sky=tuple(mix(colour, palette.haze, 0.15) for colour in palette.sky),
    )


def _autumn(palette: Palette, rng: np.random.Generator) -> Palette:
    leaves = tuple(oklch(0.66, 0.18, float(hue)) for hue in rng.permutation([32, 50, 68, 85]))
    return replace(palette, ground=oklch(0.6, 0.13, 75), near=oklch(0.36, 0.09, 48), accents=leaves)


def _muted(palette: Palette) -> Palette:
    def grey(colour: Colour) -> Colour:
        lightness, chroma, hue = lch(colour)
        return oklch(0.62 + (lightness - 0.62) * 0.75 if not palette.night else lightness, chroma * 0.55, hue)

    return replace(
        palette,
        sky=tuple(grey(colour) for colour in palette.sky),
        haze=grey(palette.haze),
        far=grey(palette.far),
        near=grey(palette.near),
        ground=grey(palette.ground),
        water=grey(palette.water),
    )


def _tint(colour: Colour, named: Colour, share: float) -> Colour:
    """Give a colour the hue of a named one, or its greyness, and leave it as light as it is."""
    lightness, chroma, hue = lch(named)
    own, own_chroma, own_hue = lch(colour)
    if chroma < 0.03:
        return oklch(own + (lightness - own) * 0.3 * share, own_chroma * (1 - 0.75 * share), own_hue)
    return turn(colour, hue, share, chroma_min=min(0.10, chroma) * share)


def _tinted(palette: Palette, named: list[Colour], share: float) -> Palette:
    first = named[0]
    return replace(
        palette,
        sky=tuple(_tint(colour, first, share) for colour in palette.sky),
        light=mix(palette.light, first, 0.12),
        haze=_tint(palette.haze, first, share),
        far=_tint(palette.far, first, share),
        near=_tint(palette.near, first, share),
        ground=_tint(palette.ground, first, share),
        water=_tint(palette.water, first, share),
        accents=(*named, *(mix(accent, first, 0.6) for accent in palette.accents)),
    )


def _coloured(palette: Palette, target: str, colour: Colour) -> Palette:
    """Give one part of the scene its named colour."""
    if target == "sky":
        sky = tuple(_tint(each, colour, 0.95) for each in palette.sky)
        palette = replace(palette, sky=sky, haze=_tint(palette.haze, colour, 0.6))
    elif target == "light":
        sky = (*palette.sky[:2], _tint(palette.sky[2], colour, 0.8), _tint(palette.sky[3], colour, 0.9))
        light = mix(palette.light, colour, 0.5)
        palette = replace(palette, sky=sky, light=light, haze=_tint(palette.haze, colour, 0.6))
    elif target == "water":
        palette = replace(palette, water=_tint(palette.water, colour, 0.95))
    elif target == "land":
        far, near, ground = (_tint(each, colour, 0.9) for each in (palette.far, palette.near, palette.ground))
        palette = replace(palette, far=far, near=near, ground=ground)
    elif target == "thing":
        palette = replace(palette, thing=colour)
    else:
        kin = (colour, mix(colour, WHITE, 0.35), mix(colour, palette.near, 0.25))
        ground = _tint(palette.ground, colour, 0.7) if target == "leaf" else palette.ground
        palette = replace(palette, ground=ground, accents=(*kin, *palette.accents))
    return palette


def leading_colours(pixels: npt.NDArray[np.uint8]) -> list[Colour]:
    """Return up to four colours of an (n, 3) uint8 sample, the most colourful kind of its hues first."""
    lab = to_oklab((pixels.T / 255).astype(np.float32))
    chroma = np.hypot(lab[1], lab[2])
    hues = (np.rad2deg(np.arctan2(lab[2], lab[1])) % 360 // 30).astype(np.int64)
    weight = np.bincount(hues, weights=chroma, minlength=12)
    chosen = [hue for hue in np.argsort(-weight, kind="stable")[:4] if weight[hue] > 0.02 * weight.sum()]
    return [from_oklab(lab[:, hues == hue].mean(axis=1)[:, None])[:, 0] for hue in chosen]
