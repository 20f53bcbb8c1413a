"""Files inside JSON, as base64. The codec of the standard library holds all threads while it works: so in pieces."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterator
from typing import Final

from provider_adapter.ports import OutputFile, Unreadable
from provider_adapter.providers.remote.trouble import Trouble, failed

_PIECE_CHARS: Final = 1 << 20  #: Four characters are three bytes. A piece takes about two milliseconds.
_PIECE_BYTES: Final = _PIECE_CHARS // 4 * 3


def encode(data: bytes) -> str:
    """Return `data` as base64. It takes a millisecond a megabyte: for a thread; in the loop, `encoded` is called."""
    pieces = (data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES))
    return b"".join(binascii.b2a_base64(piece, newline=False) for piece in pieces).decode()


async def encoded(data: bytes) -> str:
    """Return `data` as base64, made in a thread."""
    return await asyncio.to_thread(encode, data)


def decode(text: object, *, cost_fen: int = 0) -> bytes:
    """Return the bytes in a base64 text, with or without a `data:` prefix. For a thread; in the loop, see `of_base64`.

    Raises Unreadable, with what the task cost, when it is none.
    """
    return b"".join(_pieces(_text_of(text, cost_fen), cost_fen))


def of_base64(text: object, *, role: str = "image", cost_fen: int = 0) -> OutputFile:
    """The file in a base64 text, with or without a `data:` prefix; decoded while it is read.

    Raises Unreadable when there is no text, and reading does when it is no base64.
    """
    whole = _text_of(text, cost_fen)

    async def chunks() -> AsyncIterator[bytes]:
        for piece in _pieces(whole, cost_fen):
            yield piece
            await asyncio.sleep(0)  # Whoever takes them need not wait for anything.

    return OutputFile(chunks=chunks, role=role)


def _text_of(text: object, cost_fen: int) -> str:
    if not isinstance(text, str) or not text:
        raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen))
    return text.partition(",")[2] if text.startswith("data:") else text


def _pieces(text: str, cost_fen: int) -> Iterator[bytes]:
    for start in range(0, len(text), _PIECE_CHARS):
        piece = text[start : start + _PIECE_CHARS]
        try:
            if piece.endswith("=") and start + _PIECE_CHARS < len(text):
                raise ValueError("padding before the end")
            yield base64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen)) from error
