"""Expanded pictures: exact size, the original untouched, no seam, and neither a mirror nor a smear beyond it."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from quality_metrics import hold, luma
from quality_pictures import Pixels, picture

from imageops.enlarging.expanding import Shares, expand

SHARE = 0.3
NAMES = ("astronaut", "coffee", "grass", "gravel")
WAYS: dict[str, Callable[[Pixels, int, int], Pixels]] = {
    "replicate": lambda pixels, down, across: np.pad(pixels, ((down, down), (across, across), (0, 0)), mode="edge"),
    "mirror": lambda pixels, down, across: np.pad(pixels, ((down, down), (across, across), (0, 0)), mode="symmetric"),
    "black": lambda pixels, down, across: np.pad(pixels, ((down, down), (across, across), (0, 0))),
}


def middle(name: str) -> tuple[Pixels, Pixels, int, int]:
    """A picture, its middle that 30 % on all sides bring back to the whole size, and how far it is from the border."""
    truth = picture(name)
    truth = truth[: truth.shape[0] // 2, : truth.shape[1] // 2] if max(truth.shape) > 320 else truth
    rows, columns = (int(side / (1 + 2 * SHARE)) for side in truth.shape[:2])
    down, across = round(rows * SHARE), round(columns * SHARE)
    source = np.ascontiguousarray(truth[down : down + rows, across : across + columns])
    return truth[: rows + 2 * down, : columns + 2 * across], source, down, across


def expanded(source: Pixels) -> Pixels:
    shares = Shares(top=SHARE, bottom=SHARE, left=SHARE, right=SHARE)
    return np.asarray(expand(Image.fromarray(source), shares, 5))


def seam(result: Pixels, down: int, across: int) -> float:
    """The step over the original's border, against the steps inside."""
    grey = luma(result)
    rows, columns = grey.shape
    vertical, horizontal = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(grey, axis=1))
    steps = [
        vertical[down - 1, across : columns - across],
        vertical[rows - down - 1, across : columns - across],
        horizontal[down : rows - down, across - 1],
        horizontal[down : rows - down, columns - across - 1],
    ]
    inner = (slice(down, rows - down - 1), slice(across, columns - across - 1))
    inside = (vertical[inner].mean() + horizontal[inner].mean()) / 2
    return float(np.concatenate(steps).mean() / inside)


def mirrored(result: Pixels, down: int, across: int) -> float:
    """How much what is beyond the border looks like what is before it, turned over: 1 for a mirror."""
    grey = luma(result)
    pairs = [
        (grey[:down], grey[down : 2 * down][::-1]),
        (grey[-down:], grey[-2 * down : -down][::-1]),
        (grey[:, :across], grey[:, across : 2 * across][:, ::-1]),
        (grey[:, -across:], grey[:, -2 * across : -across][:, ::-1]),
    ]
    found = [np.corrcoef(one.ravel(), other.ravel())[0, 1] if one.std() > 0 else 0.0 for one, other in pairs]
    return float(np.mean(found))


def texture(result: Pixels, truth: Pixels, down: int, across: int) -> float:
    """How much fine detail the new part has, against the true one."""

    def detail(pixels: Pixels) -> Any:
        band = np.ones(pixels.shape[:2], bool)
        band[down - 2 : pixels.shape[0] - down + 2, across - 2 : pixels.shape[1] - across + 2] = False
        return np.abs(cv2.Laplacian(luma(pixels), cv2.CV_64F))[band].mean()

    return float(detail(result) / detail(truth))


@pytest.fixture(scope="module")
def figures() -> dict[str, tuple[float, float, float]]:
    """Means over the pictures of seam, mirror correlation and texture, for us and for the naive ways."""
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ("ours", *WAYS)}
    for name in NAMES:
        truth, source, down, across = middle(name)
        result = expanded(source)
        assert result.shape == truth.shape
        assert (result[down : down + source.shape[0], across : across + source.shape[1]] == source).all()
        for way, pixels in (("ours", result), *((way, make(source, down, across)) for way, make in WAYS.items())):
            measured = seam(pixels, down, across), mirrored(pixels, down, across), texture(pixels, truth, down, across)
            print(f"{name} {way}: seam {measured[0]:.2f} mirror {measured[1]:.2f} texture {measured[2]:.2f}")
            found[way].append(measured)
    return {way: tuple(np.mean(each, axis=0).tolist()) for way, each in found.items()}  # type: ignore[misc]


def test_border_is_no_seam(figures: dict[str, tuple[float, float, float]]) -> None:
    hold("seam at most (naive: black)", figures["ours"][0], bar=1.0, naive=figures["black"][0], upper=True)
    hold("seam at least (naive: replicated pixels)", figures["ours"][0], bar=0.2, naive=figures["replicate"][0])


def test_what_is_new_is_no_mirror(figures: dict[str, tuple[float, float, float]]) -> None:
    hold("mirror correlation (naive: mirror)", figures["ours"][1], bar=0.6, naive=figures["mirror"][1], upper=True)


def test_what_is_new_has_texture(figures: dict[str, tuple[float, float, float]]) -> None:
    hold("texture at least (naive: black)", figures["ours"][2], bar=0.3, naive=figures["black"][2])
    hold("texture at most", figures["ours"][2], bar=1.3, upper=True)
