"""Damage to repair, made by seed so that the truth is known: weave, watermarks."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from quality_pictures import Pixels

Mask = npt.NDArray[np.bool_]

WEAVE_AMPLITUDE = 0.22
VISIBLE_ON = 150  # Levels of the brightest neighbour: a stone on white is no stone to anybody.


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


def rhinestones(pixels: Pixels, seed: int, *, count: int = 60) -> tuple[Pixels, Mask]:
    """The picture with faceted stones of radius 2 to 6 where they show, some with glints, and where they are."""
    rng = np.random.default_rng(seed)
    rows, columns = pixels.shape[:2]
    scale = 4
    large = np.zeros((rows * scale, columns * scale), np.uint8)
    cover = np.zeros_like(large)
    background = cv2.dilate(pixels.min(axis=2), np.ones((25, 25), np.uint8))
    for _ in range(count):
        x, y = int(rng.uniform(8, columns - 8)), int(rng.uniform(8, rows - 8))
        while background[y, x] > VISIBLE_ON:
            x, y = int(rng.uniform(8, columns - 8)), int(rng.uniform(8, rows - 8))
        x, y = x * scale, y * scale
        radius = int(rng.uniform(2, 6) * scale)
        cv2.circle(cover, (x, y), radius, 255, -1)
        cv2.circle(large, (x, y), radius, int(rng.uniform(200, 235)), -1)
        for facet in range(6):
            angle = np.deg2rad(60 * facet + rng.uniform(0, 20))
            tip = (int(x + radius * 0.9 * np.cos(angle)), int(y + radius * 0.9 * np.sin(angle)))
            cv2.line(large, (x, y), tip, int(rng.uniform(180, 255)), max(1, radius // 5))
        cv2.circle(large, (x - radius // 4, y - radius // 4), max(1, radius // 3), 255, -1)
        if rng.random() < 0.4:
            for dx, dy in ((1, 0), (0, 1)):
                reach = radius * 2
                cv2.line(large, (x - dx * reach, y - dy * reach), (x + dx * reach, y + dy * reach), 255, scale)
                cv2.line(cover, (x - dx * reach, y - dy * reach), (x + dx * reach, y + dy * reach), 255, scale)
    share = cv2.resize(cover, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    stone = cv2.resize(large, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None]
    stone = stone / np.maximum(share, 1e-3)
    studded = np.where(share > 0, pixels * (1 - share) + np.minimum(stone, 255) * share, pixels)
    return np.clip(np.rint(studded), 0, 255).astype(np.uint8), share[..., 0] > 0
