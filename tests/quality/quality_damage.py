"""Damage to repair, made by seed so that the truth is known: weave, watermarks."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from quality_pictures import Pixels

Mask = npt.NDArray[np.bool_]

WEAVE_AMPLITUDE = 0.22


def weave(pixels: Pixels, seed: int, *, period: float, degrees: float, warp_px: float = 0.0) -> Pixels:
    """The picture printed on plain-woven cloth: threads of `period` pixels go over and under each other.

    `warp_px` is how far the cloth is pulled out of shape.
    """
    rng = np.random.default_rng(seed)
    rows, columns = pixels.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    if warp_px:
        x, y = x + warp_px * _soft(rng, rows, columns), y + warp_px * _soft(rng, rows, columns)
    angle = np.deg2rad(degrees)
    u = (x * np.cos(angle) + y * np.sin(angle)) / period
    v = (y * np.cos(angle) - x * np.sin(angle)) / period
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    across_u, across_v = np.cos(np.pi * (u - i - 0.5)), np.cos(np.pi * (v - j - 0.5))
    warp_above = (i + j) % 2 == 0
    height = np.where(warp_above, across_u * (0.6 + 0.4 * across_v), across_v * (0.6 + 0.4 * across_u) * 0.85)
    threads_u, threads_v = rng.normal(0, 0.05, 4096), rng.normal(0, 0.05, 4096)
    height += np.where(warp_above, threads_u[i % 4096], threads_v[j % 4096])
    height += rng.normal(0, 0.05, height.shape)
    factor = 1 + WEAVE_AMPLITUDE * 2 * (height - height.mean())
    return np.clip(np.rint(pixels * factor[..., None]), 0, 255).astype(np.uint8)


def _soft(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:  # type: ignore[type-arg]
    coarse = rng.normal(0, 1, (rows // 100 + 3, columns // 100 + 3)).astype(np.float32)
    return cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)


def watermark(pixels: Pixels, kind: str, seed: int = 0) -> tuple[Pixels, Mask]:
    """The picture under white writing, "tiled" (opacity .35) or "single" (.5), and where the writing is."""
    rows, columns = pixels.shape[:2]
    rng = np.random.default_rng(seed)
    if kind == "tiled":
        opacity, size, places = 0.35, rows // 16, []
        for row in range(-1, 5):
            places += [(int(columns * (0.33 * i - 0.16 * (row % 2))), int(rows * 0.25 * row)) for i in range(-1, 4)]
        text, degrees = "SAMPLE", 25.0
    else:
        opacity, size, text, degrees = 0.5, rows // 6, "Studio 24", 0.0
        places = [(int(columns * rng.uniform(0.05, 0.15)), int(rows * rng.uniform(0.55, 0.7)))]
    layer = Image.new("L", (columns * 2, rows * 2), 0)
    draw = ImageDraw.Draw(layer)
    for x, y in places:
        draw.text((x + columns // 2, y + rows // 2), text, fill=255, font=ImageFont.load_default(size))
    layer = layer.rotate(degrees, Image.Resampling.BICUBIC)
    left, top = columns // 2, rows // 2
    cover = np.asarray(layer.crop((left, top, left + columns, top + rows)), np.float32)[..., None] / 255
    marked = pixels * (1 - opacity * cover) + 255 * opacity * cover
    return np.clip(np.rint(marked), 0, 255).astype(np.uint8), cover[..., 0] > 0
