"""What belongs to another client is exactly as absent as what never existed."""

import re
from typing import Any

import httpx
import pytest

from testkit.deployments import NewPartner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo

MISSING_JOB = "job_" + "0" * 26
MISSING_ASSET = "asset_" + "0" * 26

ON_JOBS = [("GET", "/jobs/{}"), ("GET", "/jobs/{}/events"), ("POST", "/jobs/{}/cancel")]
ON_ASSETS = [
    ("GET", "/assets/{}"),
    ("GET", "/assets/{}/download"),
    ("HEAD", "/assets/{}/download"),
    ("DELETE", "/assets/{}"),
]


def _seen(answer: httpx.Response, id_asked: str) -> tuple[int, str, dict[str, str]]:
    """Everything a caller can tell apart, with the id it asked for left out."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    return answer.status_code, answer.text.replace(id_asked, "…"), headers


@pytest.mark.parametrize(("method", "path"), ON_JOBS)
async def test_foreign_job_looks_like_a_missing_one(
    partner: OpenClient, make_partner: NewPartner, method: str, path: str
) -> None:
    stranger = await make_partner()
    job = await partner.create_job(capability="image.generate", prompt="山", width=64, height=64)
    done = await partner.finished_job(job["id"])

    foreign = await stranger.http.request(method, "/api/v1" + path.format(job["id"]))
    missing = await stranger.http.request(method, "/api/v1" + path.format(MISSING_JOB))

    assert foreign.status_code == 404
    assert _seen(foreign, job["id"]) == _seen(missing, MISSING_JOB)
    assert await partner.job(job["id"]) == done


@pytest.mark.parametrize(("method", "path"), ON_ASSETS)
async def test_foreign_asset_looks_like_a_missing_one(
    partner: OpenClient, make_partner: NewPartner, method: str, path: str
) -> None:
    stranger = await make_partner()
    (record,) = await partner.upload(("mine.png", encoded(photo((32, 32)), "PNG")))

    foreign = await stranger.http.request(method, "/api/v1" + path.format(record["id"]))
    missing = await stranger.http.request(method, "/api/v1" + path.format(MISSING_ASSET))

    if method != "DELETE":
        assert foreign.status_code == 404
    assert _seen(foreign, record["id"]) == _seen(missing, MISSING_ASSET)
    assert await partner.asset(record["id"]) == record


async def test_foreign_asset_as_an_input_looks_like_a_missing_one(
    partner: OpenClient, make_partner: NewPartner
) -> None:
    stranger = await make_partner()
    (record,) = await partner.upload(("mine.png", encoded(photo((32, 32)), "PNG")))

    def body(asset_id: str) -> dict[str, Any]:
        return {"capability": "image.upscale", "inputAssetIds": [asset_id]}

    def link(asset_id: str) -> dict[str, Any]:
        return {"capability": "image.upscale", "imageUrls": [re.sub("asset_[0-9a-z]+", asset_id, record["url"])]}

    for form in (body, link):
        foreign = await stranger.submit(form(record["id"]))
        missing = await stranger.submit(form(MISSING_ASSET))
        assert foreign.status_code == 404
        assert _seen(foreign, record["id"]) == _seen(missing, MISSING_ASSET)
    assert await stranger.jobs() == []
    assert await stranger.points() == {"available": 1000, "held": 0, "spent": 0}


async def test_lists_show_only_what_is_the_clients_own(partner: OpenClient, make_partner: NewPartner) -> None:
    stranger = await make_partner()
    await partner.create_job(capability="image.generate", prompt="山", width=64, height=64)
    await partner.upload(("mine.png", encoded(photo((32, 32)), "PNG")))

    assert await stranger.jobs() == []
    assert await stranger.assets() == []


async def test_page_token_of_another_client_shows_nothing_of_it(partner: OpenClient, make_partner: NewPartner) -> None:
    stranger = await make_partner()
    for _ in range(3):
        await partner.create_job(capability="image.generate", prompt="山", width=64, height=64)
    token = (await partner.get("/jobs", params={"limit": 1})).json()["nextPageToken"]

    answer = await stranger.get("/jobs", params={"limit": 1, "pageToken": token})

    assert answer.status_code == 400 or answer.json()["jobs"] == []
