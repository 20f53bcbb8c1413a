"""A house around the adapter: an orchestrator and an asset store in memory, reached through real in-process channels.

They keep the rules that the contract promises workers (epochs, idempotency, tickets), and take faults: `faults` are
raised before a call has any effect, `lost_answers` after it had.
"""

import asyncio
import hashlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import lease_service_pb2 as lease_pb2
from atelier.jobs.v1 import lease_service_pb2_grpc as lease_grpc
from kit import identity, media
from kit.clock import SystemClock
from kit.errors import (
    AssetNotFound,
    Conflict,
    DependencyUnavailable,
    InputFetchRefused,
    InputUnsupported,
    LeaseLost,
    NotFound,
    RequestIdReused,
)
from kit.identity import IdentitySigner
from kit.rpc import LocalDirectory, connect, open_server
from kit.service import Resources
from kit.settings import ServiceSettings
from kit.tickets import TicketSigner
from provider_adapter import ports
from provider_adapter.config import ProviderSettings
from provider_adapter.main import ProviderAdapter
from provider_adapter.usecases.roster import Known
from testkit.fakeprovider import FakeProvider, FakeUpstream

SECRET = SecretStr("a secret of the deployment, 32 or more")
CLIENT = "client-1"
WAIT_S = 10.0

FINISHED = attempt_pb2.ATTEMPT_STATE_FINISHED


