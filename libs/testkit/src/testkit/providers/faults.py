"""What can be wrong with a provider, and the answers that no framework gives by itself."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from enum import StrEnum
from typing import Any, Final

from kit.tasks import end

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HANG_S: Final = 600.0  # Longer than any caller waits.
DRIP_S: Final = 0.2
ENDLESS_BYTES: Final = 2 << 30  # More than any caller takes; a bound all the same.
TRANSPORT: Final = "testkit.transport"  #: Where `serving` leaves the connection in the scope.


class Fault(StrEnum):
    """The faults of the shared suite."""

    # Of the submit.
    TOO_MANY = "too_many"  #: 429 with Retry-After; nothing is taken.
    BROKEN = "broken"  #: 500; nothing is taken.
    UNAVAILABLE = "unavailable"  #: 503; nothing is taken.
    RESET = "reset"  #: The connection is reset before anything is taken.
    LOST = "lost"  #: It is taken, and the connection is reset instead of an answer.
    HANG = "hang"  #: It is taken, and there is no answer.
    ERROR_BODY = "error_body"  #: 200 with an error inside, in the vendor's way.
    MODERATED = "moderated"  #: The prompt is refused, in the vendor's way.
    ACCOUNT = "account"  #: Our credential or balance is refused.
    # Of the task.
    FAILED = "failed"  #: The task fails.
    OUTPUT_MODERATED = "output_moderated"  #: The result is refused.
    STUCK = "stuck"  #: The task never ends.
    LOST_TASK = "lost_task"  #: The provider forgets the task after taking it.
    POLL_BROKEN = "poll_broken"  #: The first three questions after the task are answered with 500, 429 and a reset.
    # Of the result.
    TRUNCATED = "truncated"
    HTML = "html"
    EMPTY = "empty"
    ENDLESS = "endless"
    WRONG_TYPE = "wrong_type"
    EXPIRED = "expired"  #: The result's URL answers 403.
    DRIP = "drip"  #: The result comes a byte at a time.


OF_RESULT: Final = frozenset(
    {Fault.TRUNCATED, Fault.HTML, Fault.EMPTY, Fault.ENDLESS, Fault.WRONG_TYPE, Fault.EXPIRED, Fault.DRIP}
)
OF_TASK: Final = frozenset({Fault.FAILED, Fault.OUTPUT_MODERATED, Fault.STUCK, Fault.LOST_TASK, Fault.POLL_BROKEN})

_SWITCH: Final = re.compile(r"\[fault:([a-z_]+)(?::(\d{1,4}))?\]")


def switch_in(text: str) -> tuple[Fault, int | None] | None:
    """The fault that a prompt asks for, and for how many submits (None: all)."""
    found = _SWITCH.search(text)
    return (Fault(found[1]), int(found[2]) if found[2] else None) if found else None


class Reset:
    """An answer that is none: the connection is cut hard."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Cut it."""
        transport = scope[TRANSPORT]
        transport.abort()


class Hang:
    """An answer that does not come."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait until the caller goes."""
        async with _until_gone(receive) as gone:
            await asyncio.wait({gone}, timeout=HANG_S)
        scope[TRANSPORT].abort()


class Body:
    """Bytes sent in a certain way: as they are, cut short, a byte at a time, or without end."""

    def __init__(self, data: bytes, mime_type: str, *, fault: Fault | None = None) -> None:
        self._data, self._mime_type, self._fault = data, mime_type, fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        match self._fault:
            case Fault.TRUNCATED:
                await self._all(send, self._data[: len(self._data) // 2])
            case Fault.EMPTY:
                await self._all(send, b"")
            case Fault.HTML:
                await self._all(send, b"<!doctype html><title>Sorry</title>", "text/html")
            case Fault.WRONG_TYPE:
                await self._all(send, b"%PDF-1.7\n1 0 obj<<>>endobj\n")
            case Fault.EXPIRED:
                await self._all(send, b"<Error><Code>AccessDenied</Code></Error>", "application/xml", status=403)
            case Fault.DRIP:
                await self._pieces(send, receive, pause_s=DRIP_S, size=1, most=ENDLESS_BYTES)
            case Fault.ENDLESS:
                await self._pieces(send, receive, pause_s=0.0, size=1 << 16, most=ENDLESS_BYTES)
            case _:
                await self._all(send, self._data)

    async def _all(self, send: Send, data: bytes, mime_type: str = "", *, status: int = 200) -> None:
        headers = {"content-type": mime_type or self._mime_type, "content-length": str(len(data))}
        await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
        await send({"type": "http.response.body", "body": data})

    async def _pieces(self, send: Send, receive: Receive, *, pause_s: float, size: int, most: int) -> None:
        """Send the data, and zeros after it, until the caller goes."""
        headers = _raw({"content-type": self._mime_type})
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        data = self._data
        async with _until_gone(receive) as gone:
            for start in range(0, most, size):
                piece = data[start : start + size] or bytes(size)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.wait({gone}, timeout=pause_s)
                if gone.done():
                    return


@contextlib.asynccontextmanager
async def _until_gone(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """A task that ends when the caller goes; it does not outlive the block, however that ends."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    listening = asyncio.create_task(listen())
    try:
        yield listening
    finally:
        await end(listening)


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
