"""Waking those who wait, each job one worker, each event every watcher."""

import asyncio

from job_orchestrator.wakeups import LocalWakeups


async def test_one_job_wakes_one_worker_and_another_job_the_next() -> None:
    wakeups = LocalWakeups()
    with wakeups.at_pool("default") as first, wakeups.at_pool("default") as second, wakeups.at_pool("video") as other:
        wakeups.pool_ready("default")
        assert (first.told, second.told, other.told) == (True, False, False)
        wakeups.pool_ready("default")
        assert (first.told, second.told, other.told) == (True, True, False)
        wakeups.pool_ready("default")
        wakeups.pool_ready("nobody waits here")


async def test_a_worker_that_leaves_passes_on_what_it_was_told() -> None:
    wakeups = LocalWakeups()
    with wakeups.at_pool("default") as second:
        with wakeups.at_pool("default") as first:
            second.tell()
            wakeups.pool_ready("default")
            second.clear()
            assert first.told
        assert second.told


async def test_a_worker_that_fails_passes_on_what_it_was_told() -> None:
    wakeups = LocalWakeups()
    with wakeups.at_pool("default") as second:
        second.tell()
        try:
            with wakeups.at_pool("default"):
                wakeups.pool_ready("default")
                second.clear()
                raise ValueError
        except ValueError:
            pass
        assert second.told


async def test_every_watcher_of_a_client_is_woken() -> None:
    wakeups = LocalWakeups()
    with wakeups.at_client("a") as first, wakeups.at_client("a") as second, wakeups.at_client("b") as other:
        wakeups.client_changed("a")
        assert (first.told, second.told, other.told) == (True, True, False)


async def test_waiting_ends_at_once_when_told_before() -> None:
    wakeups = LocalWakeups()
    with wakeups.at_client("a") as waiter:
        wakeups.client_changed("a")
        await asyncio.wait_for(waiter.wait(60), 1)


async def test_waiting_ends_by_itself() -> None:
    with LocalWakeups().at_client("a") as waiter:
        await waiter.wait(0.01)
        assert not waiter.told


async def test_closing_wakes_everybody() -> None:
    wakeups = LocalWakeups()
    with wakeups.at_pool("default") as worker, wakeups.at_client("a") as watcher:
        wakeups.close()
        await asyncio.wait_for(asyncio.gather(worker.wait(60), watcher.wait(60)), 1)
    assert wakeups.closed


async def test_nothing_is_kept_of_those_who_left() -> None:
    wakeups = LocalWakeups()
    for number in range(10):
        with wakeups.at_pool(f"pool-{number}"), wakeups.at_client(f"client-{number}"):
            pass
    assert (wakeups._pools, wakeups._clients) == ({}, {})
