"""Marked parts replaced, by name: what is not marked stays, masks that mark nothing useful are refused."""

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imageops import OPERATIONS, Refused, decode, encode

INPAINT = OPERATIONS["image.inpaint"]


def drawn(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Image.Image:
    """A mask with white boxes."""
    mask = Image.new("L", size, 0)
    for box in boxes:
        ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def replaced(image: Image.Image, mask: Image.Image, seed: int = 1) -> Image.Image:
    (output,) = INPAINT.run([encode(image), encode(mask.convert("RGB"))], {"prompt": "grass"}, seed)
    return decode(output.data)


@pytest.fixture(scope="module")
def picture(photograph: Image.Image) -> Image.Image:
    return photograph.resize((200, 150))


def test_only_what_is_white_changes(picture: Image.Image) -> None:
    mask = drawn(picture.size, (60, 40, 110, 90), (150, 20, 153, 120))
    damaged = picture.copy()
    damaged.paste((255, 0, 255), mask=mask)

    result = np.asarray(replaced(damaged, mask)).astype(int)

    marked = np.asarray(mask) > 127
    assert (result[~marked] == np.asarray(picture)[~marked]).all()
    assert np.abs(result[marked] - (255, 0, 255)).max(axis=1).min() > 30


def test_mark_at_the_border_is_filled_too(picture: Image.Image) -> None:
    mask = drawn(picture.size, (0, 0, 40, 149))
    damaged = picture.copy()
    damaged.paste((255, 0, 255), mask=mask)

    result = np.asarray(replaced(damaged, mask)).astype(int)

    assert np.abs(result[:, :40] - (255, 0, 255)).max(axis=2).min() > 30


def test_prompt_changes_nothing_and_the_seed_may(picture: Image.Image) -> None:
    inputs = [encode(picture), encode(drawn(picture.size, (60, 40, 110, 90)).convert("RGB"))]
    plain, told, other = (
        INPAINT.run(inputs, parameters, seed)[0].data
        for parameters, seed in (({}, 1), ({"prompt": "a cat"}, 1), ({}, 2))
    )

    assert plain == told
    assert plain != other
    assert "not followed" in INPAINT.summary


def test_transparency_stays_and_a_transparent_mask_is_black(picture: Image.Image) -> None:
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    mask = Image.new("RGBA", clear.size, (255, 255, 255, 0))
    mask.paste((255, 255, 255, 255), (20, 20, 60, 60))

    (output,) = INPAINT.run([encode(clear), encode(mask)], {}, 1)

    result = decode(output.data)
    assert result.getchannel("A").tobytes() == clear.getchannel("A").tobytes()
    changed = (np.asarray(result) != np.asarray(clear)).any(axis=2)
    assert changed[20:60, 20:60].mean() > 0.5
    changed[20:60, 20:60] = False
    assert not changed.any()


@pytest.mark.parametrize(
    "mask",
    [
        Image.new("RGB", (200, 150)),
        Image.new("RGB", (200, 150), (120, 120, 120)),
        Image.new("RGB", (200, 150), (255, 255, 255)),
        Image.new("RGB", (150, 200), (255, 255, 255)),
        Image.new("RGB", (1, 1), (255, 255, 255)),
    ],
    ids=["black", "dark", "white", "turned", "pixel"],
)
def test_mask_that_says_nothing_is_refused(picture: Image.Image, mask: Image.Image) -> None:
    with pytest.raises(Refused) as caught:
        INPAINT.run([encode(picture), encode(mask)], {}, 1)

    assert (caught.value.reason, caught.value.field) == ("invalid_inputs", "inputs[1]")


def test_missing_mask_and_strange_parameters_are_refused(picture: Image.Image) -> None:
    for inputs, parameters, expected in (
        ([encode(picture)], {}, ("invalid_inputs", "inputs")),
        ([encode(picture)] * 3, {}, ("invalid_inputs", "inputs")),
        ([encode(picture), b"mask"], {}, ("unsupported_format", "inputs[1]")),
        ([encode(picture)] * 2, {"prompt": 5}, ("invalid_parameter", "prompt")),
        ([encode(picture)] * 2, {"strength": 0.5}, ("invalid_parameter", "strength")),
    ):
        with pytest.raises(Refused) as caught:
            INPAINT.run(inputs, parameters, 1)
        assert (caught.value.reason, caught.value.field) == expected


@pytest.mark.parametrize("size", [(2, 1), (1, 10_000), (10_000, 1), (9, 9), (40, 12)])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_small_and_narrow_pictures_are_filled(size: tuple[int, int], share: float) -> None:
    levels = np.random.default_rng(3).integers(100, 156, (size[1], size[0], 3), dtype=np.uint8)
    marked = (max(0, int(size[0] * share) - 1), max(0, int(size[1] * share) - 1))
    mask = drawn(size, (0, 0, *marked))

    result = np.asarray(replaced(Image.fromarray(levels), mask)).astype(int)

    assert result.shape == levels.shape
    assert result.min() >= 60
    assert result.max() <= 195


def test_inpainting_tells_its_progress(picture: Image.Image) -> None:
    seen: list[float] = []
    mask = drawn(picture.size, (60, 40, 110, 90), (150, 20, 153, 120)).convert("RGB")
    INPAINT.run([encode(picture), encode(mask)], {}, 1, seen.append)

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 8


def test_same_picture_comes_out_of_another_process(picture: Image.Image) -> None:
    mask = drawn(picture.size, (60, 40, 110, 90), (150, 20, 153, 120)).convert("RGB")
    inputs = [encode(picture), encode(mask)]
    stream = io.BytesIO()
    for each in inputs:
        stream.write(len(each).to_bytes(4, "big") + each)
    program = (
        "import hashlib, sys; from imageops import OPERATIONS; read = sys.stdin.buffer.read; "
        "inputs = [read(int.from_bytes(read(4), 'big')) for _ in range(2)]; "
        "print(hashlib.sha256(OPERATIONS['image.inpaint'].run(inputs, {}, 7)[0].data).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", program], input=stream.getvalue(), capture_output=True, check=True, timeout=120
    )

    (here,) = INPAINT.run(inputs, {}, 7)
    assert there.stdout.decode().strip() == hashlib.sha256(here.data).hexdigest()
