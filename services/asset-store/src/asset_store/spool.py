"""Incoming bytes on a local disk, hashed while they arrive, until they are judged."""

import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Final

from asset_store.domain import FIELD
from asset_store.ports import Staged
from asset_store.threads import Threads
from kit import media
from kit.errors import BodyTooLarge, InputUnsupported

FLUSH_BYTES: Final = 1024 * 1024  # One hop into a thread for so many bytes; a small picture takes one in all.


class FolderSpool:
    """A `Spool` in a folder; one on the blob folder's own disk lets it take files over by renaming them."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when it is first needed."""
        self._folder = folder.absolute()  # A decoder opens the files by their path.
        self._threads = Threads("spool")

    @asynccontextmanager
    async def open(self, *, bytes_max: int) -> AsyncIterator["FolderSpoolFile"]:
        """See `Spool.open`."""
        path = self._folder / secrets.token_hex(16)
        file = FolderSpoolFile(path, bytes_max=bytes_max, threads=self._threads)
        try:
            yield file
        finally:
            await self._threads.run(file.discard)

    async def sweep(self, *, older_than_s: float) -> int:
        """See `Spool.sweep`."""
        return await self._threads.run(self._sweep, time.time() - older_than_s)

    def _sweep(self, before_s: float) -> int:
        if not self._folder.is_dir():
            return 0
        removed = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before_s:
                        os.unlink(entry)
                        removed += 1
        return removed

    def close(self) -> None:
        """Free the threads."""
        self._threads.close()


class FolderSpoolFile:
    """One file being received. Not for concurrent writers."""

    def __init__(self, path: Path, *, bytes_max: int, threads: Threads) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._threads = threads
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0
        self._head = b""

    async def write(self, chunk: bytes) -> None:
        """See `SpoolFile.write`."""
        self._size += len(chunk)
        if self._size > self._bytes_max:
            raise BodyTooLarge(
                f"The file is larger than {self._bytes_max} bytes.", field=FIELD, bytes_max=self._bytes_max
            )
        if len(self._head) < media.PROBE_BYTES:
            self._head += chunk[: media.PROBE_BYTES - len(self._head)]
        self._buffer += chunk
        if len(self._buffer) >= FLUSH_BYTES:
            await self._threads.run(self._flush)

    async def finish(self) -> Staged:
        """See `SpoolFile.finish`."""
        if self._size == 0:
            raise InputUnsupported("The file is empty.", field=FIELD)
        await self._threads.run(self._end)
        return Staged(path=self._path, size_bytes=self._size, sha256=self._digest.hexdigest(), head=self._head)

    def _flush(self) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=0)
        self._digest.update(self._buffer)
        pending = memoryview(self._buffer)
        try:
            while pending:
                pending = pending[self._file.write(pending) :]
        finally:
            pending.release()
        self._buffer = bytearray()

    def _end(self) -> None:
        self._flush()
        assert self._file is not None
        self._file.close()

    def discard(self) -> None:
        """Close and delete the file; without effect on one that was taken over."""
        if self._file is None:
            return
        self._file.close()
        with suppress(FileNotFoundError):
            self._path.unlink()
