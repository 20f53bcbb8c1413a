"""Enlarging: exact sizes, honest gains, no seams, no colour from nowhere."""

import time

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imageops import ImageRefused, ParameterRefused, upscale
from imageops.enlarging.upscaling import OUTPUT_SIDE_MAX, estimate_noise


def luma(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.asarray(image.convert("L"), dtype=np.float64)


def psnr(one: Image.Image, other: Image.Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((luma(one) - luma(other)) ** 2)))


def shrink(image: Image.Image, factor: int) -> Image.Image:
    return image.resize((image.width // factor, image.height // factor), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("factor", "gain_db"), [(2, 0.8), (4, 0.4)])
def test_detail_is_restored_better_than_bicubic_does(
    photographs: list[Image.Image], factor: int, gain_db: float
) -> None:
    gains = []
    for photograph in photographs:
        small = shrink(photograph, factor)
        naive = small.resize(photograph.size, Image.Resampling.BICUBIC)
        gains.append(psnr(upscale(small, scale=factor), photograph) - psnr(naive, photograph))
    assert np.mean(gains) >= gain_db


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_shrinking_the_result_gives_the_original(photograph: Image.Image, factor: int) -> None:
    small = photograph.resize((160, 120), Image.Resampling.LANCZOS)
    back = upscale(small, scale=factor).resize(small.size, Image.Resampling.BICUBIC)
    naive = small.resize((160 * factor, 120 * factor), Image.Resampling.BICUBIC)
    assert psnr(back, small) >= 60
    assert psnr(back, small) >= psnr(naive.resize(small.size, Image.Resampling.BICUBIC), small) + 8


def test_rounds_are_made_before_enlarging_so_that_they_cost_little(photograph: Image.Image) -> None:
    def seconds(rounds: int) -> float:
        spent = []
        for _ in range(3):
            start = time.process_time()
            upscale(photograph, scale=4, rounds=rounds)
            spent.append(time.process_time() - start)
        return min(spent)

    # Enlarged and shrunk each time, eight rounds take ten times as long as one enlargement.
    assert seconds(8) < 4 * seconds(0)


def test_noise_is_not_amplified_when_the_picture_is_noisy(photograph: Image.Image) -> None:
    small = shrink(photograph, 2)
    rng = np.random.default_rng(5)
    grainy = np.clip(np.asarray(small) + rng.normal(0, 10, (*small.size[::-1], 3)), 0, 255).astype(np.uint8)
    noisy = Image.fromarray(grainy)
    naive = noisy.resize(photograph.size, Image.Resampling.BICUBIC)
    assert psnr(upscale(noisy, scale=2), photograph) >= psnr(naive, photograph) - 0.05


@pytest.mark.parametrize("sigma", [0, 2, 5, 10, 25])
def test_noise_is_estimated_within_a_level_or_a_fifth(sigma: float) -> None:
    ramp = np.tile(np.linspace(60, 190, 400), (300, 1))
    noisy = ramp + np.random.default_rng(1).normal(0, sigma, ramp.shape)
    found = estimate_noise(Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)))
    assert abs(found - sigma) <= max(1.0, 0.2 * sigma)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (333, 257)])
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 2.37, 3.3, 8.0])
def test_size_is_exact(size: tuple[int, int], scale: float) -> None:
    result = upscale(Image.new("RGB", size, (10, 200, 30)), scale=scale)
    assert result.size == tuple(int(side * scale + 0.5) for side in size)
    assert result.getcolors() == [(result.width * result.height, (10, 200, 30))]


@pytest.mark.parametrize(("resolution", "side"), [("2k", 2048), ("4k", 4096), ("8k", 8192)])
def test_long_side_is_exact_when_a_resolution_is_named(resolution: str, side: int) -> None:
    assert upscale(Image.new("RGB", (301, 97)), resolution=resolution).size == (side, round(97 * side / 301))  # type: ignore[arg-type]
    assert upscale(Image.new("RGB", (5, 301)), resolution=resolution).height == side  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_pixels_are_identical_when_nothing_is_to_be_enlarged(photograph: Image.Image, mode: str) -> None:
    picture = photograph.convert(mode)
    assert upscale(picture, scale=1).tobytes() == picture.tobytes()
    wide = picture.resize((2048, 8))
    assert upscale(wide, resolution="2k").tobytes() == wide.tobytes()


def test_tiles_meet_without_a_seam(photograph: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    tiled = np.asarray(upscale(photograph, scale=2.37)).astype(int)
    monkeypatch.setattr("imageops.enlarging.upscaling._TILE_PX", 4096)
    whole = np.asarray(upscale(photograph, scale=2.37)).astype(int)
    assert np.abs(tiled - whole).max() <= 1


def test_transparent_pixels_lend_no_colour() -> None:
    picture = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (10, 10, 30, 30))
    grown = np.asarray(upscale(picture, scale=4))
    visible = grown[grown[..., 3] > 0]
    assert visible[:, 0].max() <= 4  # Of the red that nobody could see.
    assert visible[:, 2].min() >= 250
    assert grown[80, 80].tolist() == [0, 0, 255, 255]
    assert grown[0, 0, 3] == 0


def test_opacity_is_kept_when_every_pixel_is_opaque(photograph: Image.Image) -> None:
    opaque = upscale(photograph.convert("RGBA"), scale=2)
    assert opaque.getchannel("A").getextrema() == (255, 255)
    assert opaque.convert("RGB").tobytes() == upscale(photograph, scale=2).tobytes()


def test_progress_rises_to_one_and_may_stop_the_work(photograph: Image.Image) -> None:
    seen: list[float] = []
    upscale(photograph, scale=4, on_progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) > 10

    def stop(fraction: float) -> None:
        if fraction > 0.3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        upscale(photograph, scale=4, on_progress=stop)


@pytest.mark.parametrize("scale", [0.5, 0.0, -2.0, 8.1, float("nan"), float("inf")])
def test_scale_is_refused_when_it_is_out_of_range(scale: float) -> None:
    with pytest.raises(ParameterRefused) as caught:
        upscale(Image.new("RGB", (10, 10)), scale=scale)
    assert caught.value.field == "scale"


def test_exactly_one_target_is_wanted() -> None:
    for options in ({}, {"scale": 2.0, "resolution": "2k"}):
        with pytest.raises(ParameterRefused):
            upscale(Image.new("RGB", (10, 10)), **options)  # type: ignore[arg-type]
    with pytest.raises(ParameterRefused) as caught:
        upscale(Image.new("RGB", (10, 10)), resolution="16k")  # type: ignore[arg-type]
    assert caught.value.field == "resolution"


def test_result_is_refused_before_it_is_made_when_it_would_be_too_large() -> None:
    with pytest.raises(ImageRefused, match="would be 24000 x 16000"):
        upscale(Image.new("RGB", (6000, 4000)), scale=4)
    with pytest.raises(ImageRefused):
        upscale(Image.new("RGB", (OUTPUT_SIDE_MAX // 2 + 1, 1)), scale=2)
    with pytest.raises(ImageRefused, match="larger than 2k"):
        upscale(Image.new("RGB", (2049, 10)), resolution="2k")
