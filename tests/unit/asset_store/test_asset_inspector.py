"""Decoder processes: what they say about pictures, and what happens when one is lost."""

import asyncio
import os
import signal
import struct
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asset_store.domain import INPUT_LIMITS, OUTPUT_LIMITS
from asset_store.inspector import PictureInspector
from kit.errors import InputTooLarge, InputUnsupported, NotServing

MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


@pytest.fixture
async def inspector() -> AsyncIterator[PictureInspector]:
    inspector = PictureInspector(processes=1)
    yield inspector
    await inspector.stop()


def picture(path: Path, file_format: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> Path:
    noise = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path, file_format, **options)
    return path


async def inspect(inspector: PictureInspector, path: Path, file_format: str) -> tuple[int, int]:
    return await inspector.inspect(path, mime_type=MIME[file_format], limits=INPUT_LIMITS)


def processes(inspector: PictureInspector) -> list[int]:
    return [decoder.process.pid for decoder in inspector._all]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "CMYK"])
async def test_pictures_of_all_modes_are_seen_whole(inspector: PictureInspector, tmp_path: Path, mode: str) -> None:
    formats = {"RGBA": ["PNG", "WEBP"], "CMYK": ["JPEG"], "P": ["PNG"], "1": ["PNG"]}.get(mode, ["PNG", "JPEG", "WEBP"])
    for file_format in formats:
        assert await inspect(inspector, picture(tmp_path / "x", file_format, mode=mode), file_format) == (64, 48)
    assert len(processes(inspector)) == 1


