"""Stones off prints and photographs: the damage goes, the rest stays, and where there are none nothing happens."""

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_damage import rhinestones
from quality_metrics import Array, hold, psnr
from quality_pictures import PHOTOGRAPHS, Pixels, picture, textile_print

from imageops.repairing.diamonds import remove_diamonds


def clean(pixels: Pixels) -> tuple[Pixels, int]:
    result = remove_diamonds(Image.fromarray(pixels))
    return np.asarray(result.image), result.stones


def median(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.medianBlur(pixels, 15), np.uint8)


def figures(truth: Pixels, studded: Pixels, stones: Array, result: Pixels) -> tuple[float, float, float]:
    """Decibels under the stones, and elsewhere; the share of the stones' pixels that changed."""
    changed = (result != studded).any(axis=2)
    return psnr(result, truth, stones), psnr(result, truth, ~stones), float(changed[stones].mean())


def test_print_below_the_stones_is_continued() -> None:
    truth = textile_print(period=121.7)
    studded, stones = rhinestones(truth, 4)
    result, count = clean(studded)
    ours, naive = figures(truth, studded, stones, result), figures(truth, studded, stones, median(studded))
    hold("print: under the stones, dB (naive: median 15)", ours[0], bar=26.0, naive=naive[0])
    hold("print: elsewhere, dB (naive: median 15)", ours[1], bar=42.0, naive=naive[1])
    hold("print: stones' pixels replaced (naive: as it was)", ours[2], bar=0.95, naive=0.0)
    assert 54 <= count <= 66, "sixty were sewn on, a few touch"


def test_stones_leave_photographs() -> None:
    gains, elsewhere, naive = [], [], []
    for seed, name in enumerate(PHOTOGRAPHS):
        truth = picture(name)
        studded, stones = rhinestones(truth, seed)
        ours = figures(truth, studded, stones, clean(studded)[0])
        gains.append(ours[0] - psnr(studded, truth, stones))
        elsewhere.append(ours[1])
        naive.append(figures(truth, studded, stones, median(studded))[1])
    hold("photographs: gain under the stones, dB (naive: as it was)", float(np.mean(gains)), bar=12.0, naive=0.0)
    hold(
        "photographs: elsewhere, dB (naive: median 15)",
        float(np.mean(elsewhere)),
        bar=35.0,
        naive=float(np.mean(naive)),
    )


@pytest.mark.parametrize("name", ["chelsea", "print"])
def test_picture_without_stones_keeps_every_pixel(name: str) -> None:
    truth = textile_print() if name == "print" else picture(name)
    result, count = clean(truth)
    assert count == 0
    assert (result == truth).all()


def test_few_true_highlights_are_taken_for_stones() -> None:
    changed = [float((clean(picture(name))[0] != picture(name)).any(axis=2).mean()) for name in PHOTOGRAPHS]
    bright = [float((picture(name).min(axis=2) > 165).mean()) for name in PHOTOGRAPHS]
    hold(
        "clean photographs: share changed (naive: all that is bright)",
        max(changed),
        bar=0.02,
        naive=max(bright),
        upper=True,
    )


def test_stones_outside_the_area_stay() -> None:
    studded, _ = rhinestones(textile_print(period=121.7), 4)
    area = np.zeros(studded.shape[:2], np.uint8)
    area[:, :256] = 255
    result = np.asarray(remove_diamonds(Image.fromarray(studded), Image.fromarray(area)).image)
    assert (result[:, 280:] == studded[:, 280:]).all()
    assert (result[:, :250] != studded[:, :250]).any()


def test_dull_stones_are_found_when_the_sensitivity_is_high() -> None:
    studded, stones = rhinestones(picture("coffee"), 1)
    dull = np.where(stones[..., None], studded * 0.72, studded).astype(np.uint8)
    shares = []
    for sensitivity in (0.0, 0.5, 1.0):
        result = np.asarray(remove_diamonds(Image.fromarray(dull), sensitivity=sensitivity).image)
        shares.append(float((result != dull).any(axis=2)[stones].mean()))
    assert shares == sorted(shares)
    hold("dull stones replaced at sensitivity 1 (naive: at 0)", shares[2], bar=0.8, naive=shares[0])
