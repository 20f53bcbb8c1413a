"""HTTP to one provider: pooled, bounded in time and size, and exact about whether a call may have been taken."""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import httpcore
import httpx
import orjson

from kit.logging import get_logger
from kit.web import retry_after_s
from provider_adapter.providers.remote.options import CredentialMissing, RemoteOptions

REPLY_BYTES_MAX: Final = 1 << 20  # A status in JSON has some kilobytes.
PICTURES_BYTES_MAX: Final = 256 * 1024 * 1024  # Ten large pictures in base64.
LOG_CHARS_MAX: Final = 300  # As much of a provider's own words as is logged.
SAID_CHARS_MAX: Final = 1 << 20  # As much of them as is searched for credentials first.
CONNECTIONS_MAX: Final = 1000  # To one provider, beyond which calls wait for each other.
SPARE_CONNECTIONS: Final = 10  # For questions, while each task that may run has one of its own.
POOL_CONNECTIONS: Final = 10  # httpcore looks at all connections of a pool, and at all who wait, with every exchange.
IDLE_S: Final = 20.0  # An idle connection is closed before the usual servers do, or a paid call could be its last.
DOWNLOAD_S: Final = 300.0  # The largest film over a slow link.

RETRY_AFTER_S_MAX: Final = 24 * 3600.0  # As of the usual header.

#: What httpcore's trace calls the moment in which the first byte of a request may leave, and its failing. The trace is
#: asked because exceptions do not tell: a time limit can be over before the connection stands.
_SENDING: Final = "send_request_headers.started"
_SENDING_FAILED: Final = "send_request_headers.failed"

_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_T = TypeVar("_T")
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
            return min(max(1.0, int(milliseconds) / 1000), RETRY_AFTER_S_MAX)
        header = self.headers.get("retry-after")
        return retry_after_s(header.encode() if header else None, now_s=time.time())


class _Pool:
    """Some connections."""

    def __init__(self, client: httpx.AsyncClient, connections: int) -> None:
        self.client = client
        self.connections = connections
        self.busy = 0  #: Exchanges under way or waiting for a connection.


