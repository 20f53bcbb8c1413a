"""Live readings of the event log: server-sent events (WebSocket belongs to the points contract)."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
from starlette.responses import Response, StreamingResponse

from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.backend import WATCH_TIMEOUT_S, Backend, Metadata
from kit.errors import AppError

TERMINAL: Final = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_EXPIRED,
        job_pb2.JOB_STATE_CANCELLED,
    }
)
View = Callable[[job_pb2.Job], dict[str, Any]]


async def job_events(
    backend: Backend, metadata: Metadata, job: job_pb2.Job, view: View, *, after_position: int
) -> Response:
    """Stream a job's changes as server-sent events, from its first one, until it is terminal.

    Each event's id is its position; a client that reconnects sends it back as Last-Event-ID and misses nothing.
    Browsers reconnect whenever a stream ends, unless they are told 204: so it is when nothing is left to tell.
    """
    frames = _events(backend, metadata, job, view, after_position)
    if job.state in TERMINAL:
        first = await anext(frames, None)
        if first is None:
            return Response(status_code=204)
        frames = _chain(first, frames)
    return StreamingResponse(
        frames,
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    backend: Backend, metadata: Metadata, job: job_pb2.Job, view: View, after_position: int
) -> AsyncIterator[bytes]:
    wanted = pb2.WatchJobsRequest(job_id=job.id, after_position=after_position)
    try:
        changes: Any = backend.gateway.WatchJobs(wanted, timeout=WATCH_TIMEOUT_S, metadata=metadata)
        async for change in backend.streams.each(changes):
            yield _frame(view(change.job), change.event.position)
            if change.job.state in TERMINAL:
                return
    except AppError as error:
        # The status line is long gone: the stream ends, and the client reconnects with its last id.
        yield b": " + error.reason.value.lower().encode() + b"\n\n"


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for frame in rest:
        yield frame


def _frame(view: dict[str, Any], position: int) -> bytes:
    return f"id: {position}\nevent: job\ndata: ".encode() + orjson.dumps({"job": view}) + b"\n\n"
