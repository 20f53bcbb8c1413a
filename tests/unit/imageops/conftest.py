"""Pictures made at test time: what a camera might give, without a binary in the repository."""

import numpy as np
import pytest
from PIL import Image


def make_photograph(seed: int, width: int, height: int) -> Image.Image:
    """Gradients, soft texture at every scale, and sharp-edged shapes; taken at three times the size and shrunk."""
    rng = np.random.default_rng(seed)
    large = (width * 3, height * 3)
    planes = np.zeros((large[1], large[0], 3), np.float32)
    for cells, weight in ((3, 1.0), (9, 0.6), (27, 0.35), (81, 0.2), (243, 0.12)):
        for channel in range(3):
            grid = rng.standard_normal((cells, cells), dtype=np.float32)
            planes[..., channel] += weight * np.asarray(Image.fromarray(grid).resize(large, Image.Resampling.BICUBIC))
    planes = 128 + planes / planes.std() * 40
    y, x = np.mgrid[: large[1], : large[0]].astype(np.float32) / large[1]
    for _ in range(30):
        at_x, at_y = rng.uniform(0, large[0] / large[1]), rng.uniform(0, 1)
        angle, long, short = rng.uniform(0, np.pi), rng.uniform(0.02, 0.12), rng.uniform(0.01, 0.06)
        u = (x - at_x) * np.cos(angle) + (y - at_y) * np.sin(angle)
        v = (y - at_y) * np.cos(angle) - (x - at_x) * np.sin(angle)
        planes[(np.abs(u) < long) & (np.abs(v) < short)] += rng.uniform(-60, 60, 3)
    picture = Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))
    return picture.resize((width, height), Image.Resampling.BOX)


@pytest.fixture(scope="session")
def photographs() -> list[Image.Image]:
    """Four pictures of 512 x 384."""
    return [make_photograph(seed, 512, 384) for seed in range(4)]


@pytest.fixture(scope="session")
def photograph(photographs: list[Image.Image]) -> Image.Image:
    return photographs[0]
