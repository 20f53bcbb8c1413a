"""A job's outputs: provisional until the job succeeded with them, and gone when it did not."""

from typing import Any

import pytest

from atelier.assets.v1 import asset_pb2
from atelier.events.v1 import job_events_pb2 as events_pb
from atelier.jobs.v1 import job_pb2
from kit.errors import AssetNotFound
from kit.events import Event

JOB = "job_00000000000000000000000001"


def succeeded(event_id: str, *asset_ids: str, job_id: str = JOB) -> Event:
    payload = events_pb.JobSucceeded(
        header=events_pb.JobEventHeader(event_id=event_id, job_id=job_id, client_id="partner-a"),
        outputs=[job_pb2.Output(asset_id=asset_id) for asset_id in asset_ids],
        outputs_delivered=len(asset_ids),
    )
    return Event(id=event_id, subject="atelier.jobs.v1.job_succeeded", payload=payload.SerializeToString(), key=job_id)


def ended(event_id: str, name: str) -> Event:
    header = events_pb.JobEventHeader(event_id=event_id, job_id=JOB, client_id="partner-a")
    message = {
        "job_failed": events_pb.JobFailed(header=header),
        "job_expired": events_pb.JobExpired(header=header),
        "job_cancelled": events_pb.JobCancelled(header=header),
    }[name]
    return Event(id=event_id, subject=f"atelier.jobs.v1.{name}", payload=message.SerializeToString(), key=JOB)


def running(house: Any) -> None:
    house.jobs.decide(JOB, job_pb2.JOB_STATE_RUNNING)


async def ids(house: Any, **fields: Any) -> list[str]:
    return [asset.id for asset in (await house.list(**fields)).assets]


async def test_outputs_of_a_running_job_are_absent_for_the_client_but_stay(house: Any, photo: Any) -> None:
    running(house)
    data = photo("PNG", 8, 8)
    await house.upload_output(data, "asset_o1", JOB)
    with pytest.raises(AssetNotFound):
        await house.get("asset_o1")
    with pytest.raises(AssetNotFound):
        await house.link("asset_o1")
    assert await ids(house) == []
    await house.delete("asset_o1")
    house.clock.advance(700)
    await house.store.sweep()
    assert (await house.read("asset_o1"))[1] == data  # Whoever holds a ticket is not the public.


async def test_the_success_event_keeps_what_it_lists_and_drops_the_rest(
    house: Any, photo: Any, eventually: Any
) -> None:
    running(house)
    for number in range(3):
        await house.upload_output(photo("PNG", 8, 8, seed=number), f"asset_o{number}", JOB)
    await house.deployment.bus.publish(succeeded("event-1", "asset_o0", "asset_o2"))
    await eventually(lambda: _has_stored(house, 2))
    assert sorted(await ids(house, job_id=JOB)) == ["asset_o0", "asset_o2"]
    assert (await house.get("asset_o0")).origin == asset_pb2.ASSET_ORIGIN_OUTPUT


@pytest.mark.parametrize("name", ["job_failed", "job_expired", "job_cancelled"])
async def test_an_end_without_result_drops_everything(house: Any, photo: Any, eventually: Any, name: str) -> None:
    running(house)
    await house.upload_output(photo("PNG", 8, 8), "asset_o1", JOB)
    await house.deployment.bus.publish(ended("event-1", name))
    await eventually(house.is_empty)


async def test_an_event_that_comes_twice_changes_nothing(house: Any, photo: Any, eventually: Any) -> None:
    running(house)
    await house.upload_output(photo("PNG", 8, 8, seed=1), "asset_o1", JOB)
    await house.deployment.bus.publish(succeeded("event-1", "asset_o1"))
    await eventually(lambda: _lists(house, "asset_o1"))
    await house.upload_output(photo("PNG", 8, 8, seed=2), "asset_late", JOB)
    await house.deployment.bus.publish(succeeded("event-1", "asset_o1"))
    other = "job_00000000000000000000000002"
    await house.upload_output(photo("PNG", 8, 8, seed=3), "asset_marker", other)
    await house.deployment.bus.publish(succeeded("event-2", "asset_marker", job_id=other))
    await eventually(lambda: _lists(house, "asset_marker"))
    assert await house.stored() == 3


async def test_a_reader_need_not_wait_for_the_event(house: Any, photo: Any) -> None:
    for number in (1, 2):
        await house.upload_output(photo("PNG", 8, 8, seed=number), f"asset_o{number}", JOB)
    house.jobs.decide(JOB, job_pb2.JOB_STATE_SUCCEEDED, "asset_o1")
    assert (await house.get("asset_o1")).id == "asset_o1"
    with pytest.raises(AssetNotFound):
        await house.get("asset_o2")
    assert await house.stored() == 1


async def test_a_list_need_not_wait_for_the_event(house: Any, photo: Any) -> None:
    await house.upload_output(photo("PNG", 8, 8), "asset_o1", JOB)
    house.jobs.decide(JOB, job_pb2.JOB_STATE_SUCCEEDED, "asset_o1")
    assert await ids(house) == ["asset_o1"]
    house.jobs.away = True
    assert await ids(house) == ["asset_o1"]


async def test_a_list_leaves_out_what_nobody_can_decide_now(house: Any, photo: Any) -> None:
    kept = await house.upload(photo("PNG", 8, 8))
    await house.upload_output(photo("PNG", 8, 9), "asset_o1", JOB)
    house.jobs.away = True
    assert await ids(house) == [kept.id]


async def test_the_sweeper_decides_old_outputs_whose_event_was_lost(house: Any, photo: Any) -> None:
    won, lost, alive, unknown = (f"job_{number:026}" for number in range(4))
    house.jobs.decide(won, job_pb2.JOB_STATE_SUCCEEDED, "asset_won")
    house.jobs.decide(lost, job_pb2.JOB_STATE_FAILED)
    house.jobs.decide(alive, job_pb2.JOB_STATE_QUEUED)
    for number, (asset_id, job_id) in enumerate(
        [
            ("asset_won", won),
            ("asset_spare", won),
            ("asset_lost", lost),
            ("asset_alive", alive),
            ("asset_unknown", unknown),
        ]
    ):
        await house.upload_output(photo("PNG", 8, 8, seed=number), asset_id, job_id)
    house.clock.advance(599)
    await house.store.sweep()
    assert house.jobs.asked == []
    house.clock.advance(1)
    house.jobs.away = True
    await house.store.sweep()
    assert await house.stored() == 5
    house.jobs.away = False
    swept = await house.store.sweep()
    assert swept.jobs_decided == 3
    assert await house.stored() == 2
    assert await ids(house) == ["asset_won"]
    assert len((await house.read("asset_alive"))[1]) > 0


async def test_a_late_output_of_a_failed_job_goes_too(house: Any, photo: Any) -> None:
    await house.deployment.bus.publish(ended("event-1", "job_failed"))
    house.jobs.decide(JOB, job_pb2.JOB_STATE_FAILED)
    await house.upload_output(photo("PNG", 8, 8), "asset_late", JOB)
    house.clock.advance(600)
    await house.store.sweep()
    assert await house.is_empty()


async def _has_stored(house: Any, blobs: int) -> bool:
    return bool(await house.stored() == blobs)


async def _lists(house: Any, asset_id: str) -> bool:
    """Whether the event has been handled: the orchestrator cannot be asked meanwhile."""
    house.jobs.away = True
    try:
        return asset_id in await ids(house)
    finally:
        house.jobs.away = False
