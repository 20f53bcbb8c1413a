"""What an event may be, how subjects match, and how lanes keep order."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kit.events import PAYLOAD_BYTES_MAX, Event, Retry
from kit.events.in_process import matches
from kit.events.lanes import KeyedLanes

SUBJECT = "atelier.jobs.v1.job_succeeded"


def test_events_are_ordered_by_subject_when_they_have_no_key() -> None:
    assert Event(id="e1", subject=SUBJECT, payload=b"").order == SUBJECT
    assert Event(id="e1", subject=SUBJECT, payload=b"", key="job_1").order == "job_1"


@pytest.mark.parametrize("name", ["", "two words", "line\nbreak", "é", "x" * 256])
def test_an_event_is_refused_when_its_id_cannot_travel_in_a_header(name: str) -> None:
    with pytest.raises(ValueError, match="event id"):
        Event(id=name, subject=SUBJECT, payload=b"")


@pytest.mark.parametrize("subject", ["", "jobs", "atelier.Jobs", "atelier..jobs", "atelier.*", "atelier.>", "a b.c"])
def test_an_event_is_refused_when_its_subject_is_malformed(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        Event(id="e1", subject=subject, payload=b"")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "é", "x" * 256])
def test_an_event_is_refused_when_its_key_cannot_travel_in_a_header(key: str) -> None:
    with pytest.raises(ValueError, match="event key"):
        Event(id="e1", subject=SUBJECT, payload=b"", key=key)


def test_an_event_is_refused_when_its_payload_is_too_large_for_the_bus() -> None:
    Event(id="e1", subject=SUBJECT, payload=bytes(PAYLOAD_BYTES_MAX))
    with pytest.raises(ValueError, match="bytes"):
        Event(id="e1", subject=SUBJECT, payload=bytes(PAYLOAD_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("atelier.jobs.v1.job_failed", "atelier.jobs.v1.job_failed", True),
        ("atelier.jobs.v1.job_failed", "atelier.jobs.v1.job_failed_twice", False),
        ("atelier.jobs.v1.job_failed", "atelier.jobs.v1", False),
        ("atelier.jobs.v1.*", "atelier.jobs.v1.job_failed", True),
        ("atelier.jobs.v1.*", "atelier.jobs.v1", False),
        ("atelier.jobs.v1.*", "atelier.jobs.v1.job.failed", False),
        ("atelier.*.v1.job_failed", "atelier.jobs.v1.job_failed", True),
        ("atelier.>", "atelier.jobs.v1.job_failed", True),
        ("atelier.>", "atelier", False),
        ("atelier.>", "other.jobs", False),
    ],
)
def test_subjects_match_as_nats_matches_them(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


def test_delays_double_up_to_their_limit() -> None:
    retry = Retry(tries_max=4, first_s=0.5, max_s=3)
    assert [retry.delay_s(tries) for tries in (1, 2, 3, 4, 10_000)] == [0.5, 1, 2, 3, 3]
    assert [retry.is_over(tries) for tries in (3, 4)] == [False, True]


class TestLanes:
    async def test_jobs_of_one_key_run_one_after_another_and_other_keys_beside_them(self) -> None:
        lanes, log, release = KeyedLanes(10), [], asyncio.Event()

        def job(name: str, *, wait: bool = False) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                log.append(f"{name} begins")
                if wait:
                    await release.wait()
                log.append(f"{name} ends")

            return run

        lanes.add("a", job("a1", wait=True))
        lanes.add("a", job("a2"))
        lanes.add("b", job("b1"))
        await asyncio.sleep(0.01)
        assert log == ["a1 begins", "b1 begins", "b1 ends"]
        release.set()
        await lanes.drain(5)
        assert log[3:] == ["a1 ends", "a2 begins", "a2 ends"]

    async def test_room_is_counted_until_jobs_end(self) -> None:
        lanes, release = KeyedLanes(2), asyncio.Event()

        async def job() -> None:
            await release.wait()

        lanes.add("a", job)
        lanes.add("a", job)
        assert lanes.room == 0
        waiting = asyncio.create_task(lanes.wait_for_room())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        release.set()
        await asyncio.wait_for(waiting, 5)
        await lanes.drain(5)
        assert lanes.room == 2

    async def test_what_takes_too_long_is_cut_off_when_draining(self) -> None:
        lanes, log = KeyedLanes(4), []

        async def hang() -> None:
            try:
                await asyncio.sleep(600)
            finally:
                log.append("cut off")

        async def never() -> None:
            log.append("ran")

        lanes.add("a", hang)
        lanes.add("a", never)
        await asyncio.sleep(0.01)
        await lanes.drain(0.05)
        assert log == ["cut off"]
        assert lanes.room == 4
        lanes.add("a", never)
        await lanes.drain(5)
        assert log == ["cut off", "ran"]
