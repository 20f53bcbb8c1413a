"""The adapter's ways to the orchestrator and the asset store: `ports.Leases` and `ports.Assets` over gRPC."""

from __future__ import annotations  # Async stubs exist for type checkers only.

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.jobs.v1 import job_admin_service_pb2 as admin_pb2
from atelier.jobs.v1 import job_admin_service_pb2_grpc as admin_grpc
from atelier.jobs.v1 import lease_service_pb2 as lease_pb2
from atelier.jobs.v1 import lease_service_pb2_grpc as lease_grpc
from kit import identity
from kit.errors import ProviderResultInvalid, RequestIdReused
from kit.logging import get_logger
from kit.rpc import Channel
from kit.tickets import Ticket, TicketSigner
from provider_adapter.domain import Ending, Input, Job, Lease, StoredOutput
from provider_adapter.mapping import to_duration, to_facts, to_finish_request, to_lease
from provider_adapter.ports import AssetFacts, OutputFile
from provider_adapter.renewing import Renewing

CALL_S: Final = 10.0  # One commit, behind whatever else waits for the same disk.
LONG_POLL_MARGIN_S: Final = 5.0  # For the answer of a long poll to arrive after its wait is over.
FETCH_S: Final = 60.0  # The asset store gives a URL 30 s, and then looks into the file.
TRANSFER_S: Final = 300.0  # The largest asset (512 MiB) over a slow link between services, and a look into it.
TICKET_S: Final = 900.0  # Longer than the longest transfer; every try gets a new one.
LINK_S: Final = 3600.0  # Providers fetch inputs when they begin, which may be behind a queue.
CHUNK_BYTES: Final = 256 * 1024  # Few messages, and little memory behind a slow reader.
FETCHED_INPUT_KEPT_S: Final = 7 * 24 * 3600  # Long enough to look into a complaint about the job.

_KINDS: Final = {"image": "image", "grid": "image", "tile": "image", "video": "video", "vector": "vector"}
_EXTENSIONS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4"}
_log = get_logger(__name__)


