"""Outdoors: sky, what is far, water or land, what is near, and the air before it."""

import numpy as np

from imageops.painting.canvas import Colour, Frame, Layer, Streams
from imageops.painting.city import NeonSigns, Skyline
from imageops.painting.colour import mix, oklch
from imageops.painting.land import Dune, Meadow, Ridge, Treeline
from imageops.painting.objects import Balloons, Birds, Cat, House, Lanterns, Pagoda, Sailboat
from imageops.painting.palette import Palette
from imageops.painting.plants import BroadTree, Conifers, Flowers, Grass
from imageops.painting.reading import Reading
from imageops.painting.shapes import BLACK, WHITE
from imageops.painting.sky import Aurora, Clouds, Disc, Sky, Stars
from imageops.painting.water import Water
from imageops.painting.weather import Fireflies, Flakes, Mist, Petals, Rain

SAND = oklch(0.77, 0.12, 70)
SAND_SHADE = oklch(0.45, 0.10, 42)
PLASTER = oklch(0.82, 0.05, 70)
TILE = oklch(0.45, 0.13, 35)
LACQUER = oklch(0.50, 0.15, 30)
BARK = oklch(0.30, 0.04, 40)
BLOSSOM = [oklch(0.86, 0.08, 355), oklch(0.93, 0.045, 0), oklch(0.78, 0.13, 355)]
AURORA = [oklch(0.8, 0.2, 155), oklch(0.8, 0.15, 175), oklch(0.7, 0.2, 310)]
FIREFLY = np.array([1.0, 0.9, 0.4], np.float32)


