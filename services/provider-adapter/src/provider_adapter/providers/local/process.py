"""One worker process as the pool sees it: start it, give it a job, kill it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provider_adapter.providers.local.errors import (
    EngineCrashed,
    EngineOutOfMemory,
    OperationRefused,
)
from provider_adapter.providers.local.frames import Frame, FrameInvalid, read_frame, write_frame

START_S_MAX = 60.0  # A start takes half a second; a machine with every core busy needs its time.
END_S_MAX = 5.0  # After SIGKILL; freeing two gigabytes takes a tenth of a second.
_STREAM_BYTES = 1024 * 1024  # How much of a large file may wait in the service's memory unread.

# Nothing else of the service's environment is handed on: it holds secrets, and workers parse strangers' files.
_ENVIRONMENT_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "XDG_CACHE_HOME")
_ENVIRONMENT_KEPT_PREFIXES = ("LC_", "PYTHON")
_ENVIRONMENT_SET = {
    # One thread a worker: more would fight over the cores, and sums in another order are other pictures.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True, kw_only=True)
class EngineOutput:
    """One finished file."""

    data: bytes
    mime_type: str
    width: int
    height: int
    role: str = "image"  #: "image" or "video" for a result proper; of type text/plain it is a note's name.


@dataclass(frozen=True, kw_only=True)
class EngineJob:
    """What a worker is asked to do; `parameters` is anything JSON can hold."""

    operation: str
    inputs: Sequence[bytes]
    parameters: Mapping[str, object]
    seed: int


class NotStarted(Exception):
    """The worker had ended before it took the job: another one can do it."""


class WorkerProcess:
    """A live worker. Not for two jobs at once; after any error but OperationRefused it must be killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests, self._replies = process.stdin, process.stdout
        self._draining: asyncio.Task[None] | None = None  # Set once killed.

    @classmethod
    async def start(cls, *, operations: str, memory_bytes_max: int) -> "WorkerProcess":
        """Start a worker and return it when it is ready. Raises EngineCrashed."""
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "provider_adapter.providers.local.worker"]
        command += ["--operations", operations, "--memory-bytes-max", str(memory_bytes_max)]
        command += ["--parent-pid", str(os.getpid())]
        worker = cls(
            await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_STREAM_BYTES,
                env=_environment(),
            )
        )
        try:
            async with asyncio.timeout(START_S_MAX):
                await worker._wait_ready()
        except (TimeoutError, asyncio.IncompleteReadError, FrameInvalid) as error:
            detail = await worker._obituary()
            worker.kill()
            raise EngineCrashed("an engine worker did not start", detail=detail) from error
        except BaseException:
            worker.kill()
            await worker.ended()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def run(self, job: EngineJob, on_progress: Callable[[float], None]) -> list[EngineOutput]:
        """Do a job. Raises NotStarted, OperationRefused, EngineCrashed, and what `on_progress` raises."""
        head = {"operation": job.operation, "parameters": dict(job.parameters), "seed": job.seed}
        started = False
        try:
            await write_frame(self._requests, Frame("run", head, job.inputs))
            while True:
                frame = await read_frame(self._replies)
                started = True
                if frame.kind == "progress":
                    on_progress(float(frame.head["fraction"]))
                elif frame.kind != "started":
                    return _outcome(job.operation, frame)
        except (asyncio.IncompleteReadError, OSError) as error:
            if not started:
                raise NotStarted from error
            message = f"the engine worker ended during {job.operation}"
            raise EngineCrashed(message, detail=await self._obituary()) from error
        except (FrameInvalid, KeyError, TypeError, ValueError) as error:
            raise EngineCrashed(f"the engine worker gave no sense during {job.operation}") from error

    def kill(self) -> None:
        """Stop the worker now, whatever it does. Killing a dead one does nothing."""
        if self._draining is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._draining = asyncio.create_task(self._drain())

    async def ended(self) -> None:
        """Return when the process is gone."""
        await self._process.wait()

    async def _wait_ready(self) -> None:
        frame = await read_frame(self._replies)
        if frame.kind != "ready":
            raise FrameInvalid(frame.kind)

    async def _drain(self) -> None:
        """Read what a killed worker had still sent: asyncio calls a process ended once its pipes are."""
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: `run` is reading, and will see the end.
            while await self._replies.read(_STREAM_BYTES):
                pass

    async def _obituary(self) -> str:
        try:
            async with asyncio.timeout(END_S_MAX):
                status = await self._process.wait()
        except TimeoutError:
            return "it closed its pipe and lives"
        return f"signal {-status}" if status < 0 else f"exit status {status}"


def _outcome(operation: str, frame: Frame) -> list[EngineOutput]:
    head = frame.head
    if frame.kind == "done":
        facts = zip(head["outputs"], frame.blobs, strict=True)
        return [
            EngineOutput(
                data=data,
                mime_type=str(each["mime_type"]),
                width=int(each["width"]),
                height=int(each["height"]),
                role=str(each["role"]),
            )
            for each, data in facts
        ]
    if frame.kind == "refused":
        raise OperationRefused(head["reason"], head["message"], head["field"])
    if frame.kind == "out_of_memory":
        raise EngineOutOfMemory(f"{operation} needs more memory than an engine worker has")
    if frame.kind == "failed":
        raise EngineCrashed(f"{operation} failed with {head['error']}", detail=head["detail"])
    raise FrameInvalid(frame.kind)


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT_KEPT or name.startswith(_ENVIRONMENT_KEPT_PREFIXES)
    }
    return kept | _ENVIRONMENT_SET
