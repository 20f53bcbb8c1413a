"""The last touch: exposure, vignette, grain, and the treatment of a named style."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from imageops.painting.canvas import Array, Band, Frame, smooth

_GRAIN_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What a style does to the colours, and how it draws."""

    saturation: float = 1.0
    contrast: float = 1.0
    lift: float = 0.0
    shadows: tuple[float, float, float] = (0.0, 0.0, 0.0)  #: Added to the dark parts.
    lights: tuple[float, float, float] = (0.0, 0.0, 0.0)  #: Added to the bright parts.
    levels: int = 0  #: Flat steps of tone, 0 for none.
    grain: float = 0.010
    vignette: float = 0.22
    blocks: int = 0  #: Pixel-art cells along the short side.
    facets: int = 0  #: Low-poly cells along the short side.


_PLAIN = _Look()
_LOOKS = {
    "explore": _Look(saturation=1.15, contrast=1.08, lights=(0.05, 0.0, 0.06)),
    "guofeng": _Look(saturation=0.30, contrast=0.85, lift=0.07, lights=(0.05, 0.02, -0.07), grain=0.022, vignette=0.1),
    "anime": _Look(saturation=1.35, contrast=1.08, lift=0.04, levels=14, grain=0.003, vignette=0.05),
    "photo": _Look(saturation=0.95, contrast=1.06, grain=0.014, vignette=0.3),
    "ukiyoe": _Look(
        saturation=0.72,
        contrast=0.95,
        levels=6,
        lift=0.03,
        lights=(0.05, 0.0, -0.12),
        shadows=(0.0, 0.03, 0.10),
        grain=0.018,
        vignette=0.0,
    ),
    "lowpoly": _Look(saturation=1.15, facets=26, grain=0.0, vignette=0.1),
    "futurism": _Look(saturation=0.8, contrast=1.2, shadows=(0.0, 0.04, 0.09), lights=(-0.04, 0.02, 0.07)),
    "pixel": _Look(saturation=1.25, levels=9, blocks=96, grain=0.0, vignette=0.0),
    "concept": _Look(
        saturation=0.8, contrast=1.15, shadows=(-0.02, 0.02, 0.05), lights=(0.06, 0.02, -0.05), vignette=0.4
    ),
    "cyberpunk": _Look(
        saturation=1.35, contrast=1.2, lift=-0.05, shadows=(0.05, 0.0, 0.12), lights=(0.08, -0.06, 0.10), vignette=0.35
    ),
    "lolita": _Look(
        saturation=0.75, contrast=0.75, lift=0.16, shadows=(0.10, 0.02, 0.06), lights=(0.05, -0.01, 0.02), vignette=0.0
    ),
    "baroque": _Look(
        saturation=0.95, contrast=1.25, lift=-0.10, shadows=(0.04, 0.0, -0.03), lights=(0.07, 0.03, -0.09), vignette=0.6
    ),
    "surreal": _Look(saturation=1.3, contrast=1.1, shadows=(0.0, 0.07, 0.08), lights=(0.09, -0.03, -0.04)),
    "watercolour": _Look(saturation=0.85, contrast=0.78, lift=0.15, levels=18, grain=0.03, vignette=-0.25),
    "vaporwave": _Look(
        saturation=1.2, contrast=0.95, lift=0.05, shadows=(0.12, -0.02, 0.20), lights=(0.04, -0.05, 0.10)
    ),
    "oil": _Look(saturation=1.2, contrast=1.12, levels=24, lights=(0.03, 0.02, -0.04), grain=0.03, vignette=0.3),
    "cartoon": _Look(saturation=1.5, contrast=1.15, lift=0.03, levels=8, grain=0.0, vignette=0.0),
}


