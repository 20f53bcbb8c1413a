"""The adapter with the real engine: a cancel frees the core, a killed process costs an attempt, progress is told."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provider_adapter.providers.local.pool import EnginePool
from provider_adapter.providers.local.provider import LocalProvider

pytestmark = pytest.mark.slow

LARGE = {"prompt": "mountain lake at dusk", "width": 3072, "height": 3072, "seed": 1}
SMALL = {"prompt": "mountain lake at dusk", "width": 64, "height": 64, "seed": 1}
STOPPED_S_MAX = 1.0
PATIENCE_S = 240.0  # Three seconds of a core; the engine gives way to whatever else a machine does.


@pytest.fixture
async def pool(house: Any) -> EnginePool:
    """Two workers, in the hands of an adapter."""
    pool = EnginePool(workers=2)
    await house.work(LocalProvider(pool, timeout_s=120), lease_s=30.0)
    return pool


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def cpu_ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]))


async def busiest(pool: EnginePool) -> int:
    before = {pid: cpu_ticks(pid) for pid in pool.worker_pids}
    await asyncio.sleep(0.2)
    return max(before, key=lambda pid: cpu_ticks(pid) - before[pid])


async def test_cancel_frees_the_core_within_a_second_however_long_the_lease(
    house: Any, pool: EnginePool, eventually: Callable[..., Any]
) -> None:
    job = house.jobs.put(providers=("local",), parameters=LARGE, deadline_s=PATIENCE_S)
    await eventually(lambda: max(job.progress, default=0) > 5, PATIENCE_S)
    pid = await busiest(pool)
    began = time.monotonic()
    job.cancel = True
    await eventually(lambda: is_gone(pid))
    assert time.monotonic() - began < STOPPED_S_MAX
    assert (await house.reported(job)).outcome == "CANCELLED"


async def test_job_succeeds_by_its_next_attempt_when_the_kernel_kills_its_process(
    house: Any, pool: EnginePool, eventually: Callable[..., Any]
) -> None:
    job = house.jobs.put(providers=("local",), parameters=LARGE, deadline_s=PATIENCE_S)
    await eventually(lambda: max(job.progress, default=0) > 5, PATIENCE_S)
    os.kill(await busiest(pool), signal.SIGKILL)
    other = house.jobs.put("job_2", providers=("local",), parameters=SMALL, deadline_s=PATIENCE_S)
    await eventually(lambda: job.report, PATIENCE_S)
    assert (job.outcome, job.reason) == ("RETRYABLE", "PROVIDER_FAILED")
    await eventually(lambda: other.report, PATIENCE_S)
    assert other.outcome == "SUCCEEDED"

    job.report = None
    house.jobs.queue_again("job_1")
    await eventually(lambda: job.report, PATIENCE_S)
    assert job.outcome == "SUCCEEDED"
    assert [len(each.attempts) for each in (job, other)] == [2, 1]


async def test_progress_of_the_work_itself_is_told_while_it_lasts(
    house: Any, pool: EnginePool, eventually: Callable[..., Any]
) -> None:
    job = house.jobs.put(providers=("local",), parameters=LARGE, deadline_s=PATIENCE_S)
    await eventually(lambda: job.report, PATIENCE_S)
    assert job.outcome == "SUCCEEDED"
    assert job.progress == sorted(job.progress)
    assert len({percent for percent in job.progress if 0 < percent < 99}) >= 3
