"""Decoding strangers' files: every good kind is understood, everything else is refused with its reason."""

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from imageops import ImageRefused, RefusalReason, decode, encode, probe
from imageops.codec import PIXELS_MAX, SIDE_MAX, FileFormat


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes | None = None) -> bytes:
    """A PNG whose header says what we like; the data is that of one row unless given."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(rows if rows is not None else b"\0" * 4)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def refused(data: bytes) -> RefusalReason:
    with pytest.raises(ImageRefused) as caught:
        decode(data)
    return caught.value.reason


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_rgb_is_read_from_each_format(photograph: Image.Image, file_format: str) -> None:
    options = {"quality": 95} if file_format != "PNG" else {}
    data = saved(photograph, file_format, **options)
    picture = decode(data)
    assert (picture.mode, picture.size, picture.info) == ("RGB", photograph.size, {})
    error = np.abs(np.asarray(picture).astype(int) - np.asarray(photograph)).mean()
    assert error == 0 if file_format == "PNG" else error < 3
    header = probe(data)
    assert (header.format, header.width, header.height, header.frames) == (file_format.lower(), 512, 384, 1)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_transparency_is_kept(file_format: str) -> None:
    source = Image.new("RGBA", (20, 10), (10, 200, 30, 77))
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    picture = decode(saved(source, file_format, **options))
    assert (picture.mode, picture.getpixel((3, 3))) == ("RGBA", (10, 200, 30, 77))


def test_palette_grey_and_bilevel_become_rgb() -> None:
    grey = Image.new("L", (9, 9), 77)
    assert decode(saved(grey, "PNG")).getpixel((1, 1)) == (77, 77, 77)
    assert decode(saved(grey, "JPEG")).getpixel((1, 1)) == (77, 77, 77)
    assert decode(saved(Image.new("1", (9, 9), 1), "PNG")).getpixel((1, 1)) == (255, 255, 255)
    assert decode(saved(Image.new("LA", (9, 9), (77, 9)), "PNG")).getpixel((1, 1)) == (77, 77, 77, 9)
    palette = Image.new("RGB", (9, 9), (10, 200, 30)).quantize(4)
    assert decode(saved(palette, "PNG")).getpixel((1, 1)) == (10, 200, 30)
    assert decode(saved(palette, "PNG", transparency=0)).mode == "RGBA"


def test_sixteen_bit_is_scaled_not_clipped() -> None:
    levels = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    picture = decode(saved(Image.fromarray(levels), "PNG"))
    assert [picture.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (100, 100, 100), (255, 255, 255)]
    rows = b"\0" + struct.pack(">HHH", 257 * 10, 257 * 200, 257 * 30)
    assert decode(png(1, 1, depth=16, rows=rows)).getpixel((0, 0)) == (10, 200, 30)


def test_cmyk_becomes_rgb() -> None:
    picture = decode(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100))
    red, green, blue = picture.getpixel((5, 5))  # type: ignore[misc]
    assert picture.mode == "RGB"
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_upright_when_exif_says_how_it_lies(orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), (255, 0, 0))
    upright.paste((0, 0, 255), (0, 0, 16, 16))  # The corner that must come out on top left.
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)  # What the camera did, as a transpose.
    stored = upright if back is None else upright.transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for file_format, options in (("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True})):
        picture = decode(saved(stored, file_format, exif=exif, **options))
        assert picture.size == (48, 32)
        assert np.abs(np.asarray(picture).astype(int) - np.asarray(upright)).mean() < 8


def test_broken_exif_does_not_make_the_picture_wrong(photograph: Image.Image) -> None:
    data = saved(photograph, "JPEG", exif=b"Exif\0\0" + b"MM\0\x2a\xff\xff\xff\xff" + b"\x07" * 40)
    assert decode(data).size == photograph.size


def test_colour_profile_is_applied_when_it_is_not_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    source = Image.new("RGB", (8, 8), (200, 80, 40))
    # A profile of another kind than the pixels is passed over.
    assert decode(saved(source, "PNG", icc_profile=profile.tobytes())).getpixel((1, 1)) == (200, 80, 40)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(saved(source, "PNG", icc_profile=srgb)).getpixel((1, 1)) == (200, 80, 40)
    assert decode(saved(source, "PNG", icc_profile=b"nonsense" * 40)).getpixel((1, 1)) == (200, 80, 40)
    # The same profile with its red and blue primaries exchanged turns red into blue.
    at_red, at_blue = srgb.index(b"rXYZ"), srgb.index(b"bXYZ")
    swapped = bytearray(srgb)
    swapped[at_red : at_red + 4], swapped[at_blue : at_blue + 4] = b"bXYZ", b"rXYZ"
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    turned = decode(saved(source, "PNG", icc_profile=bytes(swapped))).getpixel((1, 1))
    assert turned == pytest.approx((40, 80, 200), abs=3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unsupported_format"),
        (b"<!doctype html><img src=x>", "unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "unsupported_format"),
        (saved(Image.new("RGB", (9, 9)), "GIF"), "unsupported_format"),
        (saved(Image.new("RGB", (9, 9)), "BMP"), "unsupported_format"),
        (saved(Image.new("RGB", (9, 9)), "TIFF"), "unsupported_format"),
        (png(80_000, 80_000), "too_large"),
        (png(1, 100_000_000), "too_large"),
        (png(SIDE_MAX + 1, 1), "too_large"),
        (png(8000, 5001), "too_large"),
        (png(0, 5), "unsupported_format"),
        (png(64, 64), "damaged"),
    ],
)
def test_everything_else_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    assert refused(data) == reason


def test_a_bomb_is_refused_from_its_header() -> None:
    bits = (16_383 - 1) | (16_383 - 1) << 14
    webp = bytearray(saved(Image.new("RGB", (4, 4)), "WEBP", lossless=True))
    webp[21:25] = bits.to_bytes(4, "little")
    assert refused(bytes(webp)) == "too_large"
    assert PIXELS_MAX < 16_383**2


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_animation_is_refused(file_format: str) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "green", "blue")]
    data = saved(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert probe(data).frames == 3
    assert refused(data) == "animated"


def test_a_jpeg_with_a_second_picture_inside_is_its_first(photograph: Image.Image) -> None:
    small = photograph.resize((64, 48))
    data = saved(small, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    assert probe(data).mime_type == "image/jpeg"
    assert np.asarray(decode(data)).std() > 10


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_truncated_files_are_refused(photograph: Image.Image, file_format: str) -> None:
    data = saved(photograph, file_format)
    for share in (0.1, 0.5, 0.9, 0.99):
        assert refused(data[: int(len(data) * share)]) in ("damaged", "unsupported_format")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_damaged_files_give_a_picture_or_a_refusal_and_nothing_else(photograph: Image.Image, file_format: str) -> None:
    data = saved(photograph.resize((64, 48)), file_format)
    chooser = random.Random(7)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(chooser.randint(1, 8)):
            broken[chooser.randrange(min(len(broken), 600))] = chooser.randrange(256)
        try:
            picture = decode(bytes(broken))
        except ImageRefused:
            continue
        assert picture.mode in ("RGB", "RGBA")


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
def test_encoding_is_repeatable_and_carries_nothing_but_pixels(
    photograph: Image.Image, file_format: FileFormat
) -> None:
    picture = photograph.copy()
    picture.info = {"comment": b"secret place", "icc_profile": b"x" * 200, "dpi": (72, 72), "exif": b"Exif\0\0secret"}
    data = encode(picture, file_format)
    assert data == encode(photograph, file_format)
    assert b"secret" not in data
    assert picture.info["dpi"] == (72, 72)  # The caller's picture is as it was.
    back = Image.open(io.BytesIO(data))
    assert back.size == photograph.size
    assert not set(back.info) & {"comment", "icc_profile", "exif"}
    if file_format == "png":
        assert np.array_equal(np.asarray(back), np.asarray(photograph))


def test_transparency_is_laid_on_white_when_the_format_has_none() -> None:
    data = encode(Image.new("RGBA", (16, 16), (255, 0, 0, 0)), "jpeg")
    assert decode(data).getpixel((5, 5)) == (255, 255, 255)
