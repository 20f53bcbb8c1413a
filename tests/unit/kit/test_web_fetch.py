"""Fetching what partners point at, from hosts that do not play fair."""

import asyncio
import gzip
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import httpcore
import pytest
import structlog
from structlog.testing import LogCapture

from kit.errors import InputFetchRefused
from kit.web import Fetched, FetchLimits, WallPolicy, WebClient, refusal
from kit.web.refusal import Refusal
from testkit.web import FakeResolver, Script, Site, redirect, respond

LOOPBACK = WallPolicy(allow=WallPolicy.parse_allow("127.0.0.1"))
#: As in production, but everything is over in a blink.
QUICK = FetchLimits(
    resolve_s=0.3,
    connect_s=1.4,
    first_byte_s=0.3,
    total_s=1.5,
    body_bytes_max=200_000,
    rate_grace_s=0.3,
    refusal_floor_s=0,
)
ZONE = {"assets.example.com": ["127.0.0.1"], "other.example.com": ["127.0.0.1"]}


class Fetcher:
    """A client with a sink, and the causes of its refusals."""

    def __init__(self, **options: Any) -> None:
        self.resolver = options.pop("resolver", None) or FakeResolver(ZONE)
        self.client = WebClient(options.pop("policy", LOOPBACK), resolver=self.resolver, **options)
        self.body = b""

    async def __call__(self, url: str, limits: FetchLimits = QUICK) -> Fetched:
        self.body = b""
        return await self.client.fetch(url, self._sink, limits)

    async def _sink(self, chunk: bytes) -> None:
        self.body += chunk

    async def cause(self, url: str, limits: FetchLimits = QUICK) -> str:
        """Expect a refusal with the one public text, and return its inner cause."""
        with pytest.raises(InputFetchRefused) as caught:
            await self(url, limits)
        assert caught.value.message == InputFetchRefused().message
        assert caught.value.metadata == {}
        assert isinstance(caught.value.__cause__, Refusal)
        return caught.value.__cause__.cause