class Finish:
    """Turns painted bands into bytes, and the painted picture into the one asked for."""

    def __init__(self, style: str | None, rng: np.random.Generator) -> None:
        self._look = _LOOKS.get(style or "", _PLAIN)
        self._rng = rng
        self._exposure = float(rng.uniform(0.92, 1.06))
        self._grain = rng.standard_normal((_GRAIN_SIDE, _GRAIN_SIDE), dtype=np.float32)

    def frame(self, width: int, height: int) -> Frame:
        """The frame to paint in: the picture's own, or coarser for pixel art."""
        blocks = self._look.blocks
        if not blocks or min(width, height) <= blocks:
            return Frame(width=width, height=height)
        cell = min(width, height) / blocks
        return Frame(width=max(1, round(width / cell)), height=max(1, round(height / cell)))

    def develop(self, band: Band) -> npt.NDArray[np.uint8]:
        """Return a band's (rows, columns, 3) bytes."""
        look = self._look
        rgb = band.rgb * self._exposure
        across = band.x / band.frame.aspect - 0.5
        edge = np.clip((across * across + (band.y - 0.5) ** 2) * 2, 0, 1)
        rgb *= 1 - look.vignette * edge * edge
        if look is not _PLAIN:
            rgb = _treat(np.clip(rgb, 0, 1), look)
        if look.grain:
            rgb += self._grain_over(band) * look.grain
        return np.ascontiguousarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))

    def complete(self, picture: Image.Image, width: int, height: int) -> Image.Image:
        """Return the picture in its final size and manner."""
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.NEAREST)
        if self._look.facets:
            picture = _facets(picture, self._look.facets, self._rng)
        return picture

    def _grain_over(self, band: Band) -> Array:
        first = round(band.top * band.frame.height)
        rows = (np.arange(band.rows) + first) % _GRAIN_SIDE
        columns = np.arange(band.frame.width) % _GRAIN_SIDE
        return self._grain[rows[:, None], columns[None, :]]


def _treat(rgb: Array, look: _Look) -> Array:
    grey = rgb[0] * 0.299 + rgb[1] * 0.587 + rgb[2] * 0.114
    rgb = grey + (rgb - grey) * look.saturation
    rgb = (rgb - 0.5) * look.contrast + np.float32(0.5 + look.lift)
    bright = smooth(0.25, 0.9, grey)
    for channel, (dark, light) in enumerate(zip(look.shadows, look.lights, strict=True)):
        rgb[channel] += dark * (1 - bright) + light * bright
    if look.levels:
        steps = look.levels
        fine = np.clip(rgb, 0, 1) * steps
        whole = np.floor(fine)
        rgb = (whole + smooth(0.3, 0.7, fine - whole)) / steps
    return rgb


def _facets(picture: Image.Image, cells: int, rng: np.random.Generator) -> Image.Image:
    """Redraw the picture as triangles between the shaken points of a grid, each of one colour."""
    width, height = picture.size
    side = min(width, height) / cells
    columns, rows = int(np.ceil(width / side)), int(np.ceil(height / side))
    x, y = np.meshgrid(np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1))
    shake = rng.uniform(-0.42, 0.42, (2, rows + 1, columns + 1)) * side
    x[:, 1:-1] += shake[0][:, 1:-1]
    y[1:-1] += shake[1][1:-1]
    small = np.asarray(picture.resize((columns * 3, rows * 3), Image.Resampling.BOX))
    result = picture.copy()
    draw = ImageDraw.Draw(result)
    flip = rng.random((rows, columns)) < 0.5
    for i in range(rows):
        for j in range(columns):
            a, b, c, d = (i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)
            for corners in ((a, b, c), (a, c, d)) if flip[i, j] else ((a, b, d), (b, c, d)):
                points = [(float(x[at]), float(y[at])) for at in corners]
                middle = np.mean(points, axis=0)
                row = min(rows * 3 - 1, int(middle[1] / height * rows * 3))
                column = min(columns * 3 - 1, int(middle[0] / width * columns * 3))
                colour = tuple(int(part) for part in small[row, column])
                draw.polygon(points, fill=colour, outline=colour)
    return result
