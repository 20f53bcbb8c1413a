"""Enlarged photographs: closer to the truth than interpolation comes."""

import numpy as np
import pytest
from PIL import Image
from quality_metrics import hold, luma, psnr, ssim
from quality_pictures import PHOTOGRAPHS, Pixels, picture

from imageops.enlarging.upscaling import upscale


def resized(pixels: Pixels, size: tuple[int, int], kernel: Image.Resampling = Image.Resampling.BICUBIC) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize(size, kernel))


@pytest.mark.parametrize(("factor", "decibels", "similarity"), [(2, 0.8, 0.015), (4, 0.4, 0.01)])
def test_enlarged_photograph_gains_over_bicubic(factor: int, decibels: float, similarity: float) -> None:
    gains, lanczos = [], []
    for name in PHOTOGRAPHS:
        rows, columns = (side // factor for side in picture(name).shape[:2])
        truth = picture(name)[: rows * factor, : columns * factor]
        small = resized(truth, (columns, rows))
        size = (columns * factor, rows * factor)
        base = resized(small, size)
        for result, found in (
            (np.asarray(upscale(Image.fromarray(small), scale=factor)), gains),
            (resized(small, size, Image.Resampling.LANCZOS), lanczos),
        ):
            gain = psnr(luma(result), luma(truth)) - psnr(luma(base), luma(truth))
            found.append((gain, ssim(result, truth) - ssim(base, truth)))
    ours, naive = np.mean(gains, axis=0), np.mean(lanczos, axis=0)
    hold(f"x{factor}: dB over bicubic (naive: Lanczos)", float(ours[0]), bar=decibels, naive=float(naive[0]))
    hold(f"x{factor}: SSIM over bicubic (naive: Lanczos)", float(ours[1]), bar=similarity, naive=float(naive[1]))
