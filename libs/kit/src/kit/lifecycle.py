"""Starting and stopping in order: what starts last stops first, and nothing may take for ever.

    life = Lifecycle()
    life.add("database", start=db.open, stop=db.close)
    life.background("outbox_relay", relay.run)
    life.add("rpc", start=server.start, stop=server.stop, stop_timeout_s=30)
    await life.run_until_signal()

How asyncio and signals get along: a handler set with `loop.add_signal_handler` runs in the loop like any callback, so
it may touch futures. The first SIGTERM or SIGINT begins the stop; a second one ends the process at once, because
whoever sends it has run out of patience.
"""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from kit.logging import get_logger
from kit.tasks import end

START_TIMEOUT_S: Final = 30.0  # A database that runs its migrations; anything slower says so.
STOP_TIMEOUT_S: Final = 10.0  # The longest ordinary step; servers with a longer grace say so.
EXIT_AT_ONCE: Final = 130  # What shells show for a process that a signal ended.

Step = Callable[[], Awaitable[Any]]

log = get_logger(__name__)


class StartFailed(RuntimeError):
    """A step failed or took too long; what had started was stopped again. The cause is chained."""


class BackgroundFailed(RuntimeError):
    """Background work that should run until the stop has ended. The cause, if any, is chained."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Something that starts and stops."""

    name: str
    start: Step | None
    stop: Step | None
    start_timeout_s: float
    stop_timeout_s: float


class Lifecycle:
    """The parts of a process, in the order in which they start."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._started: list[_Part] = []
        self._ended: asyncio.Event = asyncio.Event()
        self._failure: BaseException | None = None
        self._stopping = False

    def add(
        self,
        name: str,
        *,
        start: Step | None = None,
        stop: Step | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        """Add a part; it starts after those added before it and stops before them."""
        self._parts.append(
            _Part(name=name, start=start, stop=stop, start_timeout_s=start_timeout_s, stop_timeout_s=stop_timeout_s)
        )

    def background(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]], *, stop_timeout_s: float = STOP_TIMEOUT_S
    ) -> None:
        """Add work that runs until the stop, which cancels it. If it ends earlier the whole process stops."""
        task: asyncio.Task[None] | None = None

        async def start() -> None:
            nonlocal task
            task = asyncio.create_task(run(), name=name)
            task.add_done_callback(self._watch(name))

        async def stop() -> None:
            if task is not None:
                await end(task)

        self.add(name, start=start, stop=stop, stop_timeout_s=stop_timeout_s)

    def fail(self, error: BaseException) -> None:
        """Ask for the stop because something cannot go on; `run_until_signal` raises `error` at its end."""
        self._failure = self._failure or error
        self._ended.set()

    def end(self) -> None:
        """Ask for the stop, as a signal does."""
        self._ended.set()

    async def start(self) -> None:
        """Start the parts in order. Raises StartFailed; what had started is stopped again by then."""
        for part in self._parts:
            try:
                if part.start is not None:
                    async with asyncio.timeout(part.start_timeout_s):
                        await part.start()
            except BaseException as error:
                log.error("start_failed", part=part.name, exc_info=error)
                self._started.append(part)  # It may have started half; its stop must cope with that.
                await self.stop()
                if not isinstance(error, Exception):
                    raise
                raise StartFailed(f"{part.name} did not start") from error
            self._started.append(part)
            log.debug("started", part=part.name)

    async def stop(self) -> None:
        """Stop the started parts, last first. A part that fails or takes too long is logged and left behind."""
        self._stopping = True
        while self._started:
            part = self._started.pop()
            if part.stop is None:
                continue
            try:
                async with asyncio.timeout(part.stop_timeout_s):
                    await part.stop()
            except Exception as error:
                log.error("stop_failed", part=part.name, timeout_s=part.stop_timeout_s, exc_info=error)
            else:
                log.debug("stopped", part=part.name)

    async def wait(self) -> None:
        """Return when the stop was asked for: by a signal, by `end` or by a failure."""
        await self._ended.wait()

    async def run_until_signal(self) -> None:
        """Start, wait for SIGTERM or SIGINT, stop. Raises StartFailed, or what `fail` was told."""
        with self._signals():
            async with self:
                # What the start has built stays. A full collection that walks it would hold the loop for 150 ms.
                gc.freeze()
                log.info("ready")
                await self.wait()
                log.info("stopping")
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> "Lifecycle":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _watch(self, name: str) -> Callable[[asyncio.Task[None]], None]:
        def ended(task: asyncio.Task[None]) -> None:
            if self._stopping:
                return
            cause = None if task.cancelled() else task.exception()
            log.error("background_ended", part=name, exc_info=cause)
            failure = BackgroundFailed(f"{name} ended before the stop")
            failure.__cause__ = cause
            self.fail(failure)

        return ended

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT)

        def on_signal(number: signal.Signals) -> None:
            log.info("signal_received", signal=number.name, again=self._ended.is_set())
            if self._ended.is_set():
                os._exit(EXIT_AT_ONCE)
            self._ended.set()

        for number in caught:
            loop.add_signal_handler(number, on_signal, number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
