"""A provider that lives in memory and does what a test tells it: delays, progress, failures, lost answers, task ids.

    upstream = FakeUpstream()                                  # what outlives a worker: tasks, counts of calls
    provider = FakeProvider(ports, upstream=upstream, task_ids=True)   # `ports`: the module provider_adapter.ports
    upstream.behavior = Behavior(delay_s=0.1)                  # of all tasks from now on

The port's words come in as an argument because no library of the house imports a service.
"""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kit.errors import ErrorReason

POLL_AFTER_S: Final = 0.01  # Tests do not wait.

_SIDE_PX: Final = 8


def picture(seed: int) -> bytes:
    """A small PNG of one colour, always the same for one seed."""
    colour = struct.pack(">I", seed % 2**32)[1:]
    rows = (b"\x00" + colour * _SIDE_PX) * _SIDE_PX
    header = struct.pack(">IIBBBBB", _SIDE_PX, _SIDE_PX, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """What happens to a task."""

    delay_s: float = 0.0  #: From the submit to the end of the work.
    until: asyncio.Event | None = None  #: The work does not end before it is set.
    progress: Sequence[float] = ()  #: Told one after the other.
    files: Sequence[bytes] | None = None  #: None: one picture that follows from the seed.
    failed: Any = None  #: A `Failed` that is the answer instead of results.
    refused: Any = None  #: A `Failed` that is the answer to the submit; nothing is taken.
    raised: Exception | None = None  #: Raised by the submit; nothing is taken.
    answer_lost: bool = False  #: The task is taken, and the submit raises.
    submit_s: float = 0.0  #: How long the submit itself takes.
    reads_inputs: bool = True
    cost_fen: int = 0
    poll_after_s: float = POLL_AFTER_S


@dataclass(kw_only=True)
class FakeTask:
    """A task that was taken."""

    id: str
    attempt_id: str
    job_id: str
    seed: int
    behavior: Behavior
    ready_at: float
    told: int = 0
    cancelled: bool = False


@dataclass(kw_only=True)
class FakeUpstream:
    """The far side: it remembers its tasks whatever becomes of the workers."""

    behavior: Behavior = field(default_factory=Behavior)
    by_job: dict[str, Behavior] = field(default_factory=dict)  #: Exceptions from `behavior`.
    tasks: dict[str, FakeTask] = field(default_factory=dict)
    submits: list[str] = field(default_factory=list)  #: Attempt ids, also of what was refused.
    polls: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)  #: As they were read, in order.
    given_up: int = 0  #: Submits that were cancelled while they ran.
    running: int = 0  #: Submits that run now.
    running_most: int = 0  #: Ran at once at most.
    knows_attempts: bool = True  #: Whether a lost submit can be looked up.

    def of(self, job_id: str) -> Behavior:
        """The behavior of a job's tasks."""
        return self.by_job.get(job_id, self.behavior)


