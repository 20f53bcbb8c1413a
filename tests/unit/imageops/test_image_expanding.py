"""Expanding: exact size and place, the original untouched, refusals by name, equal bytes everywhere."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from imageops import OPERATIONS, Refused, decode, encode
from imageops.enlarging.expanding import Shares, expand
from imageops.errors import ParameterRefused

SHA256_OF_EXPANDED = """
import hashlib, sys
from imageops import OPERATIONS
(output,) = OPERATIONS["image.expand"].run([sys.stdin.buffer.read()], {"expand_top": 0.1, "prompt": "sea"}, 3)
print(hashlib.sha256(output.data).hexdigest())
"""


def test_original_is_where_the_shares_say(photograph: Image.Image) -> None:
    picture = photograph.resize((100, 75))
    result = expand(picture, Shares(top=0.2, bottom=0.1, left=0.05, right=0.13))
    assert result.size == (118, 98)
    assert result.crop((5, 15, 105, 90)).tobytes() == picture.tobytes()
    new = np.asarray(result)[:12]
    assert new.std() > 5  # Not a flat rim.


def test_transparency_stays_and_what_is_new_is_opaque(photograph: Image.Image) -> None:
    picture = photograph.resize((60, 40)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((60, 40)))
    result = expand(picture, Shares(left=0.1))
    assert result.crop((6, 0, 66, 40)).tobytes() == picture.tobytes()
    assert result.crop((0, 0, 6, 40)).getchannel("A").getextrema() == (255, 255)


def test_no_share_returns_the_same_picture(photograph: Image.Image) -> None:
    assert expand(photograph, Shares()).tobytes() == photograph.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (5, 3)])
def test_any_size_is_expanded(size: tuple[int, int]) -> None:
    result = expand(Image.new("RGB", size, (9, 90, 200)), Shares(top=0.3, bottom=0.3, left=0.3, right=0.3))
    assert result.size == tuple(round(side * 1.6) for side in size)
    assert result.getcolors() == [(result.width * result.height, (9, 90, 200))]


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
@pytest.mark.parametrize("share", [-0.01, 0.31, float("nan"), "0.1", True])
def test_share_is_refused_by_name(side: str, share: object) -> None:
    name = f"expand_{side}"
    with pytest.raises(Refused) as caught:
        OPERATIONS["image.expand"].run([encode(Image.new("RGB", (9, 9)))], {name: share}, 1)
    assert caught.value.field == name
    if isinstance(share, float):
        with pytest.raises(ParameterRefused) as refused:
            Shares(**{side: share})
        assert refused.value.field == name


def test_another_prompt_is_another_variant_and_progress_rises(photograph: Image.Image) -> None:
    data = encode(photograph.resize((96, 72)))
    seen: list[float] = []
    run = OPERATIONS["image.expand"].run
    (one,) = run([data], {"expand_top": 0.2, "expand_right": 0.1, "prompt": "sea"}, 1, seen.append)
    (other,) = run([data], {"expand_top": 0.2, "expand_right": 0.1, "prompt": "wood"}, 1)
    assert one.data != other.data
    assert decode(one.data).size == (106, 86)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 10


def test_bytes_are_equal_in_another_process(photograph: Image.Image) -> None:
    data = encode(photograph.resize((96, 72)))
    (here,) = OPERATIONS["image.expand"].run([data], {"expand_top": 0.1, "prompt": "sea"}, 3)
    there = subprocess.run([sys.executable, "-c", SHA256_OF_EXPANDED], input=data, capture_output=True, check=True)
    assert there.stdout.decode().strip() == hashlib.sha256(here.data).hexdigest()
