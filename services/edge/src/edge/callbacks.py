"""What remote providers use: a place to call back, and short-lived links to the inputs of their tasks."""

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.providers.v1 import provider_service_pb2 as pb2
from edge.backend import CALL_TIMEOUT_S, TRANSFER_TIMEOUT_S, Backend
from edge.body import read_bytes
from edge.files import SAFE_HEADERS
from edge.links import refusal
from kit.errors import AppError, NotFound, http_status

BODY_BYTES_MAX: Final = 1 << 20  # As DeliverCallback takes; the largest documented callback has a picture's URL.
HEADERS_MAX: Final = 64
HEADER_CHARS_MAX: Final = 4096
NAME_CHARS_MAX: Final = 64
TOKEN_CHARS_MAX: Final = 128
#: Not the provider's, or none of its business.
_LEFT_OUT: Final = frozenset({"cookie", "host", "connection"})


class ProviderSide:
    """The endpoints that no partner calls."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def routes(self) -> list[Route]:
        return [
            Route("/callbacks/{provider}/{token}", self.call_back, methods=["POST"]),
            Route("/provider-inputs/{ticket}/{name}", self.read_input, methods=["GET"]),
        ]

    async def call_back(self, request: Request) -> Response:
        """Pass a provider's webhook on, as it came; only a 2xx keeps the provider from sending it again."""
        provider, token = request.path_params["provider"], request.path_params["token"]
        if len(provider) > NAME_CHARS_MAX or len(token) > TOKEN_CHARS_MAX:
            return _refusal(NotFound())
        headers = {name: value[:HEADER_CHARS_MAX] for name, value in request.headers.items() if name not in _LEFT_OUT}
        try:
            body = await read_bytes(request, BODY_BYTES_MAX)
            wanted = pb2.DeliverCallbackRequest(
                provider=provider, token=token, headers=dict(list(headers.items())[:HEADERS_MAX]), body=body
            )
            await self._backend.providers.DeliverCallback(wanted, timeout=CALL_TIMEOUT_S)
        except AppError as error:
            return _refusal(error)
        return Response(status_code=204)

    async def read_input(self, request: Request) -> Response:
        """Answer with the bytes that a ticket is for. The name in the path is for those who look at it."""
        wanted = assets_pb2.ReadAssetRequest(ticket=request.path_params["ticket"][:2048])
        parts: Any = aiter(self._backend.assets.ReadAsset(wanted, timeout=TRANSFER_TIMEOUT_S))
        try:
            first = await anext(parts)
        except AppError as error:
            return refusal(error)
        headers = {
            **SAFE_HEADERS,
            "accept-ranges": "none",
            "content-type": first.asset.mime_type,
            "content-length": str(first.asset.size_bytes),
            "cache-control": "private, no-store",
        }
        return StreamingResponse(_chunks(parts), headers=headers)


async def _chunks(parts: Any) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.chunk


def _refusal(error: AppError) -> Response:
    status = http_status(error.reason)
    return PlainTextResponse("Refused." if status < 500 else "Unavailable.", status)
