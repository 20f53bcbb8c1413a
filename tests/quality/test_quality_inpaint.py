"""Marked parts replaced: thin ones bridged as they were, wide ones filled with texture, and nothing else touched."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from PIL import Image
from quality_damage import Mask
from quality_metrics import hold, psnr
from quality_pictures import PHOTOGRAPHS, Pixels, picture

from imageops.repairing.inpainting import inpaint

DISCS_SHARE = 0.07
BOX_SHARE = 0.5  # Of each side: a quarter of the picture.
SEEDS = (1, 2, 3)

Way = Callable[[Pixels, Mask], Pixels]


def scratches(shape: tuple[int, ...], seed: int) -> Mask:
    """A dozen lines, five pixels wide."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros(shape[:2], np.uint8)
    for _ in range(12):
        ends = [(int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0]))) for _ in range(2)]
        cv2.line(drawn, ends[0], ends[1], 1, 5)
    return drawn > 0


def discs(shape: tuple[int, ...], seed: int) -> Mask:
    rng = np.random.default_rng(seed)
    drawn = np.zeros(shape[:2], np.uint8)
    while drawn.mean() < DISCS_SHARE:
        centre = (int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0])))
        cv2.circle(drawn, centre, int(rng.integers(8, 20)), 1, -1)
    return drawn > 0


def wide_discs(shape: tuple[int, ...], seed: int) -> Mask:
    rng = np.random.default_rng(100 + seed)
    drawn = np.zeros(shape[:2], np.uint8)
    while drawn.mean() < DISCS_SHARE:
        centre = (int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0])))
        cv2.circle(drawn, centre, int(rng.integers(10, 28)), 1, -1)
    return drawn > 0


def box(shape: tuple[int, ...], seed: int) -> Mask:
    rng = np.random.default_rng(seed)
    drawn = np.zeros(shape[:2], bool)
    rows, columns = int(shape[0] * BOX_SHARE), int(shape[1] * BOX_SHARE)
    top, left = int(rng.integers(8, shape[0] - rows - 8)), int(rng.integers(8, shape[1] - columns - 8))
    drawn[top : top + rows, left : left + columns] = True
    return drawn


def ours(damaged: Pixels, mask: Mask) -> Pixels:
    return np.asarray(inpaint(Image.fromarray(damaged), Image.fromarray(mask), 1))


def telea(damaged: Pixels, mask: Mask) -> Pixels:
    return np.asarray(cv2.inpaint(damaged, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)


def texture(pixels: Pixels, truth: Pixels, mask: Mask) -> float:
    """Mean strength of the Laplacian inside the mask, over the truth's."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    strengths = [
        np.abs(cv2.Laplacian(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float32), cv2.CV_32F))[inner].mean()
        for each in (pixels, truth)
    ]
    return float(strengths[0] / strengths[1])


@cache
def figures(draw: Callable[[tuple[int, ...], int], Mask], way: Way) -> tuple[float, float]:
    """Decibels and texture inside the masks, mean of the photographs."""
    measured = []
    for name in PHOTOGRAPHS:
        for seed in SEEDS:
            truth = picture(name)
            mask = draw(truth.shape, seed)
            damaged = truth.copy()
            damaged[mask] = 0
            result = way(damaged, mask)
            assert (result[~mask] == truth[~mask]).all()
            measured.append((psnr(result, truth, mask), texture(result, truth, mask)))
    means = np.mean(measured, axis=0)
    return float(means[0]), float(means[1])


def untouched(damaged: Pixels, _mask: Mask) -> Pixels:
    return damaged


def test_scratches_are_bridged_as_the_picture_was() -> None:
    (reached, _), (naive, _) = figures(scratches, ours), figures(scratches, telea)
    hold("scratches, dB (naive: Telea)", reached, bar=naive + 1, naive=naive)
    hold("scratches, dB (naive: as they were)", reached, bar=20, naive=figures(scratches, untouched)[0])


def test_discs_are_filled_with_texture_near_the_truth() -> None:
    (reached, grain), (naive, flat) = figures(discs, ours), figures(discs, telea)
    hold("discs, dB (naive: Telea)", reached, bar=naive + 0.8, naive=naive)
    hold("discs, texture (naive: Telea)", grain, bar=0.4, naive=flat)


def test_wide_discs_are_filled_with_texture_near_the_truth() -> None:
    (reached, grain), (naive, flat) = figures(wide_discs, ours), figures(wide_discs, telea)
    hold("wide discs, dB (naive: Telea)", reached, bar=naive + 0.8, naive=naive)
    hold("wide discs, texture (naive: Telea)", grain, bar=0.4, naive=flat)


def test_box_is_filled_with_texture() -> None:
    (reached, grain), (naive, flat) = figures(box, ours), figures(box, telea)
    hold("box, texture (naive: Telea)", grain, bar=0.5, naive=flat)
    print(f"box, dB: {reached:.2f}, Telea {naive:.2f}")
    hold("box, dB (naive: as it was)", reached, bar=12, naive=figures(box, untouched)[0])