class FakeProvider:
    """Keeps the promises of `provider_adapter.ports.Provider`."""

    def __init__(
        self,
        words: Any,
        *,
        upstream: FakeUpstream | None = None,
        name: str = "fake",
        task_ids: bool = False,
        repeatable: bool = False,
        running_max: int = 100,
        capabilities: frozenset[str] = frozenset({"image.generate"}),
    ) -> None:
        """`words`: the module with Accepted, Finished and so on. With `task_ids` the work goes on after the submit."""
        self.upstream = upstream or FakeUpstream()
        self.name = name
        self.repeatable = repeatable
        self.running_max = running_max
        self.capabilities = capabilities
        self.started = 0
        self.closed = 0
        self._words = words
        self._task_ids = task_ids
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Count it."""
        self.started += 1

    async def close(self) -> None:
        """End what runs, and count it."""
        self.closed += 1
        self._ended.set()

    async def submit(self, task: Any, on_progress: Callable[[float], None]) -> Any:
        """Do as the behavior says."""
        upstream = self.upstream
        behavior = upstream.of(task.job_id)
        upstream.running += 1
        upstream.running_most = max(upstream.running_most, upstream.running)
        try:
            if behavior.reads_inputs:
                upstream.inputs += [await source.read() for source in task.inputs]
            upstream.submits.append(task.attempt_id)
            return await self._take(task, behavior, on_progress)
        except asyncio.CancelledError:
            upstream.given_up += 1
            raise
        finally:
            upstream.running -= 1

    async def _take(self, task: Any, behavior: Behavior, on_progress: Callable[[float], None]) -> Any:
        if not await self._works(behavior.submit_s, None):
            return self._lost("The provider was closed.")
        if behavior.raised is not None:
            raise behavior.raised
        if behavior.refused is not None:
            return behavior.refused
        taken = FakeTask(
            id=f"up-{task.attempt_id}",
            attempt_id=task.attempt_id,
            job_id=task.job_id,
            seed=task.seed,
            behavior=behavior,
            ready_at=asyncio.get_running_loop().time() + behavior.delay_s,
        )
        self.upstream.tasks[taken.id] = taken
        if behavior.answer_lost:
            raise TimeoutError("the answer did not come")
        if self._task_ids:
            return self._words.Accepted(upstream_task_id=taken.id, poll_after_s=behavior.poll_after_s)
        for fraction in behavior.progress:
            on_progress(fraction)
            await asyncio.sleep(0)
        if not await self._works(behavior.delay_s, behavior.until):
            return self._lost("The provider was closed.")
        return self._end(taken)

    async def _works(self, seconds: float, until: asyncio.Event | None) -> bool:
        """Take that long; returns False when the provider was closed first."""

        async def work() -> None:
            await asyncio.sleep(seconds)
            if until is not None:
                await until.wait()

        tasks = [asyncio.create_task(work()), asyncio.create_task(self._ended.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()

    async def poll(self, upstream_task_id: str) -> Any:
        """Tell how the task stands."""
        self.upstream.polls.append(upstream_task_id)
        task = self.upstream.tasks.get(upstream_task_id)
        if task is None:
            return self._lost("The provider has no such task.")
        if task.cancelled:
            return self._lost("The task was cancelled.")
        behavior = task.behavior
        if task.told < len(behavior.progress):
            task.told += 1
            return self._words.Pending(fraction=behavior.progress[task.told - 1], poll_after_s=POLL_AFTER_S)
        waits = behavior.until is not None and not behavior.until.is_set()
        if waits or asyncio.get_running_loop().time() < task.ready_at:
            return self._words.Pending(poll_after_s=POLL_AFTER_S)
        return self._end(task)

    async def cancel(self, upstream_task_id: str) -> None:
        """End the task if it is there."""
        self.upstream.cancels.append(upstream_task_id)
        task = self.upstream.tasks.get(upstream_task_id)
        if task is not None:
            task.cancelled = True

    async def look_up(self, attempt_id: str) -> Any:
        """Find the attempt's task."""
        if not self.upstream.knows_attempts:
            return self._words.Unclear()
        for task in self.upstream.tasks.values():
            if task.attempt_id == attempt_id:
                return self._words.Accepted(upstream_task_id=task.id, poll_after_s=POLL_AFTER_S)
        return self._words.NotTaken()

    def _end(self, task: FakeTask) -> Any:
        if task.behavior.failed is not None:
            return task.behavior.failed
        files = [picture(task.seed)] if task.behavior.files is None else task.behavior.files
        words = self._words
        return words.Finished(files=[_file(words, data) for data in files], cost_fen=task.behavior.cost_fen)

    def _lost(self, message: str) -> Any:
        words = self._words
        return words.Failed.of(words.Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED, message)


class CallingProvider(FakeProvider):
    """One whose upstream calls back: the body is the task's id, and a body that begins with "forged" is not signed."""

    async def hear(self, headers: Any, body: bytes) -> str | None:
        """Tell which task it is about."""
        if body.startswith(b"forged"):
            raise self._words.Forged("no signature")
        return body.decode() or None


def _file(words: Any, data: bytes) -> Any:
    """In two pieces, so that nobody counts on one."""

    async def chunks() -> AsyncIterator[bytes]:
        middle = len(data) // 2
        for piece in (data[:middle], data[middle:]):
            yield piece

    return words.OutputFile(chunks=chunks, mime_hint="image/png")
