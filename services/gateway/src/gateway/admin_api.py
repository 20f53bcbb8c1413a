"""The operator's servicer: clients, credentials, webhook deliveries."""

from typing import Any

import grpc

from atelier.gateway.v1 import client_admin_service_pb2 as pb2
from atelier.gateway.v1 import client_admin_service_pb2_grpc
from gateway import mapping
from gateway.usecases.clients import ManageClients, ManageDeliveries
from kit.identity import require_service

OPERATOR = "operator"

Context = grpc.aio.ServicerContext[Any, Any]


class ClientAdminServicer(client_admin_service_pb2_grpc.ClientAdminServiceServicer):
    """`atelier.gateway.v1.ClientAdminService`, for the operator's signed identity only."""

    def __init__(self, *, clients: ManageClients, deliveries: ManageDeliveries) -> None:
        self._clients = clients
        self._deliveries = deliveries

    async def PutClient(self, request: pb2.PutClientRequest, context: Context) -> pb2.PutClientResponse:
        require_service(OPERATOR)
        client, created = await self._clients.put(mapping.to_domain_client(request.client))
        return pb2.PutClientResponse(client=mapping.to_client(client), created=created)

    async def GetClient(self, request: pb2.GetClientRequest, context: Context) -> pb2.GetClientResponse:
        require_service(OPERATOR)
        return pb2.GetClientResponse(client=mapping.to_client(await self._clients.get(request.client_id)))

    async def ListClients(self, request: pb2.ListClientsRequest, context: Context) -> pb2.ListClientsResponse:
        require_service(OPERATOR)
        clients = await self._clients.page(after_id=request.page_token, size=request.page_size)
        full = request.page_size and len(clients) == request.page_size
        return pb2.ListClientsResponse(
            clients=[mapping.to_client(client) for client in clients],
            next_page_token=clients[-1].id if full else "",
        )

    async def AddCredential(self, request: pb2.AddCredentialRequest, context: Context) -> pb2.AddCredentialResponse:
        require_service(OPERATOR)
        made = await self._clients.add_credential(
            request.client_id,
            mapping.CREDENTIAL_KINDS[request.kind],
            secret=request.secret,
            app_id=request.app_id,
            expire_ms=mapping.to_ms(request.expire_time) if request.HasField("expire_time") else None,
        )
        return pb2.AddCredentialResponse(credential=mapping.to_credential(made.credential), secret=made.secret)

    async def ListCredentials(
        self, request: pb2.ListCredentialsRequest, context: Context
    ) -> pb2.ListCredentialsResponse:
        require_service(OPERATOR)
        credentials = await self._clients.credentials(request.client_id)
        return pb2.ListCredentialsResponse(credentials=[mapping.to_credential(one) for one in credentials])

    async def RevokeCredential(
        self, request: pb2.RevokeCredentialRequest, context: Context
    ) -> pb2.RevokeCredentialResponse:
        require_service(OPERATOR)
        await self._clients.revoke(request.credential_id)
        return pb2.RevokeCredentialResponse()

    async def ListDeliveries(self, request: pb2.ListDeliveriesRequest, context: Context) -> pb2.ListDeliveriesResponse:
        require_service(OPERATOR)
        deliveries = await self._deliveries.page(
            client_id=request.client_id, job_id=request.job_id, state=request.state, size=request.page_size
        )
        return pb2.ListDeliveriesResponse(deliveries=[mapping.to_delivery(one) for one in deliveries])

    async def ReplayDelivery(self, request: pb2.ReplayDeliveryRequest, context: Context) -> pb2.ReplayDeliveryResponse:
        require_service(OPERATOR)
        delivery = await self._deliveries.replay(request.delivery_id)
        return pb2.ReplayDeliveryResponse(delivery=mapping.to_delivery(delivery))
