"""A process that dies at any named point loses nothing: the next one goes on from what was committed."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from atelier.jobs.v1 import job_pb2
from kit import crash
from kit.errors import JobFenced

PROGRAM = """
import asyncio, importlib.util, sys
spec = importlib.util.spec_from_file_location("house", sys.argv[1])
house = importlib.util.module_from_spec(spec)
sys.modules["house"] = house
spec.loader.exec_module(house)
from kit import crash
crash.check()

async def live():
    world = await house.Builder(sys.argv[2], house.FakeClock())()
    await world.accept(job_id=sys.argv[3])
    lease = await world.lease_one()
    attempt = await world.begin(lease, attempt_id="att-1", repeatable=True)
    await world.finish(lease, attempt, "SUCCEEDED", outputs=[house.output(asset_id="asset-1")])

asyncio.run(live())
"""
JOB_ID = "job_" + "0" * 26
POINTS = [
    "jobs.accept.after_hold",
    "jobs.accept.before_commit",
    "jobs.accept.after_commit",
    "jobs.lease.after_commit",
    "jobs.finish.before_commit",
    "jobs.finish.after_commit",
]


def test_every_point_of_this_service_is_tried_here() -> None:
    assert sorted(POINTS) == sorted(name for name in crash.KNOWN if name.startswith("jobs."))


@pytest.mark.parametrize("point", POINTS)
async def test_a_job_reaches_its_one_end_when_the_process_dies(
    build: Any, database_url: str, point: str, shop: Any
) -> None:
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, str(Path(__file__).with_name("conftest.py")), database_url, JOB_ID],
        env={**os.environ, crash.ENVIRONMENT: point},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == crash.EXIT_STATUS, died.stderr
    world = await build()
    await world.check_books()
    order = world.order(job_id=JOB_ID)
    if point in ("jobs.accept.after_hold", "jobs.accept.before_commit"):
        assert await world.sql("SELECT count(*) FROM job_ids") == [(0,)]
        assert await world.sql("SELECT count(*) FROM outbox") == [(0,)]
        (fate,) = await world.fates(JOB_ID)  # Billing's sweeper asks, and gives the hold up.
        assert fate.fenced
        with pytest.raises(JobFenced):
            await world.submit(order)
        return

    answer = await world.submit(order)  # The gateway, which heard nothing, tries again.
    assert (answer.reused, world.billing.calls) == (True, [])
    if answer.job.state == job_pb2.JOB_STATE_RUNNING:
        await world.sweep(after_s=31)
    if answer.job.state != job_pb2.JOB_STATE_SUCCEEDED:
        await world.run_to_success()
    assert (await world.get(JOB_ID)).state == job_pb2.JOB_STATE_SUCCEEDED
    ends = [name for name, _ in await world.outbox(JOB_ID) if name not in ("job_accepted", "job_started")]
    assert ends == ["job_succeeded"]
    await world.check_books()


async def test_a_worker_that_heard_nothing_of_its_report_repeats_it(build: Any) -> None:
    first = await build()
    await first.accept()
    lease = await first.lease_one()
    attempt = await first.begin(lease)
    done = await first.finish(lease, attempt, "SUCCEEDED")
    second = await build()
    assert await second.finish(lease, attempt, "SUCCEEDED") == done
    await second.check_books()
