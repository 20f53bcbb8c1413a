"""Waiting for a sign or for a task's end, and storing no more results at once than memory has room for."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from provider_adapter.domain import Job, Lease, StoredOutput, Succeeded
from provider_adapter.ports import Finished, OutputFile
from provider_adapter.usecases.outputs import AT_ONCE, StoreOutputs
from provider_adapter.usecases.signals import Signal, ended


async def test_signal_wakes_its_waiter_at_once_and_is_remembered_until_it_is_cleared() -> None:
    signal, began = Signal(), time.monotonic()
    asyncio.get_running_loop().call_later(0.01, signal.set)
    await signal.wait(10.0)
    await signal.wait(10.0)
    assert signal.is_set()
    assert time.monotonic() - began < 5
    signal.clear()
    await signal.wait(0.01)
    assert not signal.is_set()


async def test_wait_that_is_cancelled_leaves_the_signal_good_for_another() -> None:
    signal = Signal()
    waiting = asyncio.create_task(signal.wait(10.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    signal.set()
    await signal.wait(10.0)


async def test_end_of_a_task_is_heard_however_it_ends() -> None:
    async def work(error: BaseException | None) -> None:
        await asyncio.sleep(0.01)
        if error is not None:
            raise error

    for error in (None, ValueError(), asyncio.CancelledError()):
        task = asyncio.create_task(work(error))
        assert await ended(task, 10.0)
        await asyncio.gather(task, return_exceptions=True)


async def test_task_that_goes_on_is_left_alone_when_the_time_is_over() -> None:
    task = asyncio.create_task(asyncio.sleep(10.0))
    assert not await ended(task, 0.01)
    assert not task.done()
    task.cancel()
    assert await ended(task, 10.0)


class CountingAssets:
    """Keeps nothing, and counts who stores at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def store(self, job: Job, file: OutputFile, *, asset_id: str) -> StoredOutput:
        self.now += 1
        self.most = max(self.most, self.now)
        async for _ in file.chunks():
            await asyncio.sleep(0.005)
        self.now -= 1
        return StoredOutput(
            asset_id=asset_id, role="image", sha256="", size_bytes=1, mime_type="image/png", width=1, height=1
        )


async def test_results_beyond_what_memory_has_room_for_wait_unread() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    assets: Any = CountingAssets()
    store, finished = StoreOutputs(assets), Finished(files=[OutputFile(chunks=chunks)])
    leases = [
        Lease(job=Job(id=f"job_{number}", client_id="c", capability="image.generate", deadline_ms=None), epoch=1)
        for number in range(3 * AT_ONCE)
    ]
    endings = await asyncio.gather(*(store(lease, finished) for lease in leases))
    assert all(isinstance(ending, Succeeded) for ending in endings)
    assert assets.most == AT_ONCE
