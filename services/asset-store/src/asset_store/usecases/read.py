"""Bytes go out: whoever holds a ticket for an asset may read it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from asset_store.domain import Asset
from asset_store.ports import AssetRecords, BlobMissing, BlobStore
from kit.errors import AssetNotFound, Internal, InvalidArgument, TicketInvalid
from kit.logging import get_logger
from kit.tickets import TicketSigner

ACTION = "read"
_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """An asset and the bytes wanted of it."""

    asset: Asset
    chunks: AsyncIterator[bytes]


class ReadAsset:
    """Opens an asset's bytes."""

    def __init__(self, *, tickets: TicketSigner, records: AssetRecords, blobs: BlobStore) -> None:
        self._tickets = tickets
        self._records = records
        self._blobs = blobs

    async def __call__(self, token: str, *, offset: int, length: int) -> Reading:
        """Return the record and `length` bytes from `offset`; 0 means to the end, more than there are likewise.

        Raises TicketInvalid, AssetNotFound, and InvalidArgument for an offset beyond the end.
        """
        ticket = self._tickets.verify(token, action=ACTION)
        if not ticket.asset_id:
            raise TicketInvalid
        asset = await self._records.find(ticket.asset_id, client_id=ticket.client_id)
        if asset is None:
            raise AssetNotFound
        size = asset.content.size_bytes
        if offset >= size:
            raise InvalidArgument("The range begins beyond the end.", field="offset", size_bytes=size)
        wanted = min(length or size, size - offset)
        return Reading(asset=asset, chunks=self._chunks(asset, offset, wanted))

    async def _chunks(self, asset: Asset, offset: int, length: int) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._blobs.read(asset.blob_key, offset=offset, length=length):
                yield chunk
        except BlobMissing as error:
            if await self._records.find(asset.id, client_id=asset.client_id) is None:
                raise AssetNotFound from error  # Deleted a moment ago.
            _log.error("asset_bytes_missing", asset_id=asset.id)
            raise Internal from error
