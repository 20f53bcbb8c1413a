"""SIGTERM under load: what runs is finished within the grace, the status is 0, nothing is lost; twice in a row."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from crash_audit import audit, settle
from crash_houses import EmbeddedHouse, House, StackHouse
from crash_load import Load

from testkit.openclient import OpenClient

STOPS: Final = 2
STOP_S_MAX: Final = 30.0  # What Kubernetes gives a process before it kills it.
WORK_S: Final = 3.0
FIRST_EVENT_S: Final = 30.0  # Of a job that waits: a machine with other work to do takes its time.

QUICK: Final = {"PROVIDERS_ENGINE_WORKERS": "1"}  # The lease is the shipped one: who stops gives its jobs back.
#: Far below the lease: a job that was not given back would be missing for longer.
BACK_AT_WORK_S: Final = 20.0


@pytest.fixture(params=[EmbeddedHouse, pytest.param(StackHouse, marks=pytest.mark.servers)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    made: House = request.param(tmp_path / "house", environment=QUICK)
    return made


@pytest.mark.timeout(900)
async def test_sigterm_under_load_ends_in_time_and_loses_nothing(house: House, record_property: Any) -> None:
    async with house:
        await house.start()
        load = await house.load(random.Random(5))
        async with load:
            took_s = [await _stop_and_start(house) for _ in range(STOPS)]
            await asyncio.sleep(WORK_S)
            await load.stop()
            await settle(house)
        counts = await audit(house, load)
    assert counts["broken off too often"] == 0
    record_property("jobs", counts["jobs"])
    print(f"{house.kind}: stops took {took_s} s: {dict(counts)}")


@pytest.mark.timeout(600)
async def test_sigterm_ends_streams_and_gives_running_jobs_back_at_once(house: House) -> None:
    async with house:
        await house.start()
        partner = next(iter(await house.load(random.Random(6)))).open
        # Too much for one engine process to finish meanwhile, so that some wait, one runs and one has its inputs ready.
        jobs = [
            await partner.create_job(capability="image.generate", prompt="雪山", width=1024, height=1024, seed=seed)
            for seed in range(8)
        ]
        await partner.reached(jobs[0]["id"], "running", "succeeded")
        said = asyncio.Event()
        stream = asyncio.create_task(_whole_stream(partner, jobs[-1]["id"], said))
        async with asyncio.timeout(FIRST_EVENT_S):
            await said.wait()
        await _stop_and_start(house, work_s=0.0)
        await stream
        began_s = time.monotonic()
        first = await partner.finished_job(jobs[0]["id"], timeout_s=BACK_AT_WORK_S)
        assert first["status"] == "succeeded"
        for job in jobs:
            done = await partner.finished_job(job["id"])
            assert (done["status"], len(done["outputAssetIds"])) == ("succeeded", 1)
        print(f"{house.kind}: all done {time.monotonic() - began_s:.1f} s after the restart")
        await settle(house)
        await audit(house, Load([]))


async def _stop_and_start(house: House, *, work_s: float = WORK_S) -> float:
    await asyncio.sleep(work_s)
    began_s = time.monotonic()
    statuses = await house.deployment.stop(grace_s=STOP_S_MAX)
    took_s = time.monotonic() - began_s
    assert set(statuses.values()) == {0}, statuses
    assert took_s < STOP_S_MAX * (1 if len(statuses) == 1 else len(statuses))
    assert await house.strays() == {}
    await house.start()
    return round(took_s, 1)


async def _whole_stream(partner: OpenClient, job_id: str, said: asyncio.Event) -> None:
    """Listen until the server ends the stream, in order or because the job is over; the first event sets `said`."""
    try:
        async for _event in partner.events(job_id):
            said.set()
    except httpx.RemoteProtocolError:
        pass  # The connection may be closed in the middle of a chunked answer; what matters is that it is closed.
