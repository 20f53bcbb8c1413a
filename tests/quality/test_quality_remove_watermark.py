"""Marks off pictures: with a mask the picture below comes back, without one most of it does."""

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_damage import watermark
from quality_metrics import hold, psnr
from quality_pictures import PHOTOGRAPHS, Pixels, picture, textile_print

from imageops.errors import ImageRefused, RefusalReason
from imageops.repairing.watermark import remove_watermark

KINDS = ("tiled", "single")


def pictures() -> list[Pixels]:
    return [*(picture(name) for name in PHOTOGRAPHS), textile_print()]


def test_picture_below_comes_back_when_the_mark_is_outlined() -> None:
    inside, telea = [], []
    for truth in pictures():
        for kind in KINDS:
            marked, mask = watermark(truth, kind)
            result = np.asarray(remove_watermark(Image.fromarray(marked), Image.fromarray(mask)))
            assert (result[~mask] == marked[~mask]).all()
            inside.append(psnr(result, truth, mask))
            telea.append(
                psnr(np.asarray(cv2.inpaint(marked, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)), truth, mask)
            )
    hold("under the mark, dB (naive: Telea)", float(np.mean(inside)), bar=28.0, naive=float(np.mean(telea)))
    hold("gain over Telea, dB", float(np.mean(inside) - np.mean(telea)), bar=6.0, naive=0.0)


def test_generous_mask_is_filled_with_what_is_around() -> None:
    truth = picture("rocket")
    marked, mask = watermark(truth, "single")
    box = np.zeros_like(mask)
    ys, xs = np.nonzero(mask)
    box[ys.min() - 4 : ys.max() + 5, xs.min() - 4 : xs.max() + 5] = True
    result = np.asarray(remove_watermark(Image.fromarray(marked), Image.fromarray(box)))
    assert (result[~box] == marked[~box]).all()
    hold(
        "under a box drawn around the mark, dB (naive: as it was)",
        psnr(result, truth, mask),
        bar=20.0,
        naive=psnr(marked, truth, mask),
    )


def test_mark_is_found_without_a_mask() -> None:
    gains = []
    for truth in pictures():
        for kind in KINDS:
            marked, mask = watermark(truth, kind)
            result = np.asarray(remove_watermark(Image.fromarray(marked)))
            gains.append(psnr(result, truth, mask) - psnr(marked, truth, mask))
            assert psnr(result, truth) >= psnr(marked, truth) - 1
    hold("gain under the mark, mean of ten, dB (naive: as it was)", float(np.mean(gains)), bar=6.0, naive=0.0)


def test_dark_mark_is_found_too() -> None:
    truth = picture("chelsea")
    marked, mask = watermark(255 - truth, "single")
    result = np.asarray(remove_watermark(Image.fromarray(255 - marked)))
    gain = psnr(result, truth, mask) - psnr(255 - marked, truth, mask)
    hold("gain under a dark mark, dB (naive: as it was)", gain, bar=6.0, naive=0.0)


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, "brick", "grass", "gravel", "print"])
def test_no_mark_is_found_when_there_is_none(name: str) -> None:
    truth = textile_print() if name == "print" else picture(name)
    with pytest.raises(ImageRefused) as caught:
        remove_watermark(Image.fromarray(truth))
    assert caught.value.reason == RefusalReason.NOTHING_FOUND
