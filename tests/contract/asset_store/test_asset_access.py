"""Bytes out, records, links: for those who may, and absent for everybody else."""

import asyncio
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as pb
from kit.errors import AssetNotFound, InvalidArgument, PageTokenInvalid, TicketInvalid
from kit.tickets import TicketSigner


def at(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


async def test_ranges_are_exact(house: Any, photo: Any) -> None:
    data = photo("PNG", 900, 700)
    asset = await house.upload(data)
    size = len(data)
    for offset, length in ((0, 1), (1, 0), (size - 1, 0), (100_000, 300_000), (262_143, 2), (5, 10 * size)):
        record, read = await house.read(asset.id, offset=offset, length=length)
        assert record == asset
        assert read == (data[offset : offset + length] if length else data[offset:])


async def test_a_range_beyond_the_end_names_the_offset(house: Any, photo: Any) -> None:
    data = photo("PNG", 8, 8)
    asset = await house.upload(data)
    for offset in (len(data), len(data) + 1, 2**62):
        with pytest.raises(InvalidArgument) as caught:
            await house.read(asset.id, offset=offset)
        assert caught.value.field == "offset"
    with pytest.raises(InvalidArgument):
        await house.read(asset.id, offset=-1)


async def test_a_ticket_reads_its_own_asset_and_no_other(house: Any, photo: Any) -> None:
    mine, other = [await house.upload(photo("PNG", 8, 8, seed=seed)) for seed in (1, 2)]
    read, _ = await house.read("", ticket=house.ticket("read", asset_id=mine.id))
    assert read.id == mine.id
    foreign_client = house.ticket("read", asset_id=other.id, client_id="partner-b")
    with pytest.raises(AssetNotFound):
        await house.read("", ticket=foreign_client)
    foreign_house = TicketSigner(SecretStr("y" * 32)).sign(house.tickets.verify(house.ticket(), action="upload"), 9)
    for ticket in (house.ticket("upload", asset_id=mine.id), house.ticket("read"), foreign_house):
        with pytest.raises(TicketInvalid):
            await house.read("", ticket=ticket)


async def test_another_clients_asset_is_as_absent_as_none(house: Any, photo: Any) -> None:
    asset = await house.upload(photo("PNG", 8, 8))
    messages = set()
    for asset_id, client_id in ((asset.id, "partner-b"), ("asset_00000000000000000000000000", "partner-a")):
        for call in (house.get, house.link):
            with pytest.raises(AssetNotFound) as caught:
                await call(asset_id, client_id=client_id)
            messages.add(str(caught.value))
    assert len(messages) == 1
    await house.delete(asset.id, client_id="partner-b")
    assert not (await house.list(client_id="partner-b")).assets
    assert await house.get(asset.id) == asset


async def test_deleting_removes_bytes_and_record_and_may_be_repeated(house: Any, photo: Any) -> None:
    asset = await house.upload(photo("PNG", 8, 8))
    token = await house.link(asset.id)
    await house.delete(asset.id)
    await house.delete(asset.id)
    assert await house.is_empty()
    for absent in (house.get(asset.id), house.read(asset.id)):
        with pytest.raises(AssetNotFound):
            await absent
    with pytest.raises(AssetNotFound):
        await house.stub.OpenLink(pb.OpenLinkRequest(token=token), timeout=10)


async def test_a_reader_gets_the_whole_file_or_an_error_when_it_is_deleted_meanwhile(house: Any, photo: Any) -> None:
    data = photo("PNG", 1600, 1250)
    asset = await house.upload(data)
    request = pb.ReadAssetRequest(ticket=house.ticket("read", asset_id=asset.id))
    messages = aiter(house.stub.ReadAsset(request, timeout=30))
    assert (await anext(messages)).asset == asset
    await house.delete(asset.id)
    read = b"".join([message.chunk async for message in messages])
    assert read == data


async def test_lists_go_newest_first_through_all_pages(house: Any, photo: Any) -> None:
    ids = []
    for seed in range(7):
        ids.append((await house.upload(photo("PNG", 8, 8, seed=seed))).id)
        house.clock.advance(1)
    seen, token = [], ""
    while True:
        page = await house.list(page_size=3, page_token=token)
        assert len(page.assets) <= 3
        seen += [asset.id for asset in page.assets]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids[::-1]
    assert [asset.id for asset in (await house.list()).assets] == ids[::-1]


async def test_lists_filter(house: Any, photo: Any) -> None:
    start_ms = house.clock.now_ms()
    old = await house.upload(photo("PNG", 8, 8))
    house.clock.advance(60)
    new = await house.upload(photo("JPEG", 8, 8))

    async def ids(**fields: Any) -> list[str]:
        return [asset.id for asset in (await house.list(**fields)).assets]

    assert await ids(before=at(start_ms + 60_000)) == [old.id]
    assert await ids(origin=asset_pb2.ASSET_ORIGIN_UPLOAD) == [new.id, old.id]
    assert await ids(origin=asset_pb2.ASSET_ORIGIN_URL) == []
    assert await ids(kind="image") == [new.id, old.id]
    assert await ids(kind="video") == []


async def test_a_page_token_is_good_for_its_own_query_only(house: Any, photo: Any) -> None:
    for seed in range(3):
        await house.upload(photo("PNG", 8, 8, seed=seed))
    token = (await house.list(page_size=1)).next_page_token
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    wrong: list[dict[str, Any]] = [
        {"page_token": token, "kind": "image"},
        {"page_token": token, "client_id": "partner-b"},
        {"page_token": token, "before": at(house.clock.now_ms())},
        {"page_token": changed},
        {"page_token": "garbage"},
        {"page_token": "ü"},
        {"page_token": "A" * 255},
    ]
    for query in wrong:
        with pytest.raises(PageTokenInvalid):
            await house.list(page_size=1, **query)
    assert len((await house.list(page_size=2, page_token=token)).assets) == 2


async def test_a_link_opens_without_any_client(house: Any, photo: Any) -> None:
    data = photo("PNG", 8, 8)
    asset = await house.upload(data)
    token, other = await house.link(asset.id), await house.link(asset.id, variant="grid")
    assert await house.link(asset.id) == token != other
    assert len(token) == 22
    assert token.isalnum()
    opened = await house.stub.OpenLink(pb.OpenLinkRequest(token=token), timeout=10)
    assert opened.asset == asset
    assert (await house.read("", ticket=opened.ticket))[1] == data
    for wrong in (token.swapcase(), "x", "%"):
        with pytest.raises(AssetNotFound):
            await house.stub.OpenLink(pb.OpenLinkRequest(token=wrong), timeout=10)


async def test_text_with_nul_is_the_name_of_nothing(house: Any, photo: Any) -> None:
    asset = await house.upload(photo("PNG", 8, 8))
    for call in (house.get, house.link):
        with pytest.raises(AssetNotFound):
            await call(asset.id + "\0")
    with pytest.raises(AssetNotFound):
        await house.stub.OpenLink(pb.OpenLinkRequest(token="\0"), timeout=10)
    with pytest.raises(InvalidArgument) as caught:
        await house.link(asset.id, variant="\0")
    assert caught.value.field == "variant"
    await house.delete(asset.id + "\0")
    for filters in ({"kind": "\0"}, {"job_id": "\0"}):
        assert not (await house.list(**filters)).assets
    assert await house.get(asset.id) == asset


async def test_a_link_ends_at_its_time(house: Any, photo: Any) -> None:
    asset = await house.upload(photo("PNG", 8, 8))
    token = await house.link(asset.id, expire_time=at(house.clock.now_ms() + 1000))
    house.clock.advance(1)
    with pytest.raises(AssetNotFound):
        await house.stub.OpenLink(pb.OpenLinkRequest(token=token), timeout=10)


async def test_many_readers_at_once(house: Any, photo: Any) -> None:
    data = photo("JPEG")
    asset = await house.upload(data)
    results = await asyncio.gather(*(house.read(asset.id) for _ in range(24)))
    assert all(read == data for _, read in results)
