"""Which kind of picture a reading asks for, and the layers of those without a landscape."""

from imageops.painting.abstract import Flow, Geometry, Orbs, PaperCut
from imageops.painting.canvas import Frame, Layer, Streams
from imageops.painting.colour import mix, oklch
from imageops.painting.landscape import Landscape
from imageops.painting.palette import Palette
from imageops.painting.reading import Reading
from imageops.painting.shapes import WHITE
from imageops.painting.sky import Stars
from imageops.painting.space import Nebula, Planet
from imageops.painting.studio import Ball, Bottle, Plinth, Stage


def compose(reading: Reading, frame: Frame, streams: Streams, palette: Palette) -> list[Layer]:
    """Return the layers of a reading, from the back to the front; what it does not decide, the streams do."""
    if reading.has("space", "planet"):
        return _space(reading, frame, streams, palette)
    if reading.has("product", "object") and not reading.has("city", "mountain", "sea"):
        return _studio(frame, streams, palette)
    if reading.has("abstract", "geometric", "papercut") or not reading.scene:
        return [_abstract(reading, frame, streams, palette)]
    return Landscape(reading, frame, streams, palette).layers()


def _abstract(reading: Reading, frame: Frame, streams: Streams, palette: Palette) -> Layer:
    rng = streams("abstract")
    kind = str(rng.choice(["geometric", "papercut", "flow", "orbs"]))
    kind = next((tag for tag in ("geometric", "papercut") if reading.has(tag)), kind)
    accents = list(palette.accents[:2])
    if kind == "geometric":
        return Geometry(frame, rng, [accents[0], palette.haze, palette.near, palette.far, accents[1]])
    if kind == "papercut":
        return PaperCut(frame, rng, [palette.haze, accents[0], palette.far, palette.near])
    colours = [palette.near, palette.far, accents[0], palette.haze, accents[1], palette.water]
    return Flow(frame, rng, colours) if kind == "flow" else Orbs(frame, rng, colours)


def _space(reading: Reading, frame: Frame, streams: Streams, palette: Palette) -> list[Layer]:
    rng = streams("space")
    hue = float(rng.uniform(0, 360))
    hues = [oklch(0.5, 0.17, hue), oklch(0.55, 0.16, hue + 70), oklch(0.6, 0.13, hue - 60)]
    if reading.colours:
        hues = [mix(palette.accents[0], palette.near, 0.25), palette.far, palette.accents[1]]
    layers: list[Layer] = [Nebula(frame, rng, hues), Stars(frame, streams("stars"), 1.0, 900, milky=False)]
    if reading.has("planet") or rng.random() < 0.45:
        surface = hues[2] if palette.thing is None else palette.thing
        layers.append(Planet(frame, streams("planet"), [surface, mix(hues[1], WHITE, 0.5), hues[0]]))
    return layers


def _studio(frame: Frame, streams: Streams, palette: Palette) -> list[Layer]:
    rng = streams("studio")
    unit, accents = frame.unit, palette.accents
    wall = mix(accents[0], WHITE, float(rng.uniform(0.35, 0.6)))
    stone, floor = mix(wall, WHITE, 0.45), float(rng.uniform(0.68, 0.74))
    middle, side = frame.aspect * float(rng.uniform(0.42, 0.58)), unit * float(rng.choice([-1, 1]))
    top = floor + 0.05
    glass = mix(accents[int(rng.integers(2))] if palette.thing is None else palette.thing, WHITE, 0.12)
    cap = mix(accents[3], palette.near, 0.35)
    return [
        Stage(frame, rng, wall, floor=floor),
        Plinth(x=middle - side * 0.33, top=top - unit * 0.09, height=unit * 0.17, radius=unit * 0.13, colour=stone),
        Ball(x=middle - side * 0.33, base=top - unit * 0.08, radius=unit * 0.085, colour=accents[2]),
        Plinth(x=middle, top=top, height=unit * 0.13, radius=unit * 0.23, colour=mix(wall, WHITE, 0.3)),
        Bottle(x=middle, base=top + unit * 0.015, size=unit * float(rng.uniform(0.24, 0.3)), glass=glass, cap=cap),
        Ball(x=middle + side * 0.31, base=top + unit * 0.18, radius=unit * 0.06, colour=accents[0]),
        Ball(x=middle + side * 0.40, base=top + unit * 0.14, radius=unit * 0.035, colour=accents[3]),
    ]
