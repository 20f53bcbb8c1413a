"""Faces: damage is undone further than by an unsharp mask, clean ones are spared, and none means none."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_metrics import hold, psnr, ssim
from quality_pictures import Pixels, picture, textile_print

from imageops.errors import ImageRefused, RefusalReason
from imageops.repairing.faces import enhance_faces, find_faces

SIZES = (512, 1024)
#: Blur, grain and JPEG quality.
DAMAGES = ((1.2, 6, 60), (1.6, 10, 50), (2.0, 4, 60))


def portrait(side: int) -> Pixels:
    return np.asarray(Image.fromarray(picture("astronaut")).resize((side, side), Image.Resampling.BICUBIC))


def damaged(pixels: Pixels, blur: float, grain: float, quality: int) -> Pixels:
    noise = np.random.default_rng(0).normal(0, grain, pixels.shape)
    grainy = np.clip(np.rint(cv2.GaussianBlur(pixels, (0, 0), blur) + noise), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grainy).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def unsharp(pixels: Pixels) -> Pixels:
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.5)
    return np.asarray(cv2.addWeighted(pixels, 2.0, soft, -1.0, 0), np.uint8)


def face_of(pixels: Pixels) -> tuple[slice, slice]:
    (x, y, width, height), *_ = find_faces(pixels)
    return slice(y, y + height), slice(x, x + width)


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_face_comes_nearer_to_the_truth(side: int, damage: tuple[float, float, int]) -> None:
    truth = portrait(side)
    face = face_of(truth)
    bad = damaged(truth, *damage)
    result = np.asarray(enhance_faces(Image.fromarray(bad)).image)
    before, after = psnr(bad[face], truth[face]), psnr(result[face], truth[face])
    name = f"{side} px, blur {damage[0]}, grain {damage[1]}, JPEG {damage[2]}"
    hold(f"{name}: gain, dB (naive: as it was)", after - before, bar=0.5, naive=0.0)
    hold(f"{name}: gain over unsharp, dB", after - psnr(unsharp(bad)[face], truth[face]), bar=0.1, naive=0.0)
    hold(f"{name}: SSIM gained", ssim(result[face], truth[face]) - ssim(bad[face], truth[face]), bar=0.01, naive=0.0)


def test_clean_face_is_spared_and_the_rest_untouched() -> None:
    truth = picture("astronaut")
    face = face_of(truth)
    enhanced = enhance_faces(Image.fromarray(truth))
    result = np.asarray(enhanced.image)
    naive = psnr(unsharp(truth)[face], truth[face])
    hold("clean face: fidelity, dB (naive: unsharp)", psnr(result[face], truth[face]), bar=33.0, naive=naive)
    assert enhanced.faces == find_faces(truth)
    assert len(enhanced.faces) == 1
    (x, y, width, height) = enhanced.faces[0]
    outside = np.ones(truth.shape[:2], bool)
    outside[y - height // 2 : y + height * 3 // 2, x - width // 2 : x + width * 3 // 2] = False
    assert (result[outside] == truth[outside]).all()


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "brick", "grass", "gravel", "print"])
def test_no_face_is_found_where_there_is_none(name: str) -> None:
    pixels = textile_print() if name == "print" else picture(name)
    with pytest.raises(ImageRefused) as caught:
        enhance_faces(Image.fromarray(pixels))
    assert caught.value.reason == RefusalReason.NOTHING_FOUND
