"""The client's side of the in-process transport: what `grpc.aio` promises its callers, without the wire."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc
from grpc.aio import EOF, Metadata

from kit.rpc.local.call import OK, LocalRpc

if TYPE_CHECKING:
    from kit.rpc.local.server import LocalDirectory


class LocalChannel(grpc.aio.Channel):
    """Calls the server of one name in a directory. The server may come, go and come again."""

    def __init__(self, name: str, directory: "LocalDirectory") -> None:
        self._name = name
        self._directory = directory
        self._closed = False
        self._calls: set[LocalRpc] = set()

    def unary_unary(self, method: str, *_: Any, **__: Any) -> Any:
        """Return the callable of a method with one request and one response."""
        return self._callable(method, _LocalUnaryCall, request_streaming=False, response_streaming=False)

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Any:
        """Return the callable of a method with one request and many responses."""
        return self._callable(method, _LocalStreamCall, request_streaming=False, response_streaming=True)

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Any:
        """Return the callable of a method with many requests and one response."""
        return self._callable(method, _LocalUnaryCall, request_streaming=True, response_streaming=False)

    def stream_stream(self, method: str, *_: Any, **__: Any) -> Any:
        """Return the callable of a method with many requests and many responses."""
        return self._callable(method, _LocalStreamCall, request_streaming=True, response_streaming=True)

    async def close(self, grace: float | None = None) -> None:
        """Refuse new calls; running ones may finish for `grace` seconds and are cancelled then."""
        self._closed = True
        if grace and self._calls:
            await asyncio.wait([rpc.ended for rpc in self._calls], timeout=grace)
        for rpc in list(self._calls):
            rpc.cancel()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return whether the service is there."""
        if self._closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        server = self._directory.find(self._name)
        return (
            grpc.ChannelConnectivity.READY if server is not None and server.serving else grpc.ChannelConnectivity.IDLE
        )

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Return when the state is another than `last_observed_state`."""
        while self.get_state() is last_observed_state:  # noqa: ASYNC110  Servers do not know their channels.
            await asyncio.sleep(_STATE_POLL_S)

    async def channel_ready(self) -> None:
        """Return when the service can be called."""
        while self.get_state() is not grpc.ChannelConnectivity.READY:  # noqa: ASYNC110  As above.
            await asyncio.sleep(_STATE_POLL_S)

    async def __aenter__(self) -> "LocalChannel":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _callable(
        self, method: str, kind: type["_LocalCall"], *, request_streaming: bool, response_streaming: bool
    ) -> Callable[..., Any]:
        def start(request: Any = None, *, timeout: float | None = None, metadata: Any = (), **_: Any) -> "_LocalCall":
            if self._closed:
                raise grpc.aio.UsageError("Channel is closed.")
            rpc = LocalRpc(
                method,
                tuple(metadata or ()),
                timeout,
                request_streaming=request_streaming,
                response_streaming=response_streaming,
            )
            self._calls.add(rpc)
            rpc.add_callback(lambda: self._calls.discard(rpc))
            server = self._directory.find(self._name)
            if server is None:
                rpc.finish(grpc.StatusCode.UNAVAILABLE, f"No server of the name {self._name}.")
            else:
                server.begin(rpc, request)
            call = kind(rpc)
            if request_streaming and request is not None:
                call.feed(request)
            return call

        return start


_STATE_POLL_S = 0.01  # Only starting code and tests wait for a state.


class _LocalCall:
    """One call as its caller sees it."""

    __slots__ = ("_done_writing", "_fed", "_rpc")

    def __init__(self, rpc: LocalRpc) -> None:
        self._rpc = rpc
        self._done_writing = False
        self._fed: asyncio.Task[None] | None = None

    def __del__(self) -> None:
        self._rpc.cancel()  # Nobody can hear the answer any more.

    def feed(self, requests: Any) -> None:
        """Send the requests of an iterator while the call runs."""
        task = asyncio.get_running_loop().create_task(self._rpc.feed(requests))
        self._fed = task
        self._rpc.add_callback(task.cancel)

    async def write(self, request: Any) -> None:
        """Send one request; waits while the handler is behind. Raises AioRpcError when the call has failed."""
        rpc = self._rpc
        assert rpc.requests is not None, "this method has one request"
        if self._fed is not None:
            raise grpc.aio.UsageError("The requests come from an iterator already.")
        if rpc.finished or self._done_writing:
            raise asyncio.InvalidStateError("RPC already finished or half-closed.")
        try:
            accepted = await rpc.requests.put(request)
        except asyncio.CancelledError:
            rpc.cancel()
            raise
        if not accepted:
            self._raise_for_status()

    async def done_writing(self) -> None:
        """Say that no more requests follow."""
        assert self._rpc.requests is not None, "this method has one request"
        self._done_writing = True
        self._rpc.requests.close()

    def cancel(self) -> bool:
        """Give up; the handler is cancelled. Returns whether the call was still running."""
        return self._rpc.cancel()

    def cancelled(self) -> bool:
        """Tell whether the call ended as cancelled."""
        return self.done() and self._rpc.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Tell whether the call has ended."""
        return self._rpc.finished

    def time_remaining(self) -> float | None:
        """Return the seconds to the deadline; None without one."""
        return self._rpc.time_remaining()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back when the call ends."""
        self._rpc.add_callback(lambda: callback(self))

    async def initial_metadata(self) -> Metadata:
        """Return what the handler sent ahead; waits for it."""
        await self._rpc.wait_for_initial_metadata()
        return Metadata(*self._rpc.initial_metadata)

    async def trailing_metadata(self) -> Metadata:
        """Return what the handler sent with the status; waits for it."""
        await self._rpc.wait()
        return Metadata(*self._rpc.trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        """Return the status; waits for it."""
        await self._rpc.wait()
        return self._rpc.code

    async def details(self) -> str:
        """Return the text beside the status; waits for it."""
        await self._rpc.wait()
        return self._rpc.details

    async def wait_for_connection(self) -> None:
        """Return at once: there is nothing to connect to."""

    def _raise_for_status(self) -> None:
        rpc = self._rpc
        if rpc.cancelled_by_client:
            raise asyncio.CancelledError
        if rpc.code is not OK:
            raise rpc.error()


class _LocalUnaryCall(_LocalCall):
    """A call with one response."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        rpc = self._rpc
        if not rpc.finished:
            try:
                yield from rpc.ended
            except asyncio.CancelledError:
                rpc.cancel()
                raise
        if rpc.code is not OK:
            self._raise_for_status()
        return rpc.response


class _LocalStreamCall(_LocalCall):
    """A call with many responses."""

    __slots__ = ()

    async def read(self) -> Any:
        """Return the next response, or `grpc.aio.EOF` after the last. Raises AioRpcError when the call failed."""
        rpc = self._rpc
        assert rpc.responses is not None
        try:
            response = await rpc.responses.get()
        except asyncio.CancelledError:
            rpc.cancel()
            raise
        if response is EOF:
            await rpc.wait()
            self._raise_for_status()
        return response

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not EOF:
            yield response