async def until(holds: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """Wait until `holds()` is true, and return it."""
    async with asyncio.timeout(timeout_s):
        while not (value := holds()):
            await asyncio.sleep(0.005)
    return value


class Faulty:
    """What both servicers do before and after each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.faults: dict[str, deque[Exception]] = defaultdict(deque)
        self.lost_answers: dict[str, int] = defaultdict(int)
        self.blocked: dict[str, asyncio.Event] = {}

    async def before(self, name: str, request: Any) -> None:
        self.calls.append((name, request))
        if name in self.blocked:
            await self.blocked[name].wait()
        if self.faults[name]:
            raise self.faults[name].popleft()

    def after(self, name: str) -> None:
        if self.lost_answers[name] > 0:
            self.lost_answers[name] -= 1
            raise DependencyUnavailable

    def called(self, name: str) -> list[Any]:
        return [request for called, request in self.calls if called == name]


@dataclass(kw_only=True)
class LeasedJob:
    """A job as the orchestrator has it."""

    job: job_pb2.Job
    routes: list[job_pb2.Route]
    attempts: list[attempt_pb2.Attempt] = field(default_factory=list)
    epoch: int = 0
    held: bool = False
    cancel: bool = False
    released: int = 0
    report: lease_pb2.FinishAttemptRequest | None = None
    progress: list[int] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        assert self.report is not None
        return attempt_pb2.AttemptOutcome.Name(self.report.outcome).removeprefix("ATTEMPT_OUTCOME_")

    @property
    def reason(self) -> str:
        from atelier.common.v1.error_reason_pb2 import ErrorReason

        assert self.report is not None
        return ErrorReason.Name(self.report.failure.reason).removeprefix("ERROR_REASON_")


class Orchestrator(Faulty, lease_grpc.LeaseServiceServicer):
    """LeaseService in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, LeasedJob] = {}
        self.queue: deque[str] = deque()
        self.changed = asyncio.Event()
        self.impatient = False  #: Long polls are answered at once.
        self.hidden_attempts = 0  #: So many of the newest attempts are not told with the lease.

    def put(
        self,
        job_id: str = "job_1",
        *,
        providers: tuple[str, ...] = ("fake",),
        inputs: tuple[job_pb2.Input, ...] = (),
        parameters: dict[str, Any] | None = None,
        attempts: tuple[attempt_pb2.Attempt, ...] = (),
        deadline_s: float = 60.0,
        retention_s: int = 0,
    ) -> LeasedJob:
        """Queue a job."""
        job = job_pb2.Job(
            id=job_id, client_id=CLIENT, capability="image.generate", model="image.generate", inputs=inputs
        )
        job.deadline.FromMilliseconds(SystemClock().now_ms() + round(deadline_s * 1000))
        if retention_s:
            job.retention.FromSeconds(retention_s)
        text = orjson.dumps(parameters or {"prompt": "a fox", "seed": 7}).decode()
        routes = [
            job_pb2.Route(provider=name, upstream_model="image.generate", parameters_json=text) for name in providers
        ]
        leased = LeasedJob(job=job, routes=routes, attempts=list(attempts))
        self.jobs[job_id] = leased
        self.queue_again(job_id)
        return leased

    def queue_again(self, job_id: str) -> None:
        """Let the next worker have it."""
        self.jobs[job_id].held = False
        self.queue.append(job_id)
        self.changed.set()

    def _held(self, request: Any) -> LeasedJob:
        leased = self.jobs[request.job_id]
        if not leased.held or request.epoch != leased.epoch:
            raise LeaseLost
        return leased

    async def LeaseJobs(self, request: Any, context: Any) -> Any:
        await self.before("LeaseJobs", request)
        identity.require_service("provider-adapter")
        wait_s = request.wait.ToMilliseconds() / 1000
        if not self.queue and wait_s and not self.impatient:
            self.changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self.changed.wait()
            except TimeoutError:
                pass
        leases = []
        while self.queue and len(leases) < request.slots:
            leased = self.jobs[self.queue.popleft()]
            leased.epoch += 1
            leased.held = True
            told = leased.attempts[: len(leased.attempts) - self.hidden_attempts]
            leases.append(lease_pb2.Lease(job=leased.job, epoch=leased.epoch, routes=leased.routes, attempts=told))
        return lease_pb2.LeaseJobsResponse(leases=leases)

    async def RenewLease(self, request: Any, context: Any) -> Any:
        await self.before("RenewLease", request)
        leased = self._held(request)
        leased.progress.append(request.progress)
        return lease_pb2.RenewLeaseResponse(cancel_requested=leased.cancel)

    async def RenewLeases(self, request: Any, context: Any) -> Any:
        await self.before("RenewLeases", request)
        renewed = []
        for each in request.renewals:
            try:
                leased = self._held(each)
            except LeaseLost:
                renewed.append(lease_pb2.RenewedLease(lost=True))
                continue
            leased.progress.append(each.progress)
            renewed.append(lease_pb2.RenewedLease(cancel_requested=leased.cancel))
        return lease_pb2.RenewLeasesResponse(leases=renewed)

    async def BeginAttempt(self, request: Any, context: Any) -> Any:
        await self.before("BeginAttempt", request)
        leased = self._held(request)
        known = [each for each in leased.attempts if each.id == request.attempt_id]
        if not known:
            for each in leased.attempts:
                if each.state != FINISHED and (each.upstream_task_id or not each.repeatable):
                    raise Conflict
            known = [
                attempt_pb2.Attempt(
                    id=request.attempt_id,
                    job_id=request.job_id,
                    epoch=request.epoch,
                    route=request.route,
                    provider=leased.routes[request.route].provider,
                    state=attempt_pb2.ATTEMPT_STATE_INTENDED,
                    repeatable=request.repeatable,
                )
            ]
            leased.attempts += known
        self.after("BeginAttempt")
        return lease_pb2.BeginAttemptResponse(attempt=known[0])

    def _attempt(self, leased: LeasedJob, attempt_id: str) -> Any:
        for each in leased.attempts:
            if each.id == attempt_id:
                return each
        raise NotFound(field="attempt_id")

    async def RecordUpstream(self, request: Any, context: Any) -> Any:
        await self.before("RecordUpstream", request)
        attempt = self._attempt(self._held(request), request.attempt_id)
        attempt.upstream_task_id = request.upstream_task_id
        attempt.state = attempt_pb2.ATTEMPT_STATE_ACCEPTED
        self.after("RecordUpstream")
        return lease_pb2.RecordUpstreamResponse(attempt=attempt)

    async def FinishAttempt(self, request: Any, context: Any) -> Any:
        await self.before("FinishAttempt", request)
        leased = self.jobs[request.job_id]
        if leased.report is not None and leased.report.epoch == request.epoch:
            return lease_pb2.FinishAttemptResponse(job=leased.job)
        leased = self._held(request)
        if request.attempt_id:
            attempt = self._attempt(leased, request.attempt_id)
            attempt.outcome = request.outcome
            if request.outcome != attempt_pb2.ATTEMPT_OUTCOME_UNKNOWN:
                attempt.state = FINISHED
        leased.report = request
        leased.held = False
        self.after("FinishAttempt")
        return lease_pb2.FinishAttemptResponse(job=leased.job)

    async def ReleaseLease(self, request: Any, context: Any) -> Any:
        await self.before("ReleaseLease", request)
        leased = self._held(request)
        leased.held = False
        leased.released += 1
        self.queue.append(request.job_id)
        return lease_pb2.ReleaseLeaseResponse()


