"""Draws EPS files of filled outlines, so that tests see what a printer would: no fonts, pictures, strokes or loops.

`render(eps)` knows the few operators that an outline needs and refuses every other: a file that wraps a raster in
PostScript fails. A pixel has a colour when its middle lies inside; there is no anti-aliasing, so that colours can be
counted.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_BOX = re.compile(rb"^%%BoundingBox: 0 0 (\d+) (\d+)\s*$", re.MULTILINE)
_TOKEN = re.compile(rb"%[^\n\r]*|[{}]|/?[^\s{}/%()<>\[\]]+|\S")
_CURVE_STEPS = 16

_Points = npt.NDArray[np.float64]
_Matrix = tuple[float, float, float, float]  #: Scale and shift: x' = x * a + c, y' = y * b + d.


class NotOutlines(Exception):
    """The file is no EPS, or does something that outlines do not need."""


@dataclass
class _State:
    colour: tuple[int, int, int] = (0, 0, 0)
    matrix: _Matrix = (1.0, 1.0, 0.0, 0.0)


@dataclass
class _Machine:
    picture: npt.NDArray[np.uint8]
    zoom: float
    state: _State = field(default_factory=_State)
    saved: list[_State] = field(default_factory=list)
    stack: list[float] = field(default_factory=list)
    loops: list[list[_Points]] = field(default_factory=list)
    shown: int = 0

    def take(self, count: int) -> list[float]:
        if len(self.stack) < count:
            raise NotOutlines("an operator lacks its numbers")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def points(self, count: int) -> _Points:
        across, down, right, below = self.state.matrix
        pairs = np.array(self.take(2 * count)).reshape(-1, 2)
        return np.asarray(pairs * (across, down) + (right, below))

    def run(self, name: str) -> None:
        operator = getattr(self, f"op_{name}", None)
        if operator is None:
            raise NotOutlines(f"the operator {name}")
        operator()

    def op_moveto(self) -> None:
        self.loops.append([self.points(1)])

    def op_lineto(self) -> None:
        self.path().append(self.points(1))

    def op_curveto(self) -> None:
        self.curve(self.points(3))

    def op_rcurveto(self) -> None:
        across, down, _, _ = self.state.matrix
        relative = np.array(self.take(6)).reshape(-1, 2) * (across, down)
        self.curve(relative + self.path()[-1][-1])

    def curve(self, points: _Points) -> None:
        path = self.path()
        first, second, end = points
        start, t = path[-1][-1], (np.arange(1, _CURVE_STEPS + 1) / _CURVE_STEPS)[:, None]
        path.append((1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end)

    def path(self) -> list[_Points]:
        if not self.loops:
            raise NotOutlines("a path without a beginning")
        return self.loops[-1]

    def op_closepath(self) -> None:
        self.path().append(self.path()[0][:1])

    def op_setrgbcolor(self) -> None:
        red, green, blue = (round(level * 255) for level in self.take(3))
        self.state.colour = (red, green, blue)

    def op_fill(self) -> None:
        _fill(self.picture, [np.concatenate(loop) * self.zoom for loop in self.loops], self.state.colour)
        self.loops.clear()

    def op_translate(self) -> None:
        across, down, right, below = self.state.matrix
        x, y = self.take(2)
        self.state.matrix = (across, down, right + x * across, below + y * down)

    def op_scale(self) -> None:
        across, down, right, below = self.state.matrix
        x, y = self.take(2)
        self.state.matrix = (across * x, down * y, right, below)

    def op_gsave(self) -> None:
        self.saved.append(_State(self.state.colour, self.state.matrix))

    def op_grestore(self) -> None:
        if not self.saved:
            raise NotOutlines("more is restored than was saved")
        self.state = self.saved.pop()

    def op_showpage(self) -> None:
        self.shown += 1


def render(eps: bytes, *, zoom: int = 1) -> npt.NDArray[np.uint8]:
    """Return what the file shows on white paper, `zoom` pixels a point, as height x width x 3. Raises NotOutlines."""
    if not eps.startswith(b"%!PS-Adobe-3.0 EPSF-3.0\n") or not eps.rstrip().endswith(b"%%EOF"):
        raise NotOutlines("no EPS file")
    boxes = _BOX.findall(eps)
    if len(boxes) != 1:
        raise NotOutlines("no bounding box, or several")
    width, height = (int(side) * zoom for side in boxes[0])
    machine = _Machine(picture=np.full((height, width, 3), 255, np.uint8), zoom=zoom)
    _execute(machine, [token.decode("ascii") for token in _TOKEN.findall(eps) if not token.startswith(b"%")])
    if machine.stack or machine.saved or machine.loops or machine.shown != 1:
        raise NotOutlines("something is left over, or no page was shown")
    return np.ascontiguousarray(machine.picture[::-1])


def _execute(machine: _Machine, tokens: list[str]) -> None:
    procedures: dict[str, list[str]] = {}
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token.startswith("/"):
            end = tokens.index("}", at)
            if tokens[at] != "{" or tokens[end + 1 : end + 3] != ["bind", "def"]:
                raise NotOutlines("a definition of another form")
            procedures[token[1:]] = tokens[at + 1 : end]
            at = end + 3
        elif token[0] in "-.0123456789":
            machine.stack.append(float(token))
        else:
            for name in procedures.get(token, [token]):
                machine.run(name)


def _fill(picture: npt.NDArray[np.uint8], loops: list[_Points], colour: tuple[int, int, int]) -> None:
    """Paint the pixels whose middles the loops go around (non-zero winding number)."""
    starts = np.concatenate(loops)
    ends = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
    rows, columns = picture.shape[:2]
    # The rows whose middle lies between an edge's ends, and where they meet it.
    low = np.clip(np.ceil(np.minimum(starts[:, 1], ends[:, 1]) - 0.5), 0, rows).astype(np.intp)
    high = np.clip(np.ceil(np.maximum(starts[:, 1], ends[:, 1]) - 0.5), 0, rows).astype(np.intp)
    counts = high - low
    total = int(counts.sum())
    if not total:
        return
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + low[edge]
    (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
    crossing = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(crossing - 0.5), 0, columns).astype(np.intp)
    top, left, bottom, right = row.min(), column.min(), row.max() + 1, column.max()
    winding = np.zeros((bottom - top, right - left + 1), np.int32)
    np.add.at(winding, (row - top, column - left), np.where(y1 > y0, 1, -1))
    inside = np.cumsum(winding, axis=1)[:, :-1] != 0
    picture[top:bottom, left:right][inside] = colour
