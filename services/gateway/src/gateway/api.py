"""The front door's servicer: proves who calls, then translates and passes on. Decisions live in the use-cases."""

from __future__ import annotations  # Async stubs exist for type checkers only.

import hmac
from collections.abc import AsyncIterator
from typing import Any

import grpc

from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.gateway.v1 import gateway_service_pb2_grpc
from atelier.jobs.v1 import job_admin_service_pb2 as job_admin_pb2
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from atelier.jobs.v1 import job_service_pb2 as jobs_pb2
from atelier.jobs.v1 import job_service_pb2_grpc as jobs_grpc
from catalog import Catalog
from gateway import mapping
from gateway.clients import (
    ASSET_TIMEOUT_S,
    BALANCE_TIMEOUT_S,
    JOB_TIMEOUT_S,
    TICKET_TTL_S,
    UPLOAD_BYTES_MAX,
    WATCH_TIMEOUT_S,
)
from gateway.domain import Client
from gateway.secrets import Vault
from gateway.usecases.authenticate import Authenticate
from gateway.usecases.limit import LimitRate
from gateway.usecases.quote import QuoteJob
from gateway.usecases.submit import OUTCOME_UNKNOWN, Submit
from kit import identity
from kit.errors import AppError, AssetNotFound, InvalidArgument, JobNotFound, PermissionDenied
from kit.tickets import Ticket, TicketSigner

Context = grpc.aio.ServicerContext[Any, Any]


