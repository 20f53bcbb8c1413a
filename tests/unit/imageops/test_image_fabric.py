"""Cloth: its weave goes everywhere in the picture, whatever its size and however the threads run."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imageops.repairing.fabric import remove_fabric

LEVEL, AMPLITUDE = 120, 20
BORDER_PX = 16


def cloth(width: int, height: int, *, period: float, degrees: float) -> npt.NDArray[np.float64]:
    """A grey picture of nothing but crossing threads."""
    y, x = np.mgrid[:height, :width]
    angle = np.deg2rad(degrees)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return LEVEL + AMPLITUDE * np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period)


@pytest.mark.parametrize("size", [(128, 128), (129, 143), (400, 130), (131, 300), (256, 255)])
@pytest.mark.parametrize(("period", "degrees"), [(9.7, 12.0), (12.3, 3.0)])
def test_weave_goes_at_the_border_too_when_it_does_not_end_there(
    size: tuple[int, int], period: float, degrees: float
) -> None:
    woven = Image.fromarray(np.rint(cloth(*size, period=period, degrees=degrees)).astype(np.uint8)).convert("RGB")
    left = np.abs(np.asarray(remove_fabric(woven), np.float64)[..., 0] - LEVEL)
    ends = np.ones(left.shape, bool)
    ends[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    assert left[~ends].mean() < 0.01 * AMPLITUDE
    assert left[ends].mean() < 0.05 * AMPLITUDE


@pytest.mark.parametrize("size", [(127, 400), (400, 127), (1, 1), (3, 200)])
def test_picture_too_small_for_a_weave_stays_as_it_is(size: tuple[int, int]) -> None:
    woven = Image.fromarray(np.rint(cloth(*size, period=9.7, degrees=12)).astype(np.uint8)).convert("RGB")
    assert remove_fabric(woven).tobytes() == woven.tobytes()
