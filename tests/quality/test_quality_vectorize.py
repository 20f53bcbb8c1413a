"""Vector drawings: what they show is the picture in a few colours, made of outlines and not of squares."""

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_metrics import hold, psnr
from quality_pictures import PHOTOGRAPHS, Pixels, picture, textile_print
from skimage.color import rgb2lab

from imageops.tracing.vectorizing import vectorize, without_grain
from testkit.postscript import render

MOSAIC_PX = 8


def quantised(pixels: Pixels, colours: Any) -> Pixels:
    """Each pixel in the nearest of these colours."""
    lab, own = rgb2lab(pixels), rgb2lab(colours[None])[0]
    result: Pixels = colours[((lab[:, :, None] - own) ** 2).sum(axis=3).argmin(axis=2)]
    return result


def mosaic(pixels: Pixels, colours: Any) -> Pixels:
    """The picture in squares, each in one of these colours: few outlines, and the wrong ones."""
    rows, columns = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((columns // MOSAIC_PX, rows // MOSAIC_PX), Image.Resampling.BOX)
    return quantised(np.asarray(small.resize((columns, rows), Image.Resampling.NEAREST)), colours)


def same(one: Pixels, other: Pixels, where: Any = slice(None)) -> float:
    return float((one == other).all(axis=2)[where].mean())


def near_edges(flat: Pixels) -> Any:
    """Where another colour is no more than four pixels away."""
    window = np.ones((9, 9), np.uint8)
    return (cv2.dilate(flat, window) != cv2.erode(flat, window)).any(axis=2)


@pytest.mark.parametrize(("count", "bar"), [(2, 0.97), (4, 0.95), (16, 0.9)])
def test_photograph_becomes_areas_of_its_nearest_colours(count: int, bar: float) -> None:
    figures, sizes = [], []
    for name in PHOTOGRAPHS:
        pixels = picture(name)
        drawn = render(eps := vectorize(Image.fromarray(pixels), count).eps)
        colours = np.unique(drawn.reshape(-1, 3), axis=0)
        assert len(colours) == count
        # Grain is not drawn, so it is not asked for: what is left decides each pixel's colour.
        truth, naive = quantised(without_grain(pixels), colours), mosaic(pixels, colours)
        figures.append((same(drawn, truth), same(naive, truth), psnr(drawn, truth), psnr(naive, truth)))
        sizes.append(len(eps) / (pixels.shape[0] * pixels.shape[1]))
    match, naive_match, decibels, naive_decibels = np.mean(figures, axis=0)
    hold(f"{count} colours: pixels of the nearest colour (naive: mosaic)", match, bar=bar, naive=naive_match)
    hold(f"{count} colours: dB against these (naive: mosaic)", decibels, bar=27.0, naive=naive_decibels)
    # The naive way is a square for every pixel: "0 0 m 1 0 l 1 1 l 0 1 l f", 25 bytes.
    hold(f"{count} colours: megabytes a megapixel (naive: squares)", max(sizes), bar=2, naive=25, upper=True)


def test_print_is_redrawn_with_its_four_colours() -> None:
    truth = textile_print()
    flat = np.array([(24, 62, 98), (222, 84, 96), (246, 214, 120), (92, 158, 112)], np.uint8)
    for count in (4, 16):  # Shades of soft edges are no colours of the print, however many are allowed.
        traced = vectorize(Image.fromarray(truth), count)
        drawn = render(traced.eps)
        assert traced.colours == len(np.unique(drawn.reshape(-1, 3), axis=0)) == len(flat)
        ideal = quantised(truth, flat)
        near = quantised(drawn, flat)
        naive = mosaic(truth, flat)
        hold(
            f"print, {count}: pixels of the right colour (naive: mosaic)",
            same(near, ideal),
            bar=0.985,
            naive=same(naive, ideal),
        )
        hold(
            f"print, {count}: dB of the preview (naive: mosaic)",
            psnr(np.asarray(traced.preview), truth),
            bar=28,
            naive=psnr(naive, truth),
        )


def test_edges_are_smooth_where_the_picture_is_drawn_large() -> None:
    # Drawn once: a print drawn anew at a quarter of the size has other roundings, and lies a third of a pixel aside.
    large = textile_print(512, 61.7 * 4)
    small = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
    flat = np.array([(24, 62, 98), (222, 84, 96), (246, 214, 120), (92, 158, 112)], np.uint8)
    drawn = quantised(render(vectorize(Image.fromarray(small), 4).eps, zoom=4), flat)
    steps = quantised(np.asarray(Image.fromarray(small).resize((512, 512), Image.Resampling.NEAREST)), flat)
    ideal = quantised(large, flat)
    edges = near_edges(ideal)
    hold(
        "edges of a print drawn four times larger (naive: its pixels)",
        same(drawn, ideal, edges),
        bar=0.96,
        naive=same(steps, ideal, edges),
    )
