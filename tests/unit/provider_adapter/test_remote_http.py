"""HTTP to a provider: what surely was not sent, what may have been taken, and that nothing is without bounds."""

import asyncio
import contextlib
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from provider_adapter.providers.remote import http
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Reply, Upstream
from provider_adapter.providers.remote.options import Credential, RemoteOptions

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Options(RemoteOptions):
    access_key: Credential = Credential(env="TEST_KEY")
    other_key: Credential = Credential(env="TEST_OTHER_KEY")


class Server:
    """Reads requests without a body, and answers as it is told."""

    def __init__(self) -> None:
        self.respond: Respond = self.hang
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self.respond(reader, writer)
        self.gone.set()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    async def hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Never answer."""
        await reader.readuntil(b"\r\n\r\n")


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
        await writer.drain()

    return respond


def pieces(data: bytes, *, pause_s: float) -> Respond:
    """A body without end."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            await asyncio.sleep(pause_s)

    return respond


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    raise ConnectionError


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield server
    listener.close()
    server.hang_up()
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def upstream_of(port: int, **changes: Any) -> AsyncIterator[Upstream]:
    options = {"name": "one", "kind": "one", "base_url": f"http://127.0.0.1:{port}", "answer_s": 0.3, "connect_s": 0.2}
    upstream = Upstream(Options.model_validate({**options, **changes}))
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.close()


@pytest.fixture
async def upstream(server: Any) -> AsyncIterator[Upstream]:
    async with upstream_of(server.port) as upstream:
        yield upstream


async def test_refused_connection_surely_sent_nothing() -> None:
    async with upstream_of(9) as upstream:
        with pytest.raises(NotSent):
            await upstream.call("POST", "/")
        with pytest.raises(NotSent):
            [piece async for piece in upstream.stream("/", bytes_max=10)]


@pytest.mark.parametrize("value", ["key\n", "a\r\nb: c", "键", "\x00"])
async def test_credential_that_is_no_header_surely_sent_nothing(server: Any, upstream: Upstream, value: str) -> None:
    with pytest.raises(NotSent) as caught:
        await upstream.call("POST", "/", headers={"Authorization": value})
    assert value not in str(caught.value)
    with pytest.raises(NotSent):
        await upstream.call("POST", "http://[")
    assert not server.requests


async def test_waiting_for_a_free_connection_surely_sent_nothing(server: Any) -> None:
    async with upstream_of(server.port, running_max=1, answer_s=2.0) as upstream:
        busy = [asyncio.create_task(upstream.call("POST", "/")) for _ in range(11)]
        while len(server.requests) < 11:
            await asyncio.sleep(0.01)
        with pytest.raises(NotSent):
            await upstream.call("POST", "/late", timeout_s=0.1)
        assert len(server.requests) == 11
        for each in busy:
            each.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


async def test_calls_at_once_have_a_connection_each_and_later_ones_use_them_again(server: Any) -> None:
    all_there, calls = asyncio.Event(), 3 * http.POOL_CONNECTIONS

    async def together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == calls:
            all_there.set()
        await all_there.wait()
        await answer(b"{}")(reader, writer)

    server.respond = together
    async with upstream_of(server.port, running_max=1000, answer_s=10.0, connect_s=10.0) as upstream:
        await asyncio.gather(*(upstream.call("GET", "/") for _ in range(calls)))
        assert server.connections == calls
        for _ in range(calls):
            await upstream.call("GET", "/")
        assert server.connections == calls


async def test_call_that_nobody_answers_may_have_been_taken(server: Any, upstream: Upstream) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        await upstream.call("POST", "/")
    assert time.monotonic() - began < 5
    assert len(server.requests) == 1


async def test_call_that_is_cut_off_may_have_been_taken_and_is_not_repeated(server: Any, upstream: Upstream) -> None:
    server.respond = cut
    with pytest.raises(NoAnswer):
        await upstream.call("POST", "/")
    assert len(server.requests) == 1


async def test_answer_that_is_cut_short_is_no_answer(server: Any, upstream: Upstream) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        raise ConnectionError

    server.respond = half
    with pytest.raises(NoAnswer):
        await upstream.call("POST", "/")


async def test_answer_that_drips_is_bounded_in_time(server: Any, upstream: Upstream) -> None:
    server.respond = pieces(b" ", pause_s=0.05)
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        await upstream.call("POST", "/")
    assert time.monotonic() - began < 5


async def test_answer_without_end_is_bounded_in_size(server: Any) -> None:
    server.respond = pieces(b" " * 65536, pause_s=0)
    async with upstream_of(server.port, answer_s=20) as upstream:
        with pytest.raises(NotReadable):
            await upstream.call("POST", "/", bytes_max=1 << 20)
        async with asyncio.timeout(30):
            await server.gone.wait()  # The connection is closed, not left open.


