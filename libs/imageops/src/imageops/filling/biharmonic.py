"""Fill thin holes with the smoothest surface through their rims: scratches, text, small stones.

Minimises the squared Laplacian over the hole (a biharmonic surface, as a bent thin plate takes), by
conjugate gradients on the hole's pixels alone. It continues slopes and edges across a gap of a few
pixels better than any patch, and across a wide one it is a blur: use `patchmatch.fill` there.
"""

import cv2
import numpy as np
import numpy.typing as npt

from imageops.arrays import Floats, Mask, Pixels, Places
from imageops.filling.rims import smooth_fill
from imageops.progress import OnProgress, ignore_progress

_TURNS_MAX = 600  # A gap of six pixels needs a hundred, one of twenty all of them.
_ERROR_MAX = 0.2  # What may be left of the equations' largest error: less than two levels anywhere.
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

_Values = npt.NDArray[np.float64]


def fill_thin(image: Pixels, mask: Mask, on_progress: OnProgress = ignore_progress) -> Pixels:
    """Return a copy of `image` (height x width x 3, 8-bit) whose pixels under `mask` bridge smoothly.

    Pixels outside the mask stay as they are, to the bit. At least one must.
    """
    assert image.dtype == np.uint8
    assert image.shape[:2] == mask.shape
    result = image.copy()
    if not mask.any():
        on_progress(1.0)
        return result
    rows, columns = _around(mask)
    hole = mask[rows, columns]
    picture = smooth_fill(image[rows, columns].astype(np.float32), ~hole)
    plate = _Plate(hole)
    bent = plate.bend(picture.reshape(-1, 3).astype(np.float64), on_progress)
    result[rows, columns][hole] = np.clip(np.rint(bent), 0, 255).astype(np.uint8)
    on_progress(1.0)
    return result


def bridge(picture: Floats, hole: Mask) -> Floats:
    """Return a picture of floats, 0 to 255, whose hole is bridged as `fill_thin` does, to whole levels."""
    levels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return np.where(hole[..., None], fill_thin(levels, hole), picture).astype(np.float32)


def _around(mask: Mask) -> tuple[slice, slice]:
    """Return the part of the picture that the hole and its rim lie in."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    rim = 16  # Enough for the first guess to see beyond the rim.
    return (
        slice(max(0, int(ys[0]) - rim), int(ys[-1]) + 1 + rim),
        slice(max(0, int(xs[0]) - rim), int(xs[-1]) + 1 + rim),
    )


class _Plate:
    """The hole's pixels as a list, and the Laplacian on them; at the picture's border the plate ends level."""

    def __init__(self, hole: Mask) -> None:
        wide = cv2.dilate(hole.astype(np.uint8), _CROSS)
        widest = cv2.dilate(wide, _CROSS)
        self._all = np.flatnonzero(widest)  # All that matters: the hole, its rim, and the rim's neighbours.
        place = np.full(hole.size, -1, np.intp)
        place[self._all] = np.arange(len(self._all))
        self._bent = place[np.flatnonzero(wide)]
        self._hole = place[np.flatnonzero(hole)]
        self._bent_near = _neighbours(np.flatnonzero(wide), hole.shape, place)
        self._hole_near = _neighbours(np.flatnonzero(hole), hole.shape, place)

    def bend(self, colours: _Values, on_progress: OnProgress) -> _Values:
        """Return the hole's colours (pixels x 3) from a guess for the whole picture."""
        values = colours[self._all]
        solution = values[self._hole]
        residual = -self._stiffness(values)
        step = residual.copy()
        size = np.einsum("ij,ij->j", residual, residual)
        padded = np.zeros_like(values)
        for turn in range(_TURNS_MAX):
            if np.abs(residual).max() < _ERROR_MAX:
                break
            if turn % 20 == 0:
                on_progress(turn / _TURNS_MAX)
            padded[self._hole] = step
            pushed = self._stiffness(padded)
            pace = size / np.maximum(np.einsum("ij,ij->j", step, pushed), 1e-12)
            solution += pace * step
            residual -= pace * pushed
            before, size = size, np.einsum("ij,ij->j", residual, residual)
            step = residual + size / np.maximum(before, 1e-12) * step
        return solution

    def _stiffness(self, values: _Values) -> _Values:
        """Return the Laplacian's Laplacian in the hole."""
        bent = np.zeros_like(values)
        bent[self._bent] = _laplacian(values, self._bent, self._bent_near)
        return _laplacian(bent, self._hole, self._hole_near)


def _neighbours(flat: Places, shape: tuple[int, ...], place: Places) -> list[Places]:
    """Return where the four neighbours of each pixel stand in the list; beyond the border, the pixel itself."""
    height, width = shape
    ys, xs = np.divmod(flat, width)
    return [
        place[np.clip(ys + dy, 0, height - 1) * width + np.clip(xs + dx, 0, width - 1)]
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]


def _laplacian(values: _Values, at: Places, near: list[Places]) -> _Values:
    total = values.take(at, axis=0)
    total *= -4
    for each in near:
        total += values.take(each, axis=0)
    return total