def drip(first: bytes, then: bytes, *, every_s: float) -> Script:
    """A reply that starts with `first` and goes on with `then` for ever."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            await writer.drain()
            await asyncio.sleep(every_s)
            writer.write(then)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
PHOTO = bytes(range(256)) * 700


async def _cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100\r\n\r\nhalf")


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    del writer


async def _silence(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.Event().wait()


SITE_REPLIES: dict[str, bytes | Script] = {
    "/photo.png": respond(PHOTO, headers={"Content-Type": "Image/PNG; x=y", "Set-Cookie": "a=b"}),
    "/empty": respond(b""),
    "/plain-coding": respond(b"ok", headers={"Content-Encoding": "identity"}),
    "/no-length": HEAD + b"\r\nuntil the end",
    "/chunked": ENDLESS + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "/exactly": respond(b"x" * QUICK.body_bytes_max),
    # What has to be refused, and the word for it.
    "/missing": respond(b"no", status=404),
    "/partial": respond(b"no", status=206),
    "/no-content": respond(b"", status=204),
    "/error": respond(b"no", status=500),
    "/gzip": respond(gzip.compress(PHOTO), headers={"Content-Encoding": "gzip"}),
    "/br": respond(b"xx", headers={"Content-Encoding": "identity, br"}),
    "/gzip-transfer": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "/announced": respond(b"", headers={"Content-Length": str(QUICK.body_bytes_max + 1)}),
    "/oversized": ENDLESS + CHUNK * 13,
    "/endless": drip(ENDLESS, CHUNK * 100, every_s=0),
    "/endless-head": drip(HEAD, b"X-More: " + b"x" * 5000 + b"\r\n", every_s=0),
    "/endless-continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.01),
    "/slow-drip": drip(ENDLESS, b"1\r\nx\r\n", every_s=0.05),
    "/slow-head": drip(HEAD, b"X: y\r\n", every_s=0.05),
    "/stalled": drip(ENDLESS + CHUNK, b"", every_s=1),
    "/fast-but-long": drip(ENDLESS, b"400\r\n" + b"x" * 0x400 + b"\r\n", every_s=0.02),
    "/silent": _silence,
    "/hang-up": _hang_up,
    "/cut-off": _cut_off,
    "/two-lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "/bad-length": HEAD + b"Content-Length: -1\r\n\r\nab",
    "/not-http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "/upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "/to-private": redirect("http://10.0.0.1/"),
    "/to-metadata": redirect("http://169.254.169.254/latest/meta-data/"),
    "/to-own-ipv6": redirect("http://[::1]/"),
    "/to-decimal": redirect("http://2130706433/"),
    "/to-file": redirect("file:///etc/passwd"),
    "/to-userinfo": redirect("http://a:b@assets.example.com/photo.png"),
    "/to-tab": redirect("ht\ttp://assets.example.com/photo.png"),
    "/to-backslash": redirect("http:\\\\assets.example.com/photo.png"),
    "/to-broken": redirect("http://[::1/"),
    "/to-not-utf8": b"HTTP/1.1 302 Found\r\nLocation: /\xff\r\nContent-Length: 0\r\n\r\n",
    "/to-nowhere": respond(b"", status=302),
    "/to-private-name": redirect("http://inside.example.com/"),
    "/not-modified": respond(b"", status=304),
    "/hop4": redirect("/hop3"),
    "/hop3": redirect("/hop2", status=301),
    "/hop2": redirect("hop1", status=307),
    "/hop1": redirect("//other.example.com:{port}/photo.png", status=308),
    "/loop": redirect("/loop"),
}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site(SITE_REPLIES) as site:
        hop = SITE_REPLIES["/hop1"]
        assert isinstance(hop, bytes)
        site.reply("/hop1", hop.replace(b"{port}", str(site.port).encode()))
        yield site


async def test_file_arrives_whole_with_its_facts(site: Site) -> None:
    fetch = Fetcher()
    url = f"http://assets.example.com:{site.port}/photo.png"
    assert await fetch(url + "#fragment") == Fetched(
        content_type="image/png",
        bytes=len(PHOTO),
        sha256=hashlib.sha256(PHOTO).hexdigest(),
        final_url=url,
    )
    assert fetch.body == PHOTO
    (request,) = site.requests
    assert (request.method, request.path, request.body) == ("GET", "/photo.png", b"")
    assert request.headers["host"] == f"assets.example.com:{site.port}"
    assert request.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer", "x-forwarded-for"} & set(request.headers)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/empty", b""),
        ("/plain-coding", b"ok"),
        ("/no-length", b"until the end"),
        ("/chunked", b"abcde"),
        ("/exactly", b"x" * QUICK.body_bytes_max),
    ],
)
async def test_body_arrives_whole_however_it_is_framed(site: Site, path: str, body: bytes) -> None:
    fetch = Fetcher()
    fetched = await fetch(f"http://127.0.0.1:{site.port}{path}")
    assert fetch.body == body
    assert fetched.bytes == len(body)


REFUSED = [
    ("/missing", "status"),
    ("/partial", "status"),
    ("/no-content", "status"),
    ("/error", "status"),
    ("/not-modified", "status"),
    ("/upgrade", "head_broken"),
    ("/gzip", "encoded"),
    ("/br", "encoded"),
    ("/gzip-transfer", "head_broken"),
    ("/announced", "too_large"),
    ("/oversized", "too_large"),
    ("/endless", "too_large"),
    ("/endless-head", "head_broken"),
    ("/endless-continue", "head_timeout"),
    ("/slow-head", "head_timeout"),
    ("/silent", "head_timeout"),
    ("/slow-drip", "body_timeout"),
    ("/stalled", "body_timeout"),
    ("/hang-up", "head_broken"),
    ("/cut-off", "body_broken"),
    ("/two-lengths", "head_broken"),
    ("/bad-length", "head_broken"),
    ("/not-http", "head_broken"),
    ("/to-private", "address_denied"),
    ("/to-metadata", "address_denied"),
    ("/to-own-ipv6", "address_denied"),
    ("/to-private-name", "address_denied"),
    ("/to-decimal", "numeric_host"),
    ("/to-file", "scheme"),
    ("/to-userinfo", "userinfo"),
    ("/to-tab", "character"),
    ("/to-backslash", "character"),
    ("/to-broken", "redirect_unreadable"),
    ("/to-not-utf8", "redirect_unreadable"),
    ("/to-nowhere", "redirect_nowhere"),
    ("/hop4", "redirects_too_many"),
    ("/loop", "redirects_too_many"),
]


@pytest.mark.parametrize(("path", "cause"), REFUSED)
async def test_reply_is_refused_with_the_one_public_text(site: Site, path: str, cause: str) -> None:
    fetch = Fetcher(resolver=FakeResolver({**ZONE, "inside.example.com": ["10.0.0.1"]}))
    assert await fetch.cause(f"http://assets.example.com:{site.port}{path}") == cause


async def test_nothing_is_read_when_too_much_is_announced(site: Site) -> None:
    fetch = Fetcher()
    await fetch.cause(f"http://127.0.0.1:{site.port}/announced")
    assert fetch.body == b""


async def test_body_is_refused_when_it_is_fast_enough_but_never_ends(site: Site) -> None:
    started_at = time.monotonic()
    cause = await Fetcher().cause(
        f"http://127.0.0.1:{site.port}/fast-but-long", replace(QUICK, total_s=0.8, rate_bytes_per_s_min=1000)
    )
    assert cause == "body_timeout"
    assert 0.7 < time.monotonic() - started_at < 3


async def test_slow_body_is_taken_when_the_rate_is_kept(site: Site) -> None:
    async def steady(writer: asyncio.StreamWriter) -> None:
        writer.write(ENDLESS)
        for _ in range(12):
            writer.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    site.reply("/steady", steady)
    fetched = await Fetcher()(f"http://127.0.0.1:{site.port}/steady", replace(QUICK, rate_bytes_per_s_min=5000))
    assert fetched.bytes == 12 * 0x400


async def test_slow_sink_is_not_blamed_on_the_host(site: Site) -> None:
    client = WebClient(LOOPBACK, resolver=FakeResolver())

    async def slow(_chunk: bytes) -> None:
        await asyncio.sleep(0.4)

    limits = replace(QUICK, total_s=10, rate_grace_s=0.3, rate_bytes_per_s_min=10_000_000)
    fetched = await client.fetch(f"http://127.0.0.1:{site.port}/photo.png", slow, limits)
    assert fetched.bytes == len(PHOTO)


async def test_error_of_the_sink_goes_through_unchanged(site: Site) -> None:
    client = WebClient(LOOPBACK, resolver=FakeResolver())

    async def full(_chunk: bytes) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await client.fetch(f"http://127.0.0.1:{site.port}/photo.png", full, QUICK)


async def test_cancelled_fetch_closes_its_connection(site: Site) -> None:
    closed = asyncio.Event()

    async def until_closed(writer: asyncio.StreamWriter) -> None:
        writer.write(ENDLESS)
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            closed.set()

    site.reply("/until-closed", until_closed)
    fetch = Fetcher()
    task = asyncio.create_task(fetch(f"http://127.0.0.1:{site.port}/until-closed", FetchLimits()))
    while not fetch.body:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(closed.wait(), 2)


async def test_three_redirects_are_followed_each_looked_up_anew(site: Site) -> None:
    fetch = Fetcher()
    fetched = await fetch(f"http://assets.example.com:{site.port}/hop3")
    assert fetched.final_url == f"http://other.example.com:{site.port}/photo.png"
    assert fetch.resolver.lookups == ["assets.example.com"] * 3 + ["other.example.com"]
    assert [request.path for request in site.requests] == ["/hop3", "/hop2", "/hop1", "/photo.png"]
    assert site.connections == 4


async def test_cookie_of_one_reply_is_not_sent_with_the_next_request(site: Site) -> None:
    fetch = Fetcher()
    for _ in range(2):
        await fetch(f"http://assets.example.com:{site.port}/photo.png")
    assert all("cookie" not in request.headers for request in site.requests)


async def test_rebinding_name_gains_nothing_between_check_and_connect(site: Site) -> None:
    resolver = FakeResolver(rebinding={"assets.example.com": [["127.0.0.1"], ["10.0.0.1"]]})
    fetch = Fetcher(resolver=resolver)
    await fetch(f"http://assets.example.com:{site.port}/photo.png")
    assert resolver.lookups == ["assets.example.com"]


async def test_rebinding_name_is_refused_when_a_redirect_asks_again(site: Site) -> None:
    resolver = FakeResolver(rebinding={"assets.example.com": [["127.0.0.1"], ["10.0.0.1"]]})
    assert await Fetcher(resolver=resolver).cause(f"http://assets.example.com:{site.port}/hop3") == "address_denied"
    assert len(site.requests) == 1


async def test_host_is_not_asked_when_one_of_its_addresses_is_private(site: Site) -> None:
    resolver = FakeResolver({"assets.example.com": ["127.0.0.1", "10.0.0.1"]})
    assert await Fetcher(resolver=resolver).cause(f"http://assets.example.com:{site.port}/") == "address_denied"
    assert site.connections == 0


class CrookedBackend(httpcore.AsyncNetworkBackend):
    """Connects elsewhere than it was told, as a socket redirected underneath us would."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del host, port, local_address, socket_options
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self._port, timeout)


