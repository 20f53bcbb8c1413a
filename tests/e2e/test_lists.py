"""A partner looks through its jobs and assets."""

import asyncio
from typing import Any

import pytest

from testkit.openclient import OpenClient
from testkit.photos import encoded, photo

PICTURE = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}


async def _seven_jobs(partner: OpenClient) -> list[dict[str, Any]]:
    """Five pictures, one upscale, and one that fails; newest first."""
    made = [await partner.create_job(**PICTURE) for _ in range(5)]
    first = await partner.finished_job(made[0]["id"])
    made.append(await partner.create_job(capability="image.upscale", inputAssetIds=first["outputAssetIds"], scale=2))
    (wide,) = await partner.upload(("wide.png", encoded(photo((2100, 20)), "PNG")))
    made.append(await partner.create_job(capability="image.upscale", inputAssetIds=[wide["id"]], resolution="2k"))
    ended = await asyncio.gather(*(partner.finished_job(job["id"]) for job in made))
    return list(reversed(ended))


async def test_jobs_are_listed_newest_first_by_every_filter(partner: OpenClient) -> None:
    jobs = await _seven_jobs(partner)
    failed, upscaled, *pictures = jobs

    async def ids(**filters: Any) -> list[str]:
        return [job["id"] for job in await partner.jobs(**filters)]

    assert await partner.jobs() == jobs
    assert await ids(status="failed") == [failed["id"]]
    assert await ids(status="succeeded") == [job["id"] for job in (upscaled, *pictures)]
    for status in ("queued", "running", "expired", "cancelled"):
        assert await ids(status=status) == []
    assert await ids(capability="image.upscale") == [failed["id"], upscaled["id"]]
    assert await ids(capability="image.upscale", status="succeeded") == [upscaled["id"]]
    assert await ids(capability="video.generate") == []
    assert await ids(limit=3) == [job["id"] for job in jobs[:3]]
    assert await ids(before=upscaled["createdAt"]) == [
        job["id"] for job in pictures if job["createdAt"] < upscaled["createdAt"]
    ]
    assert await ids(before="2020-01-01T00:00:00Z") == []


@pytest.mark.parametrize("limit", [1, 2, 7, 200])
async def test_pages_hold_every_job_once_and_in_order(partner: OpenClient, limit: int) -> None:
    made = [await partner.create_job(**PICTURE) for _ in range(7)]

    seen, token = [], None
    while True:
        query = {"limit": limit} | ({"pageToken": token} if token else {})
        page = (await partner.get("/jobs", params=query)).json()
        assert len(page["jobs"]) <= limit
        seen += [job["id"] for job in page["jobs"]]
        token = page["nextPageToken"]
        if token is None:
            break

    assert seen == [job["id"] for job in reversed(made)]


async def test_pages_by_time_miss_nothing_when_jobs_are_apart(partner: OpenClient) -> None:
    made = []
    for _ in range(4):
        made.append((await partner.create_job(**PICTURE))["id"])
        await asyncio.sleep(0.005)  # Times are shown in milliseconds.

    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await partner.get("/jobs", params=query)).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["nextBefore"] is None:
            break
        query["before"] = page["nextBefore"]

    assert seen == list(reversed(made))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "done"}, "status"),
        ({"capability": "image.sing"}, "capability"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"before": "yesterday"}, "before"),
        ({"pageToken": "forged"}, "page"),
    ],
)
async def test_list_is_refused_when_a_filter_is_wrong(partner: OpenClient, query: dict[str, str], field: str) -> None:
    refusal = await partner.get("/jobs", params=query)

    assert refusal.status_code == 400
    assert field in refusal.json()["error"]


async def test_assets_are_listed_newest_first_and_by_page(partner: OpenClient) -> None:
    uploaded = [(await partner.upload((f"{n}.png", encoded(photo((32, 32), seed=n), "PNG"))))[0] for n in range(3)]
    job = await partner.finished_job((await partner.create_job(**PICTURE))["id"])
    output = await partner.asset(job["outputAssetIds"][0])
    expected = [output, *reversed(uploaded)]

    assert await partner.assets() == expected
    assert await partner.assets(kind="image") == expected
    assert await partner.assets(kind="video") == []
    seen, token = [], None
    while True:
        query = {"limit": 3} | ({"pageToken": token} if token else {})
        page = (await partner.get("/assets", params=query)).json()
        seen += page["assets"]
        token = page["nextPageToken"]
        if token is None:
            break
    assert seen == expected


async def test_deleted_asset_is_gone(partner: OpenClient) -> None:
    (record,) = await partner.upload(("photo.png", encoded(photo((32, 32)), "PNG")))

    deleted = await partner.http.delete(f"/api/v1/assets/{record['id']}")

    assert deleted.status_code == 204
    assert (await partner.get(f"/assets/{record['id']}")).status_code == 404
    assert (await partner.get(f"/assets/{record['id']}/download")).status_code == 404
    assert await partner.assets() == []
