"""Edits by instruction: each effect measured by what its name promises, on two photographs."""

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_metrics import Array, hold, luma, ssim
from quality_pictures import Pixels, picture

from imageops.editing.edit import edit
from imageops.editing.optics import subject_of

NAMES = ("astronaut", "coffee")


def edited(name: str, instruction: str) -> Pixels:
    result = edit(Image.fromarray(picture(name)), instruction, 7)
    assert result.size == picture(name).shape[1::-1]
    return np.asarray(result)


def lab(pixels: Pixels) -> Array:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def chroma(pixels: Pixels) -> float:
    return float(np.hypot(lab(pixels)[..., 1], lab(pixels)[..., 2]).mean())


def lightness(pixels: Pixels) -> float:
    return float(lab(pixels)[..., 0].mean())


def variation(pixels: Pixels) -> float:
    return float(np.abs(np.diff(luma(pixels), axis=0)).mean() + np.abs(np.diff(luma(pixels), axis=1)).mean())


def edges(pixels: Pixels) -> Array:
    grey = cv2.GaussianBlur(luma(pixels), (0, 0), 2)
    return np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))


def noise(pixels: Pixels) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, pixels.shape, np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_grey_has_no_colour_and_the_same_light(name: str) -> None:
    truth, result = picture(name), edited(name, "black and white")
    hold(f"{name} grey: chroma (naive: as it was)", chroma(result), bar=0.5, naive=chroma(truth), upper=True)
    same = np.corrcoef(lab(result)[..., 0].ravel(), lab(truth)[..., 0].ravel())[0, 1]
    mean = np.corrcoef(truth.mean(axis=2).ravel(), lab(truth)[..., 0].ravel())[0, 1]
    hold(f"{name} grey: correlation of L (naive: mean of channels)", float(same), bar=0.999, naive=float(mean))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("instruction", "sign"), [("warmer", 1), ("cooler", -1)])
def test_warmth_moves_and_light_stays(name: str, instruction: str, sign: int) -> None:
    truth, result = picture(name), edited(name, instruction)
    moved = sign * float((lab(result) - lab(truth))[..., 2].mean())
    hold(f"{name} {instruction}: b* moved by (naive: as it was)", moved, bar=4.0, naive=0.0)
    assert abs(lightness(result) - lightness(truth)) <= 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("instruction", "sign"), [("brighter", 1), ("darker", -1)])
def test_light_moves_as_far_as_it_should(name: str, instruction: str, sign: int) -> None:
    moved = sign * (lightness(edited(name, instruction)) - lightness(picture(name)))
    hold(f"{name} {instruction}: L moved by at least (naive: as it was)", moved, bar=7.0, naive=0.0)
    hold(f"{name} {instruction}: L moved by at most", moved, bar=15.0, upper=True)


@pytest.mark.parametrize("name", NAMES)
def test_saturation_grows_as_far_as_it_should(name: str) -> None:
    factor = chroma(edited(name, "increase the saturation")) / chroma(picture(name))
    hold(f"{name} vivid: chroma times at least (naive: as it was)", factor, bar=1.25, naive=1.0)
    hold(f"{name} vivid: chroma times at most", factor, bar=1.5, upper=True)
    less = chroma(edited(name, "less saturated")) / chroma(picture(name))
    hold(f"{name} muted: chroma times at most (naive: as it was)", less, bar=0.8, naive=1.0, upper=True)


@pytest.mark.parametrize("name", NAMES)
def test_sketch_is_lines_on_paper(name: str) -> None:
    truth, result = picture(name), edited(name, "pencil sketch")
    pencil, _ = cv2.pencilSketch(truth, sigma_s=60, sigma_r=0.07, shade_factor=0.05)
    naive = float((luma(np.repeat(pencil[..., None], 3, axis=2)) > 220).mean())
    hold(
        f"{name} sketch: share of paper (naive: cv2.pencilSketch)",
        float((luma(result) > 220).mean()),
        bar=0.5,
        naive=naive,
    )
    hold(f"{name} sketch: chroma (naive: as it was)", chroma(result), bar=0.5, naive=chroma(truth), upper=True)
    dark = float(np.corrcoef(255 - luma(truth).ravel(), edges(truth).ravel())[0, 1])
    alike = float(np.corrcoef(255 - luma(result).ravel(), edges(truth).ravel())[0, 1])
    hold(f"{name} sketch: lines where edges are (naive: the darkness)", alike, bar=0.25, naive=dark)


@pytest.mark.parametrize("name", NAMES)
def test_watercolour_is_washes(name: str) -> None:
    truth, result = picture(name), edited(name, "水彩画")
    hold(
        f"{name} watercolour: variation left (naive: as it was)",
        variation(result) / variation(truth),
        bar=0.8,
        naive=1.0,
        upper=True,
    )
    hold(f"{name} watercolour: SSIM at most (naive: as it was)", ssim(result, truth), bar=0.7, naive=1.0, upper=True)
    hold(
        f"{name} watercolour: SSIM at least (naive: noise)",
        ssim(result, truth),
        bar=0.3,
        naive=ssim(noise(truth), truth),
    )
    assert abs(lightness(result) - lightness(truth)) <= 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("instruction", "low", "high"), [("cartoon", 0.5, 0.85), ("oil painting", 0.4, 0.75)])
def test_painting_is_changed_yet_recognised(name: str, instruction: str, low: float, high: float) -> None:
    truth, result = picture(name), edited(name, instruction)
    hold(f"{name} {instruction}: SSIM at most (naive: as it was)", ssim(result, truth), bar=high, naive=1.0, upper=True)
    hold(
        f"{name} {instruction}: SSIM at least (naive: noise)",
        ssim(result, truth),
        bar=low,
        naive=ssim(noise(truth), truth),
    )
    alike = float(np.corrcoef(edges(result).ravel(), edges(truth).ravel())[0, 1])
    naive = float(np.corrcoef(edges(noise(truth)).ravel(), edges(truth).ravel())[0, 1])
    hold(f"{name} {instruction}: correlation of edges (naive: noise)", alike, bar=0.6, naive=naive)


def energy(pixels: Pixels, where: Array) -> float:
    """How much fine detail there is."""
    return float(np.abs(cv2.Laplacian(luma(pixels), cv2.CV_64F))[where].mean())


@pytest.mark.parametrize("name", NAMES)
def test_background_is_blurred_and_the_subject_is_not(name: str) -> None:
    truth, result = picture(name), edited(name, "blur the background")
    subject = cv2.resize(subject_of(truth), truth.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    inside, outside = subject > 0.99, subject < 0.01
    assert inside.mean() > 0.1
    assert outside.mean() > 0.1
    everywhere = np.asarray(cv2.GaussianBlur(truth, (0, 0), 8), np.uint8)
    hold(
        f"{name}: detail left outside (naive: as it was)",
        energy(result, outside) / energy(truth, outside),
        bar=0.25,
        naive=1.0,
        upper=True,
    )
    naive = energy(everywhere, inside) / energy(truth, inside)
    hold(
        f"{name}: detail left inside (naive: blurred everywhere)",
        energy(result, inside) / energy(truth, inside),
        bar=0.95,
        naive=naive,
    )


def test_face_is_part_of_the_subject() -> None:
    subject = cv2.resize(subject_of(picture("astronaut")), (512, 512))
    assert subject[70:160, 185:265].mean() > 0.95
    assert subject[:150, 330:].mean() < 0.05
