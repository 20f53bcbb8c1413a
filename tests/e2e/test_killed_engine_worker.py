"""The kernel kills a process of the engine for want of memory: that costs an attempt, and nobody notices."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from atelier.jobs.v1 import attempt_pb2
from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from testkit.deployments import Deployment, new_partner
from testkit.deployments.process import descendants_of
from testkit.waiting import until

LONG: Final[dict[str, Any]] = {"capability": "image.generate", "width": 4096, "height": 4096}
LOOK_S: Final = 0.2
HEALTH_PAUSE_S: Final = 0.02
CALL_S: Final = 10.0
PATIENCE_S: Final = 120.0  # The engine gives way to whatever else a machine does.
ENGINE: Final = b"provider_adapter.providers.local.worker"


async def test_job_succeeds_by_another_attempt_when_its_engine_process_is_killed(own_house: Deployment) -> None:
    async with await new_partner(own_house.operator(), own_house.url) as partner:
        jobs = [await partner.create_job(**LONG, prompt=prompt) for prompt in ("雪山", "大海")]
        for job in jobs[: os.cpu_count()]:
            await until(partial(partner.job, job["id"]), lambda job: job["progress"] > 5, timeout_s=PATIENCE_S)
        busy = await until(lambda: _busy_processes(own_house), bool)
        async with _always_healthy(own_house):
            os.kill(busy[0], signal.SIGKILL)
            ended = await asyncio.gather(*(partner.finished_job(job["id"]) for job in jobs))

        assert [job["status"] for job in ended] == ["succeeded", "succeeded"]
        attempts = sorted([await _outcomes(own_house, job["id"]) for job in jobs], key=len)
        assert attempts == [["SUCCEEDED"], ["RETRYABLE", "SUCCEEDED"]]
        points = await until(partner.points, lambda points: points["held"] == 0)
        assert points == {"available": 1000 - 60, "held": 0, "spent": 60}


@asynccontextmanager
async def _always_healthy(house: Deployment) -> AsyncIterator[None]:
    """Ask after health all the time; every answer must be good."""
    statuses: list[int] = []

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
            while True:
                statuses.extend([(await client.get(path)).status_code for path in ("/healthz", "/readyz")])
                await asyncio.sleep(HEALTH_PAUSE_S)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError), outcome
    assert statuses
    assert set(statuses) == {httpx.codes.OK}


async def _busy_processes(house: Deployment) -> list[int]:
    """The engine's processes that are at work, the busiest first."""
    pids = [pid for service in house.services.values() for pid in descendants_of(service.pid) if _is_engine(pid)]
    before = {pid: _cpu_ticks(pid) for pid in pids}
    await asyncio.sleep(LOOK_S)
    used = {pid: _cpu_ticks(pid) - before[pid] for pid in pids}
    return sorted((pid for pid in pids if used[pid] > 1), key=lambda pid: -used[pid])


def _is_engine(pid: int) -> bool:
    return ENGINE in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def _cpu_ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]))


async def _outcomes(house: Deployment, job_id: str) -> list[str]:
    request = jobs_pb2.InspectJobRequest(job_id=job_id)
    attempts = (await house.operator().jobs.InspectJob(request, timeout=CALL_S)).attempts
    return [attempt_pb2.AttemptOutcome.Name(each.outcome).removeprefix("ATTEMPT_OUTCOME_") for each in attempts]
