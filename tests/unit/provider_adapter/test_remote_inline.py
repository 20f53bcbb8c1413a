"""Files inside JSON: base64 there and back, in pieces that let the loop go on."""

import asyncio
import base64
import random

import pytest

from provider_adapter.ports import OutputFile, Unreadable
from provider_adapter.providers.remote.inline import decode, encode, encoded, of_base64

SIZES = [1, 2, 3, 786_431, 786_432, 786_433, 3_000_001]  # A piece is 786,432 bytes.


async def read(file: OutputFile) -> bytes:
    return b"".join([piece async for piece in file.chunks()])


@pytest.mark.parametrize("size", SIZES)
async def test_there_and_back(size: int) -> None:
    data = random.Random(size).randbytes(size)
    text = base64.b64encode(data).decode()
    assert encode(data) == await encoded(data) == text
    assert decode(text) == await read(of_base64(text)) == data
    assert await read(of_base64(f"data:image/png;base64,{text}")) == data


@pytest.mark.parametrize("text", [None, "", 7, b"AAAA"])
def test_what_is_no_text_is_refused_at_once(text: object) -> None:
    with pytest.raises(Unreadable) as caught:
        of_base64(text, cost_fen=7)
    assert caught.value.failed.cost_fen == 7


PIECE = "A" * (1 << 20)


@pytest.mark.parametrize(
    "text",
    [
        "no base64!",
        "AAA",
        "AAAA\n",
        "键",
        f"{PIECE[:-1]}=AAAA",
        f"{PIECE[:-2]}==AAAA",
        f"{PIECE}!",
        f"{PIECE}=",
        "====",
    ],
)
async def test_what_is_no_base64_cannot_be_read(text: str) -> None:
    file = of_base64(text, cost_fen=7)
    with pytest.raises(Unreadable) as caught:
        await read(file)
    assert caught.value.failed.cost_fen == 7
    with pytest.raises(Unreadable):
        decode(text)


async def test_others_have_their_turn_between_the_pieces_of_a_large_file() -> None:
    file, turns, sizes = of_base64(encode(bytes(20_000_000))), 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    async for piece in file.chunks():
        sizes.append(len(piece))
    other.cancel()
    assert (sum(sizes), max(sizes)) == (20_000_000, 786_432)
    assert turns >= len(sizes)
