"""A photograph is uploaded in one call, enlarged in a job and downloaded, whole and of the right size."""

import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from testkit.openclient import OpenClient
from testkit.photos import TWO_MEGAPIXELS, encoded, photo

PHOTOGRAPHS = [
    ("JPEG", "image/jpeg", {"resolution": "2k"}, (2048, 1536)),
    ("PNG", "image/png", {"scale": 1.5}, (2448, 1836)),
    ("WEBP", "image/webp", {"scale": 2}, (3264, 2448)),
]


@pytest.mark.parametrize(("kind", "mime_type", "wanted", "size"), PHOTOGRAPHS)
async def test_photograph_comes_back_enlarged(
    partner: OpenClient, kind: str, mime_type: str, wanted: dict[str, Any], size: tuple[int, int]
) -> None:
    original = photo(seed=3)
    content = encoded(original, kind)

    (record,) = await partner.upload((f"holiday.{kind.lower()}", content))

    assert record["mimeType"] == mime_type
    assert (record["width"], record["height"]) == TWO_MEGAPIXELS
    assert record["bytes"] == len(content)
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert await partner.download(record["id"]) == content

    job = await partner.create_job(capability="image.upscale", inputAssetIds=[record["id"]], **wanted)
    done = await partner.finished_job(job["id"])

    assert done["status"] == "succeeded", done["error"]
    output = await partner.asset(done["outputAssetIds"][0])
    result = await partner.download(output["id"])
    assert output["sha256"] == hashlib.sha256(result).hexdigest()
    assert output["bytes"] == len(result)
    assert (output["width"], output["height"]) == size
    picture = Image.open(io.BytesIO(result)).convert("RGB")
    assert picture.size == size
    _assert_shows_the_same(picture, original)


def _assert_shows_the_same(picture: Image.Image, original: Image.Image) -> None:
    """Shrunk to a thumbnail, both are the same picture."""
    thumbnails = [one.resize((64, 48), Image.Resampling.BOX).tobytes() for one in (picture, original)]
    worst = max(abs(one - other) for one, other in zip(*thumbnails, strict=True))
    assert worst <= 6  # Levels of 255; encoders and kernels round.


async def test_several_files_of_one_call_become_assets_in_their_order(partner: OpenClient) -> None:
    files = [(f"{seed}.png", encoded(photo((40 + seed, 30), seed=seed), "PNG")) for seed in range(3)]

    records = await partner.upload(*files)

    assert [record["name"] for record in records] == ["0.png", "1.png", "2.png"]
    assert [record["width"] for record in records] == [40, 41, 42]
    assert [await partner.download(record["id"]) for record in records] == [content for _, content in files]
