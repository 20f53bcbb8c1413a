"""A partner changes its mind."""

import asyncio

import httpx

from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.waiting import until

#: Takes the engine much longer than a worker takes to hear of a cancel.
LONG = {"capability": "image.upscale", "resolution": "8k"}


async def test_queued_job_is_cancelled_at_once(partner: OpenClient) -> None:
    (record,) = await partner.upload(("photo.jpg", encoded(photo(), "JPEG")))
    jobs = [await partner.create_job(**LONG, inputAssetIds=[record["id"]]) for _ in range(8)]

    cancelled = await partner.cancel(jobs[-1]["id"])

    assert cancelled["status"] == "cancelled"
    assert cancelled["error"]["code"] == "job_cancelled"
    assert cancelled["startedAt"] is None
    for job in jobs[:-1]:
        await partner.cancel(job["id"])
    ended = await asyncio.gather(*(partner.finished_job(job["id"]) for job in jobs))
    assert {job["status"] for job in ended} == {"cancelled"}
    points = await until(partner.points, lambda points: points["held"] == 0)
    assert points == {"available": 1000, "held": 0, "spent": 0}


async def test_running_job_is_stopped(partner: OpenClient) -> None:
    (record,) = await partner.upload(("photo.jpg", encoded(photo(), "JPEG")))
    job = await partner.create_job(**LONG, inputAssetIds=[record["id"]])
    await partner.reached(job["id"], "running")

    asked = await partner.cancel(job["id"])
    again = await partner.cancel(job["id"])

    assert asked["cancelRequested"] is True
    assert again["id"] == job["id"]
    ended = await partner.finished_job(job["id"])
    assert ended["status"] == "cancelled"
    assert ended["outputAssetIds"] == []
    assert ended["cost"]["refunded"] is True


async def test_cancelling_twice_is_harmless(partner: OpenClient) -> None:
    job = await partner.create_job(capability="image.generate", prompt="山", width=64, height=64)
    first = await partner.post(f"/jobs/{job['id']}/cancel")
    ended = await partner.finished_job(job["id"])

    again = await partner.post(f"/jobs/{job['id']}/cancel")

    assert first.status_code == httpx.codes.OK
    assert again.status_code == (httpx.codes.OK if ended["status"] == "cancelled" else httpx.codes.CONFLICT)
    assert await partner.job(job["id"]) == ended


async def test_cancel_is_refused_when_the_job_has_finished(partner: OpenClient) -> None:
    job = await partner.create_job(capability="image.generate", prompt="山", width=64, height=64)
    done = await partner.finished_job(job["id"])
    assert done["status"] == "succeeded"

    refusal = await partner.post(f"/jobs/{job['id']}/cancel")

    assert refusal.status_code == httpx.codes.CONFLICT
    assert refusal.json() == {"error": "The job has already finished."}
    assert await partner.job(job["id"]) == done
