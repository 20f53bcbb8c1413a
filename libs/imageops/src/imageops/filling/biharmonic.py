"""Fill thin holes with the smoothest surface through their rims: scratches, text, small stones.

Minimises the squared Laplacian over the hole (a biharmonic surface, as a bent thin plate takes), by
conjugate gradients on the hole's pixels alone. It continues slopes and edges across a gap of a few
pixels better than any patch, and across a wide one it is a blur: use `patchmatch.fill` there.

Pieces of the hole that do not touch are equations of their own: each is solved at its own pace, all at
the same time, and left alone when it is done.
"""

import cv2
import numpy as np
import numpy.typing as npt

from imageops.arrays import Array, Floats, Mask, Pixels, Places
from imageops.filling.rims import smooth_fill
from imageops.progress import OnProgress, ignore_progress

_TURNS_MAX = 600  # A gap of six pixels needs a hundred, one of twenty all of them.
_ERROR_MAX = 0.2  # What may be left of the equations' largest error: less than two levels anywhere.
_CHECKED_EVERY = 8  # Turns after which pieces that are done are looked for.
_WORTH_DROPPING = 0.7  # If no more of the pixels than this are left, the others' part of the lists is dropped.
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_TOUCHING = np.ones((3, 3), np.uint8)  # Pixels up to two apart are in each other's equations.
_SUMMED_MAX = 4096
_CHANNELS = 4  # The last one is empty: numpy gathers rows of 16 bytes several times faster than those of 12.

_Sums = npt.NDArray[np.float64]


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
    result[rows, columns][hole] = np.clip(np.rint(_bend(picture, hole, on_progress)), 0, 255).astype(np.uint8)
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


def _bend(picture: Floats, hole: Mask, on_progress: OnProgress) -> Floats:
    """Return the hole's colours (pixels x 3) from a picture (height x width x 3) with a guess of them."""
    solved = picture[hole]
    _, pieces = cv2.connectedComponents(cv2.dilate(hole.astype(np.uint8), _TOUCHING))
    left = np.argsort(pieces[hole], kind="stable")  # Where the pixels that are not done yet stand among all.
    state = _State(picture, hole.shape, np.flatnonzero(hole)[left], pieces[hole][left].astype(np.intp))
    for turn in range(_TURNS_MAX):
        if turn % _CHECKED_EVERY == 0:
            on_progress(turn / _TURNS_MAX)
            unsolved = state.unsolved()
            if np.count_nonzero(unsolved) <= _WORTH_DROPPING * len(unsolved):
                solved[left] = state.solution[:, :3]
                left = left[unsolved]
                if not len(left):
                    return solved
                state.keep(unsolved)
        state.turn()
    solved[left] = state.solution[:, :3]
    return solved


