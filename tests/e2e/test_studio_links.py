"""Links to a task's pictures need no key, cannot be guessed, and every wrong one looks like every other."""

import io

import httpx
import pytest_asyncio
from PIL import Image

from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.studioclient import REDRAW, StudioClient, new_studio_client

PICTURE = encoded(photo((48, 40)), "PNG")
ENLARGE = REDRAW | {"upscale": "1.5"}


@pytest_asyncio.fixture(loop_scope="session")
async def studio(house: Deployment, partner: OpenClient) -> StudioClient:
    return await new_studio_client(house.operator(), partner, count=5)


def _seen(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
    """Everything a caller can tell apart."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    return answer.status_code, answer.text, headers


async def test_link_opens_for_anybody_and_stays_the_same(house: Deployment, studio: StudioClient) -> None:
    task_id = (await studio.submit("submit_task", PICTURE, **ENLARGE))["task_id"]
    done = await studio.finished(task_id)
    again = await studio.finished(task_id)

    assert done["images_url"] == again["images_url"]
    base, token, last = done["images_url"].rsplit("/", 2)
    assert (base, last) == (f"{house.url}/api/images", task_id)
    assert len(token) >= 22  # 128 bits.
    answer = await studio.open(done["images_url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(answer.content)).size == (72, 60)


async def test_every_wrong_link_looks_the_same(studio: StudioClient) -> None:
    first, second = [(await studio.submit("submit_task", PICTURE, **ENLARGE))["task_id"] for _ in range(2)]
    right = (await studio.finished(first))["images_url"]
    other = (await studio.finished(second))["images_url"]
    base, token, task_id = right.rsplit("/", 2)
    turned = token[:-1] + ("A" if token[-1] != "A" else "B")
    wrong = [
        f"{base}/{turned}/{task_id}",
        f"{base}/{token}/{second}",  # Each task has a token of its own.
        f"{base}/{other.rsplit('/', 2)[1]}/{first}",
        f"{base}/{token}/job_{'0' * 26}",
        f"{base}/{token}/nonsense",
        f"{base}/{'x' * 22}/job_{'0' * 26}",
        f"{base}/{'山' * 22}/{task_id}",
        f"{base}/{token}/{task_id}/vector",  # This task made none.
        f"{base}/{token}/{task_id}/grid",
        f"{base}/{token}/{task_id}/1m",
        f"{base}/{token}/{task_id}/alternative/1",
        f"{base}/{token}/{task_id}/alternative/0",
        f"{base}/{token}/{task_id}/nonsense",
        f"{base}/{token}/{task_id}/%2e%2e/{task_id}",
    ]

    answers = [_seen(await studio.open(url)) for url in wrong]

    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)
    assert (await studio.open(right)).status_code == 200


async def test_link_before_the_result_looks_like_a_wrong_one(studio: StudioClient) -> None:
    task_id = (await studio.submit("submit_task", PICTURE, **ENLARGE))["task_id"]
    done = await studio.finished(task_id)
    large = encoded(photo((900, 700)), "PNG")
    running = (await studio.submit("submit_task", large, **REDRAW | {"upscale": "4"}))["task_id"]

    early = await studio.open(done["images_url"].replace(task_id, running))

    assert _seen(early)[:2] == (404, "Not found.")
    await studio.finished(running)


async def test_deleted_picture_is_gone_from_its_link(studio: StudioClient, partner: OpenClient) -> None:
    task_id = (await studio.submit("submit_task", PICTURE, **ENLARGE))["task_id"]
    url = (await studio.finished(task_id))["images_url"]
    (asset_id,) = (await partner.job(task_id))["outputAssetIds"]

    await partner.http.delete(f"/api/v1/assets/{asset_id}")

    assert _seen(await studio.open(url))[:2] == (404, "Not found.")
