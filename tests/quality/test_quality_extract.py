"""Prints off garments: the garment is found, the repeat is measured, light and weave go, and the result tiles."""

from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_garment import PERIOD, Shirt, motif, shirt
from quality_metrics import Array, hold, psnr
from quality_pictures import Pixels

from imageops.palette import to_lab
from imageops.repeating.extracting import extract_pattern
from imageops.repeating.garment import find_garment
from imageops.repeating.lattice import find_lattice

SEEDS = range(4)
CROP = (slice(90, 650), slice(250, 650))  # The shirt's body, for the naive way: cut it out and call it a tile.


@cache
def extracted(seed: int) -> tuple[Pixels, ...]:
    """The clean repeat first, then the piece of cloth."""
    made = extract_pattern(Image.fromarray(shirt(seed).pixels))
    return tuple(np.asarray(each) for each in made)


def cropped(one: Shirt) -> Pixels:
    return np.asarray(cv2.resize(one.pixels[CROP], (1024, 1024), interpolation=cv2.INTER_AREA), np.uint8)


def seam(tile: Pixels) -> float:
    """The worse step from last to first line, over the 95th percentile of the steps inside."""
    worst = 0.0
    for axis in (0, 1):
        lines = np.moveaxis(tile.astype(np.float64), axis, 0)
        inside = np.abs(np.diff(lines, axis=0)).mean(axis=(1, 2))
        worst = max(worst, float(np.abs(lines[0] - lines[-1]).mean() / np.quantile(inside, 0.95)))
    return worst


def unevenness(pixels: Pixels, period_px: float, border: int = cv2.BORDER_WRAP) -> float:
    """Deviation of the lightness blurred over more than half a repeat: folds, not print."""
    lightness = to_lab(pixels)[..., 0]
    reach = round(2 * period_px)  # Wrapped by hand: OpenCV's blur does not know that border.
    wide = cv2.copyMakeBorder(lightness, reach, reach, reach, reach, border)
    return float(cv2.GaussianBlur(wide, (0, 0), 0.6 * period_px)[reach:-reach, reach:-reach].std())


def repeats(result: Pixels) -> tuple[int, int]:
    """How many repeats a picture made of whole ones has across and down: where it equals itself when turned."""
    counts = []
    for axis in (1, 0):
        side = result.shape[axis]
        errors = {
            count: float(np.abs(result.astype(np.int16) - np.roll(result, round(side / count), axis=axis)).mean())
            for count in range(1, 17)
        }
        least = min(each for count, each in errors.items() if count > 1)
        counts.append(max(count for count, each in errors.items() if each <= 1.3 * least + 0.5))
    return counts[0], counts[1]


def likeness(piece: Pixels) -> float:
    """The best normalised correlation of one repeat's worth of picture with the print, wherever it begins."""
    wide = np.tile(motif(), (2, 2, 1)).astype(np.float32)
    return float(cv2.matchTemplate(wide, piece.astype(np.float32), cv2.TM_CCOEFF_NORMED).max())


def of_result(result: Pixels) -> float:
    across, down = repeats(result)
    size = (PERIOD[0] * across, PERIOD[1] * down)
    small = np.asarray(cv2.resize(result, size, interpolation=cv2.INTER_AREA), np.uint8)
    return likeness(small[: PERIOD[1], : PERIOD[0]])


def of_crop(one: Shirt) -> float:
    """The likeness of raw repeats cut from the upright shirt: the naive way, told the turn and the size."""
    turn = cv2.getRotationMatrix2D((450, 450), one.degrees, 1.0)
    upright = cv2.warpAffine(one.pixels, turn, (900, 700), flags=cv2.INTER_CUBIC)
    places = [(y, x) for y in (330, 400, 470) for x in (320, 380, 440)]
    return float(np.mean([likeness(upright[y : y + PERIOD[1], x : x + PERIOD[0]]) for y, x in places]))


def scale(piece: Pixels) -> float:
    """How large the print's red flower is on a piece of cloth, times its true size."""
    flower, small = motif()[5:65, 8:68], cv2.resize(piece, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    likes = {}
    for factor in np.geomspace(0.7, 4, 36):
        sought = cv2.resize(flower, None, fx=factor / 2, fy=factor / 2, interpolation=cv2.INTER_AREA)
        likes[float(factor)] = float(cv2.matchTemplate(small, sought, cv2.TM_CCOEFF_NORMED).max())
    return max(likes, key=lambda factor: likes[factor])


@pytest.mark.parametrize("seed", SEEDS)
def test_garment_is_found_before_a_plain_backdrop(seed: int) -> None:
    one = shirt(seed)

    def overlap(found: Array) -> float:
        return float((found & one.mask).sum() / (found | one.mask).sum())

    grey = cv2.cvtColor(one.pixels, cv2.COLOR_RGB2GRAY)
    otsu = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1] > 0
    hold(f"seed {seed}: IoU (naive: Otsu)", overlap(find_garment(one.pixels)), bar=0.95, naive=overlap(otsu))


def test_repeat_is_measured() -> None:
    errors = []
    for seed in SEEDS:
        lattice = find_lattice(shirt(seed).pixels[CROP])
        assert lattice is not None
        sides = np.hypot(*lattice.across), np.hypot(*lattice.down)
        errors.append(max(abs(side / truth - 1) for side, truth in zip(sides, PERIOD, strict=True)))
    hold("error of the period, mean (naive: a third of the picture)", float(np.mean(errors)), bar=0.03, upper=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_print_comes_out_cleaner_than_it_went_in(seed: int) -> None:
    one, (repeat, piece) = shirt(seed), extracted(seed)
    raw = of_crop(one)
    hold(f"seed {seed}: likeness to the print (naive: a crop)", of_result(repeat), bar=raw + 0.03, naive=raw)
    uneven = unevenness(one.pixels[CROP], PERIOD[0], cv2.BORDER_REFLECT)
    for name, result, period_px in (
        ("repeat", repeat, 1024 / repeats(repeat)[0]),
        ("piece", piece, PERIOD[0] * scale(piece)),
    ):
        hold(
            f"seed {seed}: unevenness of the {name} (naive: a crop)",
            unevenness(result, period_px),
            bar=0.4 * uneven,
            naive=uneven,
            upper=True,
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_both_results_tile_and_differ(seed: int) -> None:
    repeat, piece = extracted(seed)
    naive = seam(cropped(shirt(seed)))
    hold(f"seed {seed}: seam of the repeat (naive: a crop)", seam(repeat), bar=1.15, naive=naive, upper=True)
    hold(f"seed {seed}: seam of the piece (naive: a crop)", seam(piece), bar=1.15, naive=naive, upper=True)
    hold(f"seed {seed}: the two differ, dB (naive: the same)", psnr(repeat, piece), bar=25, naive=200, upper=True)


@pytest.mark.parametrize(("ratio", "size"), [("1:1", (1024, 1024)), ("4:3", (1024, 768)), ("16:9", (1024, 576))])
def test_results_have_the_ratio_exactly(ratio: str, size: tuple[int, int]) -> None:
    made = list(extract_pattern(Image.fromarray(shirt(1).pixels), ratio))
    assert [each.size for each in made] == [size, size]
    assert max(seam(np.asarray(each)) for each in made) <= 1.15
