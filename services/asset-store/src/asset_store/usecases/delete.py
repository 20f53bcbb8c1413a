"""Deleting is marking, then removing the bytes, then the record: whatever breaks, the sweeper can go on."""

from collections.abc import Sequence
from typing import Final

from asset_store.domain import Asset
from asset_store.ports import AssetRecords, BlobStore
from kit import crash
from kit.errors import AppError
from kit.logging import get_logger

BETWEEN: Final = crash.declare("assets.delete.between", "the record is marked as deleting, its bytes are still there")
_log = get_logger(__name__)


class Erase:
    """Removes bytes and records of assets that are deleting."""

    def __init__(self, *, blobs: BlobStore, records: AssetRecords) -> None:
        self._blobs = blobs
        self._records = records

    async def __call__(self, doomed: Sequence[Asset]) -> int:
        """Return how many are gone. What cannot be removed now stays deleting, for the sweeper."""
        gone: list[str] = []
        for asset in doomed:
            crash.point(BETWEEN)
            try:
                await self._blobs.delete(asset.blob_key)
            except AppError as error:
                _log.warning("asset_bytes_not_deleted", asset_id=asset.id, reason=error.reason.value)
                continue
            gone.append(asset.id)
        try:
            await self._records.finish_delete(gone)
        except AppError as error:
            _log.warning("asset_records_not_deleted", assets=len(gone), reason=error.reason.value)
            return 0
        return len(gone)
