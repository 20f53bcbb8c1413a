"""Posting to webhooks: any answer is an answer, and everything else is one error."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from kit.web import Posted, TargetUnreachable, WallPolicy, WebClient, refusal
from kit.web.retry_after import retry_after_s
from testkit.web import FakeResolver, Site, redirect, respond

LOOPBACK = WallPolicy(allow=WallPolicy.parse_allow("127.0.0.1"))
NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _client(**options: Any) -> WebClient:
    resolver = FakeResolver({"hooks.example.com": ["127.0.0.1"], "inside.example.com": ["10.0.0.1"]})
    return WebClient(LOOPBACK, **{"resolver": resolver, "unix_time": lambda: NOW_S, **options})


async def _post(
    url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None, timeout_s: float = 0.5
) -> Posted:
    return await _client().post(url, body, headers or {}, timeout_s=timeout_s)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site({}) as site:
        yield site


async def test_body_and_headers_arrive_as_given(site: Site) -> None:
    site.reply("/hook?a=1", respond(b"thanks", status=202))
    body = b'{"a": "\xe5\x9b\xbe"}' * 2000
    headers = {"webhook-id": "msg_1", "Content-Type": "application/json", "User-Agent": "Atelier-Webhook/1"}
    posted = await _post(f"http://hooks.example.com:{site.port}/hook?a=1", body, headers)
    assert posted == Posted(status=202, retry_after_s=None, body_snippet="thanks")
    (request,) = site.requests
    assert (request.method, request.path, request.body) == ("POST", "/hook?a=1", body)
    assert request.headers["host"] == f"hooks.example.com:{site.port}"
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["user-agent"] == "Atelier-Webhook/1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [200, 204, 302, 400, 410, 429, 500, 504])
async def test_every_status_is_an_answer(site: Site, status: int) -> None:
    site.reply("/hook", respond(b"", status=status))
    assert (await _post(f"http://127.0.0.1:{site.port}/hook")).status == status


async def test_redirect_is_not_followed(site: Site) -> None:
    site.reply("/hook", redirect("/elsewhere", status=307))
    assert (await _post(f"http://127.0.0.1:{site.port}/hook")).status == 307
    assert [request.path for request in site.requests] == ["/hook"]


async def test_reply_is_read_to_64_kb_and_kept_to_1_kb(site: Site) -> None:
    sent = 0

    async def talkative(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(ENDLESS)
        for _ in range(2000):
            writer.write(b"8000\r\n" + b"y" * 0x8000 + b"\r\n")
            await writer.drain()
            sent += 0x8000

    site.reply("/hook", talkative)
    posted = await _post(f"http://127.0.0.1:{site.port}/hook", timeout_s=10)
    assert posted.body_snippet == "y" * 1024
    assert sent < 20 * 1024 * 1024  # What the sockets buffer besides the 64 KB that were read.


@pytest.mark.parametrize(
    ("body", "snippet"),
    [
        ("图" * 1000, "图" * 341),
        ("a\x00b\x1b[31mc\r\n\u202ed", "a b [31mc \n d"),
    ],
)
async def test_snippet_is_printable_utf8_of_at_most_1_kb(site: Site, body: str, snippet: str) -> None:
    site.reply("/hook", respond(body.encode()))
    assert (await _post(f"http://127.0.0.1:{site.port}/hook")).body_snippet == snippet


async def test_snippet_stays_within_1_kb_when_the_reply_is_not_utf8(site: Site) -> None:
    site.reply("/hook", respond(b"\xff" * 2000))
    posted = await _post(f"http://127.0.0.1:{site.port}/hook")
    assert 1000 < len(posted.body_snippet.encode()) <= 1024


async def test_encoded_reply_is_not_unpacked(site: Site) -> None:
    site.reply("/hook", respond(gzip.compress(b"a" * 1_000_000), headers={"Content-Encoding": "gzip"}))
    assert await _post(f"http://127.0.0.1:{site.port}/hook") == Posted(status=200, retry_after_s=None, body_snippet="")


async def test_status_counts_when_the_body_drags_on(site: Site) -> None:
    async def dragging(writer: asyncio.StreamWriter) -> None:
        writer.write(ENDLESS + b"4\r\nwell\r\n")
        await asyncio.Event().wait()

    site.reply("/hook", dragging)
    started_at = time.monotonic()
    posted = await _post(f"http://127.0.0.1:{site.port}/hook", timeout_s=0.3)
    assert (posted.status, posted.body_snippet) == (200, "well")
    assert time.monotonic() - started_at < 2


async def test_status_counts_when_the_body_breaks_off(site: Site) -> None:
    site.reply("/hook", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwell")
    assert (await _post(f"http://127.0.0.1:{site.port}/hook")).body_snippet == "well"


async def test_retry_after_is_read(site: Site) -> None:
    site.reply("/hook", respond(b"", status=429, headers={"Retry-After": "120"}))
    assert (await _post(f"http://127.0.0.1:{site.port}/hook")).retry_after_s == 120


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, None),
        (b"", None),
        (b"soon", None),
        (b"-5", None),
        (b"1.5", None),
        (b"1e9", None),
        ("１２".encode(), None),
        (b"0", 1),
        (b" 7 ", 7),
        (b"9999999999", 86400),
        (b"9" * 5000, None),
        (b"Thu, 01 Jan 2026 00:02:00 GMT", 120),
        (b"Thu, 01 Jan 2026 00:02:00 -0000", 120),
        (b"Wed, 31 Dec 2025 00:00:00 GMT", 1),
        (b"Fri, 01 Jan 9999 00:00:00 GMT", 86400),
        (b"Thu, 99 Jan 2026 00:02:00 GMT", None),
        (b"Thu, 01 Jan 2026 00:02:00 +9999999999", None),
    ],
)
def test_retry_after_is_kept_between_a_second_and_a_day(header: bytes | None, wait_s: float | None) -> None:
    assert retry_after_s(header, now_s=NOW_S) == wait_s


UNREACHABLE = [
    ("http://10.0.0.1/hook", "address_denied"),
    ("http://inside.example.com/hook", "address_denied"),
    ("http://unknown.example.com/hook", "name_unknown"),
    ("http://127.0.0.1:1/hook", "connect_failed"),
    ("http://a b/", "character"),
    ("http://hooks.example.com:{port}/silent", "head_timeout"),
    ("http://hooks.example.com:{port}/hang-up", "head_broken"),
    ("http://hooks.example.com:{port}/not-http", "head_broken"),
]


@pytest.mark.parametrize(("url", "cause"), UNREACHABLE)
async def test_target_without_an_answer_is_unreachable_whatever_the_cause(
    site: Site, monkeypatch: pytest.MonkeyPatch, url: str, cause: str
) -> None:
    async def silence(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    site.reply("/silent", silence)
    site.reply("/hang-up", b"")
    site.reply("/not-http", b"220 mail.example.com ESMTP\r\n")
    logs = LogCapture()
    monkeypatch.setattr(refusal, "_log", structlog.wrap_logger(None, processors=[logs]))
    with pytest.raises(TargetUnreachable) as caught:
        await _post(url.format(port=site.port))
    assert str(caught.value) == "The target could not be reached."
    assert caught.value.cause == cause
    assert [(log["event"], log["cause"]) for log in logs.entries] == [("target_unreachable", cause)]


@pytest.mark.parametrize("name", ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Cookie"])
async def test_header_that_decides_framing_or_routing_is_not_the_callers(site: Site, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        await _post(f"http://127.0.0.1:{site.port}/hook", headers={name: "x"})


@pytest.mark.parametrize("headers", [{"X": "a\r\nHost: evil"}, {"X\r\nY": "a"}, {"X": "a\x00"}], ids=repr)
async def test_header_with_a_line_break_never_leaves(site: Site, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        await _post(f"http://127.0.0.1:{site.port}/hook", headers=headers)
    assert site.requests == []
