"""Running coroutines side by side, but those of one key one after another."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from kit.tasks import end

Job = Callable[[], Awaitable[None]]


class KeyedLanes:
    """A bounded set of jobs in flight; jobs of one key run in the order they were added.

    A job must not raise: it deals with its own errors.
    """

    def __init__(self, size_max: int) -> None:
        """`size_max` is how many jobs may run or wait at once."""
        self._size_max = size_max
        self._waiting: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._size = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def room(self) -> int:
        """How many more jobs may be added now."""
        return self._size_max - self._size

    def add(self, key: str, job: Job) -> None:
        """Run `job` once the earlier jobs of `key` are done."""
        self._size += 1
        if self.room <= 0:
            self._room.clear()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(job)
            return
        self._waiting[key] = deque([job])
        task = asyncio.create_task(self._run(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait_for_room(self) -> None:
        """Return when at least one more job may be added."""
        await self._room.wait()

    async def drain(self, timeout_s: float) -> None:
        """Wait for all jobs; cancel what is not done after `timeout_s` seconds."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        await end(*late)

    async def _run(self, key: str) -> None:
        waiting = self._waiting[key]
        try:
            while waiting:
                await waiting.popleft()()
                self._done(1)
        except asyncio.CancelledError:
            self._done(len(waiting) + 1)
            raise
        finally:
            del self._waiting[key]

    def _done(self, jobs: int) -> None:
        self._size -= jobs
        self._room.set()
