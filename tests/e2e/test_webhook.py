"""A partner's server is told the end of a job, signed, and again until it listens."""

import asyncio
import hashlib
import hmac
import json
from typing import Any

from standardwebhooks import Webhook

from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.waiting import until
from testkit.web import SeenRequest, Site, respond

SMALL = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}
RETRY_TIMEOUT_S = 30.0  # The second try comes after five seconds, give or take a fifth.


def _answers(*statuses: int) -> Any:
    """A script that answers with one status after the other, and then for ever with the last."""
    left = list(statuses)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(respond(b"", status=left.pop(0) if len(left) > 1 else left[0]))
        await writer.drain()

    return answer


async def _requests(site: Site, path: str) -> list[SeenRequest]:
    return [request for request in site.requests if request.path == path]


async def test_end_of_a_job_is_told_and_signed(partner: OpenClient, site: Site, webhook_secret: str) -> None:
    site.reply("/hook", respond(b""))
    job = await partner.create_job(**SMALL, webhookUrl=f"http://127.0.0.1:{site.port}/hook")
    done = await partner.finished_job(job["id"])

    (request,) = await until(lambda: _requests(site, "/hook"), lambda seen: len(seen) == 1)

    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    digest = hmac.new(webhook_secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-zhinian-signature"] == f"sha256={digest}"
    Webhook(webhook_secret.encode()).verify(request.body.decode(), dict(request.headers))
    told = json.loads(request.body)
    assert told["event"] == "generation.succeeded"
    assert told["job"]["id"] == job["id"]
    assert told["job"]["status"] == "succeeded"
    assert told["job"]["outputAssetIds"] == done["outputAssetIds"]


async def test_failure_is_told_with_its_reason(partner: OpenClient, site: Site) -> None:
    site.reply("/hook", respond(b""))
    site.reply("/missing.png", respond(b"", status=404))
    here = f"http://127.0.0.1:{site.port}"

    job = await partner.create_job(
        capability="image.upscale", imageUrls=[f"{here}/missing.png"], webhookUrl=f"{here}/hook"
    )

    failed = await partner.finished_job(job["id"])
    (request,) = await until(lambda: _requests(site, "/hook"), lambda seen: len(seen) == 1)
    told = json.loads(request.body)
    assert told["event"] == "generation.failed"
    assert told["job"]["outputAssetIds"] == []
    assert told["job"]["error"]["code"] == failed["error"]["code"] == "input_fetch_refused"


async def test_message_is_sent_again_when_the_server_fails(
    partner: OpenClient, site: Site, webhook_secret: str
) -> None:
    site.reply("/hook", _answers(500, 200))
    job = await partner.create_job(**SMALL, webhookUrl=f"http://127.0.0.1:{site.port}/hook")
    await partner.finished_job(job["id"])

    first, second = await until(
        lambda: _requests(site, "/hook"), lambda seen: len(seen) == 2, timeout_s=RETRY_TIMEOUT_S
    )

    assert second.body == first.body
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.headers["x-zhinian-signature"] == first.headers["x-zhinian-signature"]
    assert int(second.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 3
    Webhook(webhook_secret.encode()).verify(second.body.decode(), dict(second.headers))


async def test_each_of_many_jobs_is_told_once(partner: OpenClient, site: Site) -> None:
    site.reply("/hook", respond(b""))
    jobs = []
    for _ in range(6):
        job = await partner.create_job(**SMALL, webhookUrl=f"http://127.0.0.1:{site.port}/hook")
        jobs.append(await partner.finished_job(job["id"]))

    seen = await until(lambda: _requests(site, "/hook"), lambda seen: len(seen) >= 6)

    # Between jobs no order is promised; their times tell it.
    told = sorted((json.loads(request.body) for request in seen), key=lambda one: str(one["timestamp"]))
    assert [one["job"]["id"] for one in told] == [job["id"] for job in jobs]
    assert len({request.headers["webhook-id"] for request in seen}) == 6


async def test_redirect_is_not_followed(house: Deployment, partner: OpenClient, site: Site) -> None:
    site.reply("/hook", respond(b"", status=302, headers={"Location": f"http://127.0.0.1:{site.port}/elsewhere"}))

    job = await partner.create_job(**SMALL, webhookUrl=f"http://127.0.0.1:{site.port}/hook")

    await partner.finished_job(job["id"])
    await until(lambda: _requests(site, "/hook"), lambda seen: len(seen) == 1)
    assert await _requests(site, "/elsewhere") == []
