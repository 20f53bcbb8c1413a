"""What travels over the pipes between the pool and a worker: a JSON head and the raw files after it.

A frame is the head's length (4 bytes, big-endian), the head, then as many bytes as its `blobs` list
adds up to. JSON, not pickle: a worker that a hostile picture has taken over must not be able to run
anything in the service.
"""

import asyncio
import itertools
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

HEAD_BYTES_MAX = 1024 * 1024  # A prompt and a traceback are kilobytes.
BLOB_BYTES_MAX = 1024 * 1024 * 1024  # Above the largest PNG an operation may give.

#: The service moves files in pieces of this size and does something else in between: copying a hundred megabytes at
#: once would hold up every client for a tenth of a second.
PIECE_BYTES = 256 * 1024

#: A file, in one piece or in many.
Blob = Sequence[bytes]

_LENGTH = struct.Struct(">I")


class FrameInvalid(Exception):
    """The other side sent something that is no frame."""


class Frame:
    """A head and its files; `kind` says what it is about."""

    def __init__(self, kind: str, head: Mapping[str, Any] | None = None, blobs: Sequence[Blob] = ()) -> None:
        self.kind = kind
        self.head: Mapping[str, Any] = head or {}
        self.blobs = list(blobs)

    def head_bytes(self) -> bytes:
        """Return the length and the head; the blobs follow them as they are, uncopied."""
        head = {**self.head, "kind": self.kind, "blobs": [size_of(blob) for blob in self.blobs]}
        encoded = json.dumps(head).encode()
        if len(encoded) > HEAD_BYTES_MAX:
            raise FrameInvalid(f"a head of {len(encoded)} bytes")
        return _LENGTH.pack(len(encoded)) + encoded


async def read_frame(stream: asyncio.StreamReader) -> Frame:
    """Return the next frame. Raises FrameInvalid, and IncompleteReadError when the other side has ended."""
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    _check(length <= HEAD_BYTES_MAX, "the head is too long")
    kind, head, sizes = _parse_head(await stream.readexactly(length))
    return Frame(kind, head, [await _read_blob(stream, size) for size in sizes])


async def write_frame(stream: asyncio.StreamWriter, frame: Frame) -> None:
    """Send a frame, piece by piece. Raises OSError when the other side has ended."""
    stream.write(frame.head_bytes())
    for large in itertools.chain.from_iterable(frame.blobs):
        view = memoryview(large)
        for start in range(0, len(large), PIECE_BYTES):
            stream.write(view[start : start + PIECE_BYTES])
            await stream.drain()
    await stream.drain()


async def _read_blob(stream: asyncio.StreamReader, size: int) -> Blob:
    pieces = []
    while size:
        pieces.append(await stream.readexactly(min(PIECE_BYTES, size)))
        size -= len(pieces[-1])
    return pieces


def read_frame_blocking(stream: BinaryIO) -> Frame | None:
    """Return the next frame, or None when the other side has closed. Raises FrameInvalid."""
    prefix = stream.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(prefix)
    _check(length <= HEAD_BYTES_MAX, "the head is too long")
    kind, head, sizes = _parse_head(stream.read(length))
    blobs = [[stream.read(size)] for size in sizes]
    return Frame(kind, head, blobs) if [size_of(blob) for blob in blobs] == sizes else None


def write_frame_blocking(stream: BinaryIO, frame: Frame) -> None:
    """Send a frame. Raises OSError when the other side has ended."""
    stream.write(frame.head_bytes())
    for piece in itertools.chain.from_iterable(frame.blobs):
        stream.write(piece)
    stream.flush()


def size_of(blob: Blob) -> int:
    """Bytes in all."""
    return sum(map(len, blob))


def _parse_head(encoded: bytes) -> tuple[str, dict[str, Any], list[int]]:
    try:
        head = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise FrameInvalid("the head is not JSON") from error
    _check(isinstance(head, dict), "the head is not an object")
    kind, sizes = head.pop("kind", None), head.pop("blobs", None)
    _check(isinstance(kind, str) and isinstance(sizes, list), "the head lacks its kind or its blobs")
    _check(all(type(size) is int and size >= 0 for size in sizes), "a blob has no size")
    _check(sum(sizes) <= BLOB_BYTES_MAX, "the blobs are too large")
    return kind, head, sizes


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise FrameInvalid(message)
