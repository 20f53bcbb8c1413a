"""The same over real gRPC on loopback, where calls that end early end in other ways than inside one process."""

import asyncio
from typing import Any

from atelier.jobs.v1 import job_pb2
from testkit.fakeprovider import Behavior, picture


async def test_job_runs_from_input_to_report(house_on_the_wire: Any) -> None:
    house = house_on_the_wire
    house.assets.keep(picture(1), asset_id="asset_a")
    job = house.jobs.put(inputs=(job_pb2.Input(role="image", asset_id="asset_a"),))
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert house.upstream.inputs == [picture(1)]
    assert house.assets.bytes[job.report.outputs[0].asset_id] == picture(7)


async def test_result_that_is_refused_before_its_end_is_a_failed_attempt(house_on_the_wire: Any) -> None:
    house = house_on_the_wire

    house.assets.refuses_at_once = True
    house.upstream.behavior = Behavior(files=[b"<html>" * 4_000_000])
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason) == ("RETRYABLE", "PROVIDER_RESULT_INVALID")


async def test_stop_ends_a_waiting_long_poll(house_on_the_wire: Any, eventually: Any) -> None:
    adapter = await house_on_the_wire.work()
    await eventually(lambda: len(house_on_the_wire.jobs.called("LeaseJobs")) == 2)
    async with asyncio.timeout(1):
        await adapter.stop()


async def test_leasing_goes_on_when_the_orchestrator_comes_back(house_on_the_wire: Any, eventually: Any) -> None:
    house = house_on_the_wire
    adapter = await house.work()
    await eventually(lambda: adapter.worker.connected)
    await house.servers["job-orchestrator"].stop(0)
    await eventually(lambda: not adapter.worker.connected)
    job = house.jobs.put()
    await house.restart_orchestrator()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