async def test_a_jpeg_with_a_second_picture_inside_is_a_still_picture(
    inspector: PictureInspector, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x", "MPO", save_all=True, append_images=frames[1:])
    assert await inspect(inspector, tmp_path / "x", "JPEG") == (64, 48)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
async def test_damage_is_told_and_the_decoder_lives_on(
    inspector: PictureInspector, tmp_path: Path, file_format: str
) -> None:
    data = picture(tmp_path / "x", file_format).read_bytes()
    for broken in (data[: len(data) // 2], data[:40], data[:8], b"", data[:50] + b"\0" * 200 + data[250:]):
        (tmp_path / "broken").write_bytes(broken)
        if file_format != "PNG" and len(broken) == len(data):
            continue  # Without checksums, zeros inside a picture are a legal, ugly picture.
        with pytest.raises(InputUnsupported, match="damaged"):
            await inspect(inspector, tmp_path / "broken", file_format)
    assert await inspect(inspector, tmp_path / "x", file_format) == (64, 48)
    assert len(processes(inspector)) == 1


async def test_another_format_than_the_one_sniffed_is_never_opened(inspector: PictureInspector, tmp_path: Path) -> None:
    picture(tmp_path / "x", "GIF", mode="P")
    with pytest.raises(InputUnsupported):
        await inspect(inspector, tmp_path / "x", "PNG")


async def test_a_bomb_is_refused_by_its_header(inspector: PictureInspector, tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 80_000, 80_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    end = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "bomb").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + end)
    with pytest.raises(InputTooLarge, match="80000 x 80000"):
        await inspect(inspector, tmp_path / "bomb", "PNG")


async def test_a_png_whose_text_explodes_is_refused_or_harmless(inspector: PictureInspector, tmp_path: Path) -> None:
    data = picture(tmp_path / "x", "PNG").read_bytes()
    text = b"zTXtcomment\0\0" + zlib.compress(bytes(300_000_000), 9)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    (tmp_path / "bomb").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(InputUnsupported):
        await inspect(inspector, tmp_path / "bomb", "PNG")
    assert await inspect(inspector, tmp_path / "x", "PNG") == (64, 48)


async def test_a_huge_output_is_looked_through_without_its_pixels(inspector: PictureInspector, tmp_path: Path) -> None:
    for file_format in ("PNG", "JPEG"):
        buffer = BytesIO()
        Image.new("L", (12_000, 9_000)).save(buffer, file_format)
        (tmp_path / "huge").write_bytes(buffer.getvalue())
        limits, mime_type = OUTPUT_LIMITS, MIME[file_format]
        assert await inspector.inspect(tmp_path / "huge", mime_type=mime_type, limits=limits) == (12_000, 9_000)
        (tmp_path / "huge").write_bytes(buffer.getvalue()[: buffer.tell() * 2 // 3])
        with pytest.raises(InputUnsupported):
            await inspector.inspect(tmp_path / "huge", mime_type=mime_type, limits=limits)
        with pytest.raises(InputTooLarge):
            await inspect(inspector, tmp_path / "huge", file_format)


async def test_an_animated_output_is_seen(inspector: PictureInspector, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), (shade, 0, 0)) for shade in (0, 100, 200)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert await inspector.inspect(tmp_path / "x.gif", mime_type="image/gif", limits=OUTPUT_LIMITS) == (20, 10)


async def test_a_decoder_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    inspector = PictureInspector(processes=1, wall_s=5)
    path = picture(tmp_path / "x", "PNG")
    await inspect(inspector, path, "PNG")
    (first,) = processes(inspector)
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(InputUnsupported):
        await inspect(inspector, path, "PNG")
    assert await inspect(inspector, path, "PNG") == (64, 48)
    (second,) = processes(inspector)
    assert second != first
    await inspector.stop()


async def test_a_decoder_that_died_between_two_pictures_is_replaced(
    inspector: PictureInspector, tmp_path: Path
) -> None:
    path = picture(tmp_path / "x", "PNG")
    await inspect(inspector, path, "PNG")
    (decoder,) = inspector._all
    decoder.process.kill()
    decoder.process.wait()
    assert await inspect(inspector, path, "PNG") == (64, 48)


async def test_a_caller_that_goes_away_mixes_up_no_answers(inspector: PictureInspector, tmp_path: Path) -> None:
    wide, small = picture(tmp_path / "wide", "PNG", (3000, 2000)), picture(tmp_path / "small", "PNG")
    await inspect(inspector, small, "PNG")
    for _ in range(3):
        call = asyncio.create_task(inspect(inspector, wide, "PNG"))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await inspect(inspector, small, "PNG") == (64, 48)


async def test_many_pictures_share_few_decoders(tmp_path: Path) -> None:
    inspector = PictureInspector(processes=2)
    paths = [picture(tmp_path / str(number), "JPEG", (20 + number, 20)) for number in range(12)]
    sizes = await asyncio.gather(*(inspect(inspector, path, "JPEG") for path in paths))
    assert sizes == [(20 + number, 20) for number in range(12)]
    assert len(processes(inspector)) <= 2
    await inspector.stop()


async def test_a_decoder_knows_no_secret_and_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", "very secret")
    inspector = PictureInspector(processes=1)
    await inspect(inspector, picture(tmp_path / "x", "PNG"), "PNG")
    (pid,) = processes(inspector)
    environment = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
    limits = await asyncio.to_thread(Path(f"/proc/{pid}/limits").read_text)
    assert b"secret" not in environment.lower()
    by_name = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert by_name["Max address space"] == [str(1024**3)] * 2
    assert by_name["Max file size"] == ["0", "0"]
    assert by_name["Max core file size"] == ["0", "0"]
    assert int(by_name["Max cpu time"][0]) <= 12
    await inspector.stop()


async def test_a_warmed_decoder_is_used_and_a_stop_ends_it(tmp_path: Path) -> None:
    inspector = PictureInspector(processes=1)
    inspector.warm()
    assert await inspect(inspector, picture(tmp_path / "x", "PNG"), "PNG") == (64, 48)
    (decoder,) = inspector._all
    await inspector.stop()
    assert decoder.process.returncode is not None
    with pytest.raises(NotServing):
        await inspect(inspector, tmp_path / "x", "PNG")


async def test_a_stop_before_the_warming_is_over_leaves_no_process() -> None:
    inspector = PictureInspector(processes=1)
    inspector.warm()
    await asyncio.sleep(0)
    await inspector.stop()
    assert processes(inspector) == []


async def test_a_caller_that_goes_away_while_a_decoder_starts_leaves_no_process(
    inspector: PictureInspector, tmp_path: Path
) -> None:
    path = picture(tmp_path / "x", "PNG")
    for delay_s in (0, 0.001, 0.02):
        call = asyncio.create_task(inspect(inspector, path, "PNG"))
        await asyncio.sleep(delay_s)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert processes(inspector) == []
