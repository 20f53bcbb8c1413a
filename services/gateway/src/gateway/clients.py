"""The gateway's ways to the other services and to partners' webhooks: adapters of the use-cases' ports."""

from __future__ import annotations  # Async stubs exist for type checkers only.

from collections.abc import Mapping, Sequence
from typing import Final

import httpx

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.jobs.v1 import job_service_pb2 as jobs_pb2
from atelier.jobs.v1 import job_service_pb2_grpc as jobs_grpc
from catalog import Size
from gateway import mapping
from gateway.usecases.deliver import Answer
from gateway.usecases.submit import AdmittedJob
from kit import identity
from kit.errors import AppError, AssetNotFound, DependencyUnavailable, InputFetchRefused, InvalidArgument, JobNotFound
from kit.logging import get_logger
from kit.tickets import Ticket, TicketSigner
from kit.web import TargetUnreachable, WallPolicy, WebClient, vet

ACCEPT_TIMEOUT_S: Final = 10.0  # A hold and a commit, each of which waits for a disk.
JOB_TIMEOUT_S: Final = 5.0
ASSET_TIMEOUT_S: Final = 5.0
BALANCE_TIMEOUT_S: Final = 5.0
FETCH_TIMEOUT_S: Final = 45.0  # The wall gives an outside URL 30 s.
UPLOAD_BYTES_MAX: Final = 20 * 1024 * 1024  # The open contract's largest file; the engines accept less.
TICKET_TTL_S: Final = 300.0  # A slow upload of the largest file takes less; a leaked ticket is soon worth nothing.
REVIEW_TIMEOUT_S: Final = 3.0  # Submitting waits for it.
WATCH_TIMEOUT_S: Final = 3600.0  # A watcher reconnects with its position after an hour.

log = get_logger(__name__)


class GrpcJobs:
    """`usecases.submit.Jobs` over the orchestrator's contract."""

    def __init__(self, stub: jobs_grpc.JobServiceAsyncStub) -> None:
        self._stub = stub

    async def accept(self, job: AdmittedJob) -> jobs_pb2.AcceptJobResponse:
        with identity.acting_as(job.client.id):
            return await self._stub.AcceptJob(mapping.to_accept_request(job), timeout=ACCEPT_TIMEOUT_S)

    async def exists(self, job_id: str, *, client_id: str) -> bool:
        with identity.acting_as(client_id):
            try:
                await self._stub.GetJob(jobs_pb2.GetJobRequest(job_id=job_id), timeout=JOB_TIMEOUT_S)
            except JobNotFound:
                return False
        return True


class GrpcInputs:
    """`usecases.inputs.Inputs` over the asset store's contract."""

    def __init__(self, stub: assets_grpc.AssetServiceAsyncStub, tickets: TicketSigner) -> None:
        self._stub = stub
        self._tickets = tickets

    async def check_asset(self, asset_id: str, *, client_id: str, field: str) -> Size | None:
        with identity.acting_as(client_id):
            try:
                wanted = assets_pb2.GetAssetRequest(asset_id=asset_id)
                answer = await self._stub.GetAsset(wanted, timeout=ASSET_TIMEOUT_S)
            except (AssetNotFound, InvalidArgument) as error:
                raise AssetNotFound(field=field) from error
        return _size_of(answer.asset)

    async def take_in(self, url: str, *, client_id: str, field: str) -> tuple[str, Size | None]:
        ticket = Ticket(action="upload", client_id=client_id, bytes_max=UPLOAD_BYTES_MAX, kind="image")
        wanted = assets_pb2.FetchAssetRequest(ticket=self._tickets.sign(ticket, TICKET_TTL_S), url=url, kind="image")
        try:
            answer = await self._stub.FetchAsset(wanted, timeout=FETCH_TIMEOUT_S)
        except AppError as error:
            error.field = field
            raise
        return answer.asset.id, _size_of(answer.asset)

    async def drop(self, asset_id: str, *, client_id: str) -> None:
        wanted = assets_pb2.DeleteAssetRequest(asset_id=asset_id)
        with identity.acting_as(client_id):
            try:
                await self._stub.DeleteAsset(wanted, timeout=ASSET_TIMEOUT_S)
            except AppError as error:
                log.warning("asset_left_behind", asset_id=asset_id, cause=error.reason)

    async def check_url(self, url: str, *, field: str) -> None:
        try:
            await self._stub.VetUrl(assets_pb2.VetUrlRequest(url=url), timeout=ASSET_TIMEOUT_S)
        except (InputFetchRefused, InvalidArgument) as error:
            raise InputFetchRefused(field=field) from error


def _size_of(asset: asset_pb2.Asset) -> Size | None:
    return Size(width=asset.width, height=asset.height) if asset.width and asset.height else None


class WallWebhooks:
    """`usecases.submit.Webhooks`: the text of the URL is judged at submit, its addresses at every try."""

    def __init__(self, policy: WallPolicy) -> None:
        self._policy = policy

    def check(self, url: str, *, field: str) -> None:
        try:
            vet(url, self._policy, field_name=field)
        except InputFetchRefused as error:
            raise InvalidArgument("The webhook URL is not one we may call.", field=field) from error


class WallSender:
    """`usecases.deliver.Sender` through the wall."""

    def __init__(self, client: WebClient) -> None:
        self._client = client

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        try:
            posted = await self._client.post(url, body, headers, timeout_s=timeout_s)
        except TargetUnreachable:
            return Answer(status=0)
        return Answer(status=posted.status, retry_after_s=posted.retry_after_s)


class HttpReviewer:
    """`usecases.moderate.Reviewer` over HTTP: the operator's own service, so the wall does not stand before it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=REVIEW_TIMEOUT_S, trust_env=False)

    async def refuses(self, texts: Sequence[str]) -> bool:
        try:
            answer = await self._client.post(self._url, json={"texts": list(texts)})
            verdict = answer.raise_for_status().json()["refused"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("moderation_service_away", error=type(error).__name__)
            raise DependencyUnavailable("The moderation service did not answer.") from error
        return verdict is not False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
