"""Metrics of pictures, and one way to hold a result to its bar: printed, reached, and missed by the naive way."""

from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

Array = npt.NDArray[Any]


def psnr(picture: Array, truth: Array, where: Array | None = None) -> float:
    """Decibels over all channels, over the pixels of `where` only when it is given. Equal pictures give 200."""
    error = (picture.astype(np.float64) - truth.astype(np.float64)) ** 2
    mean = float(np.mean(error if where is None else error[where]))
    return 10 * float(np.log10(255**2 / max(mean, 255**2 * 1e-20)))


def luma(pixels: Array) -> Array:
    """Brightness by BT.601, 0 to 255."""
    return np.asarray(pixels, np.float64) @ np.array([0.299, 0.587, 0.114])


def ssim(picture: Array, truth: Array, where: Array | None = None) -> float:
    """Structural similarity of the brightness, averaged over `where` when it is given."""
    mean, each = structural_similarity(luma(picture), luma(truth), data_range=255, full=True)
    return float(mean if where is None else each[where].mean())


def hold(metric: str, reached: float, *, bar: float, naive: float | None = None, upper: bool = False) -> None:
    """Print the figures and assert them: `reached` is on the good side of the bar, `naive` is not.

    The good side is above, or below when the bar is an `upper` one.
    """
    sign = "<=" if upper else ">="
    other = "" if naive is None else f"   naive {naive:.3f}"
    print(f"{metric:<60} {reached:9.3f} {sign} {bar:g}{other}")
    assert reached <= bar if upper else reached >= bar, f"{metric}: {reached:.3f} is not {sign} {bar:g}"
    if naive is not None:
        assert naive > bar if upper else naive < bar, f"{metric}: the naive way reaches {naive:.3f}, so the bar is none"