@pytest.mark.parametrize("url", ["http://8.8.8.8/photo.png", "http://127.0.0.1:1/photo.png"])
async def test_socket_is_refused_before_a_byte_is_sent_when_its_peer_differs(site: Site, url: str) -> None:
    fetch = Fetcher(backend=CrookedBackend(site.port))
    assert await fetch.cause(url) == "peer_differs"
    await asyncio.sleep(0.05)
    assert site.requests == []


async def test_proxy_variables_have_no_effect(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    assert (await Fetcher()(f"http://assets.example.com:{site.port}/photo.png")).bytes == len(PHOTO)


async def test_loopback_is_refused_when_nothing_is_allowed(site: Site) -> None:
    fetch = Fetcher(policy=WallPolicy(allow_ports=frozenset({site.port})))
    assert await fetch.cause(f"http://127.0.0.1:{site.port}/photo.png") == "address_denied"
    assert await fetch.cause(f"http://assets.example.com:{site.port}/photo.png") == "address_denied"
    assert site.connections == 0


class FilteredBackend(CrookedBackend):
    """Never hears back, as when a firewall drops the packets."""

    async def connect_tcp(self, *_args: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


TIMED = [
    ("http://10.0.0.1/", "address_denied"),
    ("http://metadata.google.internal/", "name_denied"),
    ("http://inside.example.com/", "address_denied"),
    ("http://unknown.example.com/", "name_unknown"),
    ("http://silent.example.com/", "resolve_timeout"),
    ("http://127.0.0.1:{closed}/", "connect_failed"),
    ("http://8.8.8.8/", "connect_timeout"),
]


@pytest.mark.parametrize(("url", "cause"), TIMED)
async def test_denied_closed_filtered_and_unknown_take_the_same_time(url: str, cause: str) -> None:
    fetch = Fetcher(
        resolver=FakeResolver({"inside.example.com": ["10.0.0.1"]}, silent=["silent.example.com"]),
        backend=FilteredBackend(0) if cause == "connect_timeout" else None,
    )
    limits = replace(QUICK, connect_s=0.5, refusal_floor_s=0.5)
    started_at = time.monotonic()
    assert await fetch.cause(url.format(closed=_closed_port()), limits) == cause
    assert 0.5 <= time.monotonic() - started_at < 1


@pytest.mark.parametrize("path", ["/to-private", "/to-closed"])
async def test_denied_and_closed_take_the_same_time_after_a_redirect(site: Site, path: str) -> None:
    site.reply("/to-closed", redirect(f"http://127.0.0.1:{_closed_port()}/"))
    started_at = time.monotonic()
    await Fetcher().cause(f"http://127.0.0.1:{site.port}{path}", replace(QUICK, refusal_floor_s=0.5))
    assert 0.5 <= time.monotonic() - started_at < 1


async def test_operator_is_told_the_hop_and_the_host_but_no_path(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = LogCapture()
    monkeypatch.setattr(refusal, "_log", structlog.wrap_logger(None, processors=[logs]))
    site.reply("/moved?token=secret", redirect("http://10.0.0.1/secret"))
    await Fetcher().cause(f"http://assets.example.com:{site.port}/moved?token=secret")
    assert logs.entries == [
        {
            "event": "input_fetch_refused",
            "log_level": "warning",
            "cause": "address_denied",
            "host": "10.0.0.1",
            "hop": 1,
        }
    ]


async def test_malformed_url_is_refused_at_once() -> None:
    started_at = time.monotonic()
    assert await Fetcher().cause("http://a b/", FetchLimits()) == "character"
    assert time.monotonic() - started_at < 1


def test_default_limits_are_the_documented_ones() -> None:
    assert FetchLimits() == FetchLimits(
        resolve_s=3,
        connect_s=5,
        first_byte_s=10,
        total_s=30,
        body_bytes_max=20 * 1024 * 1024,
        rate_grace_s=5,
        rate_bytes_per_s_min=10_000,
        redirects_max=3,
        refusal_floor_s=5,
    )
