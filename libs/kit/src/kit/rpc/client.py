"""Channels for generated stubs: the same rules for outgoing calls on both transports.

Every call passes `timeout=`; it carries the caller's signed identity and the request id; it gets no more time than the
incoming call has left; and it raises `AppError`, never an error of the transport.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from types import TracebackType
from typing import Any, Final

import grpc
from grpc.aio import AioRpcError

from kit import identity
from kit.identity import IdentitySigner
from kit.logging import request_id as current_request_id
from kit.rpc import deadline, limits
from kit.rpc.local import LocalChannel, LocalDirectory
from kit.rpc.metadata import IDENTITY_KEY, REQUEST_ID_KEY, Pairs, new_request_id
from kit.rpc.status import from_rpc_error
from kit.rpc.true_status import TrueStatus

LOCAL_PREFIX: Final = "local:"


def connect(
    target: str, *, identity: IdentitySigner, directory: LocalDirectory | None = None, retry: bool = True
) -> "Channel":
    """Return a channel to `local:<name>` (in `directory`), `dns:///host:port` or `host:port`.

    Nothing is connected yet: the service may start later. `retry` sends a call again when the service was UNAVAILABLE
    (real channels only); switch it off where a call must not be sent twice. Raises ValueError for a local target
    without a directory.
    """
    if target.startswith(LOCAL_PREFIX):
        if directory is None:
            raise ValueError(f"{target} needs a directory of the services in this process")
        return Channel(LocalChannel(target.removeprefix(LOCAL_PREFIX), directory), identity)
    return Channel(grpc.aio.insecure_channel(target, options=limits.channel_options(retry=retry)), identity)


class Channel(grpc.aio.Channel):
    """A channel of either transport with the house's rules around it; goes straight into a generated stub."""

    def __init__(self, transport: grpc.aio.Channel, signer: IdentitySigner) -> None:
        self._transport = transport
        self._signer = signer

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method with one request and one response."""
        return self._callable(method, self._transport.unary_unary(method, *args, **kwargs), _UnaryCall)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method with one request and many responses."""
        return self._callable(method, self._transport.unary_stream(method, *args, **kwargs), _SplitCall)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method with many requests and one response."""
        return self._callable(method, self._transport.stream_unary(method, *args, **kwargs), _JoinCall)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return the callable of a method with many requests and many responses."""
        return self._callable(method, self._transport.stream_stream(method, *args, **kwargs), _ChatCall)

    async def close(self, grace: float | None = None) -> None:
        """Close the channel; calls still running are cancelled after `grace` seconds. Before the loop ends."""
        await self._transport.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the connection."""
        return self._transport.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Return when the state is another than `last_observed_state`."""
        await self._transport.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Return when the service can be called."""
        await self._transport.channel_ready()

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _callable(self, method: str, call: Callable[..., Any], wrap: type["_Call"]) -> Callable[..., Any]:
        signer = self._signer

        def start(request: Any = None, *, timeout: float | None = None, metadata: Any = (), **options: Any) -> Any:
            if timeout is None:
                raise AssertionError(f"{method} is called without a deadline: pass timeout= in seconds")
            pairs: Pairs = (
                (IDENTITY_KEY, signer.token(identity.outgoing_client())),
                (REQUEST_ID_KEY, current_request_id.get() or new_request_id()),
                *(metadata or ()),
            )
            return wrap(call(request, timeout=deadline.capped(timeout), metadata=pairs, **options))

        return start


class _Call:
    """A call under way; what it does not say itself (code, metadata, cancel, …) the transport's call says."""

    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def __del__(self) -> None:
        self._call.cancel()  # Nobody can hear the answer any more. Does nothing once the call has ended.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _UnaryCall(_Call):
    """A call with one response: await it."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from self._call.__await__())
        except AioRpcError as error:
            raise from_rpc_error(error) from error


class _WritingCall(_Call):
    """A call with many requests."""

    __slots__ = ("_true_status",)

    def __init__(self, call: Any) -> None:
        super().__init__(call)
        self._true_status = TrueStatus(call)

    async def write(self, request: Any) -> None:
        """Send one request of a stream; waits while the service is behind."""
        try:
            await self._call.write(request)
        except AioRpcError as error:
            raise from_rpc_error(await self._true_status.behind(error)) from error

    async def done_writing(self) -> None:
        """Say that no more requests follow."""
        try:
            await self._call.done_writing()
        except AioRpcError as error:
            raise from_rpc_error(await self._true_status.behind(error)) from error


class _JoinCall(_WritingCall):
    """A call with many requests and one response: await it."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        try:
            return await self._call
        except AioRpcError as error:
            raise from_rpc_error(await self._true_status.behind(error)) from error


class _SplitCall(_Call):
    """A call with many responses: iterate over it, or read one by one until `grpc.aio.EOF`.

    Leaving the iteration early cancels the call.
    """

    __slots__ = ()

    async def read(self) -> Any:
        """Return the next response, or `grpc.aio.EOF` after the last."""
        try:
            return await self._call.read()
        except AioRpcError as error:
            raise from_rpc_error(error) from error

    async def __aiter__(self) -> AsyncIterator[Any]:
        with contextlib.ExitStack() as stack:
            stack.callback(self._call.cancel)  # Does nothing once the call has ended.
            try:
                async for response in self._call:
                    yield response
            except AioRpcError as error:
                raise from_rpc_error(error) from error


class _ChatCall(_WritingCall):
    """A call with many requests and many responses; reads like a `_SplitCall`."""

    __slots__ = ()

    async def read(self) -> Any:
        """Return the next response, or `grpc.aio.EOF` after the last."""
        try:
            return await self._call.read()
        except AioRpcError as error:
            raise from_rpc_error(await self._true_status.behind(error)) from error

    async def __aiter__(self) -> AsyncIterator[Any]:
        with contextlib.ExitStack() as stack:
            stack.callback(self._call.cancel)
            try:
                async for response in self._call:
                    yield response
            except AioRpcError as error:
                raise from_rpc_error(await self._true_status.behind(error)) from error