class Upstream:
    """One provider's HTTP API."""

    def __init__(self, options: RemoteOptions) -> None:
        self.options = options
        self._trust: ssl.SSLContext | None = None  #: Whom TLS trusts; one for all pools, because it takes time to make.
        self._pools: list[_Pool] = []  #: In the order of use, so that the first ones' connections stay in use.

    async def start(self) -> None:
        """Get ready."""
        self._trust = httpx.create_ssl_context()

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        pools, self._pools, self._trust = self._pools, [], None
        for pool in pools:
            await pool.client.aclose()

    @contextlib.contextmanager
    def _place(self) -> Iterator[httpx.AsyncClient]:
        """Whose connection an exchange uses: the first pool's that has one to spare, else the least busy one's."""
        pool = next((pool for pool in self._pools if pool.busy < pool.connections), None)
        if pool is None:
            most = min(self.options.running_max + SPARE_CONNECTIONS, CONNECTIONS_MAX)
            left = most - sum(pool.connections for pool in self._pools)
            if left > 0:
                pool = self._pool(min(left, POOL_CONNECTIONS))
                self._pools.append(pool)
            else:
                pool = min(self._pools, key=lambda one: one.busy / one.connections)
        pool.busy += 1
        try:
            yield pool.client
        finally:
            pool.busy -= 1

    def _pool(self, connections: int) -> "_Pool":
        assert self._trust is not None, "a provider is started before it is called"
        client = httpx.AsyncClient(
            base_url=self.options.base,
            verify=self._trust,
            http2=self.options.http2,  # Offered by TLS (ALPN); a connection then carries a pool's exchanges at once.
            timeout=httpx.Timeout(self.options.answer_s, connect=self.options.connect_s),
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_S
            ),
            follow_redirects=False,  # A redirected submit would be a second one, and a redirect can lead inside.
            headers={"User-Agent": "atelier"},
        )
        return _Pool(client, connections)

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
        limit_s = timeout_s or self.options.answer_s
        trip = _Trip(limit_s + self.options.connect_s)

        async def exchange(client: httpx.AsyncClient) -> Reply:
            response = await self._open(
                client, trip, method, path, headers=sent_headers, params=params, limit_s=limit_s, **body
            )
            try:
                return Reply(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await _whole(response, bytes_max),
                )
            finally:
                await response.aclose()

        with self._place() as client:
            return await trip.wait(exchange(client))

    async def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, bytes_max: int, timeout_s: float = DOWNLOAD_S
    ) -> AsyncGenerator[bytes, None]:
        """GET bytes of the provider's own server, piece by piece. `timeout_s` bounds the time that the provider takes,
        not the reader's. Raises NotSent, NoAnswer, NotReadable (a status other than 200, or more than `bytes_max`)."""
        trip = _Trip(timeout_s)
        with self._place() as client:
            opening = self._open(client, trip, "GET", path, headers=headers or {}, params=None, limit_s=timeout_s)
            response = await trip.wait(opening)
            try:
                if response.status_code != 200:
                    raise NotReadable(f"status {response.status_code}")
                size, chunks = 0, response.aiter_bytes()
                while (chunk := await trip.wait(anext(chunks, None))) is not None:
                    size += len(chunk)
                    if size > bytes_max:
                        raise NotReadable(f"more than {bytes_max} bytes")
                    yield chunk
            finally:
                await response.aclose()

    async def _open(
        self,
        client: httpx.AsyncClient,
        trip: "_Trip",
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        limit_s: float,
        **body: Any,
    ) -> httpx.Response:
        """Send a request; the answer's body is still to be read, and the answer to be closed."""
        if any(_NO_HEADER.search(value) for value in headers.values()):
            raise NotSent("a header's value has control characters")  # HTTP/2 would carry them to whoever is behind.
        request = client.build_request(
            method,
            path,
            headers=dict(headers),
            params=params,
            timeout=httpx.Timeout(limit_s, connect=self.options.connect_s),
            extensions={"trace": trip.trace},
            **body,
        )
        return await client.send(request, stream=True)

    def tell(self, event: str, text: object = "", **facts: object) -> None:
        """Log what the provider said, in its own words, cut short and without our credentials. Texts among the facts
        are its words too."""
        told = {name: self._scrubbed(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        _log.warning(event, provider=self.options.name, said=self._scrubbed(text), **told)

    def _scrubbed(self, text: object) -> str:
        if isinstance(text, bytes):
            text = text[:SAID_CHARS_MAX].decode(errors="replace")
        said = str(text)[:SAID_CHARS_MAX]
        for credential in self.options.credentials():
            try:
                said = said.replace(credential.read(), "***")
            except CredentialMissing:
                continue
        return said[:LOG_CHARS_MAX]


class _Trip:
    """One exchange: how long it may still be waited for, and whether any of it may have arrived."""

    def __init__(self, left_s: float) -> None:
        self._left_s = left_s
        self._sent = False

    async def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Hear how the exchange goes; httpcore calls it."""
        if event.endswith(_SENDING):
            self._sent = True
        elif event.endswith(_SENDING_FAILED) and isinstance(facts.get("exception"), httpcore.LocalProtocolError):
            self._sent = False  # No byte of a malformed header was written.

    async def wait(self, work: Awaitable[_T]) -> _T:
        """Do a part of the exchange in the time that is left. Raises NotSent and NoAnswer.

        The limit is around each part and not around a whole generator: there it would cancel whoever is reading.
        """
        now = asyncio.get_running_loop().time
        began = now()
        try:
            async with asyncio.timeout(self._left_s):
                return await work
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError, TimeoutError) as error:
            raise (NoAnswer if self._sent else NotSent)(type(error).__name__) from error
        finally:
            self._left_s -= now() - began


async def _whole(response: httpx.Response, bytes_max: int) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > bytes_max:
            raise NotReadable(f"more than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
