"""Waiting for a sign, or for the end of a task, within a time: asyncio's own means cost each open task kilobytes."""

import asyncio
from typing import Any


class Signal:
    """A flag that one task at a time waits for."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Raise the flag."""
        self._set = True
        if self._waiter is not None:
            _wake(self._waiter)

    def clear(self) -> None:
        """Take the flag down."""
        self._set = False

    def is_set(self) -> bool:
        """Whether the flag is up."""
        return self._set

    async def wait(self, timeout_s: float) -> None:
        """Return when the flag is up, or after so many seconds."""
        if self._set:
            return
        assert self._waiter is None, "one task waits"
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(max(0.0, timeout_s), _wake, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


async def ended(task: asyncio.Task[Any], timeout_s: float) -> bool:
    """Wait for a task's end, however it ends, for so many seconds; tell whether it has ended."""
    signal = Signal()

    def heard(_: object) -> None:
        signal.set()

    task.add_done_callback(heard)
    try:
        await signal.wait(timeout_s)
    finally:
        task.remove_done_callback(heard)
    return task.done()


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
