"""A picture and a mask are uploaded; what the mask shows in white comes back replaced, all else as it was."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from testkit.openclient import OpenClient
from testkit.photos import encoded, photo

SIZE = (240, 180)
BOX = (90, 60, 140, 110)
SCRATCH = (20, 10, 60, 170)
MAGENTA = (255, 0, 255)


def _mask() -> Image.Image:
    mask = Image.new("RGB", SIZE)
    draw = ImageDraw.Draw(mask)
    draw.rectangle(BOX, fill="white")
    draw.line(SCRATCH, fill="white", width=5)
    return mask


async def _inputs(partner: OpenClient, picture: Image.Image, mask: Image.Image) -> list[str]:
    records = await partner.upload(("picture.png", encoded(picture, "PNG")), ("mask.png", encoded(mask, "PNG")))
    return [record["id"] for record in records]


async def _inpainted(partner: OpenClient, inputs: list[str], seed: int) -> bytes:
    job = await partner.create_job(capability="image.inpaint", prompt="延续背景", inputAssetIds=inputs, seed=seed)
    done = await partner.finished_job(job["id"])
    assert done["status"] == "succeeded", done["error"]
    (output,) = done["outputAssetIds"]
    return await partner.download(output)


async def test_marked_parts_are_replaced_and_nothing_else(partner: OpenClient) -> None:
    clean, mask = photo(SIZE, seed=4), _mask()
    damaged = clean.copy()
    damaged.paste(MAGENTA, mask=mask.convert("L"))
    inputs = await _inputs(partner, damaged, mask)

    content = await _inpainted(partner, inputs, 5)

    result = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    truth, marked = np.asarray(clean).astype(int), np.asarray(mask.convert("L")) > 127
    assert (result[~marked] == truth[~marked]).all()
    assert np.abs(result[marked] - MAGENTA).max(axis=1).min() > 30
    before, after = (np.abs(each[marked] - truth[marked]).mean() for each in (np.asarray(damaged), result))
    assert after < 0.35 * before
    assert await _inpainted(partner, inputs, 5) == content


@pytest.mark.parametrize("mask", [Image.new("RGB", SIZE), Image.new("RGB", (64, 64), "white")], ids=["black", "small"])
async def test_mask_that_says_nothing_fails_and_costs_nothing(partner: OpenClient, mask: Image.Image) -> None:
    inputs = await _inputs(partner, photo(SIZE), mask)

    job = await partner.create_job(capability="image.inpaint", prompt="sky", inputAssetIds=inputs)
    done = await partner.finished_job(job["id"])

    assert done["status"] == "failed"
    assert done["outputAssetIds"] == []
    assert done["cost"] == {"unit": "points", "amount": 35, "charged": False, "refunded": True}


async def test_picture_without_a_mask_is_refused_at_once(partner: OpenClient) -> None:
    (record,) = await partner.upload(("picture.png", encoded(photo(SIZE), "PNG")))

    answer = await partner.submit({"capability": "image.inpaint", "prompt": "sky", "inputAssetIds": [record["id"]]})

    assert answer.status_code == 400
