"""What kind of file some bytes are, told from the bytes alone.

A declared type or a file name is a claim of the sender; only the content decides what we store and
serve. Everything here reads the first bytes of a file, allocates nothing that grows with the numbers
found in them, and never raises on malformed input: the answer is then "unknown".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

# A phone's JPEG carries its thumbnail, colour profile and maker notes before the frame header;
# each such segment is at most 64 KiB and three or four of them are common.
PROBE_BYTES = 256 * 1024

PNG = "image/png"
JPEG = "image/jpeg"
WEBP = "image/webp"
GIF = "image/gif"
MP4 = "video/mp4"
EPS = "application/postscript"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EPS_TEXT = re.compile(rb"%!PS-Adobe-\d\.\d EPSF-\d")
_EPS_BINARY = b"\xc5\xd0\xd3\xc6"
# The brands H.264 players accept; HEIC and AVIF pictures use the same box with other brands.
_MP4_BRANDS = frozenset({b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"dash", b"M4V "})
_TKHD_BYTES = (84, 96)  # A track header with times of 32 and of 64 bits.
_FILE_BOXES_MAX = 100_000  # A film in fragments of a second has two for each; a crafted one of empty boxes, millions.
_INDEX_BYTES_MAX = 16 * 1024 * 1024  # An hour's index has a megabyte.
_BOXES_MAX = 64  # More than a sound file has side by side; a crafted one has thousands.
# Start-of-frame markers; C4, C8 and CC lie among them and mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # Markers that carry no length.
_JPEG_ENDS = frozenset({0xD8, 0xD9, 0xDA})  # Past these no frame header can follow in a sound file.


_SNIFFERS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    (PNG, lambda head: head.startswith(_PNG_SIGNATURE)),
    (JPEG, lambda head: head.startswith(b"\xff\xd8\xff")),
    (WEBP, lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
    (GIF, lambda head: head[:6] in (b"GIF87a", b"GIF89a")),
    (MP4, lambda head: head[4:8] == b"ftyp" and head[8:12] in _MP4_BRANDS),
    (EPS, lambda head: head.startswith(_EPS_BINARY) or _EPS_TEXT.match(head) is not None),
)


@dataclass(frozen=True, kw_only=True)
class Media:
    """The type of a file, and the picture's size where its header was found.

    `width` and `height` are pixels as stored, before any EXIF orientation; both are None when the
    type has no size we read (EPS), the header is malformed, or it lies beyond the bytes given, as that
    of an MP4 does whose index comes last.
    """

    mime_type: str
    width: int | None = None
    height: int | None = None


def sniff(head: bytes) -> str | None:
    """Return the mime type of a file from its first bytes (32 are enough), or None if unknown."""
    for mime_type, matches in _SNIFFERS:
        if matches(head):
            return mime_type
    return None


def probe(head: bytes) -> Media | None:
    """Return the type and, for pictures and films, the size told by the first `PROBE_BYTES` of a file.

    None means a type we do not know. The sizes are the header's claim: a file cut short or lying
    about its content still has to be decoded to be believed.
    """
    mime_type = sniff(head)
    if mime_type is None:
        return None
    reader = _SIZE_READERS.get(mime_type)
    width, height = reader(head) if reader else (0, 0)
    if width <= 0 or height <= 0:
        return Media(mime_type=mime_type)
    return Media(mime_type=mime_type, width=width, height=height)


def _png_size(head: bytes) -> tuple[int, int]:
    if len(head) < 24 or head[12:16] != b"IHDR":
        return 0, 0
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _gif_size(head: bytes) -> tuple[int, int]:
    if len(head) < 10:
        return 0, 0
    return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")


def _jpeg_size(head: bytes) -> tuple[int, int]:
    at = 2
    while at + 4 <= len(head):
        if head[at] != 0xFF:
            return 0, 0
        marker = head[at + 1]
        if marker == 0xFF:  # Fill bytes may stand before any marker.
            at += 1
            continue
        if marker in _JPEG_BARE:
            at += 2
            continue
        if marker in _JPEG_ENDS:
            return 0, 0
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if length < 2:
            return 0, 0
        if marker in _JPEG_FRAMES:
            if length < 8 or at + 9 > len(head):
                return 0, 0
            height = int.from_bytes(head[at + 5 : at + 7], "big")
            return int.from_bytes(head[at + 7 : at + 9], "big"), height
        at += 2 + length
    return 0, 0


def _webp_size(head: bytes) -> tuple[int, int]:
    chunk = head[12:16]
    if chunk == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if chunk == b"VP8L" and len(head) >= 25 and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and len(head) >= 30 and head[23:26] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _mp4_size(head: bytes) -> tuple[int, int]:
    """The first track with a size: sound has none."""
    for moov in _boxes(head, 0, len(head), b"moov"):
        for track in _boxes(head, *moov, b"trak"):
            for begin, end in _boxes(head, *track, b"tkhd"):
                # Both sides are the last fields of this box, in 1/65536 of a pixel.
                width, height = (int.from_bytes(head[at : at + 4], "big") >> 16 for at in (end - 8, end - 4))
                if end - begin in _TKHD_BYTES and width and height:
                    return width, height
    return 0, 0


def _boxes(head: bytes, begin: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes called `name` lie between `begin` and `end`, those that are whole."""
    for _ in range(_BOXES_MAX):
        if begin + 8 > end:
            return
        size = int.from_bytes(head[begin : begin + 4], "big")
        if size < 8 or begin + size > end:  # Sizes 0 and 1 are those of huge boxes: nothing we look for.
            return
        if head[begin + 4 : begin + 8] == name:
            yield begin + 8, begin + size
        begin += size


def film_size(file: BinaryIO, size_bytes: int) -> tuple[int, int] | None:
    """Width and height of a whole MP4 file, None for one that is cut short or has no pictures or no index.

    Only the boxes' headers and the index are read, so a film of any length takes milliseconds.
    """
    at, found = 0, set[bytes]()
    size = (0, 0)
    for _ in range(_FILE_BOXES_MAX):
        if at == size_bytes:
            return size if {b"moov", b"mdat"} <= found else None
        file.seek(at)
        header = file.read(16)
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 0:  # To the end of the file.
            length = size_bytes - at
        elif length == 1:
            length = int.from_bytes(header[8:16], "big")
        if len(header) < 8 or length < 8 or at + length > size_bytes:
            return None
        found.add(name)
        if name == b"moov" and length <= _INDEX_BYTES_MAX:
            file.seek(at)
            size = _mp4_size(file.read(length))
        at += length
    return None


_SIZE_READERS = {PNG: _png_size, JPEG: _jpeg_size, WEBP: _webp_size, GIF: _gif_size, MP4: _mp4_size}
