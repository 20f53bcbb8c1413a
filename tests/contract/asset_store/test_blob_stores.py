"""What every blob store promises, on a folder and on MinIO."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from asset_store.domain import blob_key
from asset_store.ports import CHUNK_BYTES, BlobMissing, BlobStore, Staged

LARGE = 20 * 1024 * 1024 + 17  # More than one part of a multipart upload.


def staged(folder: Path, data: bytes) -> Staged:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / os.urandom(8).hex()
    path.write_bytes(data)
    return Staged(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), head=data[:64])


def key(number: int, client: str = "partner-a") -> str:
    return blob_key(client, number.to_bytes(16, "big"))


async def read(blobs: BlobStore, name: str, offset: int, length: int) -> list[bytes]:
    return [chunk async for chunk in blobs.read(name, offset=offset, length=length)]


@pytest.mark.parametrize("size", [1, CHUNK_BYTES, 3 * CHUNK_BYTES + 1, LARGE])
async def test_bytes_come_back_as_they_were_put(blobs: BlobStore, spool_folder: Path, size: int) -> None:
    data = os.urandom(size)
    await blobs.put(key(1), staged(spool_folder, data))
    chunks = await read(blobs, key(1), 0, size)
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= CHUNK_BYTES


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (5, 10), (CHUNK_BYTES - 1, 2), (CHUNK_BYTES, CHUNK_BYTES), (600_000, 200_001), (800_000, 1)],
)
async def test_a_range_is_exactly_that_range(blobs: BlobStore, spool_folder: Path, offset: int, length: int) -> None:
    data = os.urandom(800_001)
    await blobs.put(key(1), staged(spool_folder, data))
    assert b"".join(await read(blobs, key(1), offset, length)) == data[offset : offset + length]


async def test_a_missing_key_is_told_before_the_first_byte(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        await read(blobs, key(404), 0, 1)


async def test_a_read_that_is_given_up_harms_no_later_one(blobs: BlobStore, spool_folder: Path) -> None:
    data = os.urandom(5_000_000)
    await blobs.put(key(1), staged(spool_folder, data))
    for _ in range(20):  # More than there are threads and connections.
        chunks = blobs.read(key(1), offset=0, length=len(data))
        assert await anext(aiter(chunks)) == data[:CHUNK_BYTES]
        await chunks.aclose()  # type: ignore[attr-defined]  # An async generator in both adapters.
    assert b"".join(await read(blobs, key(1), 0, len(data))) == data


async def test_many_at_once(blobs: BlobStore, spool_folder: Path) -> None:
    contents = {key(number): os.urandom(1000 + number) for number in range(40)}
    await asyncio.gather(*(blobs.put(name, staged(spool_folder, data)) for name, data in contents.items()))
    found = await asyncio.gather(*(read(blobs, name, 0, len(data)) for name, data in contents.items()))
    assert [b"".join(chunks) for chunks in found] == list(contents.values())


async def test_a_deleted_key_is_missing_and_deleting_twice_is_no_error(blobs: BlobStore, spool_folder: Path) -> None:
    await blobs.put(key(1), staged(spool_folder, b"x"))
    await blobs.delete(key(1))
    await blobs.delete(key(1))
    with pytest.raises(BlobMissing):
        await read(blobs, key(1), 0, 1)


async def test_a_file_that_is_shorter_than_it_says_leaves_nothing(blobs: BlobStore, spool_folder: Path) -> None:
    short = staged(spool_folder, b"12345")
    wrong = Staged(path=short.path, size_bytes=6, sha256=short.sha256, head=short.head)
    with pytest.raises(Exception, match=r"did not store all bytes|not having enough|not have enough|enough data"):
        await blobs.put(key(1), wrong)
    assert await blobs.scan(after="", limit=10) == []


async def test_only_our_keys_are_ever_touched(blobs: BlobStore, spool_folder: Path) -> None:
    for name in ("../../etc/passwd", "0123456789abcdef/../x", "", "a/b", key(1) + "\n"):
        with pytest.raises(ValueError, match="not a blob key"):
            await blobs.put(name, staged(spool_folder, b"x"))
        with pytest.raises(ValueError, match="not a blob key"):
            await read(blobs, name, 0, 1)
        with pytest.raises(ValueError, match="not a blob key"):
            await blobs.delete(name)


async def test_a_scan_goes_through_all_keys_in_order(blobs: BlobStore, spool_folder: Path) -> None:
    keys = sorted(key(number, client) for number in range(3) for client in ("a", "b", "c"))
    await asyncio.gather(*(blobs.put(name, staged(spool_folder, b"x")) for name in keys))
    seen: list[str] = []
    while entries := await blobs.scan(after=seen[-1] if seen else "", limit=4):
        assert len(entries) <= 4
        assert all(entry.modified_ms > 1_700_000_000_000 for entry in entries)
        seen += [entry.key for entry in entries]
    assert seen == keys


async def test_a_store_in_order_checks_out(blobs: BlobStore) -> None:
    await blobs.check()
    await blobs.check()
