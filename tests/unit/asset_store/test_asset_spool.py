"""Files being received, and the folder they are moved into."""

import asyncio
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from asset_store.blobs_folder import INCOMING, FolderBlobs
from asset_store.domain import blob_key
from asset_store.ports import Staged
from asset_store.spool import FLUSH_BYTES, FolderSpool
from asset_store.threads import Threads
from kit import media
from kit.errors import BodyTooLarge, InputUnsupported, StorageFull

KEY = blob_key("partner-a", bytes(16))


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    return FolderSpool(tmp_path / INCOMING)


def spooled(tmp_path: Path) -> list[str]:
    folder = tmp_path / INCOMING
    return os.listdir(folder) if folder.exists() else []


@pytest.mark.parametrize("size", [1, 1000, FLUSH_BYTES - 1, FLUSH_BYTES, 3 * FLUSH_BYTES + 5])
async def test_what_was_written_is_staged_with_its_hash_and_head(spool: FolderSpool, size: int) -> None:
    data = os.urandom(size)
    async with spool.open(bytes_max=size) as file:
        for start in range(0, size, 70_001):
            await file.write(data[start : start + 70_001])
        staged = await file.finish()
        assert await asyncio.to_thread(staged.path.read_bytes) == data
    assert (staged.size_bytes, staged.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert staged.head == data[: media.PROBE_BYTES]
    assert not staged.path.exists()


async def test_the_byte_beyond_the_limit_is_refused(spool: FolderSpool, tmp_path: Path) -> None:
    async with spool.open(bytes_max=10) as file:
        await file.write(b"1234567890")
        with pytest.raises(BodyTooLarge) as caught:
            await file.write(b"1")
    assert (caught.value.field, caught.value.metadata) == ("file", {"bytes_max": "10"})
    assert spooled(tmp_path) == []


async def test_an_empty_file_is_refused(spool: FolderSpool, tmp_path: Path) -> None:
    async with spool.open(bytes_max=10) as file:
        await file.write(b"")
        with pytest.raises(InputUnsupported, match="empty"):
            await file.finish()
    assert spooled(tmp_path) == []


async def test_an_error_while_receiving_leaves_nothing(spool: FolderSpool, tmp_path: Path) -> None:
    async def receive() -> None:
        async with spool.open(bytes_max=10 * FLUSH_BYTES) as file:
            await file.write(bytes(2 * FLUSH_BYTES))
            assert len(spooled(tmp_path)) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await receive()
    assert spooled(tmp_path) == []


async def test_a_spool_without_a_folder_has_nothing_to_sweep(spool: FolderSpool) -> None:
    assert await spool.sweep(older_than_s=0) == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_told_as_such(number: int) -> None:
    def full() -> None:
        raise OSError(number, "full")

    threads = Threads("test")
    with pytest.raises(StorageFull):
        await threads.run(full)
    threads.close()


async def test_a_full_disk_while_receiving_leaves_nothing(spool: FolderSpool, tmp_path: Path) -> None:
    async with spool.open(bytes_max=10 * FLUSH_BYTES) as file:
        await file.write(bytes(FLUSH_BYTES))
        assert file._file is not None
        file._file.close()
        file._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - what a full disk does.
        with pytest.raises(StorageFull):
            await file.write(bytes(FLUSH_BYTES))
    assert spooled(tmp_path) == []


async def test_other_errors_of_the_disk_come_through() -> None:
    threads = Threads("test")
    with pytest.raises(PermissionError):
        await threads.run(lambda: (_ for _ in ()).throw(PermissionError()))
    threads.close()


async def test_a_cancelled_caller_waits_for_its_work() -> None:
    ended: list[bool] = []
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        import time

        time.sleep(0.2)
        ended.append(True)

    threads = Threads("test")
    call = asyncio.create_task(threads.run(work))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended == [True]
    threads.close()


async def stage(spool_folder: Path, data: bytes) -> Staged:
    await asyncio.to_thread(spool_folder.mkdir, parents=True, exist_ok=True)
    path = spool_folder / "staged"
    await asyncio.to_thread(path.write_bytes, data)
    return Staged(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), head=data)


async def test_a_file_from_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def refuse_other_disk(source: Path, target: Path) -> Any:
        if source.parent != target.parent.parent / INCOMING:
            raise OSError(errno.EXDEV, "another disk")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse_other_disk)
    blobs = FolderBlobs(tmp_path / "blobs")
    await blobs.put(KEY, await stage(tmp_path / "far", b"12345"))
    assert [chunk async for chunk in blobs.read(KEY, offset=0, length=5)] == [b"12345"]
    assert list((tmp_path / "blobs" / INCOMING).iterdir()) == []
    await blobs.close()


async def test_a_file_on_the_same_disk_is_moved(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    staged = await stage(tmp_path / INCOMING, b"12345")
    inode = staged.path.stat().st_ino
    await blobs.put(KEY, staged)
    assert (tmp_path / KEY).stat().st_ino == inode
    assert not staged.path.exists()
    await blobs.close()


async def test_a_scan_passes_over_what_is_not_ours(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    assert await blobs.scan(after="", limit=9) == []
    await blobs.put(KEY, await stage(tmp_path / INCOMING, b"1"))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / KEY).with_name("stray").write_text("x")
    assert [entry.key for entry in await blobs.scan(after="", limit=9)] == [KEY]
    await blobs.close()
