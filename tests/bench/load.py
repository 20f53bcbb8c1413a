"""A small HTTP/1.1 load generator: keep-alive connections, one request at a time each, latencies kept."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer."""

    status: int
    body: bytes


class Connection:
    """One keep-alive connection. A client library would cost more than the server under test."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def ask(self, request: bytes) -> Answer:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(request)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            body = await self._reader.readexactly(length) if length else b""
        return Answer(status=int(head[9:12]), body=body)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def request(method: str, path: str, *, key: str, body: bytes = b"", extra: str = "") -> bytes:
    """The bytes of a request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode() + body


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a run measured."""

    requests: int
    seconds: float
    latencies_s: tuple[float, ...]  #: Sorted.
    answers: tuple[Answer, ...]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return 1000 * self.latencies_s[min(len(self.latencies_s) - 1, int(len(self.latencies_s) * percent / 100))]


async def drive(
    url: str, make: Callable[[int], bytes], *, requests: int, connections: int, expect: frozenset[int]
) -> Load:
    """Send `requests` requests over `connections` connections. Raises AssertionError for an unexpected status."""
    host, _, port = url.removeprefix("http://").partition(":")
    numbers = iter(range(requests))
    latencies: list[float] = []
    answers: list[Answer] = []

    async def work() -> None:
        connection = Connection(host, int(port))
        await connection.open()
        try:
            for number in numbers:
                began = time.perf_counter()
                answer = await connection.ask(make(number))
                latencies.append(time.perf_counter() - began)
                assert answer.status in expect, f"{answer.status}: {answer.body[:300]!r}"
                answers.append(answer)
        finally:
            await connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    seconds = time.perf_counter() - began
    return Load(requests=requests, seconds=seconds, latencies_s=tuple(sorted(latencies)), answers=tuple(answers))
