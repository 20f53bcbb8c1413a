"""What a handler is given to talk about its call: `grpc.aio.ServicerContext` for the in-process transport."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import grpc
from grpc.aio import AbortError, UsageError

from kit.rpc.local.call import OK, LocalRpc


class LocalContext(grpc.aio.ServicerContext[Any, Any]):
    """The handler's side of one in-process call."""

    __slots__ = ("_code", "_details", "_rpc", "_trailing_metadata", "copy_response")

    def __init__(self, rpc: LocalRpc) -> None:
        self._rpc = rpc
        self._code = OK
        self._details = ""
        self._trailing_metadata: Any = ()
        #: Set where messages must not be shared with the client.
        self.copy_response: Callable[[Any], Any] | None = None

    async def read(self) -> Any:
        """Return the next request, or `grpc.aio.EOF` after the last."""
        assert self._rpc.requests is not None, "this method has one request"
        return await self._rpc.requests.get()

    async def write(self, message: Any) -> None:
        """Send one response; waits while the client is behind."""
        rpc = self._rpc
        assert rpc.responses is not None, "this method has one response"
        if self.copy_response is not None:
            message = self.copy_response(message)
        rpc.send_initial_metadata(rpc.initial_metadata)
        if not await rpc.responses.put(message):
            raise UsageError("RPC already finished.")

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send metadata ahead of the responses."""
        self._rpc.send_initial_metadata(tuple(initial_metadata))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with a status other than OK. Always raises."""
        assert code is not OK, "an abort is never OK"
        self._code, self._details = code, details
        self._rpc.finish(code, details, tuple(trailing_metadata) or self._trailing_metadata)
        raise AbortError("Locally aborted.")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a rich status. Always raises."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Set what the client gets with the status."""
        self._trailing_metadata = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """Return what was set so far."""
        return self._trailing_metadata

    def invocation_metadata(self) -> Any:
        """Return what the client sent beside its request."""
        return self._rpc.metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """Choose the status of a handler that returns normally."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Choose the text beside that status."""
        self._details = details

    def code(self) -> grpc.StatusCode:
        """Return the status chosen so far."""
        return self._code

    def details(self) -> str:
        """Return the text chosen so far."""
        return self._details

    def time_remaining(self) -> Any:
        """Return the seconds to the deadline, never negative; None without one."""
        return self._rpc.time_remaining()

    def cancelled(self) -> bool:
        """Tell whether the client gave up or its deadline passed."""
        rpc = self._rpc
        return rpc.finished and rpc.code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)

    def done(self) -> bool:
        """Tell whether the call has ended."""
        return self._rpc.finished

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back when the call ends."""
        self._rpc.add_callback(lambda: callback(self))

    def peer(self) -> str:
        """Return where the client is: here."""
        return "local"

    def peer_identities(self) -> Iterable[bytes] | None:
        """Return none: no transport vouches for the peer, its signed metadata does."""
        return None

    def peer_identity_key(self) -> str | None:
        """Return none, as `peer_identities` does."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return nothing, as `peer_identities` does."""
        return {}

    def set_compression(self, compression: grpc.Compression) -> None:
        """Do nothing: no bytes are made."""

    def disable_next_message_compression(self) -> None:
        """Do nothing: no bytes are made."""
