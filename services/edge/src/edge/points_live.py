"""WebSocket of the points contract: every change of the caller's tasks, each once and in order.

A message is a task's data and `position`. Who reconnects with `after=<the last position>` misses nothing and hears
nothing twice; the header `X-Position` of the handshake is the position before the first message.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from atelier.gateway.v1 import gateway_service_pb2 as pb2
from edge.answers import points_message
from edge.backend import WATCH_TIMEOUT_S, Backend, Metadata, caller
from edge.points_views import TaskViews
from kit.errors import AppError, ErrorReason, InvalidArgument, NotServing, http_status

UNAUTHORISED: Final = 4401  # Close codes 4000–4999 are the application's; these end as HTTP's statuses do.
FORBIDDEN: Final = 4403
WRONG_REQUEST: Final = 4400
AGAIN: Final = 1013  # "Try again later": connect again with `after`.
RESTART: Final = 1012  # "Service restart": connect again with `after`.
REASON_BYTES_MAX: Final = 120  # WebSocket allows 123.
POSITION_HEADER: Final = b"x-position"
POSITION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


class TaskPushes:
    """`/user/ai/tasks/ws`."""

    def __init__(self, backend: Backend, views: TaskViews) -> None:
        self._backend = backend
        self._views = views

    async def watch(self, socket: WebSocket) -> None:
        """Push until the partner leaves, the service stops, or an hour has passed.

        The credential is `?token=`, because browsers can set no header here, or the header for whoever can.
        """
        metadata = caller(socket, bearer(socket.query_params.get("token", ""), socket.headers.get("authorization", "")))
        try:
            changes = await self._begin(socket, metadata)
        except AppError as error:
            await _refuse(socket, error)
            return
        pushing = asyncio.create_task(self._push(socket, metadata, changes))
        leaving = asyncio.create_task(_until_gone(socket))
        try:
            await asyncio.wait({pushing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pushing, leaving):
                task.cancel()
            await asyncio.gather(pushing, leaving, return_exceptions=True)

    async def _begin(self, socket: WebSocket, metadata: Metadata) -> AsyncGenerator[Any, None]:
        """Accept the connection once the stream has begun, so that nothing after the handshake is missed."""
        try:
            after = _after(socket)
        except AppError:
            await self._backend.prove(metadata)
            raise
        # Without a position the stream begins now; with one, be it 0, behind it.
        wanted = pb2.WatchJobsRequest(after_position=after or 0, from_first=after is not None, tell_begin=True)
        call: Any = self._backend.gateway.WatchJobs(wanted, timeout=WATCH_TIMEOUT_S, metadata=metadata)
        changes = self._backend.streams.each(call)
        begun = await anext(changes, None)
        if begun is None:
            raise NotServing
        await socket.accept(headers=[(POSITION_HEADER, str(begun.event.position).encode())])
        return changes

    async def _push(self, socket: WebSocket, metadata: Metadata, changes: AsyncGenerator[Any, None]) -> None:
        try:
            async with aclosing(changes):
                async for change in changes:
                    data = await self._views.task(socket, metadata, change.job)
                    await socket.send_text(orjson.dumps({**data, "position": change.event.position}).decode())
            await socket.close(RESTART)
        except AppError as error:
            await _close(socket, error)
        except (WebSocketDisconnect, RuntimeError):
            return  # The partner went away while something was being sent.


def bearer(token: str, header: str) -> str:
    """The credential of the query, or of the header, as the gateway wants it; gRPC metadata is ASCII."""
    text = f"Bearer {token.strip()}" if token.strip() else header.strip()
    return text if text.isascii() and text.isprintable() else "Bearer ?"


def close_code(reason: ErrorReason) -> int:
    """What tells a partner's program whether to ask for a new token, give up, or connect again."""
    by_status = {401: UNAUTHORISED, 403: FORBIDDEN, 400: WRONG_REQUEST}
    return by_status.get(http_status(reason), AGAIN)


def _after(socket: WebSocket) -> int | None:
    text = socket.query_params.get("after")
    if text is None:
        return None
    if not POSITION.fullmatch(text):
        raise InvalidArgument(field="after")
    return int(text)


async def _refuse(socket: WebSocket, error: AppError) -> None:
    """Let the partner know why: a browser sees nothing of a handshake that is refused."""
    await socket.accept()
    await _close(socket, error)


async def _close(socket: WebSocket, error: AppError) -> None:
    reason = points_message(error).encode()[:REASON_BYTES_MAX].decode(errors="ignore")
    await socket.close(close_code(error.reason), reason)


async def _until_gone(socket: WebSocket) -> None:
    """Return when the partner has closed; what it sends is not looked at."""
    try:
        while True:
            await socket.receive()
            if socket.client_state.name == "DISCONNECTED":
                return
    except (WebSocketDisconnect, RuntimeError):
        return
