"""Messages through their serialisation and back, for tests that want the wire's manners without the wire."""

from typing import Any

import grpc
from grpc.aio import AbortError

from kit.rpc.handlers import Handler
from kit.rpc.limits import MESSAGE_BYTES_MAX
from kit.rpc.local.call import LocalRpc


class Copies:
    """Copies the messages of one call; a message too large for the wire ends the call as it would there."""

    def __init__(self, rpc: LocalRpc, handler: Handler) -> None:
        self._rpc = rpc
        self._handler = handler

    def request(self, message: Any) -> Any:
        """Return what the handler would have received."""
        deserialize = self._handler.request_deserializer
        assert deserialize is not None
        return deserialize(self._within_limit(message.SerializeToString()))

    def response(self, message: Any) -> Any:
        """Return what the client would have received."""
        serialize = self._handler.response_serializer
        assert serialize is not None
        return type(message).FromString(self._within_limit(serialize(message)))

    def _within_limit(self, data: bytes) -> bytes:
        if len(data) > MESSAGE_BYTES_MAX:
            self._rpc.finish(grpc.StatusCode.RESOURCE_EXHAUSTED, "The message is larger than its limit.")
            raise AbortError("Message too large.")
        return data
