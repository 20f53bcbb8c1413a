"""Bytes to a server and its answer back, with no library in between that would mend or refuse them."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

ANSWER_TIMEOUT_S: Final = 60.0  # A machine that runs all tests at once is not quick.
HEAD_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]  #: Names in lower case.
    body: bytes = field(repr=False)


class Wire:
    """One connection to a server, opened again whenever the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, *, after_upgrade: bytes = b"") -> Answer:
        """Send a request and return its answer. Raises TimeoutError, and EOFError when there is none."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            fresh = self._streams is None
            try:
                return await self._ask(request, after_upgrade)
            except (EOFError, OSError):
                await self.close()
                if fresh:
                    raise
                return await self._ask(request, after_upgrade)  # The old connection had been closed meanwhile.

    async def _ask(self, request: bytes, after_upgrade: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=HEAD_BYTES_MAX)
        reader, writer = self._streams
        writer.write(request)
        sending = asyncio.ensure_future(writer.drain())
        try:
            answer = await _read(reader, head_only=request.startswith(b"HEAD "))
            if answer.status == 101:
                writer.write(after_upgrade)
        finally:
            sending.cancel()
        # What the server did not read would stand before the next request.
        over = answer.headers.get("connection", "").lower() == "close" or answer.status in {101, 413, 400}
        if over:
            await self.close()
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                return  # The server was first.


async def _read(reader: asyncio.StreamReader, *, head_only: bool) -> Answer:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        status = int(first.split(" ")[1])
        if status >= 200 or status == 101:
            break
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if head_only or status in {101, 204, 304}:
        return Answer(status=status, headers=headers, body=b"")
    if "content-length" in headers:
        return Answer(status=status, headers=headers, body=await reader.readexactly(int(headers["content-length"])))
    body = bytearray()
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body += await reader.read()
    return Answer(status=status, headers=headers, body=bytes(body))
