"""Bytes in: what is accepted is stored unchanged, and nothing is left of what is not."""

import asyncio
import hashlib
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as pb
from kit.errors import (
    BodyTooLarge,
    InputTooLarge,
    InputUnsupported,
    InvalidArgument,
    RequestIdReused,
    TicketInvalid,
)
from kit.tickets import Ticket, TicketSigner
from testkit.providers.files import film

HTML = b"<!doctype html><html><body>not a picture</body></html>"
MP4 = film()
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n%%EOF\n"


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0" * 64


@pytest.mark.parametrize(
    ("file_format", "mime_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")]
)
async def test_a_two_megapixel_photograph_is_stored_byte_for_byte(
    house: Any, photo: Any, file_format: str, mime_type: str
) -> None:
    data = photo(file_format)
    asset = await house.upload(data, name="C:\\Bilder\\参考\u202e.png", kind="image")
    assert asset.sha256 == hashlib.sha256(data).hexdigest()
    assert (asset.size_bytes, asset.mime_type, asset.kind) == (len(data), mime_type, "image")
    assert (asset.width, asset.height, asset.name) == (1600, 1250, "参考.png")
    assert (asset.client_id, asset.job_id, asset.origin) == ("partner-a", "", asset_pb2.ASSET_ORIGIN_UPLOAD)
    assert asset.create_time.seconds == house.clock.now_ms() // 1000
    assert not asset.HasField("expire_time")
    assert await house.get(asset.id) == asset
    assert await house.read(asset.id) == (asset, data)


@pytest.mark.parametrize(
    ("data", "name"), [(HTML, "picture.png"), (b"", "empty.png"), (EPS, "x.eps"), (MP4, "x.mp4"), (b"\xff", "x.jpg")]
)
async def test_what_is_not_a_picture_by_content_leaves_nothing(house: Any, data: bytes, name: str) -> None:
    with pytest.raises(InputUnsupported) as caught:
        await house.upload(data, name=name, kind="")
    assert caught.value.field == "file"
    assert await house.is_empty()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
async def test_a_picture_cut_short_leaves_nothing(house: Any, photo: Any, file_format: str) -> None:
    data = photo(file_format, 400, 300)
    with pytest.raises(InputUnsupported) as caught:
        await house.upload(data[: len(data) * 2 // 3])
    assert caught.value.field == "file"
    assert await house.is_empty()


@pytest.mark.parametrize(("width", "height"), [(80_000, 80_000), (1, 16_385), (8000, 5001)])
async def test_a_picture_with_too_many_pixels_leaves_nothing(house: Any, width: int, height: int) -> None:
    with pytest.raises(InputTooLarge) as caught:
        await house.upload(png_header(width, height))
    assert caught.value.field == "file"
    assert (caught.value.metadata["width"], caught.value.metadata["height"]) == (str(width), str(height))
    assert await house.is_empty()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
async def test_an_animation_leaves_nothing(house: Any, photo: Any, file_format: str) -> None:
    from io import BytesIO

    from PIL import Image

    frames = [Image.open(BytesIO(photo("PNG", 40, 30, seed=seed))) for seed in range(3)]
    buffer = BytesIO()
    frames[0].save(buffer, file_format, save_all=True, append_images=frames[1:])
    with pytest.raises(InputTooLarge, match="animated"):
        await house.upload(buffer.getvalue())
    assert await house.is_empty()


async def test_a_file_above_its_tickets_limit_is_refused_at_once(house: Any) -> None:
    sent = 0

    async def endless() -> AsyncIterator[pb.UploadAssetRequest]:
        nonlocal sent
        yield pb.UploadAssetRequest(header=pb.UploadHeader(ticket=house.ticket(bytes_max=3_000_000)))
        while True:
            yield pb.UploadAssetRequest(chunk=b"\x89PNG\r\n\x1a\n" + bytes(1_000_000))
            sent += 1
            await asyncio.sleep(0)

    with pytest.raises(BodyTooLarge) as caught:
        await house.stub.UploadAsset(endless(), timeout=30)
    assert caught.value.metadata["bytes_max"] == "3000000"
    assert caught.value.field == "file"
    assert await house.is_empty()


async def test_a_file_of_exactly_the_limit_is_stored(house: Any, photo: Any) -> None:
    data = photo("PNG", 64, 48)
    assert (await house.upload(data, bytes_max=len(data))).size_bytes == len(data)
    with pytest.raises(BodyTooLarge):
        await house.upload(data, bytes_max=len(data) - 1)
    assert await house.stored() == 1


async def test_a_ticket_without_a_limit_has_the_usual_one_of_its_origin(house: Any, photo: Any) -> None:
    data = photo("PNG", 64, 48) + bytes(20 * 1024 * 1024)  # What follows a picture's end is part of the file.
    with pytest.raises(BodyTooLarge) as caught:
        await house.upload(data, bytes_max=0)
    assert caught.value.metadata["bytes_max"] == str(20 * 1024 * 1024)
    assert (await house.upload(data, bytes_max=0, asset_id="asset_out", job_id="job_1")).size_bytes == len(data)


async def test_an_upload_given_up_half_way_leaves_nothing(house: Any, eventually: Any) -> None:
    begun = asyncio.Event()

    async def stuck() -> AsyncIterator[pb.UploadAssetRequest]:
        yield pb.UploadAssetRequest(header=pb.UploadHeader(ticket=house.ticket()))
        for _ in range(4):
            yield pb.UploadAssetRequest(chunk=bytes(600_000))
        begun.set()
        await asyncio.Event().wait()

    call = asyncio.ensure_future(house.stub.UploadAsset(stuck(), timeout=30))
    await begun.wait()
    await eventually(lambda: _has_spooled(house))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(house.is_empty)


async def _has_spooled(house: Any) -> bool:
    return house.deployment.spool.exists() and any(house.deployment.spool.iterdir())


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "read", "asset_id": "asset_x"},
        {"ttl_s": 0.001},
    ],
)
async def test_a_wrong_ticket_is_refused_before_a_byte_is_kept(house: Any, photo: Any, fields: dict[str, Any]) -> None:
    ticket = house.ticket(**fields)
    await asyncio.sleep(0.01)
    with pytest.raises(TicketInvalid):
        await house.upload(photo("PNG", 8, 8), ticket=ticket)
    assert await house.is_empty()


