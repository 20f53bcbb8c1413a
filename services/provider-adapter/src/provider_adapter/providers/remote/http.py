"""HTTP to one provider: pooled, bounded in time and size, and exact about whether a call may have been taken."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import orjson

from kit.logging import get_logger
from kit.web import retry_after_s
from provider_adapter.providers.remote.options import CredentialMissing, RemoteOptions

REPLY_BYTES_MAX: Final = 1 << 20  # A status in JSON has some kilobytes.
PICTURES_BYTES_MAX: Final = 256 * 1024 * 1024  # Ten large pictures in base64.
LOG_CHARS_MAX: Final = 300  # As much of a provider's own words as is logged.
IDLE_S: Final = 20.0  # An idle connection is closed before the usual servers do, or a paid call could be its last.
DOWNLOAD_S: Final = 300.0  # The largest film over a slow link.

_log = get_logger(__name__)


class NotSent(Exception):
    """The call surely did not reach the provider."""


class NoAnswer(Exception):
    """The call went out, and no whole answer came: the provider may have acted on it."""


class NotReadable(Exception):
    """There is an answer, and it is not what it should be: too large, or no JSON."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  #: Names in lower case.
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON. Raises NotReadable."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise NotReadable("the answer is no JSON") from error

    def object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises NotReadable."""
        value = self.json()
        if not isinstance(value, dict):
            raise NotReadable("the answer is no JSON object")
        return value

    @property
    def retry_after_s(self) -> float | None:
        """What `retry-after-ms` or `retry-after` says, between 1 s and 24 h."""
        milliseconds = self.headers.get("retry-after-ms", "")
        if milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) < 10:
            return max(1.0, int(milliseconds) / 1000)
        header = self.headers.get("retry-after")
        return retry_after_s(header.encode() if header else None, now_s=time.time())


class Upstream:
    """One provider's HTTP API."""

    def __init__(self, options: RemoteOptions, *, http2: bool = False) -> None:
        """`http2`: the vendor offers it over TLS."""
        self.options = options
        self._http2 = http2
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Get ready."""
        most = min(self.options.running_max + 10, 1000)
        self._client = httpx.AsyncClient(
            base_url=self.options.base,
            http2=self._http2,
            timeout=httpx.Timeout(self.options.answer_s, connect=self.options.connect_s),
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=IDLE_S),
            follow_redirects=False,  # A redirected submit would be a second one, and a redirect can lead inside.
            headers={"User-Agent": "atelier"},
        )

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        data: Mapping[str, str] | None = None,
        files: Sequence[tuple[str, tuple[str, bytes, str]]] | None = None,
        timeout_s: float | None = None,
        bytes_max: int = REPLY_BYTES_MAX,
    ) -> Reply:
        """Make one call and return the whole answer, whatever its status. `path` may be an absolute URL.

        At most one of `json`, `content`, `data` (a form) and `files` (multipart, with `data` for its texts) is the
        body. `timeout_s` bounds the whole call. Raises NotSent, NoAnswer, NotReadable (answered, but too large).
        """
        body: dict[str, Any] = {}
        sent_headers = dict(headers or {})
        if json is not None:
            body["content"] = orjson.dumps(json)
            sent_headers.setdefault("Content-Type", "application/json")
        elif content is not None:
            body["content"] = content
        if data is not None:
            body["data"] = dict(data)
        if files is not None:
            body["files"] = list(files)
        async with self._exchange(method, path, sent_headers, params, body, timeout_s) as response:
            return Reply(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=await _whole(response, bytes_max),
            )

    @asynccontextmanager
    async def _exchange(  # noqa: PLR0917  As many as an HTTP request has parts.
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        body: Mapping[str, Any],
        timeout_s: float | None,
    ) -> AsyncIterator[httpx.Response]:
        assert self._client is not None, "a provider is started before it is called"
        limit_s = timeout_s or self.options.answer_s
        request = self._client.build_request(
            method,
            path,
            headers=dict(headers),
            params=params,
            timeout=httpx.Timeout(limit_s, connect=self.options.connect_s),
            **body,
        )
        try:
            async with asyncio.timeout(limit_s + self.options.connect_s):
                response = await self._client.send(request, stream=True)
                try:
                    yield response
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise NotSent(type(error).__name__) from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NoAnswer(type(error).__name__) from error

    async def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, bytes_max: int, timeout_s: float = DOWNLOAD_S
    ) -> AsyncIterator[bytes]:
        """GET bytes of the provider's own server, piece by piece. Raises NotSent, NoAnswer, NotReadable (a status
        other than 200, or more than `bytes_max`)."""
        async with self._exchange("GET", path, headers or {}, None, {}, timeout_s) as response:
            if response.status_code != 200:
                raise NotReadable(f"status {response.status_code}")
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > bytes_max:
                    raise NotReadable(f"more than {bytes_max} bytes")
                yield chunk

    def tell(self, event: str, text: object = "", **facts: object) -> None:
        """Log what the provider said, in its own words, cut short and without our credentials."""
        said = str(text)[: 4 * LOG_CHARS_MAX]
        for credential in self.options.credentials():
            try:
                said = said.replace(credential.read(), "***")
            except CredentialMissing:
                continue
        _log.warning(event, provider=self.options.name, said=said[:LOG_CHARS_MAX], **facts)


async def _whole(response: httpx.Response, bytes_max: int) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > bytes_max:
            raise NotReadable(f"more than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
