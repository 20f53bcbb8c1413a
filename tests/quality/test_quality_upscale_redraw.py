"""Redraws: every setting moves the result the way it says, measured on photographs."""

import numpy as np
import pytest
from PIL import Image
from quality_metrics import hold, luma, psnr
from quality_pictures import PHOTOGRAPHS, Pixels, picture

from imageops.denoising import estimate_sigma
from imageops.enlarging.describing import dominant_colours
from imageops.enlarging.redraw import Wishes, redraw

COLOURS = {
    "black": (12, 12, 14),
    "white": (250, 250, 250),
    "red": (198, 30, 44),
    "yellow": (250, 215, 40),
    "green": (38, 140, 52),
    "blue": (36, 70, 200),
    "purple": (120, 44, 168),
    "brown": (112, 70, 36),
}


def small(name: str, factor: int = 2) -> tuple[Pixels, Pixels]:
    """A photograph, and the same so many times smaller."""
    pixels = picture(name)
    rows, columns = (side // factor for side in pixels.shape[:2])
    truth = pixels[: rows * factor, : columns * factor]
    return truth, np.asarray(Image.fromarray(truth).resize((columns, rows), Image.Resampling.BICUBIC))


def noisy(pixels: Pixels, sigma: float) -> Pixels:
    grain = np.random.default_rng(4).normal(0, sigma, pixels.shape)
    return np.clip(np.rint(pixels + grain), 0, 255).astype(np.uint8)


def redrawn(pixels: Pixels, scale: float = 2, **wishes: object) -> Pixels:
    return np.asarray(redraw(Image.fromarray(pixels), Wishes(**wishes), 3, scale=scale))  # type: ignore[arg-type]


def bicubic(pixels: Pixels, scale: int = 2) -> Pixels:
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def consistency(result: Pixels, source: Pixels) -> float:
    back = Image.fromarray(result).resize(source.shape[1::-1], Image.Resampling.BICUBIC)
    return psnr(np.asarray(back), source)


def sharpness(pixels: Pixels) -> float:
    grey = luma(pixels)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


@pytest.mark.parametrize(("sigma", "gain_db"), [(10, 1.0), (25, 4.0)])
def test_grain_goes_before_a_picture_is_enlarged_when_fidelity_is_low(sigma: float, gain_db: float) -> None:
    gains, kept = [], []
    for name in PHOTOGRAPHS:
        truth, source = small(name)
        grainy = noisy(source, sigma)
        naive = psnr(bicubic(grainy), truth)
        gains.append(psnr(redrawn(grainy, high_fidelity=False), truth) - naive)
        kept.append(psnr(redrawn(grainy, high_fidelity=True), truth) - naive)
    hold(
        f"grain {sigma:g}: dB over bicubic (naive: high fidelity)",
        float(np.mean(gains)),
        bar=gain_db,
        naive=float(np.mean(kept)),
    )


def test_high_fidelity_shrinks_to_what_it_was_made_from() -> None:
    for name in PHOTOGRAPHS[:2]:
        grainy = noisy(small(name)[1], 10)
        hold(
            f"{name}: dB of the shrunk result (naive: low fidelity)",
            consistency(redrawn(grainy, high_fidelity=True), grainy),
            bar=42.0,
            naive=consistency(redrawn(grainy, high_fidelity=False), grainy),
        )


def test_more_steps_shrink_closer_to_the_original() -> None:
    for name in PHOTOGRAPHS:
        _, source = small(name)
        few, usual, many = (consistency(redrawn(source, steps=steps), source) for steps in (20.0, 30.0, 40.0))
        assert few < usual < many
        hold(f"{name}: dB that 20 more steps bring (naive: none)", many - few, bar=0.3, naive=0.0)


def test_s_noise_adds_as_much_grain_as_it_says() -> None:
    flat = np.full((300, 400, 3), 128, np.uint8)
    found = [estimate_sigma(redrawn(flat, 1, s_noise=s_noise).astype(np.float32)) for s_noise in (1.0, 1.03, 1.06, 1.1)]
    assert found == sorted(found)
    for reached, told in zip(found, (0.0, 1.8, 3.6, 6.0), strict=True):
        hold(f"grain wanted {told:g}: levels off (naive: twice as much)", abs(reached - told), bar=0.3, upper=True)
    hold("grain at s_noise 1.1 (naive: none added)", found[-1], bar=5.5, naive=found[0])


def test_strong_inpaint_cleans_and_sharpens_with_its_intensity() -> None:
    for name in PHOTOGRAPHS[:2]:
        truth, _ = small(name)
        blurred = np.asarray(
            Image.fromarray(truth)
            .resize((truth.shape[1] // 2, truth.shape[0] // 2))
            .resize(truth.shape[1::-1], Image.Resampling.BICUBIC)
        )
        soft = [sharpness(redrawn(blurred, 1, strong_inpaint=each)) for each in (0.0, 0.25, 0.5, 1.0)]
        assert soft == sorted(soft)
        hold(f"{name}: edges at full intensity, times before (naive: nothing)", soft[-1] / soft[0], bar=1.1, naive=1.0)
        gain = psnr(redrawn(blurred, 1, strong_inpaint=0.5), truth) - psnr(blurred, truth)
        hold(f"{name}: dB towards the sharp picture (naive: as it was)", gain, bar=0.3, naive=0.0)
        flat = noisy(np.full((200, 200, 3), 120, np.uint8), 8)
        left = [float(redrawn(flat, 1, strong_inpaint=each).std()) for each in (0.0, 0.25, 0.5, 1.0)]
        hold(f"{name}: grain left at half intensity (naive: as it was)", left[2], bar=3.0, naive=left[0], upper=True)
        assert left[0] > left[1] > left[2]


@pytest.mark.parametrize(
    ("prompt", "neg_prompt", "quality"),
    [
        ("sharp, 8k", "", "sharper"),
        ("清晰", "", "sharper"),
        ("", "blurry", "sharper"),
        ("", "模糊", "sharper"),
        ("bright morning", "", "brighter"),
        ("", "dark", "brighter"),
        ("色彩鲜艳", "", "more vivid"),
        ("", "dull", "more vivid"),
        ("clean", "", "cleaner"),
        ("", "噪点", "cleaner"),
    ],
)
def test_words_move_the_quality_they_name(prompt: str, neg_prompt: str, quality: str) -> None:
    measures = {
        "sharper": sharpness,
        "brighter": lambda pixels: float(luma(pixels).mean()),
        "more vivid": lambda pixels: float((pixels.max(axis=2).astype(int) - pixels.min(axis=2)).mean()),
        "cleaner": lambda pixels: 1 / estimate_sigma(pixels.astype(np.float32)),
    }
    source = noisy(picture("coffee"), 2)
    before = measures[quality](redrawn(source, 1))
    after = measures[quality](redrawn(source, 1, prompt=prompt, neg_prompt=neg_prompt))
    opposite = measures[quality](redrawn(source, 1, prompt=neg_prompt, neg_prompt=prompt))
    hold(f"{prompt!r} without {neg_prompt!r}: {quality}, times (naive: not read)", after / before, bar=1.03, naive=1.0)
    assert opposite < before


def test_two_colours_are_named_right() -> None:
    right, naive = [], []
    for one, first in COLOURS.items():
        for other, second in COLOURS.items():
            if one == other:
                continue
            pixels = np.full((120, 160, 3), second, np.uint8)
            pixels[:, :100] = first
            named = dominant_colours(Image.fromarray(noisy(pixels, 3)))
            right.append(named[:2] == [one, other])
            naive.append([one, other] == ["black", "white"])
    hold(
        "pairs of colours named right (naive: always the same)",
        float(np.mean(right)),
        bar=0.95,
        naive=float(np.mean(naive)),
    )
