"""Pictures that look to an encoder as a camera's do: light that falls off, clouds at every scale, edges, and grain."""

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

TWO_MEGAPIXELS: Final = (1632, 1224)  #: A common camera size.
_GRAIN: Final = 2.0  # Standard deviation in levels of 255: a good sensor in daylight.
_OCTAVES: Final = 7

_Plane = npt.NDArray[np.float32]


def photo(size: tuple[int, int] = TWO_MEGAPIXELS, *, seed: int = 1) -> Image.Image:
    """An RGB picture of a mountain ridge under clouds; the same seed gives the same one."""
    random = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    clouds = _clouds(size, random)
    sky = np.stack([90 + 120 * clouds, 130 + 90 * clouds, 190 + 50 * clouds]) * (1 - 0.25 * y / height)
    ridge = height * (0.45 + 0.25 * _clouds((width, 1), random))
    stone = np.stack([70 + 90 * clouds, 62 + 80 * clouds, 55 + 60 * clouds])
    picture = np.where(y < ridge, sky, stone)
    corners = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 0.5
    picture = picture * (1 - corners) + random.normal(0, _GRAIN, picture.shape)
    levels = np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(levels))


def encoded(picture: Image.Image, kind: str) -> bytes:
    """The bytes of a "JPEG", "PNG" or "WEBP" file as cameras and editors write them."""
    options = {"JPEG": {"quality": 90}, "PNG": {"compress_level": 6}, "WEBP": {"quality": 90, "method": 2}}
    file = io.BytesIO()
    picture.save(file, kind, **options[kind])
    return file.getvalue()


def _clouds(size: tuple[int, int], random: np.random.Generator) -> _Plane:
    """Noise from 0 to 1 with detail at every scale."""
    total = np.zeros((size[1], size[0]), dtype=np.float32)
    for octave in range(_OCTAVES):
        cells = 2**octave + 1
        grid = random.random((cells if size[1] > 1 else 1, cells), dtype=np.float32)
        total += np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)) / 2**octave
    low, high = float(total.min()), float(total.max())
    scaled: _Plane = (total - low) / max(high - low, 1e-6)
    return scaled
