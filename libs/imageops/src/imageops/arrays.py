"""What the operations that compute on arrays share: their types, and pictures to arrays and back."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

# One thread a worker: more would fight over the cores, and sums in another order are other pictures.
cv2.setNumThreads(1)
cv2.ocl.setUseOpenCL(False)

Pixels = npt.NDArray[np.uint8]  #: Height x width x 3, sRGB.
Mask = npt.NDArray[np.bool_]  #: Height x width.
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]  #: Indices; numpy gathers several times faster by its own index type.
Array = npt.NDArray[Any]


def to_pixels(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    """Return a picture's colours and its alpha (height x width), None where it is opaque."""
    if image.mode == "RGBA":
        pixels = np.asarray(image)
        alpha = pixels[..., 3]
        return np.ascontiguousarray(pixels[..., :3]), None if alpha.min() == 255 else np.ascontiguousarray(alpha)
    return np.asarray(image.convert("RGB")), None


def to_image(pixels: Pixels, alpha: Pixels | None = None) -> Image.Image:
    """Return an RGB picture, or RGBA when alpha is given."""
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def in_blocks(mask: Mask, side: int) -> Mask:
    """Return the mask `side` times smaller: set where any pixel of the block is. The last blocks may be cut off."""
    height, width = mask.shape
    even = np.pad(mask, ((0, -height % side), (0, -width % side)))
    blocks = even.reshape(even.shape[0] // side, side, even.shape[1] // side, side)
    some: Mask = np.asarray(blocks.any(axis=(1, 3)))
    return some
