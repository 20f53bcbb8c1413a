"""Blobs as files in a folder: `<root>/<client hash>/<random>`, each written elsewhere and renamed into place."""

import errno
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from asset_store.domain import is_blob_key
from asset_store.ports import CHUNK_BYTES, BlobEntry, BlobMissing, Staged
from asset_store.threads import Threads
from kit.errors import DependencyUnavailable

READ_BYTES: Final = 4 * CHUNK_BYTES  # One hop into a thread for four messages.
INCOMING: Final = ".incoming"  # The spool's folder: on the same disk, and no client hash begins with a dot.


class FolderBlobs:
    """A `BlobStore` on a local or shared file system."""

    def __init__(self, root: Path) -> None:
        """The folder is made when it is first needed."""
        self._root = root
        self._threads = Threads("blobs")

    async def put(self, key: str, staged: Staged) -> None:
        """See `BlobStore.put`. Takes the staged file away when it lies on the same disk."""
        await self._threads.run(self._put, self._path(key), staged)

    async def read(self, key: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """See `BlobStore.read`."""
        try:
            descriptor = await self._threads.run(os.open, self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise BlobMissing(key) from error
        try:
            end = offset + length
            while offset < end:
                data = await self._threads.run(os.pread, descriptor, min(READ_BYTES, end - offset), offset)
                if not data:
                    raise DependencyUnavailable("Stored bytes are shorter than their record.")
                offset += len(data)
                for start in range(0, len(data), CHUNK_BYTES):
                    yield data[start : start + CHUNK_BYTES]
        finally:
            os.close(descriptor)

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        with suppress(FileNotFoundError):
            await self._threads.run(self._path(key).unlink)

    async def scan(self, *, after: str, limit: int) -> Sequence[BlobEntry]:
        """See `BlobStore.scan`."""
        return await self._threads.run(self._scan, after, limit)

    async def check(self) -> None:
        """See `BlobStore.check`."""
        await self._threads.run(self._check)

    async def close(self) -> None:
        """See `BlobStore.close`."""
        self._threads.close()

    def _path(self, key: str) -> Path:
        if not is_blob_key(key):
            raise ValueError("not a blob key")
        return self._root / key

    def _put(self, path: Path, staged: Staged) -> None:
        self._make_folder(path.parent)
        with staged.path.open("rb") as file:
            os.fsync(file.fileno())  # The bytes, before anything can name them.
        try:
            self._move(staged.path, path)
            _fsync_folder(path.parent)  # The name.
            if path.stat().st_size != staged.size_bytes:
                raise DependencyUnavailable("The folder did not store all bytes.")
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _move(self, source: Path, target: Path) -> None:
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:  # Else the spool lies on another disk.
                raise
            self._copy(source, target)

    def _copy(self, source: Path, target: Path) -> None:
        incoming = self._root / INCOMING
        incoming.mkdir(exist_ok=True)
        near = incoming / target.name
        try:
            shutil.copyfile(source, near)
            with near.open("rb") as file:
                os.fsync(file.fileno())
            near.rename(target)
        finally:
            near.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._root.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        _fsync_folder(self._root)

    def _scan(self, after: str, limit: int) -> list[BlobEntry]:
        if not self._root.is_dir():
            return []
        found: list[BlobEntry] = []
        prefix = after.partition("/")[0]
        for client in sorted(name for name in os.listdir(self._root) if name >= prefix):
            with suppress(NotADirectoryError, FileNotFoundError):
                found += self._scan_client(client, after, limit - len(found))
            if len(found) >= limit:
                break
        return found

    def _scan_client(self, client: str, after: str, limit: int) -> list[BlobEntry]:
        keys = sorted(f"{client}/{name}" for name in os.listdir(self._root / client))
        entries: list[BlobEntry] = []
        for key in keys:
            if len(entries) >= limit:
                break
            if key > after and is_blob_key(key):
                with suppress(FileNotFoundError):
                    modified_ms = (self._root / key).stat().st_mtime_ns // 1_000_000
                    entries.append(BlobEntry(key=key, modified_ms=modified_ms))
        return entries

    def _check(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DependencyUnavailable("The folder for assets cannot be used.") from error
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise DependencyUnavailable("The folder for assets cannot be written.")


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
