"""The operator stops everything while jobs run, and starts it again: nothing is lost, nothing is done twice."""

import asyncio
import hashlib
from typing import Any

import httpx

from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from testkit.deployments import Deployment, new_partner
from testkit.openclient import OpenClient
from testkit.waiting import until

JOBS = 6
FIRST_EVENT_S = 30.0
BODY = {"capability": "image.generate", "width": 1536, "height": 1536}  # A second or so of work each.


async def test_stop_and_start_lose_no_job(own_house: Deployment) -> None:
    async with await new_partner(own_house.operator(), own_house.url) as partner:
        jobs = [await partner.create_job(**BODY, prompt=f"第{n}座山", idempotency_key=f"{n}") for n in range(JOBS)]
        await partner.reached(jobs[0]["id"], "running", "succeeded")
        heard_first = asyncio.Event()
        listening = asyncio.create_task(_listen(partner, jobs[-1]["id"], heard_first))
        async with asyncio.timeout(FIRST_EVENT_S):
            await heard_first.wait()

        statuses = await own_house.stop()

        assert set(statuses.values()) == {0}, own_house.logs()[-3000:]
        last_heard = await listening
        await own_house.start()
        ended = await asyncio.gather(*(partner.finished_job(job["id"]) for job in jobs))
        assert [job["status"] for job in ended] == ["succeeded"] * JOBS
        points = await until(partner.points, lambda points: points["held"] == 0)
        assert points == {"available": 1000 - 30 * JOBS, "held": 0, "spent": 30 * JOBS}
        await _assert_outputs_are_whole(partner, ended)
        heard = [event.data["job"]["status"] async for event in partner.events(jobs[-1]["id"], after=last_heard)]
        assert heard[-1] == "succeeded"
        again = await partner.submit({**BODY, "prompt": "第0座山"}, idempotency_key="0")
        assert (again.status_code, again.json()["job"]["id"]) == (200, jobs[0]["id"])
        await _assert_nothing_waits(own_house)


async def _assert_outputs_are_whole(partner: OpenClient, jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        (asset_id,) = job["outputAssetIds"]
        asset, content = await partner.asset(asset_id), await partner.download(asset_id)
        assert asset["sha256"] == hashlib.sha256(content).hexdigest()
    outputs = await partner.assets(limit=200)
    assert len(outputs) == len(jobs)  # No attempt that was given up left a picture.


async def _assert_nothing_waits(house: Deployment) -> None:
    stats = await house.operator().jobs.GetQueueStats(jobs_pb2.GetQueueStatsRequest(), timeout=10)
    assert sum(pool.queued + pool.running for pool in stats.pools) == 0


async def test_requests_under_way_are_answered_before_the_end(own_house: Deployment) -> None:
    async with await new_partner(own_house.operator(), own_house.url) as partner:
        stopping: asyncio.Task[Any] | None = None
        accepted: list[str] = []
        refused = 0
        for number in range(400):
            try:
                answer = await partner.submit(
                    {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64},
                    idempotency_key=f"{number}",
                )
            except httpx.TransportError:
                refused += 1  # Not connected: nothing listens any more.
                break
            if answer.status_code in {201, 402}:
                if answer.status_code == 201:
                    accepted.append(answer.json()["job"]["id"])
            else:
                assert answer.status_code == 503, answer.text
                refused += 1
                break
            if number == 10:
                stopping = asyncio.create_task(own_house.stop())
            if number > 10:
                await asyncio.sleep(0.05)
        assert stopping is not None
        assert set((await stopping).values()) == {0}
        assert refused

        await own_house.start()

        assert {job["id"] for job in await partner.jobs(limit=200)} >= set(accepted)
        ended = await asyncio.gather(*(partner.finished_job(job_id) for job_id in accepted))
        assert {job["status"] for job in ended} == {"succeeded"}


async def _listen(partner: OpenClient, job_id: str, heard_first: asyncio.Event) -> str:
    """Follow a job until the server ends the stream, in order, and return the last position heard."""
    last = "0"
    async for event in partner.events(job_id):
        last = event.id
        heard_first.set()
    return last
