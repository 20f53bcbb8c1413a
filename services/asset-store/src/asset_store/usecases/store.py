"""Bytes come in: received, judged, stored and verified, and only then recorded.

A crash leaves at most a file in the spool or bytes that no record names; the sweeper removes both. A failure leaves
nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from asset_store.domain import Asset, Content, Intake, Standing, blob_key
from asset_store.ports import AssetRecords, BlobStore, Inspector, Sink, Spool, Staged
from kit import crash, media
from kit.errors import AppError, Conflict, DeadlineExceeded, DependencyUnavailable, RequestIdReused
from kit.logging import get_logger

AFTER_BYTES: Final = crash.declare("assets.store.after_bytes", "the bytes are stored, no record names them")
AFTER_COMMIT: Final = crash.declare("assets.store.after_commit", "the record is committed, nobody was told")

_PICTURES: Final = frozenset({media.PNG, media.JPEG, media.WEBP, media.GIF})
_log = get_logger(__name__)

#: Writes the bytes of one file into the sink.
Pour = Callable[[Sink], Awaitable[None]]


class StoreFile:
    """Stores one file, whatever way it comes."""

    def __init__(
        self,
        *,
        spool: Spool,
        inspector: Inspector,
        blobs: BlobStore,
        records: AssetRecords,
        new_id: Callable[[], str],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._spool = spool
        self._inspector = inspector
        self._blobs = blobs
        self._records = records
        self._new_id = new_id
        self._random_bytes = random_bytes

    async def __call__(self, intake: Intake, pour: Pour) -> Asset:
        """Store what `pour` delivers and return its record.

        Raises BodyTooLarge, InputUnsupported, InputTooLarge, StorageFull; RequestIdReused when the intake's asset
        exists with other bytes; Conflict while it is being deleted; and what `pour` raises.
        """
        async with self._spool.open(bytes_max=intake.bytes_max) as file:
            await pour(file.write)
            staged = await file.finish()
            content = await self._judge(intake, staged)
            existing = await self._records.find_any(intake.asset_id) if intake.asset_id else None
            if existing is not None:
                return _same(existing, intake, content)
            return await self._keep(intake, staged, content)

    async def _judge(self, intake: Intake, staged: Staged) -> Content:
        facts = media.probe(staged.head)
        mime_type = intake.accept(None if facts is None else facts.mime_type)
        width = height = 0
        if mime_type in _PICTURES:
            if facts is not None and facts.width is not None and facts.height is not None:
                # The header's claim is enough to refuse, so that a bomb costs no process.
                intake.limits.check(width=facts.width, height=facts.height)
            width, height = await self._inspector.inspect(staged.path, mime_type=mime_type, limits=intake.limits)
        elif mime_type == media.MP4:
            width, height = await self._inspector.inspect_film(staged.path)
        return Content(
            mime_type=mime_type, size_bytes=staged.size_bytes, sha256=staged.sha256, width=width, height=height
        )

    async def _keep(self, intake: Intake, staged: Staged, content: Content) -> Asset:
        key = blob_key(intake.client_id, self._random_bytes(16))
        try:
            await self._blobs.put(key, staged)
        except asyncio.CancelledError:
            await self._drop(key)  # The put went on to its end, and nothing names what it stored.
            raise
        crash.point(AFTER_BYTES)
        asset_id = intake.asset_id or self._new_id()
        try:
            asset = await self._records.add(intake, content, asset_id=asset_id, blob_key=key)
        except (DeadlineExceeded, DependencyUnavailable):
            raise  # It may be committed: then the bytes are needed, else the sweeper finds them.
        except Exception:
            await self._drop(key)
            raise
        crash.point(AFTER_COMMIT)
        if asset.blob_key != key:  # Another upload of the same id was faster.
            await self._drop(key)
            return _same(asset, intake, content)
        _log.info(
            "asset_stored",
            asset_id=asset.id,
            client_id=asset.client_id,
            origin=asset.origin.value,
            job_id=asset.job_id,
            mime_type=content.mime_type,
            size_bytes=content.size_bytes,
        )
        return asset

    async def _drop(self, key: str) -> None:
        with suppress(AppError):  # The sweeper finds what stays.
            await self._blobs.delete(key)


def _same(existing: Asset, intake: Intake, content: Content) -> Asset:
    """The record of an upload that is repeated under its id."""
    same = (existing.client_id, existing.job_id, existing.content.sha256) == (
        intake.client_id,
        intake.job_id,
        content.sha256,
    )
    if not same:
        raise RequestIdReused("Other bytes are stored under this asset id.", asset_id=existing.id)
    if existing.standing is Standing.DELETING:
        raise Conflict("The asset is being deleted.", asset_id=existing.id)
    return existing
