"""The asset store's RPCs: proto in, proto out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from asset_store.mapping import to_ms, to_origin, to_proto
from asset_store.ports import Filter
from asset_store.usecases.links import CreateLink, OpenLink
from asset_store.usecases.outputs import FindAsset
from asset_store.usecases.read import ReadAsset
from asset_store.usecases.records import DeleteAsset, ListAssets
from asset_store.usecases.take import FetchAsset, UploadAsset, VetUrl
from atelier.assets.v1 import asset_service_pb2 as pb
from atelier.assets.v1.asset_service_pb2_grpc import AssetServiceServicer
from kit.errors import AssetNotFound, InvalidArgument
from kit.identity import require_client

NUL: Final = "\x00"  # Postgres takes no text that holds it.
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, kw_only=True)
class UseCases:
    """What the RPCs call."""

    upload: UploadAsset
    fetch: FetchAsset
    vet: VetUrl
    read: ReadAsset
    find: FindAsset
    list: ListAssets
    delete: DeleteAsset
    create_link: CreateLink
    open_link: OpenLink


class AssetServicer(AssetServiceServicer):
    """See asset_service.proto."""

    def __init__(self, usecases: UseCases) -> None:
        self._do = usecases

    async def UploadAsset(
        self, request_iterator: AsyncIterator[pb.UploadAssetRequest], context: Context
    ) -> pb.UploadAssetResponse:
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("header"):
            raise InvalidArgument("The first message is the header.", field="header")
        asset = await self._do.upload(
            first.header.ticket, name=first.header.name, kind=first.header.kind, chunks=_chunks(request_iterator)
        )
        return pb.UploadAssetResponse(asset=to_proto(asset))

    async def FetchAsset(self, request: pb.FetchAssetRequest, context: Context) -> pb.FetchAssetResponse:
        asset = await self._do.fetch(request.ticket, request.url, name=request.name, kind=request.kind)
        return pb.FetchAssetResponse(asset=to_proto(asset))

    async def VetUrl(self, request: pb.VetUrlRequest, context: Context) -> pb.VetUrlResponse:
        await self._do.vet(request.url)
        return pb.VetUrlResponse()

    async def ReadAsset(self, request: pb.ReadAssetRequest, context: Context) -> AsyncIterator[pb.ReadAssetResponse]:
        reading = await self._do.read(request.ticket, offset=request.offset, length=request.length)
        announced = False
        async for chunk in reading.chunks:
            if not announced:  # Only now is it sure that the bytes are there.
                yield pb.ReadAssetResponse(asset=to_proto(reading.asset))
                announced = True
            yield pb.ReadAssetResponse(chunk=chunk)

    async def GetAsset(self, request: pb.GetAssetRequest, context: Context) -> pb.GetAssetResponse:
        asset = await self._do.find(known_text(request.asset_id), client_id=require_client())
        return pb.GetAssetResponse(asset=to_proto(asset))

    async def ListAssets(self, request: pb.ListAssetsRequest, context: Context) -> pb.ListAssetsResponse:
        client_id = require_client()
        if NUL in request.kind + request.job_id:
            return pb.ListAssetsResponse()  # No asset has such a kind or job.
        wanted = Filter(
            client_id=client_id,
            origin=to_origin(request.origin),
            kind=request.kind,
            job_id=request.job_id,
            before_ms=to_ms(request.before) if request.HasField("before") else None,
        )
        page = await self._do.list(wanted, page_size=request.page_size, page_token=request.page_token)
        return pb.ListAssetsResponse(assets=[to_proto(asset) for asset in page.assets], next_page_token=page.next_token)

    async def DeleteAsset(self, request: pb.DeleteAssetRequest, context: Context) -> pb.DeleteAssetResponse:
        client_id = require_client()
        if NUL not in request.asset_id:  # Otherwise it is absent, which is no error here.
            await self._do.delete(request.asset_id, client_id=client_id)
        return pb.DeleteAssetResponse()

    async def CreateLink(self, request: pb.CreateLinkRequest, context: Context) -> pb.CreateLinkResponse:
        if NUL in request.variant:
            raise InvalidArgument("The variant is plain text.", field="variant")
        token = await self._do.create_link(
            known_text(request.asset_id),
            request.variant,
            client_id=require_client(),
            expire_ms=to_ms(request.expire_time) if request.HasField("expire_time") else None,
        )
        return pb.CreateLinkResponse(token=token)

    async def OpenLink(self, request: pb.OpenLinkRequest, context: Context) -> pb.OpenLinkResponse:
        ticket, asset = await self._do.open_link(known_text(request.token))
        return pb.OpenLinkResponse(ticket=ticket, asset=to_proto(asset))


def known_text(text: str) -> str:
    """Return an id or token as it came. Raises AssetNotFound for one with NUL: no asset has it."""
    if NUL in text:
        raise AssetNotFound
    return text


async def _chunks(messages: AsyncIterator[pb.UploadAssetRequest]) -> AsyncIterator[bytes]:
    async for message in messages:
        if not message.HasField("chunk"):
            raise InvalidArgument("The header comes once, before the chunks.", field="header")
        yield message.chunk
