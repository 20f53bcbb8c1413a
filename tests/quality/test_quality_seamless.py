"""Tiles: they repeat without a seam, show what the picture showed, and lose no more of it than they must."""

import numpy as np
import pytest
from PIL import Image
from quality_metrics import Array, hold
from quality_pictures import PHOTOGRAPHS, TEXTURES, Pixels, picture, textile_print

from imageops.palette import choose_palette, to_lab
from imageops.repeating.seamless import BOTH, LEFT_RIGHT, UP_DOWN, Tile, make_seamless

FITS = (0.3, 0.9)
PATCH_PX, PATCHES = 11, 150
MIDDLE = np.float32(128)  # Of the levels: around it the squares are small, and so is their rounding.
BAND_PX = 32
NAMES = (*PHOTOGRAPHS, *TEXTURES, "print")


def source(name: str) -> Pixels:
    return textile_print() if name == "print" else picture(name)


def made(pixels: Pixels, fit: float, direction: int = BOTH) -> Tile:
    return make_seamless(Image.fromarray(pixels), fit=fit, direction=direction)


def mirrored(pixels: Pixels) -> Pixels:
    return np.asarray(np.vstack([np.hstack([pixels, pixels[:, ::-1]]), np.hstack([pixels, pixels[:, ::-1]])[::-1]]))


def cross_faded(pixels: Pixels, share: float = 0.15) -> Pixels:
    for _ in range(2):
        overlap = round(pixels.shape[1] * share)
        ramp = np.linspace(0, 1, overlap)[None, :, None]
        blend = pixels[:, -overlap:] * (1 - ramp) + pixels[:, :overlap] * ramp
        pixels = np.hstack([np.rint(blend).astype(np.uint8), pixels[:, overlap:-overlap]]).transpose(1, 0, 2)
    return pixels


def seam(tile: Pixels, axis: int) -> float:
    """The step from the last column (axis 1) or row (0) to the first, over the 95th percentile of those inside."""
    levels = np.moveaxis(tile.astype(np.float64), axis, 0)
    inside = np.abs(np.diff(levels, axis=0)).mean(axis=(1, 2))
    return float(np.abs(levels[0] - levels[-1]).mean() / max(np.quantile(inside, 0.95), 1e-9))


def worst_seam(tile: Pixels) -> float:
    return max(seam(tile, 0), seam(tile, 1))


def coherence(tile: Pixels, truth: Pixels) -> float:
    """How far patches near the seams of the repeated tile are from the most similar ones of the picture, in levels."""
    rows, columns = tile.shape[:2]
    repeated = np.tile(tile, (2, 2, 1))
    rng = np.random.default_rng(5)
    half = PATCH_PX // 2
    patches = []
    for number in range(PATCHES):
        reach = (rows if number % 2 else columns) // 12
        along, across = rng.uniform(0.25, 0.75), int(rng.integers(-reach, reach + 1))
        y, x = (rows + across, int(2 * columns * along)) if number % 2 else (int(2 * rows * along), columns + across)
        patches.append(repeated[y - half : y + half + 1, x - half : x + half + 1])
    return float(nearest_distances(np.stack(patches), truth).mean())


def nearest_distances(patches: Pixels, truth: Pixels) -> Array:
    """How far each patch (count x side x side x 3) is from the most similar place in `truth`, in levels."""
    wanted = patches.transpose(0, 3, 1, 2).reshape(len(patches), -1).astype(np.float32) - MIDDLE
    places = np.lib.stride_tricks.sliding_window_view(truth, patches.shape[1:3], axis=(0, 1))
    least, nearest = np.full(len(patches), np.inf, np.float32), np.zeros(wanted.shape, np.float32)
    for top in range(0, places.shape[0], BAND_PX):  # All places at once would be hundreds of megabytes.
        there = places[top : top + BAND_PX].reshape(-1, wanted.shape[1]).astype(np.float32) - MIDDLE
        squares = np.einsum("ij,ij->i", there, there)[:, None] - 2 * (there @ wanted.T)
        best = squares.argmin(axis=0)
        found = squares[best, np.arange(len(patches))]
        nearer = found < least
        least[nearer], nearest[nearer] = found[nearer], there[best[nearer]]
    distances: Array = np.sqrt(((nearest - wanted) ** 2).mean(axis=1))
    return distances


