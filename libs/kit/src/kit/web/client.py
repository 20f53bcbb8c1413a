"""Fetches URLs that partners wrote and posts to their webhooks, behind the wall."""

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpcore

from kit.web.dialer import Dialer
from kit.web.dns import RESOLVE_S, Resolver, SystemResolver, resolve
from kit.web.exchange import Reply, check_headers, exchange
from kit.web.policy import WallPolicy
from kit.web.refusal import Malformed, Refusal, TargetUnreachable, log_unreachable, refused
from kit.web.retry_after import retry_after_s
from kit.web.target import Target, judge_url, redirect_url

#: Takes the body piece by piece, in order; what it raises goes through `fetch` unchanged.
Sink = Callable[[bytes], Awaitable[None]]

REPLY_BYTES_MAX: Final = 64 * 1024  # A webhook's reply is read no further: politeness to the receiver, not data.
SNIPPET_BYTES_MAX: Final = 1024  # As much of it as may be kept for its owner.
POST_S: Final = 15.0  # The receivers' documented time to answer.
CONNECT_S: Final = 5.0

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """How long and how much one fetch may take. The defaults fit a photograph from a slow but honest host."""

    resolve_s: float = RESOLVE_S
    connect_s: float = CONNECT_S  #: For each hop: name, TCP and TLS together.
    first_byte_s: float = 10.0  #: From the open connection to the reply's head.
    total_s: float = 30.0  #: For all hops and the body.
    body_bytes_max: int = 20 * 1024 * 1024
    rate_grace_s: float = 5.0  #: How long a body may be as slow as it likes.
    rate_bytes_per_s_min: int = 10_000  #: Average from the body's start, once the grace is over.
    redirects_max: int = 3
    #: A hop that fails before its connection stands is refused no sooner than this, counted from its start. As long
    #: as `connect_s`, it makes denied, closed and filtered targets take the same time.
    refusal_floor_s: float = CONNECT_S


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetch brought."""

    content_type: str  #: The media type as the host claims it, lower case, without parameters; may be empty or a lie.
    bytes: int
    sha256: str  #: Lower-case hex.
    final_url: str  #: After redirects.


@dataclass(frozen=True, kw_only=True)
class Posted:
    """How a receiver answered."""

    status: int
    retry_after_s: float | None  #: From `Retry-After`, between 1 s and 24 h; None if absent or unreadable.
    body_snippet: str  #: The start of the reply, at most 1 KB of UTF-8 and printable; for the webhook's owner only.


@dataclass
class _Trip:
    """Where a fetch is, for the time of its refusal and the operator's log."""

    ends_at: float
    hop_started_at: float
    hop: int = 0
    host: str = ""
    connected: bool = False


