"""Writing a large file tells how far it is, and gives the same bytes as writing it silently."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from imageops import encode
from imageops.codec import FileFormat


@pytest.fixture(scope="module")
def large() -> Image.Image:
    """Three megapixels, smooth on the left and noisy on the right."""
    rng = np.random.default_rng(5)
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    pixels[:, 1000:] = rng.integers(0, 255, (1500, 1000, 3), dtype=np.uint8)
    pixels[:, :1000] = np.linspace(0, 255, 1500, dtype=np.uint8)[:, None, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize("file_format", ["png", "jpeg"])
def test_progress_is_steady_while_a_large_picture_is_written(large: Image.Image, file_format: FileFormat) -> None:
    seen: list[float] = [0.0]
    encode(large, file_format, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert max(after - before for before, after in itertools.pairwise(seen)) < 0.2


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_bytes_are_the_same_when_progress_is_asked_for(large: Image.Image, file_format: FileFormat, mode: str) -> None:
    picture = large.convert(mode)
    told = encode(picture, file_format, lambda _fraction: None)
    assert told == encode(picture, file_format)
    assert Image.open(io.BytesIO(told)).size == large.size


@pytest.mark.parametrize("size", [(1, 2_000_000), (16_000, 130)])
def test_a_picture_of_an_odd_shape_is_written_with_progress(size: tuple[int, int]) -> None:
    seen: list[float] = []
    encode(Image.new("RGB", size), "png", seen.append)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_writing_stops_when_the_callback_raises(large: Image.Image) -> None:
    def stop(_fraction: float) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        encode(large, "png", stop)
