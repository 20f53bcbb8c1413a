"""The sniffer tells real files apart and survives anything else."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kit import media


def _encoded(fmt: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(buffer, fmt, **options)
    return buffer.getvalue()


CASES = [
    ("PNG", "RGB", {}, media.PNG),
    ("PNG", "RGBA", {}, media.PNG),
    ("PNG", "L", {}, media.PNG),
    ("JPEG", "RGB", {}, media.JPEG),
    ("JPEG", "RGB", {"progressive": True}, media.JPEG),
    ("JPEG", "CMYK", {}, media.JPEG),
    (
        "JPEG",
        "RGB",
        {"exif": b"Exif\0\0" + b"\xff\xc0" * 30000, "icc_profile": b"\xff\xc0" * 60000},
        media.JPEG,
    ),
    ("WEBP", "RGB", {"lossless": True}, media.WEBP),
    ("WEBP", "RGB", {"lossless": False}, media.WEBP),
    ("WEBP", "RGBA", {"lossless": False}, media.WEBP),
    ("WEBP", "RGBA", {"lossless": True, "exif": b"Exif\0\0aa"}, media.WEBP),
    ("GIF", "P", {}, media.GIF),
]


@pytest.mark.parametrize(("fmt", "mode", "options", "mime_type"), CASES)
@pytest.mark.parametrize("size", [(1, 1), (37, 211), (640, 3)])
def test_type_and_size_are_read_when_the_file_is_sound(
    fmt: str, mode: str, options: dict[str, Any], mime_type: str, size: tuple[int, int]
) -> None:
    data = _encoded(fmt, size, mode, **options)
    expected = media.Media(mime_type=mime_type, width=size[0], height=size[1])
    assert media.probe(data[: media.PROBE_BYTES]) == expected
    assert media.sniff(data[:32]) == mime_type


def test_size_is_the_headers_claim_when_it_is_absurd() -> None:
    data = bytearray(_encoded("PNG", (1, 1)))
    data[16:24] = (80_000).to_bytes(4, "big") * 2
    assert media.probe(bytes(data)) == media.Media(mime_type=media.PNG, width=80_000, height=80_000)


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", media.MP4),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", media.MP4),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 512 512\n", media.EPS),
        (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", media.EPS),
    ],
)
def test_type_alone_is_told_when_the_format_has_no_size_we_read(head: bytes, mime_type: str) -> None:
    assert media.probe(head) == media.Media(mime_type=mime_type)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PNG",
        b"<!doctype html><title>cat.png</title>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"\0\0\0\x18ftypheic\0\0\0\0",
        b"\0\0\0\x18ftypavif\0\0\0\0",
        b"%!PS-Adobe-3.0\n",
        b"%PDF-1.7",
        b"BM6\0\0\0",
    ],
)
def test_type_is_unknown_when_the_content_is_something_else(head: bytes) -> None:
    assert media.sniff(head) is None
    assert media.probe(head) is None


@pytest.mark.parametrize(("fmt", "mode", "options", "mime_type"), CASES)
def test_type_survives_and_size_is_none_when_the_header_is_cut_short(
    fmt: str, mode: str, options: dict[str, Any], mime_type: str
) -> None:
    head = _encoded(fmt, (37, 211), mode, **options)[:9]
    if fmt == "WEBP":
        assert media.probe(head) is None  # The tag that tells WebP from other RIFF files is not there yet.
        return
    assert media.probe(head) == media.Media(mime_type=mime_type)


def _box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def _track(width: int, height: int, version: int = 0) -> bytes:
    times = bytes(20 if version == 0 else 32)
    sides = (width << 16).to_bytes(4, "big") + (height << 16).to_bytes(4, "big")
    return _box(b"trak", _box(b"edts", b"") + _box(b"tkhd", bytes([version, 0, 0, 3]) + times + bytes(52) + sides))


_FTYP = _box(b"ftyp", b"isom\0\0\x02\0isomavc1mp41")


@pytest.mark.parametrize("version", [0, 1])
def test_size_of_a_film_is_that_of_its_first_track_with_pictures(version: int) -> None:
    moov = _box(b"moov", _box(b"mvhd", bytes(100)) + _track(0, 0) + _track(1920, 1080, version))
    expected = media.Media(mime_type=media.MP4, width=1920, height=1080)
    assert media.probe(_FTYP + moov + _box(b"mdat", bytes(9))) == expected
    assert media.probe(_FTYP + _box(b"free", bytes(40)) + moov) == expected


@pytest.mark.parametrize(
    "rest",
    [
        _box(b"mdat", bytes(100)),
        _box(b"moov", _track(640, 480))[:-1],
        _box(b"moov", _track(0, 0)),
        _box(b"moov", _box(b"trak", _box(b"tkhd", bytes(20)))),
        b"\0\0\0\0moov" + _track(640, 480),
        _box(b"free", b"") * 100 + _box(b"moov", _track(640, 480)),
    ],
)
def test_size_of_a_film_is_none_when_its_index_is_not_there_or_wrong(rest: bytes) -> None:
    assert media.probe(_FTYP + rest) == media.Media(mime_type=media.MP4)


@given(st.binary(max_size=300), st.integers(0, 250))
def test_damaged_films_never_raise(damage: bytes, at: int) -> None:
    data = bytearray(_FTYP + _box(b"moov", _track(640, 480)))
    data[at : at + len(damage)] = damage
    media.probe(bytes(data))


def test_zero_sides_read_as_unknown_size() -> None:
    data = bytearray(_encoded("PNG", (5, 5)))
    data[16:20] = bytes(4)
    assert media.probe(bytes(data)) == media.Media(mime_type=media.PNG)


_WEBP = b"RIFF\0\0\0\0WEBP"
MAGIC = st.sampled_from(
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\xff\xd8",
        _WEBP,
        _WEBP + b"VP8X",
        _WEBP + b"VP8 ",
        _WEBP + b"VP8L",
        b"GIF89a",
        b"\0\0\0\0ftypmp42",
        b"%!PS-Adobe-3.0 EPSF-",
    ]
)


@given(MAGIC, st.binary(max_size=200))
def test_any_bytes_give_an_answer_without_raising(magic: bytes, tail: bytes) -> None:
    found = media.probe(magic + tail)
    assert (found.mime_type if found else None) == media.sniff(magic + tail)
    if found is not None:
        assert (found.width is None) == (found.height is None)
        assert found.width is None or found.width > 0


@given(st.sampled_from(CASES), st.integers(0, 60), st.binary(min_size=1, max_size=6))
def test_damaged_headers_never_raise(case: tuple[str, str, dict[str, Any], str], at: int, damage: bytes) -> None:
    data = bytearray(_encoded(case[0], (37, 211), case[1], **case[2]))
    data[at : at + len(damage)] = damage
    found = media.probe(bytes(data))
    assert found is None or found.mime_type in {
        media.PNG,
        media.JPEG,
        media.WEBP,
        media.GIF,
        media.MP4,
        media.EPS,
    }


def test_a_long_chain_of_jpeg_segments_takes_linear_time() -> None:
    # 64 Ki empty segments: a parser that copies the rest at each step would take minutes.
    chain = b"\xff\xd8" + b"\xff\xe1\x00\x02" * (media.PROBE_BYTES // 4)
    assert media.probe(chain[: media.PROBE_BYTES]) == media.Media(mime_type=media.JPEG)


def _film(*boxes: bytes) -> tuple[io.BytesIO, int]:
    data = b"".join((_FTYP, *boxes))
    return io.BytesIO(data), len(data)


_INDEX = _box(
    b"moov", _box(b"trak", _box(b"tkhd", bytes(76) + (96 << 16).to_bytes(4, "big") + (64 << 16).to_bytes(4, "big")))
)
_PICTURES = _box(b"mdat", bytes(1000))


def test_film_has_its_size_wherever_the_index_is() -> None:
    assert media.film_size(*_film(_INDEX, _PICTURES)) == (96, 64)
    assert media.film_size(*_film(_PICTURES, _INDEX)) == (96, 64)
    huge = (1).to_bytes(4, "big") + b"mdat" + (1016).to_bytes(8, "big") + bytes(1000)
    assert media.film_size(*_film(huge, _INDEX)) == (96, 64)
    to_the_end = (0).to_bytes(4, "big") + b"mdat" + bytes(1000)
    assert media.film_size(*_film(_INDEX, to_the_end)) == (96, 64)


@pytest.mark.parametrize("length", [0, 4, 7, 30, 500, 1040])
def test_film_that_is_cut_short_is_none(length: int) -> None:
    file, size = _film(_PICTURES, _INDEX)
    assert size > 1040
    assert media.film_size(io.BytesIO(file.getvalue()[:length]), length) is None


def test_film_without_pictures_or_index_is_none() -> None:
    assert media.film_size(*_film(_INDEX)) is None
    assert media.film_size(*_film(_PICTURES)) is None
    assert media.film_size(*_film((2).to_bytes(4, "big") + b"mdat")) is None
