"""Flat coloured outlines: read from a tracer's SVG, written as EPS, drawn as pixels."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from imageops.arrays import Pixels

_PATH = re.compile(r'<path d="([^"]*)" fill="#([0-9A-Fa-f]{6})" transform="translate\(([-\d.]+),([-\d.]+)\)"')
_CURVE_STEPS = 8  # Straight pieces that a curve is drawn with; they are a few pixels long.
_STEPS = 10  # Of a unit, that an EPS counts in: nobody sees a twentieth of a pixel.
_FINER_MAX = 4  # Times the picture's size: sixteen shades of an edge.
_DRAWN_PIXELS_MAX = 1 << 26  # A larger picture is drawn less fine: nobody sees a sixteenth of its pixels.
_BAND_PIXELS = 1 << 21  # Drawn at once: 6 MiB.
_FRACTION_BITS = 6  # OpenCV draws on 1/64 of a pixel.

Curves = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """An area of one colour, bounded by closed curves (the non-zero winding number is inside)."""

    colour: tuple[int, int, int]
    loops: tuple[Curves, ...]  #: Each 1 + 3n x 2: a start, then two handles and an end for each Bézier curve.


def read_svg(text: str) -> Iterator[Outline]:
    """Read the paths of vtracer's SVG: absolute M, C and Z only. Raises ValueError on anything else."""
    if text.count("<path") != len(_PATH.findall(text)):
        raise ValueError("the tracer's SVG has paths of another form")
    for data, colour, right, down in _PATH.findall(text):
        moved = np.array([float(right), float(down)])
        red, green, blue = bytes.fromhex(colour)
        yield Outline(colour=(red, green, blue), loops=tuple(each + moved for each in _loops(data)))


def _loops(data: str) -> Iterator[Curves]:
    for loop in data.split("Z"):
        if not loop.strip():
            continue
        numbers = loop.replace("M", " ").replace("C", " ").split()
        points = np.array(numbers, np.float64).reshape(-1, 2)
        if loop.count("M") != 1 or len(points) != 1 + 3 * loop.count("C"):
            raise ValueError("the tracer's SVG has paths of another form")
        yield points


def write_eps(outlines: Iterable[Outline], *, width: int, height: int, scale: float = 1.0) -> bytes:
    """Return an EPS file of `width` x `height` points made of paths alone; later outlines cover earlier ones.

    The outlines' coordinates count from the top left corner, in units of `scale` points.
    """
    steps = _STEPS if scale <= 1 else 10 * _STEPS
    size = scale / steps
    lines = [
        "%!PS-Adobe-3.0 EPSF-3.0",
        f"%%BoundingBox: 0 0 {width} {height}",
        "%%LanguageLevel: 1",
        "%%Pages: 1",
        "%%EndComments",
        "/m{moveto}bind def/c{rcurveto}bind def/z{closepath}bind def/f{setrgbcolor fill}bind def",
        "%%Page: 1 1",
        "gsave",
        f"0 {height} translate {size:.9g} {-size:.9g} scale",
    ]
    for outline in outlines:
        lines += [_path(np.rint(loop * steps).astype(np.int64)) for loop in outline.loops]
        lines.append(" ".join(f"{level / 255:.4g}" for level in outline.colour) + " f")
    lines += ["grestore", "showpage", "%%EOF", ""]
    return "\n".join(lines).encode("ascii")


def _path(loop: npt.NDArray[np.int64]) -> str:
    """Return a loop's operators; whole numbers, each from the curve's start on, keep the file small."""
    curves = loop[1:].reshape(-1, 3, 2)
    relative = (curves - loop[:-1:3][:, None]).reshape(-1, 6).tolist()
    lines = [f"{loop[0, 0]} {loop[0, 1]} m"]
    lines += [f"{a} {b} {c} {d} {e} {f} c" for a, b, c, d, e, f in relative]
    return "\n".join([*lines, "z"])


def draw(outlines: Iterable[Outline], *, width: int, height: int, scale: float = 1.0) -> Pixels:
    """Return the picture that the same EPS shows, height x width x 3, with smooth edges on white."""
    # OpenCV's own smooth edges lie half a pixel too far out, so it draws hard ones, larger, some rows after others.
    finer = min(_FINER_MAX, math.isqrt(_DRAWN_PIXELS_MAX // (width * height)) or 1)
    kind = cv2.LINE_8 if finer > 1 else cv2.LINE_AA
    shapes = [_Shape(outline, scale * finer) for outline in outlines if outline.loops]
    picture = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // (width * finer * finer)) if finer > 1 else height
    for top in range(0, height, rows):
        part = picture[top : top + rows]
        fine = part if finer == 1 else np.empty((len(part) * finer, width * finer, 3), np.uint8)
        fine[:] = 255
        for shape in shapes:
            if shape.top < top * finer + len(fine) and shape.bottom >= top * finer:
                above = (0, -(top * finer) << _FRACTION_BITS)
                cv2.fillPoly(fine, shape.rings, shape.colour, kind, _FRACTION_BITS, above)
        if finer > 1:
            part[:] = cv2.resize(fine, (width, len(part)), interpolation=cv2.INTER_AREA)
    return picture


class _Shape:
    """An outline as polygons, in fractions of the pixels they are drawn with, and the rows it may reach."""

    def __init__(self, outline: Outline, scale: float) -> None:
        self.colour = outline.colour
        loops = (_flat(loop) * scale - 0.5 for loop in outline.loops)
        self.rings = [np.rint(loop * (1 << _FRACTION_BITS)).astype(np.int32) for loop in loops]
        self.top = min(int(ring[:, 1].min()) for ring in self.rings) // (1 << _FRACTION_BITS) - 1
        self.bottom = max(int(ring[:, 1].max()) for ring in self.rings) // (1 << _FRACTION_BITS) + 2


def _flat(loop: Curves) -> Curves:
    """Return a loop's curves as a polygon."""
    if len(loop) == 1:
        return loop
    ends = loop[::3]
    t = (np.arange(1, _CURVE_STEPS + 1) / _CURVE_STEPS)[None, :, None]
    start, first, second, end = (each[:, None] for each in (ends[:-1], loop[1::3], loop[2::3], ends[1:]))
    curve = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end
    return np.concatenate([loop[:1], curve.reshape(-1, 2)])
