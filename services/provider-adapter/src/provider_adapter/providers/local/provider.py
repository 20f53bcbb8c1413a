"""The built-in engine as a provider: the work is done inside the submit, and doing it twice costs nothing."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from kit.errors import ErrorReason
from kit.logging import get_logger
from provider_adapter.ports import (
    Accepted,
    Failed,
    Finished,
    NotTaken,
    OnProgress,
    Outcome,
    OutputFile,
    Pending,
    Task,
    Unclear,
)
from provider_adapter.providers.local.errors import EngineClosed, EngineCrashed, EngineTimeout, OperationRefused
from provider_adapter.providers.local.frames import Blob
from provider_adapter.providers.local.pool import EnginePool
from provider_adapter.providers.local.process import EngineOutput

NAME: Final = "local"

#: The operations of `imageops.OPERATIONS`, which only the engine's processes import: it brings numerical libraries
#: that would cost the service a second at start and memory for ever. A test keeps the two equal.
CAPABILITIES: Final = frozenset(
    {
        "image.edit",
        "image.expand",
        "image.extract_pattern",
        "image.face_enhance",
        "image.generate",
        "image.inpaint",
        "image.remove_diamonds",
        "image.remove_fabric",
        "image.remove_watermark",
        "image.seamless",
        "image.upscale",
        "image.vectorize",
        "video.generate",
    }
)

#: Roles of results proper; everything else is a by-product. And how the engine marks a text among its files
#: (`imageops.operation.NOTE_MIME_TYPE`).
_COUNTED: Final = frozenset({"image", "video"})
NOTE_MIME_TYPE: Final = "text/plain"

#: Words of `imageops.RefusalReason` about the caller's pictures → what a job's failure says. The others are about
#: parameters.
_OF_INPUTS: Final[Mapping[str, ErrorReason]] = {
    "unsupported_format": ErrorReason.INPUT_UNSUPPORTED,
    "animated": ErrorReason.INPUT_UNSUPPORTED,
    "damaged": ErrorReason.INPUT_UNSUPPORTED,
    "too_large": ErrorReason.INPUT_TOO_LARGE,
}
#: What this engine cannot do and another provider may; the first is the worker's own word.
_OF_ENGINE: Final = frozenset({"unknown_operation", "unsupported_instruction"})

_log = get_logger(__name__)


class LocalProvider:
    """Runs `imageops` in the engine's processes; the route's `upstream_model` is the operation's name."""

    name = NAME
    capabilities = CAPABILITIES
    repeatable = True

    def __init__(self, pool: EnginePool, *, timeout_s: float) -> None:
        """`timeout_s`: how long one operation may take once a process has it."""
        self.running_max = pool.workers
        self._pool = pool
        self._timeout_s = timeout_s

    async def start(self) -> None:
        """Start the processes; the first task waits for the first of them."""
        self._pool.start()

    async def submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        """Run the operation and return its files. Cancelling the call ends the process that works on it."""
        parameters: dict[str, Any] = dict(task.parameters)
        seed = parameters.pop("seed", None)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            return _rejected("seed must be a whole number.", "seed")
        inputs = [await source.read() for source in task.inputs]
        try:
            outputs = await self._pool.run(
                operation=task.upstream_model,
                inputs=inputs,
                parameters=parameters,
                seed=task.seed if seed is None else seed,
                timeout_s=self._timeout_s,
                on_progress=on_progress,
            )
        except OperationRefused as refused:
            return _from_refused(refused)
        except EngineTimeout:
            return Failed.of(Outcome.RETRYABLE, ErrorReason.PROVIDER_TIMEOUT, "The engine did not finish in time.")
        except EngineClosed:
            return Failed.of(Outcome.UNSENT, ErrorReason.PROVIDER_FAILED, "The engine is shutting down.")
        except EngineCrashed as crashed:
            _log.error("engine_crashed", operation=task.upstream_model, cause=str(crashed), detail=crashed.detail)
            return Failed.of(Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED, "The engine failed.")
        return _finished(outputs)

    async def poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        """There are no tasks: whatever is asked after is not here."""
        return Failed.of(Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED, "The engine has no such task.")

    async def cancel(self, upstream_task_id: str) -> None:
        """There are no tasks."""

    async def look_up(self, attempt_id: str) -> Accepted | NotTaken | Unclear:
        """What this process does not remember is not under way: the engine's processes end with it."""
        return NotTaken()

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


def _finished(outputs: Sequence[EngineOutput]) -> Finished:
    """Texts among the engine's files are notes; files in another role than a result proper are by-products."""
    return Finished(
        files=[
            OutputFile(
                chunks=_each(each.pieces), mime_hint=each.mime_type, role=each.role, extra=each.role not in _COUNTED
            )
            for each in outputs
            if each.mime_type != NOTE_MIME_TYPE
        ],
        notes={each.role: each.data.decode() for each in outputs if each.mime_type == NOTE_MIME_TYPE},
    )


def _each(pieces: Blob) -> Callable[[], AsyncIterator[bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return chunks


def _from_refused(refused: OperationRefused) -> Failed:
    field = refused.field or ""
    if refused.reason in _OF_ENGINE:
        return Failed.of(Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED, refused.message, field=field)
    if refused.reason in _OF_INPUTS and field.startswith("inputs"):
        return Failed.of(Outcome.FAILED, _OF_INPUTS[refused.reason], refused.message, field=field)
    return _rejected(refused.message, field)


def _rejected(message: str, field: str) -> Failed:
    return Failed.of(Outcome.FAILED, ErrorReason.PROVIDER_REJECTED, message, field=field)
