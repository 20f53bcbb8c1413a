"""Vector drawings: outlines only, in no more colours than asked for, of any picture that can be decoded."""

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imageops import OPERATIONS, ParameterRefused, Refused, encode
from imageops.tracing.vectorizing import vectorize
from testkit.postscript import NotOutlines, render

INK, PAPER, LEAF = (24, 62, 98), (246, 240, 228), (92, 158, 112)
BEGINNING = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n"
SHA256_OF_TRACE = """
import hashlib, sys
from imageops import OPERATIONS
outputs = OPERATIONS["image.vectorize"].run([sys.stdin.buffer.read()], {"color_count": 6}, 3)
print([hashlib.sha256(each.data).hexdigest() for each in outputs])
"""


def logo(side: int = 200) -> Image.Image:
    """A disc and a leaf on paper, with soft edges."""
    large = Image.new("RGB", (side * 4, side * 4), PAPER)
    draw = ImageDraw.Draw(large)
    draw.ellipse((side * 0.4, side * 0.4, side * 2.4, side * 2.4), fill=INK)
    draw.polygon(((side * 2, side * 3.6), (side * 3.6, side * 3.6), (side * 3.6, side * 1.6)), fill=LEAF)
    return large.resize((side, side), Image.Resampling.BOX)


def colours(pixels: Any) -> list[tuple[int, ...]]:
    return [tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()]


def test_drawing_is_redrawn_in_its_own_colours() -> None:
    picture = logo()
    traced = vectorize(picture, 3)

    drawn = render(traced.eps)

    assert drawn.shape == (200, 200, 3)
    assert set(colours(drawn)) == {INK, PAPER, LEAF}
    assert traced.colours == 3
    near = np.abs(drawn.astype(int) - np.asarray(picture)).max(axis=2)
    assert (near <= 128).mean() > 0.999  # Every pixel has the colour that is most of it.
    assert np.abs(np.asarray(traced.preview).astype(int) - np.asarray(picture)).mean() < 0.5


def test_drawing_is_sharp_at_any_size() -> None:
    fine = render(vectorize(logo(), 3).eps, zoom=4)
    assert fine.shape == (800, 800, 3)
    assert (fine == np.asarray(logo(800))).all(axis=2).mean() > 0.99


@pytest.mark.parametrize("count", [2, 3, 5, 9, 16])
def test_photograph_has_as_many_colours_as_asked_for(photograph: Image.Image, count: int) -> None:
    traced = vectorize(photograph, count)
    assert traced.colours == len(colours(render(traced.eps))) == count


def test_transparent_pixels_are_white() -> None:
    picture = Image.new("RGBA", (60, 60), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (15, 15, 45, 45))
    assert set(colours(render(vectorize(picture, 4).eps))) == {(255, 255, 255), (0, 0, 255)}


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 10_000), (10_000, 1), (37, 5)])
@pytest.mark.parametrize("flat", [True, False])
def test_any_size_is_traced(size: tuple[int, int], flat: bool) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    traced = vectorize(Image.new("RGB", size, INK) if flat else Image.fromarray(noise), 4)
    drawn = render(traced.eps)
    assert drawn.shape == (size[1], size[0], 3)
    assert traced.preview.size == size
    assert 1 <= len(colours(drawn)) <= 4
    if flat:
        assert colours(drawn) == [INK]


def test_operation_gives_a_preview_and_the_drawing(photograph: Image.Image) -> None:
    seen: list[float] = []
    made = OPERATIONS["image.vectorize"].run([encode(photograph)], {"color_count": 4}, 1, seen.append)
    assert [(each.role, each.mime_type, each.width, each.height) for each in made] == [
        ("image", "image/png", 512, 384),
        ("vector", "application/postscript", 512, 384),
        ("vector_colours", "text/plain", 0, 0),
    ]
    assert made[2].data == b"4"
    assert made[1].data.startswith(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 512 384\n")
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 6


@pytest.mark.parametrize("given", [1, 17, 0, -3, 2.5, "5", True, float("nan")])
def test_color_count_is_refused_by_name(photograph: Image.Image, given: object) -> None:
    with pytest.raises(Refused) as caught:
        OPERATIONS["image.vectorize"].run([encode(photograph)], {"color_count": given}, 1)
    assert (caught.value.reason, caught.value.field) == ("invalid_parameter", "color_count")
    if isinstance(given, int) and not isinstance(given, bool):
        with pytest.raises(ParameterRefused):
            vectorize(photograph, given)


def test_bytes_are_equal_in_another_process(photograph: Image.Image) -> None:
    data = encode(photograph)
    here = OPERATIONS["image.vectorize"].run([data], {"color_count": 6}, 3)
    there = subprocess.run([sys.executable, "-c", SHA256_OF_TRACE], input=data, capture_output=True, check=True)
    assert there.stdout.decode().strip() == str([hashlib.sha256(each.data).hexdigest() for each in here])


def test_renderer_fills_what_a_path_goes_around() -> None:
    body = b"/f{setrgbcolor fill}bind def gsave 0 4 translate 1 -1 scale "
    body += b"1 1 moveto 3 1 lineto 3 3 lineto 1 3 lineto closepath 1 0 0 f grestore showpage\n%%EOF\n"
    drawn = render(BEGINNING + body)
    assert (drawn[1:3, 1:3] == (255, 0, 0)).all()
    assert (drawn == 255).all(axis=2).sum() == 12


@pytest.mark.parametrize(
    "body",
    [
        b"4 4 8 [4 0 0 4 0 0] {currentfile} image showpage\n%%EOF",
        b"4 4 8 colorimage showpage\n%%EOF",
        b"0 0 moveto 4 4 lineto stroke showpage\n%%EOF",
        b"0 0 moveto 4 4 lineto showpage\n%%EOF",
        b"0 0 moveto 4 4 lineto 0 4 lineto 0 0 0 setrgbcolor fill\n%%EOF",
        b"showpage",
    ],
)
def test_renderer_refuses_what_is_no_outline(body: bytes) -> None:
    with pytest.raises(NotOutlines):
        render(BEGINNING + body)