class Landscape:
    """The layers of a picture with a horizon, chosen once by the reading and the streams."""

    def __init__(self, reading: Reading, frame: Frame, streams: Streams, palette: Palette) -> None:
        self._reading, self._frame, self._streams, self._palette = reading, frame, streams, palette
        self._layers: list[Layer] = []
        self._town = reading.has("city", "neon")
        self._wet = reading.has("sea", "lake", "boat") or self._town
        rng = streams("layout")
        high = reading.has("mountain") or self._town
        self._horizon = float(rng.uniform(0.6, 0.74) if high else rng.uniform(0.5, 0.68))
        low = palette.hour in ("dawn", "sunset")
        self._sun = (
            frame.aspect * float(rng.uniform(0.18, 0.82)),
            self._horizon * float(rng.uniform(0.66, 0.9) if low else rng.uniform(0.16, 0.42)),
        )
        # How much of a colour of its own a thing loses to the hour.
        self._dim = {"day": 0.0, "dawn": 0.15, "sunset": 0.3, "night": 0.55}[palette.hour]

    def layers(self) -> list[Layer]:
        """Return them from the back to the front."""
        self._add_sky()
        self._add_far()
        if self._wet:
            self._add_water()
        elif self._reading.has("desert"):
            self._add_dunes()
        else:
            self._add_meadows()
        self._add_buildings()
        self._add_plants()
        self._add_air()
        return self._layers

    def _put(self, *layers: Layer) -> None:
        self._layers.extend(layers)

    def _add_sky(self) -> None:
        reading, frame, streams, palette = self._reading, self._frame, self._streams, self._palette
        rng = streams("sky")
        self._put(Sky(palette, self._horizon, self._sun))
        if palette.night:
            milky = reading.has("star") and not self._town
            self._put(Stars(frame, streams("stars"), self._horizon, 650 if milky else 260, milky=milky))
        if reading.has("aurora"):
            named = palette.accents[:2] if reading.colours or reading.bound else ()
            self._put(Aurora(frame, streams("aurora"), (*named, *AURORA), self._horizon))
        hidden = reading.has("mist", "rain", "storm", "snow", "star", "aurora", "neon")
        if not hidden or reading.has("sun", "moon"):
            self._put(Disc(frame, palette, self._sun, streams("disc")))
        if not (palette.night and reading.has("star", "aurora")):
            amount = 0.75 if reading.has("cloud", "storm", "rain") else float(rng.uniform(0.15, 0.62))
            self._put(Clouds(frame, streams("clouds"), palette, horizon=self._horizon, amount=amount))
        if reading.has("bird") or (not palette.night and rng.random() < 0.35):
            count = int(rng.integers(5, 14))
            self._put(Birds(frame, streams("birds"), y=self._horizon * 0.45, colour=palette.near, count=count))

    def _add_far(self) -> None:
        reading = self._reading
        flat = reading.has("sea", "desert", "forest", "field", "flower", "hill", "sakura", "tree", "firefly")
        if self._town:
            self._add_town()
        elif reading.has("mountain") or not flat:
            self._add_mountains()
        elif not reading.has("desert"):
            self._add_hills()
        if reading.has("forest"):
            for number in range(3):
                self._add_treeline(f"forest {number}", near=number / 3, height=0.12 + 0.04 * number)
        elif self._wet and not self._town and not reading.has("sea"):
            self._add_treeline("shore", near=0.7, height=0.07)
        if reading.has("temple") and not self._town:
            self._add_temple()
        if reading.has("balloon"):
            palette = self._palette
            colours = [*palette.accents] if palette.thing is None else [palette.thing, mix(palette.thing, WHITE, 0.7)]
            self._put(Balloons(self._frame, self._streams("balloons"), colours=colours, horizon=self._horizon))

    def _add_town(self) -> None:
        frame, streams, palette = self._frame, self._streams, self._palette
        for number, (near, height) in enumerate(((0.05, 0.36), (0.4, 0.42), (0.8, 0.34))):
            stream = streams(f"skyline {number}")
            self._put(Skyline(frame, stream, palette, base=self._horizon, height=height, near=near))
        if self._reading.has("neon"):
            top, base = self._horizon - 0.24, self._horizon - 0.05
            self._put(NeonSigns(frame, streams("neon"), palette.accents, top=top, base=base))

    def _add_mountains(self) -> None:
        palette, rng = self._palette, self._streams("mountains")
        count, snowy = int(rng.integers(3, 5)), self._reading.has("snow") or rng.random() < 0.3
        for number in range(count):
            near = number / (count - 1)
            colour = mix(mix(palette.far, palette.haze, 0.6 * (1 - near)), palette.near, 0.75 * near)
            self._put(
                Ridge(
                    self._frame,
                    self._streams(f"ridge {number}"),
                    base=self._horizon + 0.02 + 0.02 * near,
                    height=(0.52 - 0.34 * near) * float(rng.uniform(0.85, 1.15)),
                    colour=colour,
                    light=palette.light,
                    haze=palette.haze,
                    mist=0.85 - 0.45 * near,
                    snow=0.45 * (1 - 0.7 * near) if snowy else 0.0,
                    cells=1.6 + 1.6 * near,
                )
            )

    def _add_hills(self) -> None:
        palette = self._palette
        for number, height in enumerate((0.10, 0.07)):
            stream, colour = self._streams(f"hill {number}"), mix(palette.haze, palette.far, 0.35 + 0.3 * number)
            base = self._horizon + 0.02
            hill = Meadow(self._frame, stream, base=base, height=height, colour=colour, light=palette.light)
            self._put(hill)

    def _add_treeline(self, name: str, *, near: float, height: float) -> None:
        palette = self._palette
        colour = mix(mix(palette.far, palette.haze, 0.45), palette.near, near)
        base = self._horizon + 0.01 + (0.0 if self._wet else 0.09 * near)
        stream, mist = self._streams(name), 0.7 - 0.5 * near
        line = Treeline(self._frame, stream, base=base, height=height, colour=colour, haze=palette.haze, mist=mist)
        self._put(line)

    def _add_temple(self) -> None:
        frame, palette, rng = self._frame, self._palette, self._streams("temple")
        x, size = frame.aspect * float(rng.uniform(0.22, 0.78)), frame.unit * float(rng.uniform(0.15, 0.2))
        wall, roof = mix(LACQUER, palette.near, self._dim), mix(oklch(0.35, 0.06, 60), palette.near, self._dim)
        self._add_treeline("grove", near=0.5, height=0.09)
        lit = palette.hour != "day"
        self._put(Pagoda(x=x, base=self._horizon + 0.01, size=size, wall=wall, roof=roof, lit=lit))

    def _add_water(self) -> None:
        frame, palette, rng = self._frame, self._palette, self._streams("boat")
        calm = 0.15 if self._reading.has("sea") else (0.7 if self._town else 0.85)
        scene, horizon = list(self._layers), self._horizon
        self._put(Water(frame, self._streams, palette, horizon=horizon, scene=scene, calm=calm, sun_x=self._sun[0]))
        if self._reading.has("tree", "sakura", "autumn", "cat"):
            bank = mix(palette.near, palette.ground, 0.4)
            stream = self._streams("bank")
            self._put(Meadow(frame, stream, base=0.96, height=0.05, colour=bank, light=palette.light))
        if self._reading.has("boat"):
            x, size = frame.aspect * float(rng.uniform(0.25, 0.75)), frame.unit * float(rng.uniform(0.07, 0.12))
            y = horizon + (1 - horizon) * float(rng.uniform(0.18, 0.4))
            sail = mix(palette.light, WHITE, 0.5) if palette.thing is None else palette.thing
            self._put(Sailboat(x=x, y=y, size=size, hull=palette.near, sail=sail))

    def _add_dunes(self) -> None:
        frame, palette = self._frame, self._palette
        for number in range(5):
            near = number / 4
            base = self._horizon + 0.04 + (1.0 - self._horizon) * near * 0.75
            lit = mix(mix(SAND, palette.ground, 0.15), palette.haze, 0.15 + 0.4 * (1 - near))
            shade = mix(mix(SAND_SHADE, palette.near, 0.35), palette.haze, 0.5 * (1 - near))
            colour = mix(lit, palette.light, 0.15) if not palette.night else mix(lit, palette.near, 0.6)
            stream, height = self._streams(f"dune {number}"), 0.10 + 0.10 * near
            self._put(Dune(frame, stream, base=base, height=height, colour=colour, shade=shade))

    def _add_meadows(self) -> None:
        palette, rich = self._palette, self._reading.has("flower", "field", "sakura")
        specks: tuple[Colour, ...] = ()
        if not self._reading.has("snow", "forest"):
            specks = tuple(mix(colour, palette.near, self._dim) for colour in self._flower_colours())
        for number in range(3):
            near = number / 2
            base = self._horizon + 0.05 + (1.0 - self._horizon) * near * 0.55
            colour = mix(mix(palette.ground, palette.haze, 0.35 * (1 - near)), palette.near, 0.25 * near)
            self._put(
                Meadow(
                    self._frame,
                    self._streams(f"meadow {number}"),
                    base=base,
                    height=0.05 + 0.03 * near,
                    colour=colour,
                    light=palette.light,
                    specks=specks,
                    amount=(0.75 if rich else 0.12) * (0.6 + 0.4 * near),
                    haze=palette.haze if number == 0 else None,
                )
            )

    def _flower_colours(self) -> list[Colour]:
        named = any(target in ("flower", "leaf") for target, _ in self._reading.bound)
        if self._reading.has("sakura") and not named:
            return BLOSSOM
        return [*self._palette.accents[:3], mix(self._palette.accents[0], WHITE, 0.6)]

    def _add_buildings(self) -> None:
        if not self._reading.has("house"):
            return
        palette, rng = self._palette, self._streams("house")
        size = self._frame.unit * float(rng.uniform(0.07, 0.11))
        x = self._frame.aspect * float(rng.uniform(0.38, 0.62))
        base = self._horizon + (0.02 if self._wet else 0.12)
        wall = mix(PLASTER if palette.thing is None else palette.thing, palette.near, self._dim * 0.8)
        roof = mix(WHITE, palette.haze, 0.15) if self._reading.has("snow") else mix(TILE, palette.near, self._dim)
        self._put(House(x=x, base=base, size=size, wall=wall, roof=roof, lit=palette.hour != "day"))

    def _add_plants(self) -> None:
        reading, frame, streams, palette = self._reading, self._frame, self._streams, self._palette
        rng = streams("near")
        grassy = not self._wet and not reading.has("snow", "desert")
        open_air = not (self._town or reading.has("sea", "desert", "flower", "sakura", "field"))
        if reading.has("forest") or (reading.has("snow", "mountain") and open_air and rng.random() < 0.8):
            self._add_firs()
        if reading.has("tree", "sakura", "autumn"):
            self._add_tree(rng)
        if reading.has("flower") and grassy:
            colours = [mix(colour, palette.near, self._dim * 0.7) for colour in self._flower_colours()]
            stem = mix(palette.ground, palette.near, 0.6)
            top = self._horizon + 0.14
            self._put(Flowers(frame, streams("flowers"), top=top, colours=colours, count=130, stem=stem))
        if reading.has("cat"):
            x, fur = frame.aspect * float(rng.uniform(0.3, 0.7)), mix(palette.near, BLACK, 0.35)
            if palette.thing is not None:
                fur = mix(palette.thing, palette.near, 0.15 + self._dim * 0.5)
            self._put(Cat(x=x, base=0.99, size=frame.unit * 0.19, colour=fur, light=palette.light))
        if grassy and reading.has("field", "flower", "hill", "tree", "cat", "firefly"):
            colour = mix(palette.near, palette.ground, 0.3)
            self._put(Grass(frame, streams("grass"), colour=colour, light=palette.light, height=0.12))

    def _add_firs(self) -> None:
        palette, snow = self._palette, self._reading.has("snow")
        count, dark = int(12 * max(1.0, self._frame.aspect)), mix(palette.near, BLACK, 0.3)
        stream, light = self._streams("firs"), palette.haze if palette.night else palette.light
        firs = Conifers(self._frame, stream, base=0.97, height=0.42, colour=dark, light=light, count=count, snow=snow)
        self._put(firs)

    def _add_tree(self, rng: np.random.Generator) -> None:
        reading, frame, palette = self._reading, self._frame, self._palette
        x = frame.aspect * (0.5 + float(rng.choice([-1, 1])) * float(rng.uniform(0.18, 0.3)))
        leaves = [palette.ground, mix(palette.ground, palette.near, 0.4), mix(palette.ground, palette.light, 0.25)]
        if reading.has("sakura"):
            leaves = self._flower_colours()
        elif reading.has("autumn") or reading.colours or reading.bound:
            leaves = list(palette.accents[:3])
        leaves = [mix(leaf, palette.near, self._dim * 0.5) for leaf in leaves]
        bark, height = mix(BARK, palette.near, 0.4), 0.95 * min(1.0, frame.unit * 1.15)
        stream = self._streams("tree")
        tree = BroadTree(frame, stream, x=x, base=0.99, height=height, bark=bark, leaves=leaves, light=palette.light)
        self._put(tree)

    def _add_air(self) -> None:
        reading, frame, streams, palette = self._reading, self._frame, self._streams, self._palette
        if reading.has("mist"):
            self._put(Mist(frame, streams("mist"), palette.haze, y=self._horizon + 0.02, depth=0.16))
        if reading.has("lantern"):
            self._put(Lanterns(frame, streams("lanterns"), horizon=self._horizon * 1.1))
        if reading.has("snow"):
            self._put(Flakes(frame, streams("flakes")))
        if reading.has("rain", "storm"):
            self._put(Rain(frame, streams("rain"), mix(palette.haze, WHITE, 0.5)))
        if reading.has("petal", "sakura"):
            self._put(Petals(frame, streams("petals"), self._flower_colours()))
        elif reading.has("autumn"):
            self._put(Petals(frame, streams("petals"), list(palette.accents[:3]), count=45))
        if reading.has("firefly", "dream"):
            glow = mix(palette.accents[0], FIREFLY, 0.6)
            count = 80 if reading.has("firefly") else 35
            self._put(Fireflies(frame, streams("fireflies"), glow, top=self._horizon * 0.7, count=count))
