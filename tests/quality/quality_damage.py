"""Damage to repair, made by seed so that the truth is known: weave."""

import cv2
import numpy as np
from quality_pictures import Pixels

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