class _State:
    """Conjugate gradients on the pieces of a hole: arrays of the hole's pixels x 4, piece after piece."""

    def __init__(self, picture: Floats, shape: tuple[int, ...], pixels: Places, pieces: Places) -> None:
        self._shape, self._pixels = shape, pixels
        force: Array = cv2.Laplacian(picture, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE)
        force = cv2.Laplacian(force, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE)
        self.solution = _four(picture.reshape(-1, 3).take(pixels, axis=0))
        self._residual = -_four(force.reshape(-1, 3).take(pixels, axis=0))
        self._step = self._residual.copy()
        self._begin(pieces)

    def _begin(self, pieces: Places) -> None:
        self._plate = _Plate(self._pixels, self._shape)
        begins = np.diff(pieces, prepend=-1) != 0
        self._piece = np.cumsum(begins) - 1
        self._firsts = np.flatnonzero(begins)
        # Single precision loses what is added to a long sum, so that none is long.
        self._parts = np.union1d(self._firsts, np.arange(0, len(pieces), _SUMMED_MAX))
        self._first_parts = np.searchsorted(self._parts, self._firsts)
        self._size = self._dots(self._residual, self._residual)

    def unsolved(self) -> Mask:
        """Return the pixels of pieces that still have an error somewhere."""
        worst = np.maximum.reduceat(np.abs(self._residual).max(axis=1), self._firsts)
        wrong: Mask = (worst >= _ERROR_MAX).take(self._piece)
        return wrong

    def keep(self, kept: Mask) -> None:
        """Forget the other pixels; whole pieces go."""
        self._pixels, self.solution = self._pixels[kept], self.solution[kept]
        self._residual, self._step = self._residual[kept], self._step[kept]
        self._begin(self._piece[kept])

    def turn(self) -> None:
        """Go one step, in each piece and channel as far as suits it."""
        pushed = self._plate.stiffness(self._step)
        pace = self._each(self._size / np.maximum(self._dots(self._step, pushed), 1e-12))
        self.solution += pace * self._step
        pushed *= pace
        self._residual -= pushed
        before, self._size = self._size, self._dots(self._residual, self._residual)
        self._step *= self._each(self._size / np.maximum(before, 1e-12))
        self._step += self._residual

    def _dots(self, one: Floats, other: Floats) -> _Sums:
        """Return the sums of the products, pieces x 4."""
        sums = np.add.reduceat(one * other, self._parts, axis=0)
        return np.asarray(np.add.reduceat(sums.astype(np.float64), self._first_parts, axis=0))

    def _each(self, numbers: _Sums) -> Floats:
        """Return each pixel's piece's numbers."""
        return numbers.astype(np.float32).take(self._piece, axis=0)


class _Plate:
    """The stiffness between the hole's pixels; at the picture's border the plate ends level."""

    def __init__(self, inside: Places, shape: tuple[int, ...]) -> None:
        hole = np.zeros(shape, np.uint8)
        hole.ravel()[inside] = 1
        bent = np.flatnonzero(cv2.dilate(hole, _CROSS))  # The hole and its rim.
        self._of_hole = _neighbours(bent, shape, _standing(inside, hole.size))
        self._of_bent = _neighbours(inside, shape, _standing(bent, hole.size))
        # The last row of each is for all other pixels, which are not moved: zeros.
        self._moved = np.zeros((len(inside) + 1, _CHANNELS), np.float32)
        self._bent = np.zeros((len(bent) + 1, _CHANNELS), np.float32)
        self._gathered = np.empty((len(bent), _CHANNELS), np.float32)

    def stiffness(self, moved: Floats) -> Floats:
        """Return the Laplacian's Laplacian in the hole, where only the hole's pixels are moved."""
        self._moved[:-1] = moved
        self._laplacian(self._moved, self._of_hole, self._bent[:-1])
        force = np.empty_like(moved)
        self._laplacian(self._bent, self._of_bent, force)
        return force

    def _laplacian(self, values: Floats, near: list[Places], result: Floats) -> None:
        gathered = self._gathered[: len(result)]
        values.take(near[0], axis=0, out=result, mode="clip")
        result *= -4
        for each in near[1:]:
            values.take(each, axis=0, out=gathered, mode="clip")
            result += gathered


def _four(colours: Array) -> Floats:
    padded = np.zeros((len(colours), _CHANNELS), np.float32)
    padded[:, :3] = colours
    return padded


def _standing(pixels: Places, size: int) -> Places:
    """Return where each pixel of the picture stands in a list of some of them; the others stand behind its end."""
    place = np.full(size, len(pixels), np.intp)
    place[pixels] = np.arange(len(pixels))
    return place


def _neighbours(flat: Places, shape: tuple[int, ...], place: Places) -> list[Places]:
    """Return where each pixel and its four neighbours stand; beyond the border, the pixel itself."""
    height, width = shape
    ys, xs = np.divmod(flat, width)
    return [
        place[np.clip(ys + dy, 0, height - 1) * width + np.clip(xs + dx, 0, width - 1)]
        for dy, dx in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    ]