class GrpcLeases:
    """`ports.Leases` over LeaseService."""

    def __init__(self, stub: lease_grpc.LeaseServiceAsyncStub) -> None:
        self._stub = stub
        self._renewing = Renewing(stub)

    async def lease(
        self, pool: str, worker_id: str, *, slots: int, wait_s: float, lease_s: float, until: asyncio.Event
    ) -> list[Lease]:
        """Long-poll for jobs; see the port."""
        request = lease_pb2.LeaseJobsRequest(
            pool=pool, worker_id=worker_id, slots=slots, wait=to_duration(wait_s), lease=to_duration(lease_s)
        )
        call = self._stub.LeaseJobs(request, timeout=wait_s + LONG_POLL_MARGIN_S)

        async def answer_of_call() -> lease_pb2.LeaseJobsResponse:
            return await call

        answer = asyncio.ensure_future(answer_of_call())
        stopped = asyncio.ensure_future(until.wait())
        try:
            await asyncio.wait({answer, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                call.cancel()  # Not the task: an answer that is just arriving holds jobs, and must be heard.
                await asyncio.wait({answer})
        finally:
            stopped.cancel()
            answer.cancel()
        return [] if answer.cancelled() else _to_leases(answer.result())

    async def renew(self, lease: Lease, *, percent: int, lease_s: float) -> bool:
        """Keep the lease alive; returns whether a cancel was asked for."""
        return await self._renewing.renew(lease, percent=percent, lease_s=lease_s)

    async def begin(self, lease: Lease, *, attempt_id: str, route: int, repeatable: bool) -> None:
        """Write the intent to call a provider."""
        request = lease_pb2.BeginAttemptRequest(
            job_id=lease.job.id, epoch=lease.epoch, attempt_id=attempt_id, route=route, repeatable=repeatable
        )
        await self._stub.BeginAttempt(request, timeout=CALL_S)

    async def record(self, lease: Lease, *, attempt_id: str, upstream_task_id: str) -> None:
        """Write the provider's task id."""
        request = lease_pb2.RecordUpstreamRequest(
            job_id=lease.job.id, epoch=lease.epoch, attempt_id=attempt_id, upstream_task_id=upstream_task_id
        )
        await self._stub.RecordUpstream(request, timeout=CALL_S)

    async def finish(self, lease: Lease, *, attempt_id: str, ending: Ending) -> None:
        """End the lease."""
        await self._stub.FinishAttempt(to_finish_request(lease, attempt_id, ending), timeout=CALL_S)

    async def release(self, lease: Lease) -> None:
        """Give the job back unharmed."""
        request = lease_pb2.ReleaseLeaseRequest(job_id=lease.job.id, epoch=lease.epoch)
        await self._stub.ReleaseLease(request, timeout=CALL_S)


class GrpcAttempts:
    """`usecases.callback.Attempts` over JobAdminService."""

    def __init__(self, connect: Callable[[], Channel]) -> None:
        """`connect` is called with the first callback: no channel is there before the engine's processes are."""
        self._connect = connect
        self._stub: admin_grpc.JobAdminServiceAsyncStub | None = None

    async def found(self, attempt_id: str, upstream_task_id: str) -> None:
        """Tell that the provider has this task of the attempt."""
        if self._stub is None:
            self._stub = admin_grpc.JobAdminServiceStub(self._connect())
        request = admin_pb2.ResolveAttemptRequest(attempt_id=attempt_id, upstream_task_id=upstream_task_id)
        await self._stub.ResolveAttempt(request, timeout=CALL_S)


class GrpcAssets:
    """`ports.Assets` over AssetService."""

    def __init__(self, stub: assets_grpc.AssetServiceAsyncStub, tickets: TicketSigner, *, public_url: str = "") -> None:
        """`public_url`: where providers reach the edge; empty for no links."""
        self._stub = stub
        self._tickets = tickets
        self._public_url = public_url.rstrip("/")

    async def find(self, job: Job, asset_id: str) -> AssetFacts:
        """Return the record of an input."""
        with identity.acting_as(job.client_id):
            answer = await self._stub.GetAsset(assets_pb2.GetAssetRequest(asset_id=asset_id), timeout=CALL_S)
        return to_facts(answer.asset)

    async def fetch(self, job: Job, one: Input, *, asset_id: str) -> AssetFacts:
        """Store what is behind the input's URL under this id, unless it is stored already."""
        ticket = Ticket(action="upload", client_id=job.client_id, asset_id=asset_id, retention_s=FETCHED_INPUT_KEPT_S)
        try:
            return await self._fetch(ticket, one.url)
        except RequestIdReused:  # A former worker's fetch of a URL that changes came first: its bytes are the input.
            return await self._fetch(ticket, one.url)

    async def _fetch(self, ticket: Ticket, url: str) -> AssetFacts:
        request = assets_pb2.FetchAssetRequest(ticket=self._tickets.sign(ticket, TICKET_S), url=url)
        return to_facts((await self._stub.FetchAsset(request, timeout=FETCH_S)).asset)

    async def read(self, job: Job, asset: AssetFacts) -> AsyncIterator[bytes]:
        """The bytes in order."""
        ticket = Ticket(action="read", client_id=job.client_id, asset_id=asset.id, job_id=job.id)
        request = assets_pb2.ReadAssetRequest(ticket=self._tickets.sign(ticket, TICKET_S))
        async for message in self._stub.ReadAsset(request, timeout=TRANSFER_S):
            if message.HasField("chunk"):
                yield message.chunk

    def link(self, job: Job, asset: AssetFacts) -> str:
        """A URL that a provider can read for an hour."""
        if not self._public_url:
            return ""
        ticket = Ticket(action="read", client_id=job.client_id, asset_id=asset.id, job_id=job.id)
        return f"{self._public_url}/provider-inputs/{self._tickets.sign(ticket, LINK_S)}/{_file_name(asset.mime_type)}"

    async def store(self, job: Job, file: OutputFile, *, asset_id: str) -> StoredOutput:
        """Store one output, compare the record with the bytes sent, and return it."""
        ticket = Ticket(
            action="upload",
            client_id=job.client_id,
            asset_id=asset_id,
            job_id=job.id,
            retention_s=job.retention_s,
        )
        header = assets_pb2.UploadHeader(ticket=self._tickets.sign(ticket, TICKET_S), kind=_KINDS.get(file.role, ""))
        facts, sent = await self._upload(header, file)
        if (facts.size_bytes, facts.sha256) != (sent.size_bytes, sent.digest.hexdigest()):
            _log.error("stored_output_differs", asset_id=asset_id, sent=sent.size_bytes, stored=facts.size_bytes)
            raise ProviderResultInvalid("The stored result is not what was sent.")
        return StoredOutput(
            asset_id=facts.id,
            role=file.role,
            sha256=facts.sha256,
            size_bytes=facts.size_bytes,
            mime_type=facts.mime_type,
            width=facts.width,
            height=facts.height,
            extra=file.extra,
        )

    async def _upload(self, header: assets_pb2.UploadHeader, file: OutputFile) -> tuple[AssetFacts, _Sent]:
        sent = _Sent()
        call = self._stub.UploadAsset(timeout=TRANSFER_S)
        try:
            await call.write(assets_pb2.UploadAssetRequest(header=header))
            async for data in file.chunks():
                for start in range(0, len(data), CHUNK_BYTES):
                    chunk = data[start : start + CHUNK_BYTES]
                    sent.add(chunk)
                    await call.write(assets_pb2.UploadAssetRequest(chunk=chunk))
            await call.done_writing()
        except asyncio.InvalidStateError:
            pass  # The call has ended before it heard all; its status, awaited below, says why.
        except BaseException:
            call.cancel()
            raise
        return to_facts((await call).asset), sent


class _Sent:
    """What went over the wire."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def add(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self.size_bytes += len(chunk)


def _file_name(mime_type: str) -> str:
    """For vendors that look at a URL's end."""
    return f"input.{_EXTENSIONS.get(mime_type, 'bin')}"


def _to_leases(answer: lease_pb2.LeaseJobsResponse) -> list[Lease]:
    leases = []
    for message in answer.leases:
        try:
            leases.append(to_lease(message))
        except ValueError:  # A job we cannot read must not take the others with it; its lease will be over.
            _log.exception("lease_unreadable", job_id=message.job.id)
    return leases
