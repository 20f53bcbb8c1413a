"""How the camera moves over a picture: where it looks at the beginning of a shot, at its end, and between.

A picture is prepared so large that the closest view shows it pixel by pixel (`Canvas`), and the camera never looks
beyond it, so that there are no black bars.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from imageops.filming.formats import Size

ZOOM_PER_S: Final = 0.045  # Brisk enough to be seen in every second, slow enough to look at the picture.
ZOOM_MAX: Final = 1.4  # Closer shows the picture's softness; what takes longer goes slower.
PAN_PER_S: Final = 0.1  # Frame widths (or heights) a second over a picture that is longer than the frame.
PAN_MAX: Final = 0.5
DRIFT: Final = (0.5, 0.8)  # How far off the middle a close view is, as a share of what there is: from and to.
EASE: Final = 0.3  # A part of the way gently, the rest at a steady pace: a shot never stands still.


@dataclass(frozen=True, kw_only=True)
class View:
    """What the camera sees: `zoom` from 1 (all that fits), `x` and `y` from -1 to 1 of the way it can look aside."""

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The size a picture is prepared in, for a film of `frame`; `zoom` is that of the closest view."""

    frame: Size
    width: int
    height: int
    zoom: float

    def window(self, view: View) -> tuple[float, float, float]:
        """Return how many of the canvas's pixels a pixel of the film is, and the left and upper edge seen."""
        scale = self.zoom / view.zoom
        left = (self.width - scale * self.frame[0]) / 2 * (1 + view.x)
        top = (self.height - scale * self.frame[1]) / 2 * (1 + view.y)
        return scale, left, top


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture's part of the film: `frames` of them from `begin`, and the way over the canvas."""

    begin: int
    frames: int
    canvas: Canvas
    start: View
    end: View

    def window(self, frame: int) -> tuple[float, float, float]:
        """Return what the camera sees in a frame of the film, as `Canvas.window` does."""
        share = (frame - self.begin) / (self.frames - 1)
        gentle = share * share * (3 - 2 * share)
        along = share + EASE * (gentle - share)
        first, last = self.canvas.window(self.start), self.canvas.window(self.end)
        scale, left, top = (a + along * (b - a) for a, b in zip(first, last, strict=True))
        return scale, left, top


def prepare_canvas(picture: Size, frame: Size, seconds: float) -> Canvas:
    """Return the canvas for a shot of `seconds`: the frame with room to come closer, longer where the picture is."""
    zoom = min(ZOOM_MAX, 1 + ZOOM_PER_S * seconds)
    aside = 1 + min(PAN_MAX, PAN_PER_S * seconds)
    stretch = max(frame[0] / picture[0], frame[1] / picture[1]) * zoom
    sides = (
        _even_at_least(min(picture[axis] * stretch, frame[axis] * zoom * aside), frame[axis] * zoom) for axis in (0, 1)
    )
    width, height = sides
    return Canvas(frame=frame, width=width, height=height, zoom=zoom)


def choose_way(canvas: Canvas, number: int, shots: int, rng: np.random.Generator) -> tuple[View, View]:
    """Return where shot `number` of `shots` begins and ends.

    The film's first frame shows all of its picture that fits, and so does the last one where there are several.
    """
    x, y = (float(rng.uniform(*DRIFT) * rng.choice((-1, 1))) for _ in range(2))
    close = View(zoom=canvas.zoom, x=x, y=y)
    longer_x, longer_y = (
        side > frame * canvas.zoom * 1.02
        for side, frame in zip((canvas.width, canvas.height), canvas.frame, strict=True)
    )
    if longer_x or longer_y:
        way = float(rng.choice((-1, 1)))
        begin = View(x=-way if longer_x else 0.0, y=-way if longer_y else 0.0)
        return begin, View(x=-begin.x, y=-begin.y)
    if number == 0:
        return View(), close
    if number == shots - 1:
        return close, View()
    return (View(), close) if rng.random() < 0.5 else (close, View())


def _even_at_least(wanted: float, least: float) -> int:
    side = max(wanted, least)
    return int(np.ceil(side / 2 - 1e-6)) * 2
