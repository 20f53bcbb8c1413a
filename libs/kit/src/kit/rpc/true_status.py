"""Finds the service's own status of a call that it ended while the client was still writing.

gRPC loses it: the write that hits the ended call fails, and `grpc.aio` then sets an INTERNAL status of its own, either
just after the true one (which a callback has noted by then) or just before it (then the true one replaces it soon).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import grpc
from grpc.aio import AioRpcError

COVER: Final = "Internal error from Core"  # `grpc.aio`'s words when a write fails.
POLL_S: Final = 0.005
POLLS_MAX: Final = 50  # A quarter of a second; the true status is mere milliseconds behind.


class TrueStatus:
    """Watches one call."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._first: AioRpcError | None = None
        call.add_done_callback(self._note)

    async def behind(self, error: AioRpcError) -> AioRpcError:
        """Return the service's status if `error` only covers it, else `error`."""
        for _ in range(POLLS_MAX):
            if not _is_cover(error):
                return error
            if self._first is not None and not _is_cover(self._first):
                return self._first
            await asyncio.sleep(POLL_S)
            error = _status(self._call)
        return error

    def _note(self, call: Any) -> None:
        self._first = _status(call)


def _is_cover(error: AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == COVER


def _status(ended: Any) -> AioRpcError:
    return AioRpcError(
        _result(ended.code()),
        _result(ended.initial_metadata()),
        _result(ended.trailing_metadata()),
        _result(ended.details()),
    )


def _result(ready: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that has nothing to wait for, as those of a call's facts once it has ended."""
    try:
        ready.send(None)
    except StopIteration as end:
        return end.value
    ready.close()
    raise RuntimeError("the call has ended, yet its status is not known")
