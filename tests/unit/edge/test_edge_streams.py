"""Live streams end in order when the edge stops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.streams import Streams


class _Call:
    """A streaming call that says two things and then nothing for ever, as gRPC's do."""

    def __init__(self) -> None:
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    async def __aiter__(self) -> AsyncIterator[int]:
        yield 1
        yield 2
        await self._cancelled.wait()
        raise asyncio.CancelledError


async def _follow(streams: Streams, heard: list[int]) -> str:
    async for number in streams.each(_Call()):
        heard.append(number)
    return "ended"


async def test_close_ends_every_stream_as_if_its_source_had_ended() -> None:
    streams, heard = Streams(), list[int]()
    followers = [asyncio.create_task(_follow(streams, heard)) for _ in range(3)]
    while len(heard) < 6:
        await asyncio.sleep(0)

    streams.close()

    async with asyncio.timeout(5):
        assert await asyncio.gather(*followers) == ["ended"] * 3


async def test_stream_that_begins_after_the_close_ends_at_once() -> None:
    streams, heard = Streams(), list[int]()
    streams.close()

    assert await _follow(streams, heard) == "ended"
    assert heard == []


async def test_cancelling_the_follower_still_cancels_it() -> None:
    streams, heard = Streams(), list[int]()
    follower = asyncio.create_task(_follow(streams, heard))
    while len(heard) < 2:
        await asyncio.sleep(0)

    follower.cancel()

    with pytest.raises(asyncio.CancelledError):
        await follower
