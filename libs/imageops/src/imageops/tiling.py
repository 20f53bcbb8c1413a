"""Work on a picture piece by piece where something is marked, so that memory is that of one piece."""

from collections.abc import Callable, Iterator

import numpy as np

from imageops.arrays import Mask, Pixels
from imageops.filling.biharmonic import fill_thin
from imageops.progress import OnProgress, ignore_progress

_TILE_PX, _HALO_PX = 768, 32  # What a thin hole's filling looks at lies well within the halo.

Place = tuple[slice, slice]


def marked_tiles(marked: Mask) -> Iterator[tuple[Place, Place]]:
    """Yield each tile with something marked, and the same with what surrounds it."""
    rows, columns = marked.shape
    for y in range(0, rows, _TILE_PX):
        for x in range(0, columns, _TILE_PX):
            inner = (slice(y, min(rows, y + _TILE_PX)), slice(x, min(columns, x + _TILE_PX)))
            if marked[inner].any():
                outer = (
                    slice(max(0, y - _HALO_PX), min(rows, y + _TILE_PX + _HALO_PX)),
                    slice(max(0, x - _HALO_PX), min(columns, x + _TILE_PX + _HALO_PX)),
                )
                yield inner, outer


def replace_marked(
    pixels: Pixels,
    marked: Mask,
    work: Callable[[Pixels, Mask], Pixels],
    on_progress: OnProgress = ignore_progress,
) -> Pixels:
    """Return a copy of `pixels` with what `work` makes of the marked ones; the others stay, to the bit."""
    result = pixels.copy()
    tiles = list(marked_tiles(marked))
    for done, (inner, outer) in enumerate(tiles):
        on_progress(done / len(tiles))
        made = work(pixels[outer], marked[outer])
        rows = slice(inner[0].start - outer[0].start, inner[0].stop - outer[0].start)
        columns = slice(inner[1].start - outer[1].start, inner[1].stop - outer[1].start)
        np.copyto(result[inner], made[rows, columns], where=marked[inner][..., None])
    on_progress(1.0)
    return result


def fill_thin_anywhere(pixels: Pixels, marked: Mask, on_progress: OnProgress = ignore_progress) -> Pixels:
    """Do as `fill_thin` does, on a picture of any size."""
    return replace_marked(pixels, marked, fill_thin, on_progress)