async def test_packed_answer_is_bounded_by_what_comes_out(server: Any, upstream: Upstream) -> None:
    server.respond = answer(gzip.compress(bytes(10 << 20)), headers="Content-Encoding: gzip\r\n")
    with pytest.raises(NotReadable):
        await upstream.call("POST", "/", bytes_max=1 << 20)


async def test_redirect_is_an_answer_and_not_followed(server: Any, upstream: Upstream) -> None:
    server.respond = answer(b"", status="307 Temporary Redirect", headers="Location: /again\r\n")
    assert (await upstream.call("POST", "/")).status == 307
    assert len(server.requests) == 1


async def test_connection_that_the_server_closed_meanwhile_is_not_used(server: Any, upstream: Upstream) -> None:
    server.respond = answer(b"{}")
    assert (await upstream.call("POST", "/")).object() == {}
    server.hang_up()
    await asyncio.sleep(0.05)
    assert (await upstream.call("POST", "/")).object() == {}
    assert server.connections == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[]", b"1"])
async def test_answer_that_is_no_object_is_not_readable(server: Any, upstream: Upstream, body: bytes) -> None:
    server.respond = answer(body)
    with pytest.raises(NotReadable):
        (await upstream.call("POST", "/")).object()


# Streams.


async def test_reader_of_a_stream_may_take_its_time(server: Any, upstream: Upstream) -> None:
    server.respond = answer(b"x" * 200_000)
    received = b""
    async for piece in upstream.stream("/", bytes_max=1 << 20, timeout_s=0.3):
        received += piece
        await asyncio.sleep(0.4)  # Longer than the provider has for everything.
    assert received == b"x" * 200_000


async def test_stream_that_drips_or_stops_is_bounded_in_time(server: Any, upstream: Upstream) -> None:
    for pause_s in (0.05, 60):
        server.respond = pieces(b"x", pause_s=pause_s)
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            [piece async for piece in upstream.stream("/", bytes_max=1 << 20, timeout_s=0.3)]
        assert time.monotonic() - began < 5


async def test_stream_is_bounded_in_size_and_only_of_success(server: Any, upstream: Upstream) -> None:
    server.respond = answer(b"x" * 11)
    with pytest.raises(NotReadable):
        [piece async for piece in upstream.stream("/", bytes_max=10)]
    server.respond = answer(b"not here", status="404 Not Found")
    with pytest.raises(NotReadable):
        [piece async for piece in upstream.stream("/", bytes_max=10)]


async def test_stream_that_is_left_early_closes_its_connection(server: Any, upstream: Upstream) -> None:
    server.respond = pieces(b"x" * 65536, pause_s=0)
    async with contextlib.aclosing(upstream.stream("/", bytes_max=1 << 30)) as stream:
        async for _ in stream:
            break
    async with asyncio.timeout(30):
        await server.gone.wait()


# Words.


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "99999999"}, 86400.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "2500", "retry-after": "7"}, 2.5),
        ({"retry-after-ms": "1"}, 1.0),
        ({"retry-after-ms": "999999999"}, 86400.0),
        ({"retry-after-ms": "-5", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "²"}, None),
        ({"retry-after-ms": "9" * 400}, None),
    ],
)
def test_pause_that_is_asked_for_is_between_a_second_and_a_day(headers: dict[str, str], seconds: float | None) -> None:
    assert Reply(status=429, headers=headers, body=b"").retry_after_s == seconds


def test_reply_does_not_show_what_it_holds() -> None:
    assert "words" not in repr(Reply(status=200, headers={"set-cookie": "words"}, body=b"words"))


async def test_credentials_are_struck_out_of_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = "L" * 1000, "short-secret"
    monkeypatch.setenv("TEST_KEY", long)
    monkeypatch.setenv("TEST_OTHER_KEY", short)
    async with upstream_of(9) as upstream:
        with capture_logs() as logs:
            upstream.tell("refused", "x" * 250 + long + "y" * 1000)
            upstream.tell("refused", f"{long} {long} {short}".encode() + b"\xff", word=short, status=401, code=None)
            upstream.tell("refused", {"error": short}, word="z" * 1000)
    first, second, third = (log["said"] for log in logs)
    assert first == "x" * 250 + "***" + "y" * 47
    assert second == "*** *** ***\N{REPLACEMENT CHARACTER}"
    assert third == "{'error': '***'}"
    assert (logs[1]["word"], logs[1]["status"], logs[1]["code"]) == ("***", 401, None)
    assert logs[2]["word"] == "z" * http.LOG_CHARS_MAX
    assert short not in repr(logs)
    assert "LL" not in repr(logs)
