"""Enlarge a picture one to eight times: back-projection, then Lanczos in float, in tiles.

Back-projection asks of the enlarged picture that, shrunk again, it gives the original: the difference
is enlarged and added, a few rounds. All of it is linear, so the rounds are made on the small picture,
where enlarging and shrinking again is a sum over few neighbours, and only their result is enlarged. It
restores contrast that any interpolation loses, and it would amplify noise just the same, so a noisy
picture gets plain bicubic, the mildest of the kernels.
"""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from imageops.errors import ImageRefused, ParameterRefused, RefusalReason
from imageops.progress import OnProgress, ignore_progress

SCALE_MAX = 8.0  # The largest factor of the public contracts.
OUTPUT_PIXELS_MAX = 2**27  # 512 MiB in memory; with its PNG it stays inside a 2 GiB worker.
OUTPUT_SIDE_MAX = 16_384  # What viewers and our own decoder still open.

Resolution = Literal["2k", "4k", "8k"]
RESOLUTIONS: dict[Resolution, int] = {"2k": 2048, "4k": 4096, "8k": 8192}

_ROUNDS = 6  # Gains flatten out here; each round costs as much as the first resize.
_NOISE_MAX = 3.0  # Levels of 255: above it back-projection loses more than it gains.
_TILE_PX = 512  # Of output: three float planes and their copies stay inside the CPU's cache.
_HALO_PX_A_ROUND = 2  # Of input: rounds reach this far, so tiles meet within one level.
_HALO_PLAIN_PX = 4  # Of input: the widest kernel reads three pixels to each side.

_Plane = npt.NDArray[np.float32]