async def test_a_ticket_of_another_deployment_is_refused(house: Any, photo: Any) -> None:
    foreign = TicketSigner(SecretStr("x" * 32)).sign(Ticket(action="upload", client_id="partner-a"), 60)
    for ticket in (foreign, "garbage", house.ticket()[:-2] + "AA"):
        with pytest.raises(TicketInvalid):
            await house.upload(photo("PNG", 8, 8), ticket=ticket)
    assert await house.is_empty()


async def test_the_header_comes_first_and_once(house: Any) -> None:
    header = pb.UploadAssetRequest(header=pb.UploadHeader(ticket=house.ticket()))
    chunk = pb.UploadAssetRequest(chunk=b"x")
    for messages in ([chunk], [], [header, header], [header, chunk, header]):
        with pytest.raises(InvalidArgument) as caught:
            await house.send(messages)
        assert caught.value.field == "header"
    assert await house.is_empty()


async def test_the_kind_that_was_promised_must_be_the_kind_of_the_bytes(house: Any, photo: Any) -> None:
    data = photo("PNG", 8, 8)
    for promised in ({"kind": "video"}, {"ticket": house.ticket(kind="vector")}):
        with pytest.raises(InputUnsupported):
            await house.upload(data, **promised)
    with pytest.raises(InvalidArgument) as caught:
        await house.upload(data, kind="music")
    assert caught.value.field == "kind"
    assert await house.is_empty()
    assert (await house.upload(data, ticket=house.ticket(kind="image"), kind="image")).kind == "image"


async def test_an_upload_with_an_id_is_idempotent(house: Any, photo: Any) -> None:
    data = photo("PNG", 32, 32)
    first = await house.upload(data, asset_id="asset_fixed")
    again = await house.upload(data, asset_id="asset_fixed", name="other.png")
    assert (first.id, again) == ("asset_fixed", first)
    with pytest.raises(RequestIdReused):
        await house.upload(photo("PNG", 33, 32), asset_id="asset_fixed")
    with pytest.raises(RequestIdReused):
        await house.upload(data, asset_id="asset_fixed", client_id="partner-b")
    assert await house.stored() == 1


async def test_uploads_of_one_output_at_once_store_it_once(house: Any, photo: Any) -> None:
    data = photo("PNG", 200, 200)
    assets = await asyncio.gather(*(house.upload_output(data, "asset_out", "job_1") for _ in range(8)))
    assert {asset.id for asset in assets} == {"asset_out"}
    assert len({asset.SerializeToString(deterministic=True) for asset in assets}) == 1
    assert await house.stored() == 1


async def test_uploads_without_id_at_once_are_all_stored(house: Any, photo: Any) -> None:
    pictures = [photo("JPEG", 120, 90, seed=seed) for seed in range(12)]
    assets = await asyncio.gather(*(house.upload(data) for data in pictures))
    assert len({asset.id for asset in assets}) == 12
    for asset, data in zip(assets, pictures, strict=True):
        assert (await house.read(asset.id))[1] == data


@pytest.mark.parametrize(
    ("data", "mime_type", "kind", "size"),
    [(MP4, "video/mp4", "video", (96, 64)), (EPS, "application/postscript", "vector", (0, 0))],
)
async def test_outputs_may_be_of_more_kinds(
    house: Any, data: bytes, mime_type: str, kind: str, size: tuple[int, int]
) -> None:
    asset = await house.upload_output(data, "asset_out", "job_1")
    assert (asset.mime_type, asset.kind, asset.width, asset.height) == (mime_type, kind, *size)
    assert (asset.origin, asset.job_id) == (asset_pb2.ASSET_ORIGIN_OUTPUT, "job_1")


async def test_an_output_that_is_a_film_cut_short_is_refused(house: Any) -> None:
    with pytest.raises(InputUnsupported):
        await house.upload_output(MP4[: len(MP4) // 2], "asset_out", "job_1")
    assert await house.is_empty()


async def test_an_output_that_is_a_broken_picture_is_refused(house: Any, photo: Any) -> None:
    data = photo("PNG", 100, 100)
    with pytest.raises(InputUnsupported):
        await house.upload_output(data[:-500], "asset_out", "job_1")
    assert await house.is_empty()