class WebClient:
    """Outgoing HTTP to targets that somebody outside chose. One for a process; every request has its own connection."""

    def __init__(
        self,
        policy: WallPolicy,
        *,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        backend: httpcore.AsyncNetworkBackend | None = None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._resolver = resolver or SystemResolver()
        self._dialer = Dialer(ssl_context=ssl_context, backend=backend)
        self._unix_time = unix_time

    async def aclose(self) -> None:
        """Give back the resolver's threads."""
        await self._resolver.aclose()

    async def fetch(
        self, url: str, sink: Sink, limits: FetchLimits | None = None, *, field_name: str | None = None
    ) -> Fetched:
        """GET `url` and pour the body into `sink`, which may have got a part of it when the fetch is refused.

        Only a 200 counts. Redirects are followed, each vetted anew. Raises InputFetchRefused (about `field_name`) for
        every way to fail, with one text; the cause is in the log event `input_fetch_refused`.
        """
        limits = limits or FetchLimits()
        now = asyncio.get_running_loop().time
        trip = _Trip(ends_at=now() + limits.total_s, hop_started_at=now())
        try:
            return await self._follow(url, sink, limits, trip)
        except Refusal as refusal:
            if not (trip.connected or isinstance(refusal, Malformed)):
                await asyncio.sleep(trip.hop_started_at + limits.refusal_floor_s - now())
            raise refused(refusal, field_name=field_name, host=trip.host, hop=trip.hop) from refusal

    async def _follow(self, url: str, sink: Sink, limits: FetchLimits, trip: _Trip) -> Fetched:
        before: Target | None = None
        for hop in range(limits.redirects_max + 1):
            trip.hop, trip.hop_started_at = hop, asyncio.get_running_loop().time()
            trip.connected = False
            target = judge_url(url, self._policy)
            trip.host = target.host
            if before is not None and (before.scheme, target.scheme) == ("https", "http"):
                raise Refusal("redirect_downgrade")
            async with self._get(target, limits, trip) as reply:
                if reply.status not in _REDIRECTS:
                    return await _receive(reply, target, sink, limits, trip)
                location = reply.header("Location")
            if location is None:
                raise Refusal("redirect_nowhere")
            url, before = redirect_url(target, location), target
        raise Refusal("redirects_too_many")

    @asynccontextmanager
    async def _get(self, target: Target, limits: FetchLimits, trip: _Trip) -> AsyncIterator[Reply]:
        now = asyncio.get_running_loop().time
        connect_by = min(now() + limits.connect_s, trip.ends_at)
        stream = await self._connect(target, connect_by=connect_by, resolve_s=limits.resolve_s)
        trip.connected = True
        head_s = min(limits.first_byte_s, trip.ends_at - now())
        async with exchange(stream, target, method="GET", headers={}, timeout_s=head_s) as reply:
            yield reply

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = POST_S) -> Posted:
        """POST `body` and return how the receiver answered, whatever its status; a redirect is an answer too.

        Raises TargetUnreachable when there is no answer within `timeout_s`, or the wall denies the target; ValueError
        for a header that is not the caller's to set.
        """
        check_headers(headers)
        now = asyncio.get_running_loop().time
        ends_at = now() + timeout_s
        host = ""
        try:
            target = judge_url(url, self._policy)
            host = target.host
            connect_by = min(now() + CONNECT_S, ends_at)
            stream = await self._connect(target, connect_by=connect_by, resolve_s=RESOLVE_S)
            async with exchange(
                stream, target, method="POST", headers=headers, body=body, timeout_s=ends_at - now()
            ) as reply:
                return Posted(
                    status=reply.status,
                    retry_after_s=retry_after_s(reply.header("Retry-After"), now_s=self._unix_time()),
                    body_snippet=await _snippet(reply, ends_at=ends_at),
                )
        except Refusal as refusal:
            log_unreachable(refusal, host=host)
            raise TargetUnreachable(refusal.cause) from refusal

    async def _connect(self, target: Target, *, connect_by: float, resolve_s: float) -> httpcore.AsyncNetworkStream:
        now = asyncio.get_running_loop().time
        resolve_s = min(resolve_s, connect_by - now())
        address = await resolve(target, self._policy, self._resolver, timeout_s=resolve_s)
        return await self._dialer.dial(target, address, timeout_s=connect_by - now())


async def _receive(reply: Reply, target: Target, sink: Sink, limits: FetchLimits, trip: _Trip) -> Fetched:
    """Stream the body into the sink, within the limits of size, rate and time."""
    if reply.status != 200:
        raise Refusal("status", status=reply.status)
    if reply.is_encoded:
        raise Refusal("encoded")
    announced = reply.header("Content-Length")
    if announced is not None and int(announced) > limits.body_bytes_max:
        raise Refusal("too_large", announced=int(announced))
    now = asyncio.get_running_loop().time
    digest = hashlib.sha256()
    received, waited_s = 0, 0.0  # The rate is the host's: time that the sink takes does not count.
    while True:
        patience_s = max(limits.rate_grace_s, received / limits.rate_bytes_per_s_min) - waited_s
        started_at = now()
        chunk = await reply.next_chunk(timeout_s=min(patience_s, trip.ends_at - started_at))
        waited_s += now() - started_at
        if chunk is None:
            break
        received += len(chunk)
        if received > limits.body_bytes_max:
            raise Refusal("too_large", received=received)
        digest.update(chunk)
        await sink(chunk)
    return Fetched(
        content_type=_media_type(reply.header("Content-Type")),
        bytes=received,
        sha256=digest.hexdigest(),
        final_url=target.url,
    )


def _media_type(header: bytes | None) -> str:
    return (header or b"").decode("latin-1").partition(";")[0].strip().lower()


async def _snippet(reply: Reply, *, ends_at: float) -> str:
    """Read the reply to its end or 64 KB, so that the receiver can finish writing, and keep its start."""
    now = asyncio.get_running_loop().time
    kept, read = b"", 0
    try:
        while read < REPLY_BYTES_MAX:
            chunk = await reply.next_chunk(timeout_s=ends_at - now())
            if chunk is None:
                break
            read += len(chunk)
            kept = (kept + chunk)[:SNIPPET_BYTES_MAX]
    except Refusal:
        pass  # The status is the answer; a body that breaks off or drags on changes nothing.
    if reply.is_encoded:
        return ""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in kept.decode("utf-8", errors="replace"))
    return text.encode()[:SNIPPET_BYTES_MAX].decode(errors="ignore")
