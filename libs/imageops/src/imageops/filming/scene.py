"""A picture made ready to be filmed: the planes of video (BT.709, limited range), and views of them."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Array, Pixels
from imageops.codec import on_white
from imageops.filming.camera import Canvas
from imageops.operation import REDUCING_GAP

# Red, green, blue and a constant (columns) to Y, Cb, Cr (rows), all of them 0 to 255.
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_TO_VIDEO: Final = np.column_stack(
    [
        np.stack(
            [
                _LUMA * 219 / 255,
                (np.array([0, 0, 1]) - _LUMA) * 224 / 255 / 1.8556,
                (np.array([1, 0, 0]) - _LUMA) * 224 / 255 / 1.5748,
            ]
        ),
        [16, 128, 128],
    ]
)


@dataclass(frozen=True, kw_only=True)
class Planes:
    """A frame: `luma` height x width, `chroma` (Cb, Cr) half as high and wide x 2; uint8."""

    luma: Pixels
    chroma: Pixels

    def faded(self, other: "Planes", share: float) -> "Planes":
        """Return the frame as `share` (0 to 1) of `other` lies over it."""
        return Planes(
            luma=_mixed(self.luma, other.luma, share),
            chroma=_mixed(self.chroma, other.chroma, share),
        )


class Scene:
    """A picture on its canvas."""

    def __init__(self, picture: Image.Image, canvas: Canvas) -> None:
        """Take the middle of the picture that the canvas has room for, at the canvas's size."""
        stretch = max(canvas.width / picture.width, canvas.height / picture.height)
        half_width, half_height = canvas.width / stretch / 2, canvas.height / stretch / 2
        middle_x, middle_y = picture.width / 2, picture.height / 2
        box = (
            max(0.0, middle_x - half_width),
            max(0.0, middle_y - half_height),
            min(float(picture.width), middle_x + half_width),
            min(float(picture.height), middle_y + half_height),
        )
        size = (canvas.width, canvas.height)
        fitted = on_white(picture).resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)
        video = cv2.transform(np.asarray(fitted), _TO_VIDEO)
        self._frame = canvas.frame
        self._luma = np.ascontiguousarray(video[..., 0])
        half = (canvas.width // 2, canvas.height // 2)
        self._chroma = cv2.resize(np.ascontiguousarray(video[..., 1:]), half, interpolation=cv2.INTER_AREA)

    def view(self, window: tuple[float, float, float]) -> Planes:
        """Return what the camera sees through a window (`Canvas.window`), to a fraction of a pixel."""
        scale, left, top = window
        width, height = self._frame
        # From centres of the film's pixels to centres of the canvas's. H.264's chroma samples lie on every second
        # column of luma and between two rows; those of the canvas lie in the middle of four pixels.
        x, y = left + (scale - 1) / 2, top + (scale - 1) / 2
        luma = _warped(self._luma, scale, x, y, (width, height))
        chroma_x, chroma_y = (x - 0.5) / 2, (y + scale / 2 - 0.5) / 2
        return Planes(luma=luma, chroma=_warped(self._chroma, scale, chroma_x, chroma_y, (width // 2, height // 2)))


def _warped(plane: Array, scale: float, x: float, y: float, size: tuple[int, int]) -> Pixels:
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _mixed(one: Pixels, other: Pixels, share: float) -> Pixels:
    return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)
