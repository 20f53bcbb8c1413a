"""A name service and a web site for tests of outgoing HTTP: the site says exactly the bytes it is told to."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

#: Writes a reply in its own way and time; the connection closes when it returns.
Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


class FakeResolver:
    """A `kit.web.Resolver` with its own zone of names and their addresses.

    A name in `rebinding` gives its answers one after the other, and then the last one for ever. A name in
    `local_names` is found only where the hosts file is asked; a name in `silent` is never answered.
    """

    def __init__(
        self,
        zone: Mapping[str, Sequence[str]] | None = None,
        *,
        rebinding: Mapping[str, Sequence[Sequence[str]]] | None = None,
        local_names: Mapping[str, Sequence[str]] | None = None,
        silent: Sequence[str] = (),
    ) -> None:
        self._zone = dict(zone or {})
        self._rebinding = {name: list(answers) for name, answers in (rebinding or {}).items()}
        self._local_names = dict(local_names or {})
        self._silent = frozenset(silent)
        self.lookups: list[str] = []  #: Every name asked for, in order.

    async def lookup(self, host: str, *, local_names: bool) -> Sequence[str]:
        """See `kit.web.Resolver`."""
        self.lookups.append(host)
        if host in self._silent:
            await asyncio.Event().wait()
        if local_names and host in self._local_names:
            return self._local_names[host]
        if host in self._rebinding:
            answers = self._rebinding[host]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        return self._zone.get(host, ())

    async def aclose(self) -> None:
        """See `kit.web.Resolver`."""


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """One request as it arrived at a Site."""

    method: str
    path: str
    headers: Mapping[str, str]  #: Names in lower case.
    body: bytes = field(repr=False)


class Site:
    """A web server on a free port of 127.0.0.1: each path has a reply, as raw bytes or a Script."""

    def __init__(self, replies: Mapping[str, bytes | Script], *, tls: ssl.SSLContext | None = None) -> None:
        self._replies = dict(replies)
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self.requests: list[SeenRequest] = []
        self.server_names: list[str | None] = []  #: The SNI of every TLS connection.
        self.connections = 0
        self.port = 0

    def reply(self, path: str, answer: bytes | Script) -> None:
        """Set or change the reply of a path, for replies that must name the site's own port."""
        self._replies[path] = answer

    async def __aenter__(self) -> Self:
        if self._tls is not None:
            self._tls.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
        try:
            request = await _read_request(reader)
            self.requests.append(request)
            answer = self._replies.get(request.path, respond(b"", status=404))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # The client went away, or the test is over: both are what many of these tests are about.
        finally:
            self._connections.discard(task)
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> SeenRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return SeenRequest(method=method, path=path, headers=headers, body=body)


def respond(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a well-formed reply; `headers` come first, so a test may lie about the length."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if not any(name.lower() in ("content-length", "transfer-encoding") for name in headers or {}):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, *, status: int = 302) -> bytes:
    """The bytes of a reply that sends the client elsewhere."""
    return respond(b"", status=status, headers={"Location": location})