class GatewayServicer(gateway_service_pb2_grpc.GatewayServiceServicer):
    """`atelier.gateway.v1.GatewayService`."""

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        limit_rate: LimitRate,
        submit: Submit,
        quote: QuoteJob,
        catalog: Catalog,
        jobs: jobs_grpc.JobServiceAsyncStub,
        wallets: wallet_grpc.WalletServiceAsyncStub,
        assets: assets_grpc.AssetServiceAsyncStub,
        job_admin: job_admin_grpc.JobAdminServiceAsyncStub,
        tickets: TicketSigner,
        vault: Vault,
    ) -> None:
        self._authenticate = authenticate
        self._limit_rate = limit_rate
        self._submit = submit
        self._quote = quote
        self._catalog = catalog
        self._jobs = jobs
        self._wallets = wallets
        self._assets = assets
        self._job_admin = job_admin
        self._tickets = tickets
        self._vault = vault

    async def _client(self, context: Context) -> Client:
        """Return who calls, after counting the request: once for each of a partner's, however many calls it takes."""
        metadata = dict(context.invocation_metadata() or ())
        peer = _peer_address(metadata, context)
        client = await self._authenticate(str(metadata.get("authorization", "")), peer_address=peer)
        if not (metadata.get("atelier-follow-up") and _from_edge()):
            self._limit_rate(client)
        return client

    async def SubmitJob(self, request: pb2.SubmitJobRequest, context: Context) -> pb2.SubmitJobResponse:
        client = await self._client(context)
        try:
            answer = await self._submit(mapping.to_job_request(request), client)
        except AppError as error:
            if error.reason not in OUTCOME_UNKNOWN:  # A refusal wrote nothing.
                error.metadata["charged"] = "false"
            raise
        return pb2.SubmitJobResponse(job=answer.job, reused=answer.reused)

    async def GetJob(self, request: pb2.GetJobRequest, context: Context) -> pb2.GetJobResponse:
        client = await self._client(context)
        wanted = jobs_pb2.GetJobRequest(job_id=request.job_id)
        if request.WhichOneof("key") == "external_id":
            wanted = jobs_pb2.GetJobRequest(external_id=request.external_id)
        with identity.acting_as(client.id):
            answer = await self._jobs.GetJob(wanted, timeout=JOB_TIMEOUT_S)
        return pb2.GetJobResponse(job=answer.job)

    async def ListJobs(self, request: pb2.ListJobsRequest, context: Context) -> pb2.ListJobsResponse:
        client = await self._client(context)
        wanted = jobs_pb2.ListJobsRequest(
            states=request.states,
            capability=request.capability,
            models=request.models,
            before=request.before if request.HasField("before") else None,
            page_size=request.page_size,
            page_token=request.page_token,
            skip=request.skip,
            with_total=request.with_total,
            with_inputs=request.with_inputs if request.HasField("with_inputs") else None,
        )
        with identity.acting_as(client.id):
            answer = await self._jobs.ListJobs(wanted, timeout=JOB_TIMEOUT_S)
        return pb2.ListJobsResponse(jobs=answer.jobs, next_page_token=answer.next_page_token, total=answer.total)

    async def CancelJob(self, request: pb2.CancelJobRequest, context: Context) -> pb2.CancelJobResponse:
        client = await self._client(context)
        with identity.acting_as(client.id):
            answer = await self._jobs.CancelJob(jobs_pb2.CancelJobRequest(job_id=request.job_id), timeout=JOB_TIMEOUT_S)
        return pb2.CancelJobResponse(job=answer.job)

    async def WatchJobs(self, request: pb2.WatchJobsRequest, context: Context) -> AsyncIterator[pb2.WatchJobsResponse]:
        client = await self._client(context)
        wanted = jobs_pb2.WatchJobsRequest(
            after_position=request.after_position,
            job_id=request.job_id,
            tell_begin=request.tell_begin,
            from_first=request.from_first,
        )
        with identity.acting_as(client.id):
            changes = self._jobs.WatchJobs(wanted, timeout=WATCH_TIMEOUT_S)
            async for change in changes:
                yield pb2.WatchJobsResponse(event=change.event, job=change.job)

    async def QuoteJob(self, request: pb2.QuoteJobRequest, context: Context) -> pb2.QuoteJobResponse:
        client = await self._client(context)
        return mapping.to_quote(*await self._quote(mapping.to_quoted_request(request), client))

    async def ListModels(self, request: pb2.ListModelsRequest, context: Context) -> pb2.ListModelsResponse:
        client = await self._client(context)
        models = [model for model in self._catalog.models.values() if client.may_use(model.name)]
        return pb2.ListModelsResponse(models=[mapping.to_model(model, self._catalog.version) for model in models])

    async def GetBalance(self, request: pb2.GetBalanceRequest, context: Context) -> pb2.GetBalanceResponse:
        client = await self._client(context)
        with identity.acting_as(client.id):
            answer = await self._wallets.GetBalance(wallet_pb2.GetBalanceRequest(), timeout=BALANCE_TIMEOUT_S)
        return pb2.GetBalanceResponse(balances=answer.balances, user_id=client.user_id, client_id=client.id)

    async def AuthorizeUpload(
        self, request: pb2.AuthorizeUploadRequest, context: Context
    ) -> pb2.AuthorizeUploadResponse:
        client = await self._client(context)
        if request.kind not in {"", "image", "video", "vector"}:
            raise InvalidArgument("kind must be image, video or vector", field="kind")
        ticket = Ticket(action="upload", client_id=client.id, bytes_max=UPLOAD_BYTES_MAX, kind=request.kind)
        tickets = [self._tickets.sign(ticket, TICKET_TTL_S) for _ in range(request.count or 1)]
        return pb2.AuthorizeUploadResponse(tickets=tickets, bytes_max=UPLOAD_BYTES_MAX)

    async def AuthorizeRead(self, request: pb2.AuthorizeReadRequest, context: Context) -> pb2.AuthorizeReadResponse:
        client = await self._client(context)
        with identity.acting_as(client.id):
            wanted = assets_pb2.GetAssetRequest(asset_id=request.asset_id)
            answer = await self._assets.GetAsset(wanted, timeout=ASSET_TIMEOUT_S)
        ticket = Ticket(action="read", client_id=client.id, asset_id=answer.asset.id)
        return pb2.AuthorizeReadResponse(ticket=self._tickets.sign(ticket, TICKET_TTL_S), asset=answer.asset)

    async def GetAsset(self, request: pb2.GetAssetRequest, context: Context) -> pb2.GetAssetResponse:
        client = await self._client(context)
        with identity.acting_as(client.id):
            wanted = assets_pb2.GetAssetRequest(asset_id=request.asset_id)
            answer = await self._assets.GetAsset(wanted, timeout=ASSET_TIMEOUT_S)
        return pb2.GetAssetResponse(asset=answer.asset)

    async def ListAssets(self, request: pb2.ListAssetsRequest, context: Context) -> pb2.ListAssetsResponse:
        client = await self._client(context)
        wanted = assets_pb2.ListAssetsRequest(
            origin=request.origin,
            kind=request.kind,
            before=request.before if request.HasField("before") else None,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        with identity.acting_as(client.id):
            answer = await self._assets.ListAssets(wanted, timeout=ASSET_TIMEOUT_S)
        return pb2.ListAssetsResponse(assets=answer.assets, next_page_token=answer.next_page_token)

    async def DeleteAsset(self, request: pb2.DeleteAssetRequest, context: Context) -> pb2.DeleteAssetResponse:
        client = await self._client(context)
        with identity.acting_as(client.id):
            wanted = assets_pb2.DeleteAssetRequest(asset_id=request.asset_id)
            await self._assets.DeleteAsset(wanted, timeout=ASSET_TIMEOUT_S)
        return pb2.DeleteAssetResponse()

    async def LinkAssets(self, request: pb2.LinkAssetsRequest, context: Context) -> pb2.LinkAssetsResponse:
        client = await self._client(context)
        tokens = []
        with identity.acting_as(client.id):
            for asset_id in request.asset_ids:
                wanted = assets_pb2.CreateLinkRequest(asset_id=asset_id)
                try:
                    tokens.append((await self._assets.CreateLink(wanted, timeout=ASSET_TIMEOUT_S)).token)
                except AssetNotFound:  # Deleted, or kept long enough: the others still have theirs.
                    tokens.append("")
        return pb2.LinkAssetsResponse(tokens=tokens)

    async def LinkJob(self, request: pb2.LinkJobRequest, context: Context) -> pb2.LinkJobResponse:
        client = await self._client(context)
        with identity.acting_as(client.id):
            wanted = jobs_pb2.GetJobRequest(job_id=request.job_id)
            answer = await self._jobs.GetJob(wanted, timeout=JOB_TIMEOUT_S)
        return pb2.LinkJobResponse(token=self._vault.job_token(answer.job.id))

    async def OpenJobOutput(self, request: pb2.OpenJobOutputRequest, context: Context) -> pb2.OpenJobOutputResponse:
        expected = self._vault.job_token(request.job_id)
        if not hmac.compare_digest(expected.encode(), request.token.encode()):
            raise AssetNotFound
        with identity.acting_as(None):
            wanted = job_admin_pb2.InspectJobRequest(job_id=request.job_id)
            try:
                job = (await self._job_admin.InspectJob(wanted, timeout=JOB_TIMEOUT_S)).job
            except JobNotFound as error:
                raise AssetNotFound from error
        outputs = [output for output in job.outputs if output.role == request.role]
        if request.index >= len(outputs):
            raise AssetNotFound
        with identity.acting_as(job.client_id):
            asset_id = outputs[request.index].asset_id
            answer = await self._assets.GetAsset(assets_pb2.GetAssetRequest(asset_id=asset_id), timeout=ASSET_TIMEOUT_S)
        ticket = Ticket(action="read", client_id=job.client_id, asset_id=asset_id)
        return pb2.OpenJobOutputResponse(ticket=self._tickets.sign(ticket, TICKET_TTL_S), asset=answer.asset)


def _peer_address(metadata: dict[str, Any], context: Context) -> str:
    """The partner's address: what the edge says of it, else the address of the connection."""
    if _from_edge():
        return str(metadata.get("atelier-peer-address", ""))
    # gRPC writes "ipv4:203.0.113.7:51234" or "ipv6:[2001:db8::7]:51234".
    family, _, rest = str(context.peer()).partition(":")
    return rest.rpartition(":")[0].strip("[]") if family in {"ipv4", "ipv6"} else ""


def _from_edge() -> bool:
    """Whether the call is signed by the edge, which speaks for partners."""
    try:
        return identity.current().service == "edge"
    except PermissionDenied:
        return False