class AssetStore(Faulty, assets_grpc.AssetServiceServicer):
    """AssetService in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets = TicketSigner(SECRET)
        self.records: dict[str, asset_pb2.Asset] = {}
        self.bytes: dict[str, bytes] = {}
        self.urls: dict[str, bytes] = {}
        self.uploads: list[Any] = []  #: The tickets of uploads.
        self.refuses_at_once = False  #: Uploads end before their bytes are heard.
        self.damages = False  #: The record tells another hash than the bytes have.

    def keep(self, data: bytes, *, asset_id: str, client_id: str = CLIENT, source_url: str = "") -> asset_pb2.Asset:
        known = self.records.get(asset_id)
        sha256 = hashlib.sha256(data).hexdigest()
        if known is not None:
            if known.sha256 != sha256 and not self.damages:
                raise RequestIdReused
            return known
        facts = media.probe(data)
        if facts is None:
            raise InputUnsupported
        record = asset_pb2.Asset(
            id=asset_id,
            client_id=client_id,
            kind="image",
            mime_type=facts.mime_type,
            size_bytes=len(data),
            sha256="0" * 64 if self.damages else sha256,
            width=facts.width,
            height=facts.height,
            source_url=source_url,
        )
        self.records[asset_id] = record
        self.bytes[asset_id] = data
        return record

    async def GetAsset(self, request: Any, context: Any) -> Any:
        await self.before("GetAsset", request)
        record = self.records.get(request.asset_id)
        if record is None or record.client_id != identity.require_client():
            raise AssetNotFound
        return assets_pb2.GetAssetResponse(asset=record)

    async def ReadAsset(self, request: Any, context: Any) -> Any:
        await self.before("ReadAsset", request)
        ticket = self.tickets.verify(request.ticket, action="read")
        record = self.records.get(ticket.asset_id)
        if record is None or record.client_id != ticket.client_id:
            raise AssetNotFound
        yield assets_pb2.ReadAssetResponse(asset=record)
        data = self.bytes[record.id]
        for start in range(0, len(data), 100):
            yield assets_pb2.ReadAssetResponse(chunk=data[start : start + 100])

    async def FetchAsset(self, request: Any, context: Any) -> Any:
        await self.before("FetchAsset", request)
        ticket = self.tickets.verify(request.ticket, action="upload")
        known = self.records.get(ticket.asset_id)
        if known is not None and known.source_url == request.url:
            return assets_pb2.FetchAssetResponse(asset=known)
        if request.url not in self.urls:
            raise InputFetchRefused
        data = self.urls[request.url]
        record = self.keep(data, asset_id=ticket.asset_id, client_id=ticket.client_id, source_url=request.url)
        return assets_pb2.FetchAssetResponse(asset=record)

    async def UploadAsset(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:
        first = await anext(request_iterator)
        await self.before("UploadAsset", first)
        ticket = self.tickets.verify(first.header.ticket, action="upload")
        self.uploads.append(ticket)
        if self.refuses_at_once:
            raise InputUnsupported
        data = b"".join([message.chunk async for message in request_iterator])
        record = self.keep(data, asset_id=ticket.asset_id, client_id=ticket.client_id)
        self.after("UploadAsset")
        return assets_pb2.UploadAssetResponse(asset=record)


class House:
    """Everything around the adapter."""

    def __init__(self, *, wire: bool = False) -> None:
        """With `wire` the adapter reaches the others over gRPC on loopback."""
        settings = ServiceSettings(internal_secret=SECRET)
        self.directory = None if wire else LocalDirectory(copies=True)
        self.jobs, self.assets = Orchestrator(), AssetStore()
        names = ("job-orchestrator", "asset-store")
        self.servers: dict[str, Any] = {name: open_server(name, settings, directory=self.directory) for name in names}
        self._add_jobs()
        self.servers["asset-store"].add(assets_grpc.add_AssetServiceServicer_to_server, self.assets)
        self.upstream = FakeUpstream()
        self.adapters: list[ProviderAdapter] = []
        self.channels: list[Any] = []

    async def open(self) -> None:
        for server in self.servers.values():
            await server.start()

    def _add_jobs(self) -> None:
        self.servers["job-orchestrator"].add(lease_grpc.add_LeaseServiceServicer_to_server, self.jobs)

    async def restart_orchestrator(self) -> None:
        """Start it again where it was; only on the wire."""
        listen = f"127.0.0.1:{self.servers['job-orchestrator'].port}"
        settings = ServiceSettings(internal_secret=SECRET, listen=listen)
        self.servers["job-orchestrator"] = open_server("job-orchestrator", settings)
        self._add_jobs()
        await self.servers["job-orchestrator"].start()

    def connect(self, target: str) -> Any:
        if self.directory is None:
            target = f"127.0.0.1:{self.servers[target.removeprefix('local:')].port}"
        channel = connect(target, identity=IdentitySigner("provider-adapter", SECRET), directory=self.directory)
        self.channels.append(channel)
        return channel

    def provider(self, **options: Any) -> FakeProvider:
        """A provider on the house's upstream."""
        return FakeProvider(ports, upstream=self.upstream, **options)

    async def work(self, *providers: Any, **settings: Any) -> ProviderAdapter:
        """Start an adapter with these providers, by default one without task ids that is repeatable."""
        chosen = providers or (self.provider(repeatable=True),)
        known = [Known(name=each.name, capabilities=each.capabilities, provider=each) for each in chosen]
        settings = {"lease_s": 1.0, "stop_grace_s": 2.0, "slots": 10, **settings}
        adapter = ProviderAdapter(
            ProviderSettings(internal_secret=SECRET, **settings),
            Resources(bus=None, connect=self.connect),  # type: ignore[arg-type]  # The adapter hears no events.
            providers=known,
        )
        self.adapters.append(adapter)
        await adapter.start()
        return adapter

    async def serve(self, adapter: ProviderAdapter) -> Any:
        """Put the adapter on a server; return a channel to it."""
        settings = ServiceSettings(internal_secret=SECRET)
        server = self.servers["provider-adapter"] = open_server("provider-adapter", settings, directory=self.directory)
        adapter.register(server)
        await server.start()
        return self.connect("local:provider-adapter")

    async def reported(self, job: LeasedJob) -> LeasedJob:
        """Wait until the job is reported, and return it."""
        await until(lambda: job.report)
        return job

    async def close(self) -> None:
        for adapter in self.adapters:
            await adapter.stop()
        for channel in self.channels:
            await channel.close()
        for server in self.servers.values():
            await server.stop(0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.open()
    yield house
    await house.close()


@pytest.fixture
async def house_on_the_wire() -> AsyncIterator[House]:
    house = House(wire=True)
    await house.open()
    yield house
    await house.close()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until something holds."""
    return until
