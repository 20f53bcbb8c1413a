"""The pictures that the operations are measured on, of any size, each with what its operation looks for."""

from typing import Any, Final

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageDraw

STONES: Final = 200
THREAD_PX: Final = 5.5  # Of the weave, whatever the picture's size.
GRAIN_LEVELS: Final = 1.5
BACKDROP: Final = (205, 210, 216)
_BAND_ROWS: Final = 256


def photograph(megapixels: float) -> Image.Image:
    """A 3:2 picture with a face, gravel and a little grain everywhere."""
    rows = round((megapixels * 1e6 / 1.5) ** 0.5)
    image = Image.new("RGB", (round(rows * 1.5), rows))
    face: Any = skimage.data.astronaut()  # type: ignore[no-untyped-call]  # scikit-image has no types
    image.paste(Image.fromarray(face).resize((rows, rows), Image.Resampling.BICUBIC))
    stones: Any = skimage.data.gravel()  # type: ignore[no-untyped-call]  # scikit-image has no types
    gravel = Image.fromarray(stones).convert("RGB").crop((0, 0, 256, 512))
    image.paste(gravel.resize((image.width - rows, rows), Image.Resampling.BICUBIC), (rows, 0))
    return _with_grain(np.array(image))


def mask_of(image: Image.Image) -> Image.Image:
    """White strokes and a white block on a fortieth of the picture."""
    mask = Image.new("RGB", image.size)
    draw = ImageDraw.Draw(mask)
    width, height = image.size
    draw.rectangle((width * 0.1, height * 0.1, width * 0.2, height * 0.25), fill="white")
    for share in (0.4, 0.6, 0.8):
        draw.line((width * 0.3, height * share, width * 0.9, height * (share - 0.1)), fill="white", width=5)
    return mask


def studded(image: Image.Image) -> Image.Image:
    """The picture with two hundred bright stones, a few thousandths of its side wide."""
    pixels = np.array(image)
    unit = (image.width * image.height / 1e6) ** 0.5
    places = np.random.default_rng(2)
    for _ in range(STONES):
        x, y = int(places.uniform(0.02, 0.98) * image.width), int(places.uniform(0.02, 0.98) * image.height)
        radius = max(2, round(places.uniform(2.0, 5.0) * unit))
        cv2.circle(pixels, (x, y), radius, (228, 228, 232), -1, cv2.LINE_AA)
        cv2.circle(pixels, (x - radius // 4, y - radius // 4), max(1, radius // 3), (255, 255, 255), -1, cv2.LINE_AA)
    return Image.fromarray(pixels)


def woven(image: Image.Image) -> Image.Image:
    """The picture printed on plain-woven cloth."""
    pixels = np.array(image)
    x = np.arange(image.width, dtype=np.float32)[None] / np.float32(THREAD_PX)
    for top in range(0, image.height, _BAND_ROWS):
        part = pixels[top : top + _BAND_ROWS]
        y = np.arange(top, top + len(part), dtype=np.float32)[:, None] / np.float32(THREAD_PX)
        over = (np.floor(x) + np.floor(y)) % 2 == 0
        height = np.where(over, np.abs(np.sin(np.pi * x)), np.abs(np.sin(np.pi * y)))
        factor = 1 + np.float32(0.4) * (height - np.float32(0.64))
        part[:] = np.clip(part * factor[..., None], 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def writing_on(image: Image.Image) -> Image.Image:
    """White where the picture is to be marked: a word, six times over."""
    from PIL import ImageFont

    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    font: Any = ImageFont.load_default(image.height // 8)
    for row in range(3):
        for column in range(2):
            draw.text((image.width * (0.05 + 0.5 * column), image.height * (0.1 + 0.3 * row)), "SAMPLE", 255, font)
    return mask


def marked(image: Image.Image) -> Image.Image:
    """The picture with that word over it, half transparent."""
    ink = writing_on(image).point(lambda level: level * 0.4)
    return Image.composite(Image.new("RGB", image.size, "white"), image, ink)


def garment(megapixels: float) -> Image.Image:
    """A 3:2 picture of cloth with flowers on it, at even distances, before a plain wall."""
    rows = round((megapixels * 1e6 / 1.5) ** 0.5)
    columns = round(rows * 1.5)
    pixels = np.full((rows, columns, 3), BACKDROP, np.uint8)
    top, left, step = rows // 10, columns // 6, rows / 8
    cloth = pixels[top : rows - top, left : columns - left]
    cloth[:] = (232, 222, 200)
    for row in range(8):
        for column in range(9):
            x, y = int((column + 0.5) * step), int((row + 0.5) * step)
            cv2.circle(cloth, (x, y), int(step * 0.3), (196, 60, 70), -1, cv2.LINE_AA)
            cv2.circle(cloth, (x - int(step * 0.1), y), int(step * 0.12), (246, 214, 120), -1, cv2.LINE_AA)
            at = (x + int(step * 0.35), y + int(step * 0.3))
            cv2.ellipse(cloth, at, (int(step * 0.14), int(step * 0.06)), 30, 0, 360, (70, 130, 80), -1, cv2.LINE_AA)
    return _with_grain(pixels)


def _with_grain(pixels: np.ndarray[Any, Any]) -> Image.Image:
    random = np.random.default_rng(1)
    for first in range(0, len(pixels), _BAND_ROWS):
        part = pixels[first : first + _BAND_ROWS]
        part[:] = np.clip(part + random.normal(0, GRAIN_LEVELS, part.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)
