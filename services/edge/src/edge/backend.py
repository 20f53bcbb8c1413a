"""The edge's way to the gateway and the asset store: stubs, deadlines, and the caller's credential as metadata."""

from __future__ import annotations  # Async stubs exist for type checkers only.

from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection

from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.gateway.v1 import gateway_service_pb2_grpc as gateway_grpc
from atelier.providers.v1 import provider_service_pb2_grpc as provider_grpc
from edge.streams import Streams
from kit.errors import AppError, CredentialInvalid
from kit.rpc import Channel

CALL_TIMEOUT_S: Final = 10.0
SUBMIT_TIMEOUT_S: Final = 20.0  # A hold, a commit, and a name to resolve for each input URL.
TRANSFER_TIMEOUT_S: Final = 120.0  # The largest file over a slow line.
FETCH_TIMEOUT_S: Final = 45.0  # The wall gives an outside URL 30 s.
WATCH_TIMEOUT_S: Final = 3600.0
PROBE_TIMEOUT_S: Final = 3.0

Metadata = tuple[tuple[str, str], ...]


def submit_timeout_s(request: pb2.SubmitJobRequest) -> float:
    """How long a submit may take: longer with inputs by URL, since one of them is fetched where its size is priced."""
    return SUBMIT_TIMEOUT_S + (FETCH_TIMEOUT_S if any(one.url for one in request.inputs) else 0.0)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The services behind the edge."""

    gateway: gateway_grpc.GatewayServiceAsyncStub
    assets: assets_grpc.AssetServiceAsyncStub
    providers: provider_grpc.ProviderServiceAsyncStub
    streams: Streams = field(default_factory=Streams)

    @staticmethod
    def over(gateway: Channel, assets: Channel, providers: Channel) -> Backend:
        return Backend(
            gateway=gateway_grpc.GatewayServiceStub(gateway),
            assets=assets_grpc.AssetServiceStub(assets),
            providers=provider_grpc.ProviderServiceStub(providers),
        )

    async def prove(self, metadata: Metadata) -> None:
        """Raise what is wrong with the caller's credential, if anything."""
        await self.gateway.AuthorizeUpload(pb2.AuthorizeUploadRequest(), timeout=CALL_TIMEOUT_S, metadata=metadata)

    async def ready(self) -> bool:
        """Whether the gateway and its database answer: they do when they can tell that a made-up key is unknown."""
        probe = (("authorization", "Bearer readiness-probe"), ("atelier-peer-address", "127.0.0.1"))
        try:
            await self.gateway.GetBalance(pb2.GetBalanceRequest(), timeout=PROBE_TIMEOUT_S, metadata=probe)
        except CredentialInvalid:
            return True
        except AppError:
            return False
        return False


def caller(request: HTTPConnection, authorization: str) -> Metadata:
    """Metadata that tells the gateway who calls (`authorization` may be empty) and from where."""
    peer = request.client.host if request.client else ""
    facts: Metadata = (("atelier-peer-address", peer),)
    return (*facts, ("authorization", authorization)) if authorization else facts
