"""Proto to domain and back, nowhere else."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from asset_store.domain import Asset, Origin
from atelier.assets.v1 import asset_pb2

_ORIGINS: Final = {
    Origin.UPLOAD: asset_pb2.ASSET_ORIGIN_UPLOAD,
    Origin.URL: asset_pb2.ASSET_ORIGIN_URL,
    Origin.OUTPUT: asset_pb2.ASSET_ORIGIN_OUTPUT,
}
_FROM_ORIGINS: Final = {number: origin for origin, number in _ORIGINS.items()}


def to_origin(origin: asset_pb2.AssetOrigin) -> Origin | None:
    """The origin a filter asks for; None for any."""
    return _FROM_ORIGINS.get(origin)


def to_ms(moment: Timestamp) -> int:
    """Unix milliseconds."""
    return int(moment.seconds) * 1000 + int(moment.nanos) // 1_000_000


def to_timestamp(ms: int) -> Timestamp:
    """A moment of the proto."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def to_proto(asset: Asset) -> asset_pb2.Asset:
    """The record as callers see it."""
    return asset_pb2.Asset(
        id=asset.id,
        client_id=asset.client_id,
        origin=_ORIGINS[asset.origin],
        kind=asset.kind,
        name=asset.name,
        mime_type=asset.content.mime_type,
        size_bytes=asset.content.size_bytes,
        sha256=asset.content.sha256,
        width=asset.content.width,
        height=asset.content.height,
        job_id=asset.job_id,
        source_url=asset.source_url,
        create_time=to_timestamp(asset.create_ms),
        expire_time=None if asset.expire_ms is None else to_timestamp(asset.expire_ms),
    )
