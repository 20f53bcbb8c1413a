"""A partner follows a job as it happens."""

import asyncio

from testkit.deployments import Deployment
from testkit.openclient import OpenClient, SentEvent
from testkit.photos import encoded, photo

SMALL = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}


async def _all(partner: OpenClient, job_id: str, *, after: str | None = None) -> list[SentEvent]:
    async with asyncio.timeout(60):
        return [event async for event in partner.events(job_id, after=after)]


def _statuses(events: list[SentEvent]) -> list[str]:
    """The statuses in their order, each once."""
    return list(dict.fromkeys(event.data["job"]["status"] for event in events))


async def test_every_change_is_told_until_the_end(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)

    events = await _all(partner, job["id"])

    assert _statuses(events) == ["queued", "running", "succeeded"]
    assert {event.event for event in events} == {"job"}
    assert [int(event.id) for event in events] == sorted({int(event.id) for event in events})
    assert events[-1].data["job"] == await partner.job(job["id"])


async def test_latecomer_is_told_everything(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)
    await partner.finished_job(job["id"])

    assert _statuses(await _all(partner, job["id"])) == ["queued", "running", "succeeded"]


async def test_whoever_reconnects_misses_nothing_and_hears_nothing_twice(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)
    await partner.finished_job(job["id"])
    whole = await _all(partner, job["id"])

    for number, event in enumerate(whole[:-1], start=1):
        assert await _all(partner, job["id"], after=event.id) == whole[number:]


async def test_whoever_has_heard_everything_is_told_not_to_come_back(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)
    whole = await _all(partner, job["id"])

    answer = await partner.get(f"/jobs/{job['id']}/events", headers={"last-event-id": whole[-1].id})

    assert (answer.status_code, answer.content) == (204, b"")  # Browsers reconnect after anything else.


async def test_listeners_are_told_alike(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)

    heard = await asyncio.gather(*(_all(partner, job["id"]) for _ in range(5)))

    assert all(events == heard[0] for events in heard)


async def test_jobs_of_others_are_not_told(partner: OpenClient) -> None:
    first, second = [await partner.create_job(**SMALL) for _ in range(2)]

    events = await _all(partner, first["id"])

    assert {event.data["job"]["id"] for event in events} == {first["id"]}
    await partner.finished_job(second["id"])


async def test_progress_is_told_while_it_runs(house: Deployment, partner: OpenClient) -> None:
    (record,) = await partner.upload(("photo.jpg", encoded(photo(), "JPEG")))
    job = await partner.create_job(capability="image.upscale", inputAssetIds=[record["id"]], resolution="8k")

    percents = []
    async with asyncio.timeout(60):
        async for event in partner.events(job["id"]):
            percents.append(event.data["job"]["progress"])
            if event.data["job"]["status"] == "running" and percents[-1] > 0:
                await partner.cancel(job["id"])

    assert percents == sorted(percents)
    assert any(0 < percent < 100 for percent in percents)
    await partner.finished_job(job["id"])


async def test_event_id_that_is_none_is_refused(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)

    answer = await partner.get(f"/jobs/{job['id']}/events", headers={"last-event-id": "yesterday"})

    assert answer.status_code == 400
    assert answer.json()["error"] == "Last-Event-ID must be the id of an event."
    await partner.finished_job(job["id"])