def upscale(
    image: Image.Image,
    *,
    scale: float | None = None,
    resolution: Resolution | None = None,
    rounds: int = _ROUNDS,
    keep_grain: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Image.Image:
    """Enlarge an RGB or RGBA picture by `scale` (1 to 8) or until its long side is 2k, 4k or 8k.

    Exactly one of the two is given. The size is width x scale and height x scale, halves rounded up;
    scale 1 returns identical pixels. `rounds` of back-projection; `keep_grain` has them on noisy pictures
    too, whose grain they restore. Transparent pixels lend no colour to their neighbours.
    Raises ParameterRefused, and ImageRefused when the result would be too large or the picture is
    larger than the long side asked for.
    """
    size = target_size(image.size, scale=scale, resolution=resolution)
    if size == image.size:
        on_progress(1.0)
        return image.copy()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        opaque = _resize(image.convert("RGB"), size, rounds, keep_grain=keep_grain, on_progress=on_progress)
        opaque.putalpha(255)
        return opaque
    return _resize(image, size, rounds, keep_grain=keep_grain, on_progress=on_progress)


def target_size(size: tuple[int, int], *, scale: float | None, resolution: Resolution | None) -> tuple[int, int]:
    """Return the (width, height) that `upscale` gives for the same arguments, or raise as it does."""
    if (scale is None) == (resolution is None):
        raise ParameterRefused("scale", "Give either scale or resolution.")
    if resolution is not None:
        if resolution not in RESOLUTIONS:
            raise ParameterRefused("resolution", f"resolution is one of {', '.join(RESOLUTIONS)}.")
        factor = RESOLUTIONS[resolution] / max(size)
        if factor < 1.0:
            message = f"The picture is {size[0]} x {size[1]} already, larger than {resolution}."
            raise ImageRefused(RefusalReason.TOO_LARGE, message, "resolution")
    else:
        factor = scale or math.nan
        if not 1.0 <= factor <= SCALE_MAX:  # NaN fails here too.
            raise ParameterRefused("scale", f"scale is from 1 to {SCALE_MAX:g}.")
    width, height = (max(1, math.floor(side * factor + 0.5)) for side in size)
    if max(width, height) > OUTPUT_SIDE_MAX or width * height > OUTPUT_PIXELS_MAX:
        limit = f"{OUTPUT_PIXELS_MAX / 1e6:.0f} megapixels and {OUTPUT_SIDE_MAX} pixels a side"
        message = f"The result would be {width} x {height}; the limit is {limit}."
        raise ImageRefused(RefusalReason.TOO_LARGE, message, "scale")
    return width, height


def estimate_noise(image: Image.Image) -> float:
    """Return the standard deviation of the grain in a picture, in levels of 255.

    The median of the finest diagonal differences: edges and gradients hardly move it.
    """
    grey = np.asarray(image.convert("L"), dtype=np.int16)
    rows, columns = (side - side % 2 for side in grey.shape)
    if not rows or not columns:
        return 0.0
    grey = grey[:rows, :columns]
    diagonal = grey[::2, ::2] - grey[1::2, ::2] - grey[::2, 1::2] + grey[1::2, 1::2]
    return float(np.median(np.abs(diagonal))) / 2 / 0.6745


def _resize(
    image: Image.Image, size: tuple[int, int], rounds: int, *, keep_grain: bool, on_progress: OnProgress
) -> Image.Image:
    ratio = max(size[0] / image.width, size[1] / image.height)
    noisy = not keep_grain and estimate_noise(image) > _NOISE_MAX
    kernel = Image.Resampling.BICUBIC if noisy else Image.Resampling.LANCZOS
    rounds = 0 if noisy or ratio > SCALE_MAX else rounds
    result = Image.new(image.mode, size)
    corners = [(x, y) for y in range(0, size[1], _TILE_PX) for x in range(0, size[0], _TILE_PX)]
    for done, (x, y) in enumerate(corners):
        on_progress(done / len(corners))
        columns = _Axis(start=x, inputs=image.width, outputs=size[0], rounds=rounds)
        rows = _Axis(start=y, inputs=image.height, outputs=size[1], rounds=rounds)
        result.paste(_tile(image, columns, rows, rounds=rounds, kernel=kernel), (x, y))
    on_progress(1.0)
    return result


class _Axis:
    """One side of a tile: the input pixels it is made from and the output pixels it is made in.

    Input [i0, i1) includes the halo. Output [o0, o1) is what that covers, rounded outwards. `tile` is the tile's
    place in the padded input, in pixels of that.
    """

    def __init__(self, *, start: int, inputs: int, outputs: int, rounds: int) -> None:
        ratio = outputs / inputs
        plain = not rounds
        halo = _HALO_PLAIN_PX if plain else _HALO_PX_A_ROUND * max(_ROUNDS, rounds)
        end = min(start + _TILE_PX, outputs)
        self.i0 = max(0, math.floor(start / ratio) - halo)
        self.i1 = min(inputs, math.ceil(end / ratio) + halo)
        self.o0 = math.floor(self.i0 * ratio)
        self.o1 = min(outputs, math.ceil(self.i1 * ratio))
        self.length = end - start
        # The input is padded by one pixel, so that rounding outwards never leaves it.
        self.tile = (start / ratio - self.i0 + 1, end / ratio - self.i0 + 1)
        self._up = (self.o0 / ratio - self.i0 + 1, self.o1 / ratio - self.i0 + 1)
        self._down = (self.i0 * ratio - self.o0, min(self.i1 * ratio, self.o1) - self.o0)

    def and_back(self, kernel: Image.Resampling) -> _Plane:
        """Return how enlarging and shrinking again mixes each pixel from its neighbours: neighbours x pixels."""
        return _and_back(self.i1 - self.i0, self.o1 - self.o0, self._up, self._down, kernel)


def _tile(image: Image.Image, columns: _Axis, rows: _Axis, *, rounds: int, kernel: Image.Resampling) -> Image.Image:
    source = np.asarray(image.crop((columns.i0, rows.i0, columns.i1, rows.i1)), dtype=np.float32)
    alpha = source[..., 3:] if source.shape[2] == 4 else None
    if alpha is not None:
        source = np.concatenate([source[..., :3] * (alpha / 255), alpha], axis=2)
    project = _BackProjection(columns, rows, kernel, rounds)
    size, box = (columns.length, rows.length), (columns.tile[0], rows.tile[0], columns.tile[1], rows.tile[1])
    planes = [
        _resample(np.pad(project(source[..., c]), 1, mode="edge"), size, box, kernel) for c in range(source.shape[2])
    ]
    result = np.stack(planes, axis=2)
    if alpha is not None:
        grown = np.clip(result[..., 3:], 0, 255)
        # Below half a level the pixel is stored as fully transparent, and any colour would be noise.
        result[..., :3] = np.where(grown >= 0.5, result[..., :3] * (255 / np.maximum(grown, 0.5)), 0)
    return Image.fromarray(np.clip(np.rint(result), 0, 255).astype(np.uint8))


class _BackProjection:
    """Makes of a tile's plane the one that enlarging and shrinking gives the plane back of: round by round, what they
    lose is added (Irani and Peleg)."""

    def __init__(self, columns: _Axis, rows: _Axis, kernel: Image.Resampling, rounds: int) -> None:
        self._rounds = rounds
        if rounds:
            shape = (rows.i1 - rows.i0, columns.i1 - columns.i0)
            self._across = _Mixing(shape, columns.and_back(kernel)[:, None], 1)
            self._down = _Mixing(shape, rows.and_back(kernel)[..., None], 0)

    def __call__(self, plane: _Plane) -> _Plane:
        wanted = plane
        for _ in range(self._rounds):
            wanted = wanted + (plane - self._down(self._across(wanted)))
        return wanted


class _Mixing:
    """Each pixel's neighbours along an axis, times their shares (neighbours x that axis), added up.

    Sums and products of arrays are the same on every CPU; a matrix product would not be. The arrays are used again with
    every call, the result's too: they are quick to fill, and slow to get.
    """

    def __init__(self, shape: tuple[int, ...], shares: _Plane, axis: int) -> None:
        self._shares, self._axis, self._length = shares, axis, shape[axis]
        reach = len(shares) // 2
        self._padded = np.pad(
            np.zeros(shape, np.float32), [(reach, reach) if each == axis else (0, 0) for each in (0, 1)]
        )
        self._middle = self._near(reach)
        self._total, self._part = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def __call__(self, plane: _Plane) -> _Plane:
        self._middle[...] = plane
        np.multiply(self._near(0), self._shares[0], out=self._total)
        for first in range(1, len(self._shares)):
            self._total += np.multiply(self._near(first), self._shares[first], out=self._part)
        return self._total

    def _near(self, first: int) -> _Plane:
        last = first + self._length
        return self._padded[first:last] if self._axis == 0 else self._padded[:, first:last]


@lru_cache(maxsize=64)  # Tiles side by side are alike, where the factor is a whole number.
def _and_back(
    inputs: int, outputs: int, up: tuple[float, float], down: tuple[float, float], kernel: Image.Resampling
) -> _Plane:
    units = np.pad(np.eye(inputs, dtype=np.float32), ((0, 0), (1, 1)), mode="edge")
    grown = _resample(units, (outputs, inputs), (up[0], 0, up[1], inputs), kernel)
    back = _resample(grown, (inputs, inputs), (down[0], 0, down[1], inputs), Image.Resampling.BICUBIC)
    sources, targets = np.nonzero(back)
    reach = int(np.abs(sources - targets).max())
    shares = np.zeros((2 * reach + 1, inputs), np.float32)
    shares[sources - targets + reach, targets] = back[sources, targets]
    return shares


def _resample(
    plane: _Plane, size: tuple[int, int], box: tuple[float, float, float, float], kernel: Image.Resampling
) -> _Plane:
    return np.array(Image.fromarray(plane).resize(size, kernel, box), dtype=np.float32)
