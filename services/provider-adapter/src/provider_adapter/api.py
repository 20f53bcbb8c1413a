"""The provider adapter's RPCs: proto in, proto out."""

from typing import Any, TypeAlias

import grpc

from atelier.providers.v1 import provider_service_pb2 as pb
from atelier.providers.v1.provider_service_pb2_grpc import ProviderServiceServicer
from provider_adapter.mapping import from_roster
from provider_adapter.usecases.callback import Callbacks
from provider_adapter.usecases.roster import Roster

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class ProviderServicer(ProviderServiceServicer):
    """See provider_service.proto."""

    def __init__(self, roster: Roster, callbacks: Callbacks) -> None:
        self._roster = roster
        self._callbacks = callbacks

    async def ListProviders(self, request: pb.ListProvidersRequest, context: Context) -> pb.ListProvidersResponse:
        return pb.ListProvidersResponse(providers=from_roster(self._roster))

    async def DeliverCallback(self, request: pb.DeliverCallbackRequest, context: Context) -> pb.DeliverCallbackResponse:
        await self._callbacks.hear(request.provider, request.token, request.headers, request.body)
        return pb.DeliverCallbackResponse()
