"""One worker process as the pool sees it: start it, give it a job, kill it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provider_adapter.providers.local.errors import (
    EngineCrashed,
    EngineOutOfMemory,
    OperationRefused,
)
from provider_adapter.providers.local.frames import Blob, Frame, FrameInvalid, read_frame, write_frame
from provider_adapter.providers.local.program import Program

START_S_MAX = 60.0  # A start takes half a second; a machine with every core busy needs its time.
END_S_MAX = 5.0  # After SIGKILL; freeing two gigabytes takes a tenth of a second.
_STREAM_BYTES = 1024 * 1024  # How much of a large file may wait in the service's memory unread.


@dataclass(frozen=True, kw_only=True)
class EngineOutput:
    """One finished file."""

    pieces: Blob
    mime_type: str
    width: int
    height: int
    role: str = "image"  #: "image" or "video" for a result proper; of type text/plain it is a note's name.

    @property
    def data(self) -> bytes:
        """The whole file, copied; a large one is better taken in its pieces."""
        return b"".join(self.pieces)


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

    def __init__(self, program: Program, replies: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
        self._program = program
        self._requests, self._replies = requests, replies

    @classmethod
    async def start(cls, program: Program) -> "WorkerProcess":
        """Return the program as a worker when it is ready. Raises EngineCrashed, with the program killed."""
        try:
            streams = await asyncio.open_unix_connection(sock=program.socket, limit=_STREAM_BYTES)
        except BaseException:
            program.kill()
            program.socket.close()
            raise
        worker = cls(program, *streams)
        try:
            async with asyncio.timeout(START_S_MAX):
                await worker._wait_ready()
        except (TimeoutError, asyncio.IncompleteReadError, OSError, FrameInvalid) as error:
            detail = await worker._obituary()
            await worker.close()
            raise EngineCrashed("an engine worker did not start", detail=detail) from error
        except BaseException:
            await worker.close()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._program.pid

    @property
    def alive(self) -> bool:
        return self._program.status is None

    async def run(self, job: EngineJob, on_progress: Callable[[float], None]) -> list[EngineOutput]:
        """Do a job. Raises NotStarted, OperationRefused, EngineCrashed, and what `on_progress` raises."""
        head = {"operation": job.operation, "parameters": dict(job.parameters), "seed": job.seed}
        started = False
        if not self.alive:
            raise NotStarted
        try:
            await write_frame(self._requests, Frame("run", head, [[data] for data in job.inputs]))
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
        self._program.kill()

    async def ended(self) -> None:
        """Return when the process is gone."""
        await self._program.ended()

    async def close(self) -> None:
        """Kill the worker and return when nothing of it is left; at the latest after END_S_MAX."""
        self.kill()
        self._requests.close()
        with contextlib.suppress(TimeoutError, OSError):  # Stuck in the kernel: not ours to wait for.
            async with asyncio.timeout(END_S_MAX):
                await self.ended()
                await self._requests.wait_closed()

    async def _wait_ready(self) -> None:
        frame = await read_frame(self._replies)
        if frame.kind != "ready":
            raise FrameInvalid(frame.kind)

    async def _obituary(self) -> str:
        try:
            async with asyncio.timeout(END_S_MAX):
                await self._program.ended()
        except TimeoutError:
            return "it closed its pipe and lives"
        status = self._program.status or 0
        return f"signal {-status}" if status < 0 else f"exit status {status}"


def _outcome(operation: str, frame: Frame) -> list[EngineOutput]:
    head = frame.head
    if frame.kind == "done":
        facts = zip(head["outputs"], frame.blobs, strict=True)
        return [
            EngineOutput(
                pieces=pieces,
                mime_type=str(each["mime_type"]),
                width=int(each["width"]),
                height=int(each["height"]),
                role=str(each["role"]),
            )
            for each, pieces in facts
        ]
    if frame.kind == "refused":
        raise OperationRefused(head["reason"], head["message"], head["field"])
    if frame.kind == "out_of_memory":
        raise EngineOutOfMemory(f"{operation} needs more memory than an engine worker has")
    if frame.kind == "failed":
        raise EngineCrashed(f"{operation} failed with {head['error']}", detail=head["detail"])
    raise FrameInvalid(frame.kind)
