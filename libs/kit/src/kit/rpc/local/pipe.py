"""One direction of a stream: a bounded queue with two kinds of end."""

import asyncio
from collections import deque
from typing import Any, Final

from grpc.aio import EOF

from kit.rpc.limits import STREAM_BUFFER_MESSAGES

END: Final = EOF


class Pipe:
    """Messages from one writer to one reader; the writer waits while the reader is behind."""

    __slots__ = ("_broken", "_closed", "_messages", "_reader", "_writer")

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._closed = False
        self._broken = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    async def put(self, message: Any) -> bool:
        """Hand over one message; returns False when nobody will ever read it."""
        while len(self._messages) >= STREAM_BUFFER_MESSAGES and not self._broken:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._broken or self._closed:
            return False
        self._messages.append(message)
        _wake(self._reader)
        return True

    async def get(self) -> Any:
        """Return the next message, or END after the last one."""
        while not self._messages:
            if self._closed or self._broken:
                return END
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        message = self._messages.popleft()
        _wake(self._writer)
        return message

    def close(self) -> None:
        """The writer has written its last; what is underway is still read."""
        self._closed = True
        _wake(self._reader)

    def break_off(self) -> None:
        """The call is over: what is underway is lost, both sides wake."""
        self._broken = True
        self._messages.clear()
        _wake(self._reader)
        _wake(self._writer)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
