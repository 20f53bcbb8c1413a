"""Weave out of cloth: the picture comes back, and cloth without weave is left alone."""

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_damage import weave
from quality_metrics import Array, hold, luma, psnr, ssim
from quality_pictures import PHOTOGRAPHS, Pixels, picture, textile_print

from imageops.repairing.fabric import remove_fabric
from imageops.repairing.weaveborder import continue_weave

CLOTHS = (
    {"period": 5.0, "degrees": 3.0},
    {"period": 7.0, "degrees": 12.0},
    {"period": 6.0, "degrees": 8.0, "warp_px": 1.5},
)
BLOCK_PX = 64
BORDER_PX = 16


def clean(pixels: Pixels) -> Pixels:
    return np.asarray(remove_fabric(Image.fromarray(pixels)))


def of_weave(pixels: Pixels, truth: Pixels) -> Array:
    """The spectrum of what the picture's brightness is multiplied by, as most blocks have it."""
    factor = np.log(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) + 4.0) - np.log(
        cv2.cvtColor(truth, cv2.COLOR_RGB2GRAY) + 4.0
    )
    starts = [range(0, side - BLOCK_PX + 1, BLOCK_PX // 2) for side in factor.shape]
    blocks = np.stack([factor[y : y + BLOCK_PX, x : x + BLOCK_PX] for y in starts[0] for x in starts[1]])
    window = np.outer(np.hanning(BLOCK_PX), np.hanning(BLOCK_PX))
    blocks = blocks - blocks.mean(axis=(1, 2), keepdims=True)
    return np.asarray(np.median(np.abs(np.fft.rfft2(blocks * window)) ** 2, axis=0))


def cut(woven: Pixels, result: Pixels, truth: Pixels) -> float:
    """By how many decibels the weave's fifty strongest frequencies were weakened."""
    before, after = of_weave(woven, truth), of_weave(result, truth)
    strongest = before >= np.sort(before, axis=None)[-50]
    return float(10 * np.log10(before[strongest].sum() / after[strongest].sum()))


def test_weave_goes_and_the_print_stays() -> None:
    figures = []
    for seed, truth in enumerate((*(picture(name) for name in PHOTOGRAPHS[:3]), textile_print())):
        for cloth in CLOTHS:
            woven = weave(truth, seed, **cloth)
            for way in (clean, lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), 2), np.uint8)):
                result = way(woven)
                gain = psnr(result, truth) - psnr(woven, truth)
                figures.append((gain, ssim(result, truth), cut(woven, result, truth)))
    ours, blurred = np.mean(figures[0::2], axis=0), np.mean(figures[1::2], axis=0)
    hold("gain over the woven picture, dB (naive: Gaussian 2)", ours[0], bar=6.0, naive=blurred[0])
    hold("SSIM (naive: Gaussian 2)", ours[1], bar=0.83, naive=blurred[1])
    hold("weave's peaks cut by, dB (naive: nothing)", ours[2], bar=12.0, naive=0.0)


def at_border(shape: tuple[int, ...]) -> Array:
    where = np.ones(shape[:2], bool)
    where[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    return where


def left(woven: Pixels, result: Pixels, truth: Pixels, where: Array) -> float:
    """The share of the weave's strength that is still there."""
    before, after = ((np.log(luma(each)[where] + 4.0) - np.log(luma(truth)[where] + 4.0)) for each in (woven, result))
    return float((before * after).sum() / (before * before).sum())


def mirrored(padded: Array, logarithm: Array, pad: tuple[int, int]) -> None:
    """The naive way on beyond the border: the cloth turns round, and its threads run in another direction."""
    padded[:] = np.pad(logarithm, pad, mode="reflect")


def test_weave_goes_at_the_border_as_it_does_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    for way in (continue_weave, mirrored):
        monkeypatch.setattr("imageops.repairing.fabric.continue_weave", way)
        measured = []
        for seed, truth in enumerate((*(picture(name) for name in PHOTOGRAPHS[:3]), textile_print())):
            for cloth in CLOTHS:
                woven = weave(truth, seed, **cloth)
                result, where = clean(woven), at_border(truth.shape)
                gain = psnr(result, truth, where) - psnr(woven, truth, where)
                shares = [left(woven, result, truth, place) for place in (where, ~where)]
                measured.append((gain, ssim(result, truth, where), *shares))
        figures.append(np.mean(measured, axis=0))
    (gain, alike, share, inside), (naive_gain, naive_alike, naive_share, naive_inside) = figures
    hold("border: gain over the woven picture, dB (naive: mirrored)", gain, bar=6.6, naive=naive_gain)
    hold("border: SSIM (naive: mirrored)", alike, bar=0.84, naive=naive_alike)
    hold("border: share of the weave left (naive: mirrored)", share, bar=0.27, naive=naive_share, upper=True)
    hold(
        "border: times the share left inside (naive: mirrored)",
        share / inside,
        bar=1.3,
        naive=naive_share / naive_inside,
        upper=True,
    )


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, "grass", "gravel", "print"])
def test_picture_without_weave_is_left_alone(name: str) -> None:
    truth = textile_print() if name == "print" else picture(name)
    result = clean(truth)
    hold(
        f"{name}: fidelity without a weave, dB (naive: median 5)",
        psnr(result, truth),
        bar=40.0,
        naive=psnr(cv2.medianBlur(truth, 5), truth),
    )
