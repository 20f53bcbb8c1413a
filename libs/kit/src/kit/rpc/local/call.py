"""The state of one in-process call, shared by the client's side, the handler's context and the clock."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc

from kit.logging import get_logger
from kit.rpc.local.pipe import Pipe
from kit.rpc.metadata import Pairs

log = get_logger(__name__)

OK: Final = grpc.StatusCode.OK


class LocalRpc:
    """One call: begins with its making, ends exactly once with `finish`."""

    __slots__ = (
        "_callbacks",
        "_initial_sent",
        "_timer",
        "cancelled_by_client",
        "code",
        "deadline",
        "details",
        "ended",
        "finished",
        "initial_metadata",
        "metadata",
        "method",
        "requests",
        "response",
        "responses",
        "server_context",
        "task",
        "trailing_metadata",
    )

    def __init__(
        self, method: str, metadata: Pairs, timeout: float | None, *, request_streaming: bool, response_streaming: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        self.method = method
        self.metadata = metadata
        self.requests = Pipe() if request_streaming else None
        self.responses = Pipe() if response_streaming else None
        self.response: Any = None
        self.code: grpc.StatusCode = OK
        self.details = ""
        self.initial_metadata: Pairs = ()
        self.trailing_metadata: Pairs = ()
        self.cancelled_by_client = False
        self.task: asyncio.Task[None] | None = None
        self.finished = False
        #: Set when the call has finished; the one task that awaits the response may cancel it, others use `wait`.
        self.ended: asyncio.Future[None] = loop.create_future()
        self.deadline = None if timeout is None else loop.time() + timeout
        self._timer = None if self.deadline is None else loop.call_at(self.deadline, self.expire)
        self._initial_sent: asyncio.Future[None] | None = None
        self._callbacks: list[Callable[[], object]] | None = None

    def finish(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Pairs = (), response: Any = None
    ) -> bool:
        """End the call with this status; returns False, and changes nothing, when it has ended already."""
        if self.finished:
            return False
        self.finished = True
        self.code, self.details, self.trailing_metadata, self.response = code, details, trailing_metadata, response
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)
        if self.requests is not None:
            self.requests.break_off()
        if self.responses is not None:
            self.responses.close()
        if self._initial_sent is not None and not self._initial_sent.done():
            self._initial_sent.set_result(None)
        for callback in self._callbacks or ():
            callback()
        return True

    def expire(self) -> None:
        """The deadline has passed: the caller hears it now, the handler is cancelled."""
        self._give_up(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def cancel(self) -> bool:
        """The client gives up; returns whether the call was still running."""
        if self.finished:
            return False
        self.cancelled_by_client = True
        return self._give_up(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")

    def _give_up(self, code: grpc.StatusCode, details: str) -> bool:
        if not self.finish(code, details):
            return False
        if self.responses is not None:
            self.responses.break_off()
        if self.task is not None:
            self.task.cancel()
        return True

    def send_initial_metadata(self, metadata: Pairs) -> None:
        """Let the client see the initial metadata."""
        self.initial_metadata = metadata
        if self._initial_sent is None:
            self._initial_sent = asyncio.get_running_loop().create_future()
        if not self._initial_sent.done():
            self._initial_sent.set_result(None)

    async def wait_for_initial_metadata(self) -> None:
        """Return when the initial metadata was sent or the call has ended."""
        if self.finished:
            return
        if self._initial_sent is None:
            self._initial_sent = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._initial_sent)

    async def wait(self) -> None:
        """Return when the call has ended; many may wait."""
        if not self.finished:
            waiter = asyncio.get_running_loop().create_future()
            self.add_callback(lambda: None if waiter.done() else waiter.set_result(None))
            await waiter

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Call back when the call ends; at once when it has."""
        if self.finished:
            callback()
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> float | None:
        """Return the seconds to the deadline, never negative; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - asyncio.get_running_loop().time())

    def error(self) -> grpc.aio.AioRpcError:
        """Return the status of a failed call as the error that the wire's transport raises."""
        return grpc.aio.AioRpcError(
            self.code,
            grpc.aio.Metadata(*self.initial_metadata),
            grpc.aio.Metadata(*self.trailing_metadata),
            self.details,
        )

    async def feed(self, requests: Any) -> None:
        """Send what an iterator of the client's gives, then say that it was all. Its failure cancels the call."""
        assert self.requests is not None
        try:
            if hasattr(requests, "__aiter__"):
                async for request in requests:
                    if not await self.requests.put(request):
                        return
            else:
                for request in requests:
                    if not await self.requests.put(request):
                        return
        except Exception:
            log.warning("rpc_request_iterator_failed", method=self.method, exc_info=True)
            self.cancel()
        else:
            self.requests.close()