def drift(tile: Pixels, truth: Pixels) -> float:
    """How much farther (in Lab) the tile is from the picture's sixteen colours than the picture itself is."""
    own = to_lab(choose_palette(truth, 16).colours[None])[0]

    def far(pixels: Pixels) -> float:
        lab: Array = to_lab(pixels).reshape(-1, 3)
        distances: Array = np.stack([np.linalg.norm(lab - each, axis=1) for each in own])
        return float(distances.min(axis=0).mean())

    return far(tile) - far(truth)


def test_tiles_repeat_and_show_what_the_picture_showed() -> None:
    truths = {name: source(name) for name in NAMES}
    plain = max(worst_seam(truth) for truth in truths.values())
    mirror = float(np.mean([coherence(mirrored(truth), truth) for truth in truths.values()]))
    faded = float(np.mean([coherence(cross_faded(truth), truth) for truth in truths.values()]))
    for fit in FITS:
        ours = []
        for name, truth in truths.items():
            tile = np.asarray(made(truth, fit).image)
            area = tile.size / truth.size
            ours.append((worst_seam(tile), coherence(tile, truth), drift(tile, truth), area))
            print(f"{name:<10} fit {fit}: seam, coherence, drift, area", *(f"{each:.2f}" for each in ours[-1]))
        seams, likeness, drifts, areas = np.array(ours).T
        hold(f"fit {fit}: worst seam (naive: untouched)", seams.max(), bar=1.15, naive=plain, upper=True)
        hold(f"fit {fit}: coherence (naive: mirrored)", likeness.mean(), bar=3.0, naive=mirror, upper=True)
        hold(f"fit {fit}: coherence (naive: cross-fade)", likeness.mean(), bar=3.0, naive=faded, upper=True)
        hold(f"fit {fit}: drift from the palette, dE", drifts.mean(), bar=0.5, upper=True)
        hold(f"fit {fit}: area kept", areas.min(), bar=0.40)


def test_print_is_cut_on_whole_repeats() -> None:
    truth = textile_print()
    tile = np.asarray(made(truth, 0.9).image)
    naive = coherence(cross_faded(truth), truth)
    hold("coherence of the print (naive: cross-fade)", coherence(tile, truth), bar=1.0, naive=naive, upper=True)


@pytest.mark.parametrize("name", ["astronaut", "grass"])
@pytest.mark.parametrize(("direction", "axis"), [(UP_DOWN, 0), (LEFT_RIGHT, 1)])
def test_one_direction_leaves_the_other_alone(name: str, direction: int, axis: int) -> None:
    truth = source(name)
    done = made(truth, 0.5, direction)
    tile = np.asarray(done.image)
    assert tile.shape[1 - axis] == truth.shape[1 - axis]
    assert tile.shape[axis] < truth.shape[axis]
    hold(
        f"{name}, axis {axis}: seam (naive: untouched)", seam(tile, axis), bar=1.15, naive=seam(truth, axis), upper=True
    )
    copies = (2, 1, 1) if direction == UP_DOWN else (1, 2, 1)
    assert (np.asarray(done.grid) == np.tile(tile, copies)).all()


def test_grid_and_the_tile_at_the_pictures_size_repeat_as_well() -> None:
    truth = source("gravel")
    done = made(truth, 0.5)
    assert (np.asarray(done.grid) == np.tile(np.asarray(done.image), (2, 2, 1))).all()
    assert done.sized.size == (truth.shape[1], truth.shape[0])
    resized = np.asarray(done.image.resize(done.sized.size))
    hold(
        "worst seam at the picture's size (naive: untouched)",
        worst_seam(np.asarray(done.sized)),
        bar=1.15,
        naive=worst_seam(truth),
        upper=True,
    )
    assert worst_seam(np.asarray(done.sized)) <= worst_seam(resized)
