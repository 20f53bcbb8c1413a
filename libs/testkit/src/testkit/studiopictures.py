"""Pictures that the studio contract's tasks have something to do with: small, made from numbers, always the same."""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from testkit.photos import photo

_WEAVE_PX: Final = 6.0
_WEAVE: Final = 0.22
_INK: Final = 0.35  # Opacity of the watermark.

_Floats = npt.NDArray[np.float32]


def woven(size: tuple[int, int] = (256, 256)) -> tuple[Image.Image, Image.Image]:
    """A picture printed on plain-woven cloth, and the picture without the cloth."""
    clean = photo(size, seed=5)
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    u, v = (x * 0.995 + y * 0.1) / _WEAVE_PX, (y * 0.995 - x * 0.1) / _WEAVE_PX
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    across_u, across_v = np.cos(np.pi * (u % 1 - 0.5)), np.cos(np.pi * (v % 1 - 0.5))
    height = np.where(over, across_u * (0.6 + 0.4 * across_v), across_v * (0.6 + 0.4 * across_u) * 0.85)
    return _picture(np.asarray(clean) * (1 + 2 * _WEAVE * (height - height.mean()))[..., None]), clean


def watermarked(size: tuple[int, int] = (480, 360)) -> tuple[Image.Image, Image.Image]:
    """A picture under white half-transparent writing, and the picture without it."""
    clean = photo(size, seed=6)
    layer = Image.new("L", (size[0] * 2, size[1] * 2), 0)
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(size[1] // 16)
    for row in range(-1, 5):
        for column in range(-1, 4):
            x, y = int(size[0] * (0.33 * column - 0.16 * (row % 2))), int(size[1] * 0.25 * row)
            draw.text((x + size[0] // 2, y + size[1] // 2), "SAMPLE", fill=255, font=font)
    left, top = size[0] // 2, size[1] // 2
    turned = layer.rotate(25, Image.Resampling.BICUBIC).crop((left, top, left + size[0], top + size[1]))
    cover = _INK * np.asarray(turned, np.float32)[..., None] / 255
    return _picture(np.asarray(clean) * (1 - cover) + 255 * cover), clean


def studded(size: tuple[int, int] = (240, 200)) -> tuple[Image.Image, Image.Image]:
    """A print with rhinestones on it, and the print without them."""
    clean = Image.new("RGB", size, (32, 44, 92))
    draw = ImageDraw.Draw(clean)
    for column in range(0, size[0], 60):
        draw.rectangle((column, 0, column + 24, size[1]), fill=(120, 28, 52))
    scale = 4
    large = clean.resize((size[0] * scale, size[1] * scale), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    random = np.random.default_rng(7)
    for x in range(20, size[0] - 10, 30):
        for y in range(20, size[1] - 10, 36):
            centre, radius = (x * scale, y * scale), int(random.uniform(3, 5) * scale)
            draw.circle(centre, radius, fill=(222, 222, 222))
            for facet in range(6):
                angle = np.deg2rad(60 * facet + random.uniform(0, 20))
                tip = centre[0] + 0.9 * radius * np.cos(angle), centre[1] + 0.9 * radius * np.sin(angle)
                draw.line((centre, tip), fill=(int(random.uniform(185, 255)),) * 3, width=3)
            draw.circle((centre[0] - radius // 4, centre[1] - radius // 4), radius // 3, fill=(255, 255, 255))
    return large.resize(size, Image.Resampling.BOX), clean


def logo(size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A drawing in five flat colours."""
    picture = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    draw.circle((size[0] * 0.35, size[1] * 0.5), size[1] * 0.35, fill=(200, 30, 40))
    draw.polygon(
        ((size[0] * 0.5, size[1] * 0.85), (size[0] * 0.7, size[1] * 0.15), (size[0] * 0.9, size[1] * 0.85)),
        fill=(90, 90, 90),
    )
    draw.rectangle((size[0] * 0.55, size[1] * 0.6, size[0] * 0.95, size[1] * 0.8), fill=(30, 60, 160))
    draw.rectangle((size[0] * 0.1, size[1] * 0.88, size[0] * 0.9, size[1] * 0.95), fill=(20, 20, 20))
    return picture


def garment(size: tuple[int, int] = (480, 480), *, period: tuple[int, int] = (48, 40)) -> Image.Image:
    """A shirt with a repeating print before a light wall, under uneven light."""
    motif = Image.new("RGB", period, (238, 226, 200))
    draw = ImageDraw.Draw(motif)
    draw.circle((14, 14), 9, fill=(186, 40, 60))
    draw.rectangle((28, 20, 42, 34), fill=(36, 92, 70))
    draw.polygon(((30, 4), (44, 4), (37, 14)), fill=(40, 60, 140))
    print_ = Image.new("RGB", size)
    for column in range(0, size[0], period[0]):
        for row in range(0, size[1], period[1]):
            print_.paste(motif, (column, row))
    shape = Image.new("L", size, 0)
    left, top, right, bottom = (round(share * size[0]) for share in (0.2, 0.1, 0.8, 0.95))
    cut = ImageDraw.Draw(shape)
    cut.rectangle((left, top, right, bottom), fill=255)
    cut.polygon(((left, top), (left - 60, top + 90), (left, top + 130)), fill=255)
    cut.polygon(((right, top), (right + 60, top + 90), (right, top + 130)), fill=255)
    worn = Image.composite(print_, Image.new("RGB", size, (214, 216, 220)), shape)
    light = (1 + 0.08 * np.sin(np.linspace(0, 2 * np.pi, size[0])))[None, :, None]
    grain = np.random.default_rng(9).normal(0, 1.5, (size[1], size[0], 3))
    return _picture(np.asarray(worn) * light + grain)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Root mean square of the difference in levels of 255."""
    both = [np.asarray(picture.convert("RGB"), np.float32) for picture in (one, other)]
    return float(np.sqrt(np.mean((both[0] - both[1]) ** 2)))


def _picture(levels: npt.NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
