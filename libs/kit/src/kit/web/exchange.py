"""One HTTP/1.1 request and its reply, on a connection of its own.

Built on httpcore, the engine below httpx, because it has no cookies, redirects, proxies, credentials or decoding that
would have to be switched off. Connections are not kept: the next request is vetted and dialled anew.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpcore

from kit.web.refusal import Refusal
from kit.web.target import Target

USER_AGENT: Final = "atelier"
# Ours to set; a caller who passes one of these would change where the request goes or how it is framed.
RESERVED_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "cookie", "upgrade", "te"}
)

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~]?|[!-~][ -~]*[!-~]")

_HTTP_ERRORS: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)


class Reply:
    """The head of a reply, and its body chunk by chunk."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self._headers = response.headers
        self._body = response.aiter_stream()

    def header(self, name: str) -> bytes | None:
        """The first value of a header (any case), or None."""
        wanted = name.lower().encode()
        return next((value for key, value in self._headers if key.lower() == wanted), None)

    @property
    def is_encoded(self) -> bool:
        """Whether the body is compressed although we asked for it as it is."""
        codings = [value for key, value in self._headers if key.lower() == b"content-encoding"]
        return any(coding.strip().lower() not in (b"", b"identity") for coding in codings)

    async def next_chunk(self, *, timeout_s: float) -> bytes | None:
        """The next bytes of the body as they are on the wire, None at its end. Raises Refusal."""
        try:
            async with asyncio.timeout(timeout_s):
                return await anext(self._body, None)
        except TimeoutError as error:
            raise Refusal("body_timeout") from error
        except _HTTP_ERRORS as error:
            raise Refusal.of("body_broken", error) from error

    async def aclose(self) -> None:
        """End a body that is not read to its end, here and now instead of when it is collected."""
        if isinstance(self._body, AsyncGenerator):
            await self._body.aclose()


@asynccontextmanager
async def exchange(
    stream: httpcore.AsyncNetworkStream,
    target: Target,
    *,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout_s: float,
) -> AsyncIterator[Reply]:
    """Send the request and give the reply once its head is here, within `timeout_s`. Closes the stream at the end.

    `headers` have passed `check_headers`. Raises Refusal.
    """
    scheme, host = target.scheme.encode(), target.host.encode()
    connection = httpcore.AsyncHTTP11Connection(httpcore.Origin(scheme, host, target.port), stream)
    try:
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=scheme, host=host, port=target.port, target=target.path.encode()),
            headers=_headers(target, headers, body),
            content=body,
        )
        try:
            async with asyncio.timeout(timeout_s):
                response = await connection.handle_async_request(request)
        except TimeoutError as error:
            raise Refusal("head_timeout") from error
        except _HTTP_ERRORS as error:
            raise Refusal.of("head_broken", error) from error
        reply = Reply(response)
        try:
            yield reply
        finally:
            await reply.aclose()
    finally:
        await connection.aclose()


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that a caller may not send, before anything is dialled. Raises ValueError naming the header."""
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None or name.lower() in RESERVED_HEADERS:
            raise ValueError(f"the header {name!r} is not the caller's to set")
        if _HEADER_VALUE.fullmatch(value) is None:
            raise ValueError(f"the header {name!r} has a value that is not printable ASCII")


def _headers(target: Target, extra: Mapping[str, str], body: bytes | None) -> list[tuple[bytes, bytes]]:
    ours = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if body is not None:
        ours["Content-Length"] = str(len(body))
    replaced = {name.lower() for name in extra}
    kept = {name: value for name, value in ours.items() if name.lower() not in replaced}
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in {**kept, **extra}.items()]
