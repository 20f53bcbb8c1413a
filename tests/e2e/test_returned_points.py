"""Whoever gets no picture gets the points back."""

import httpx

from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.waiting import until
from testkit.web import Site, respond

UNTOUCHED = {"available": 1000, "held": 0, "spent": 0}


async def test_points_come_back_when_the_job_fails(partner: OpenClient, site: Site) -> None:
    site.reply("/picture.png", respond(b"<html>not a picture</html>", headers={"Content-Type": "image/png"}))

    job = await partner.create_job(
        capability="image.upscale", imageUrls=[f"http://127.0.0.1:{site.port}/picture.png"], scale=2
    )
    left = (await partner.points())["available"]
    assert left == 980 or (await partner.job(job["id"]))["status"] == "failed"  # It may fail sooner than we look.

    failed = await partner.finished_job(job["id"])
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "input_unsupported"
    assert failed["outputAssetIds"] == []
    assert failed["cost"] == {"unit": "points", "amount": 20, "charged": False, "refunded": True}
    assert await until(partner.points, lambda points: points["held"] == 0) == UNTOUCHED


async def test_points_come_back_when_a_picture_cannot_be_enlarged_that_far(partner: OpenClient) -> None:
    (record,) = await partner.upload(("wide.png", encoded(photo((2100, 20)), "PNG")))

    job = await partner.create_job(capability="image.upscale", inputAssetIds=[record["id"]], resolution="2k")

    failed = await partner.finished_job(job["id"])
    assert failed["status"] == "failed"
    assert "2100 x 20" in failed["error"]["message"]
    assert await until(partner.points, lambda points: points["held"] == 0) == UNTOUCHED


async def test_points_come_back_when_the_job_is_cancelled(partner: OpenClient) -> None:
    job = await partner.create_job(capability="image.generate", prompt="山", width=2048, height=2048)

    answer = await partner.post(f"/jobs/{job['id']}/cancel")

    ended = await partner.finished_job(job["id"])
    if ended["status"] == "cancelled":
        expected = UNTOUCHED
    else:  # It was quicker than the cancel: then it is paid for.
        assert ended["status"] == "succeeded"
        expected = {"available": 970, "held": 0, "spent": 30}
    assert answer.status_code == httpx.codes.OK
    assert await until(partner.points, lambda points: points["held"] == 0) == expected
