"""The local engine's process pool: heavy work on untrusted pictures, away from the event loop.

Each worker is a fresh process with its own limits. A job that crashes, grows too large, takes too long
or is cancelled takes its worker with it, and another worker is started; the service and the other jobs
notice nothing.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from provider_adapter.providers.local.errors import EngineClosed, EngineCrashed, EngineTimeout, OperationRefused
from provider_adapter.providers.local.lending import Lending
from provider_adapter.providers.local.process import EngineJob, EngineOutput, NotStarted, WorkerProcess
from provider_adapter.providers.local.program import Program

MEMORY_BYTES_MAX = 2 * 1024**3  # A 24-megapixel photograph doubled, with its PNG, fits.
TIMEOUT_S = 120.0  # Eight times the longest operation on a megapixel; a job may name its own.
OPERATIONS = "imageops:OPERATIONS"

_RESTART_S_MIN, _RESTART_S_MAX = 0.1, 5.0  # Between starts that failed, doubling.
_STARTS_FAILED_MAX = 3  # Then jobs that wait are told, instead of waiting for a worker that never comes.


def _ignore_progress(_fraction: float) -> None:
    pass


class EnginePool:
    """`workers` processes (one a core by default) that run operations by name.

    `operations` names the registry a worker loads, as `module:attribute`.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        operations: str = OPERATIONS,
    ) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._memory_bytes_max = memory_bytes_max
        self._operations = operations
        self._lending = Lending()
        self._alive: set[WorkerProcess] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._first: list[Program] = []  # Started, and not yet in a keeper's hands.
        self._open = False

    @property
    def worker_pids(self) -> list[int]:
        """The processes that are up now, for metrics and for the curious."""
        return sorted(worker.pid for worker in self._alive)

    def start(self) -> None:
        """Start the workers' programs, and return while they get ready; jobs wait for the first one.

        Called before the process has a gRPC channel or server.
        """
        assert not self._keepers, "a pool starts once"
        self._open = True
        with contextlib.suppress(OSError):  # The keepers try again, and say so if it stays like this.
            self._first.extend(self._spawn() for _ in range(self.workers))
        self._keepers = [asyncio.create_task(self._keep_worker()) for _ in range(self.workers)]

    async def close(self) -> None:
        """Kill every worker, with whatever it does, and return when they are gone. Idempotent."""
        self._open = False
        self._lending.fail_waiting(EngineClosed("the engine is closed"))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        while self._first:  # Of keepers that were cancelled before their first step.
            program = self._first.pop()
            program.kill()
            program.socket.close()
            await program.ended()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(
        self,
        *,
        operation: str,
        inputs: Sequence[bytes] = (),
        parameters: Mapping[str, object],
        seed: int = 0,
        timeout_s: float = TIMEOUT_S,
        on_progress: Callable[[float], None] = _ignore_progress,
    ) -> list[EngineOutput]:
        """Run one operation and return its files; waits for a free worker first, in order of arrival.

        `timeout_s` counts from the moment a worker has it. `on_progress` gets 0.0 to 1.0 on the event
        loop, at most twenty times a second. Cancelling the caller, or raising from `on_progress`,
        kills the work. Raises OperationRefused, EngineTimeout, EngineCrashed (EngineOutOfMemory among
        them) and EngineClosed.
        """
        job = EngineJob(operation=operation, inputs=inputs, parameters=parameters, seed=seed)
        while True:
            if not self._open:
                raise EngineClosed("the engine is closed")
            worker = await self._lending.borrow()
            try:
                return await self._run_on(worker, job, timeout_s, on_progress)
            except NotStarted:
                continue  # It died idle; its keeper is starting another.

    async def _run_on(
        self, worker: WorkerProcess, job: EngineJob, timeout_s: float, on_progress: Callable[[float], None]
    ) -> list[EngineOutput]:
        healthy = False
        try:
            async with asyncio.timeout(timeout_s) as limit:
                outputs = await worker.run(job, on_progress)
            healthy = True
            return outputs
        except OperationRefused:
            healthy = True
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise EngineTimeout(f"{job.operation} did not finish within {timeout_s:g} s") from error
        except EngineCrashed as error:
            if not self._open:
                raise EngineClosed("the engine was closed during the job") from error
            raise
        finally:
            if healthy:
                self._lending.give_back(worker)
            else:
                worker.kill()

    def _spawn(self) -> Program:
        return Program(operations=self._operations, memory_bytes_max=self._memory_bytes_max)

    async def _keep_worker(self) -> None:
        """Keep one worker alive for ever: start it, lend it, and when it is gone start the next."""
        failed = 0
        while True:
            try:
                worker = await WorkerProcess.start(self._first.pop() if self._first else self._spawn())
            except (EngineCrashed, OSError) as error:
                failed += 1
                if failed >= _STARTS_FAILED_MAX and not self._alive:
                    self._lending.fail_waiting(_not_starting(error))
                await asyncio.sleep(min(_RESTART_S_MIN * 2**failed, _RESTART_S_MAX))
                continue
            failed = 0
            self._alive.add(worker)
            try:
                self._lending.give_back(worker)
                await worker.ended()
            finally:
                self._alive.discard(worker)
                await worker.close()


def _not_starting(error: Exception) -> EngineCrashed:
    detail = error.detail if isinstance(error, EngineCrashed) else str(error)
    return EngineCrashed("the engine's workers do not start", detail=detail)
