"""The whole service on a real database of each kind, called as its neighbours call it; billing is played by a fake."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from pydantic import SecretStr
from sqlalchemy import text

from atelier.billing.v1 import hold_pb2, hold_service_pb2, hold_service_pb2_grpc
from atelier.common.v1 import money_pb2
from atelier.events.v1 import job_events_pb2
from atelier.jobs.v1 import (
    attempt_pb2,
    job_admin_service_pb2,
    job_admin_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    lease_service_pb2,
    lease_service_pb2_grpc,
)
from job_orchestrator.config import JobsSettings
from job_orchestrator.main import JobOrchestrator
from kit import identity
from kit.db import Database, migrate, open_database
from kit.errors import AppError, HoldAlreadyResolved, HoldNotFound, InsufficientFunds, RequestIdReused
from kit.events import Event, InProcessBus
from kit.identity import IdentitySigner
from kit.ids import new_id
from kit.rpc import LocalDirectory, LocalServer, connect
from kit.service import Resources
from kit.settings import ServiceSettings
from testkit.clock import FakeClock

SECRET = SecretStr("x" * 32)
TIMEOUT_S = 20.0
SHA256 = "ab" * 32
CLIENT = "partner-a"
HELD = hold_pb2.HOLD_STATE_HELD

PAYLOADS: dict[str, Any] = {
    "atelier.jobs.v1.job_accepted": job_events_pb2.JobAccepted,
    "atelier.jobs.v1.job_started": job_events_pb2.JobStarted,
    "atelier.jobs.v1.job_succeeded": job_events_pb2.JobSucceeded,
    "atelier.jobs.v1.job_failed": job_events_pb2.JobFailed,
    "atelier.jobs.v1.job_expired": job_events_pb2.JobExpired,
    "atelier.jobs.v1.job_cancelled": job_events_pb2.JobCancelled,
}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied: that takes a thousandth of the time the migrations take."""
    path = tmp_path_factory.mktemp("jobs") / "template.db"
    migrate(f"sqlite:///{path}", "job_orchestrator")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_postgres(postgres_server: Any) -> str:
    """The name of a database with all tables, to be copied."""
    url = await postgres_server.create_database("jobs_template")
    await asyncio.to_thread(migrate, url, "job_orchestrator")
    return "jobs_template"


@pytest_asyncio.fixture
async def jobs_postgres_url(postgres_server: Any, migrated_postgres: str) -> AsyncIterator[str]:
    """A fresh database with all tables."""
    name = f"jobs_{secrets.token_hex(8)}"
    yield await postgres_server.create_database(name, template=migrated_postgres)
    await postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind, migrated."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "jobs.db")
        return f"sqlite:///{tmp_path}/jobs.db"
    return str(request.getfixturevalue("jobs_postgres_url"))


class FakeBilling(hold_service_pb2_grpc.HoldServiceServicer):
    """Holds in memory with billing's promises: once for each id, resolved once, never more than the wallet has."""

    def __init__(self) -> None:
        self.holds: dict[str, hold_pb2.Hold] = {}
        self.wallets: dict[str, int] = {}  #: Points; a client that is not named here is rich.
        self.calls: list[str] = []
        self.before_placing: Callable[[str], Any] | None = None
        self.after_placing: Callable[[str], Any] | None = None
        self.settle_error: AppError | None = None

    async def PlaceHold(self, request: hold_service_pb2.PlaceHoldRequest, context: Any) -> Any:
        client_id = identity.require_client()
        self.calls.append("PlaceHold")
        if self.before_placing is not None:
            await self.before_placing(request.hold_id)
        hold = self.holds.get(request.hold_id) or self._place(request, client_id)
        option = request.price.options[0]
        wanted = (client_id, request.price.outputs, option.amount_per_output)
        if (hold.client_id, hold.outputs, hold.amount_per_output) != wanted:
            raise RequestIdReused(field="hold_id")
        if self.after_placing is not None:
            await self.after_placing(request.hold_id)
        return hold_service_pb2.PlaceHoldResponse(hold=hold)

    def _place(self, request: hold_service_pb2.PlaceHoldRequest, client_id: str) -> hold_pb2.Hold:
        option, outputs = request.price.options[0], request.price.outputs
        cost = option.amount_per_output * outputs
        if client_id in self.wallets:
            if self.wallets[client_id] < cost:
                raise InsufficientFunds
            self.wallets[client_id] -= cost
        hold = self.holds[request.hold_id] = hold_pb2.Hold(
            id=request.hold_id,
            client_id=client_id,
            state=HELD,
            amount=money_pb2.Amount(unit=option.unit, value=cost),
            amount_per_output=option.amount_per_output,
            outputs=outputs,
            expire_time=request.expire_time,
            model=request.model,
        )
        return hold

    async def SettleHold(self, request: hold_service_pb2.SettleHoldRequest, context: Any) -> Any:
        self.calls.append("SettleHold")
        if self.settle_error is not None:
            raise self.settle_error
        hold = self.holds.get(request.hold_id)
        if hold is None:
            raise HoldNotFound
        captured = request.amount
        if hold.state == HELD:
            hold.captured = captured
            hold.state = hold_pb2.HOLD_STATE_CAPTURED if captured else hold_pb2.HOLD_STATE_RELEASED
            if hold.client_id in self.wallets:
                self.wallets[hold.client_id] += hold.amount.value - captured
        elif hold.captured != captured:
            raise HoldAlreadyResolved
        return hold_service_pb2.SettleHoldResponse(hold=hold)

    async def GetHold(self, request: hold_service_pb2.GetHoldRequest, context: Any) -> Any:
        if request.hold_id not in self.holds:
            raise HoldNotFound
        return hold_service_pb2.GetHoldResponse(hold=self.holds[request.hold_id])

    def open_holds(self) -> set[str]:
        return {hold.id for hold in self.holds.values() if hold.state == HELD}


@dataclass
class World:
    """The service, its neighbours' stubs, and shorthands that fill in what a test is not about."""

    database: Database
    clock: FakeClock
    billing: FakeBilling
    app: JobOrchestrator
    jobs: "job_service_pb2_grpc.JobServiceAsyncStub"  # A name of the stubs for types alone.
    leases: "lease_service_pb2_grpc.LeaseServiceAsyncStub"  # A name of the stubs for types alone.
    admin: "job_admin_service_pb2_grpc.JobAdminServiceAsyncStub"  # A name of the stubs for types alone.
    jobs_channel: Any  #: The gateway's; workers' and the house's RPCs refuse it.
    worker_channel: Any  #: The worker's.
    told: list[Event] = field(default_factory=list)

    # For a client.

    def order(self, **changes: Any) -> job_service_pb2.AcceptJobRequest:
        fields: dict[str, Any] = {
            "job_id": new_id("job"),
            "contract": "open",
            "model": "image.generate",
            "capability": "image.generate",
            "parameters_json": '{"prompt":"a house"}',
            "routes": [job_pb2.Route(provider="local", upstream_model="draw", parameters_json="{}", weight=1)],
            "pool": "default",
            "price": price(),
            "deadline": Duration(seconds=600),
        }
        return job_service_pb2.AcceptJobRequest(**(fields | changes))

    async def accept(self, *, client: str = CLIENT, **changes: Any) -> job_pb2.Job:
        return (await self.submit(self.order(**changes), client=client)).job

    async def submit(
        self, order: job_service_pb2.AcceptJobRequest, *, client: str = CLIENT
    ) -> job_service_pb2.AcceptJobResponse:
        with identity.acting_as(client):
            return await self.jobs.AcceptJob(order, timeout=TIMEOUT_S)

    async def get(self, job_id: str, *, client: str = CLIENT) -> job_pb2.Job:
        with identity.acting_as(client):
            request = job_service_pb2.GetJobRequest(job_id=job_id)
            return (await self.jobs.GetJob(request, timeout=TIMEOUT_S)).job

    async def page(self, *, client: str = CLIENT, **wanted: Any) -> job_service_pb2.ListJobsResponse:
        with identity.acting_as(client):
            return await self.jobs.ListJobs(job_service_pb2.ListJobsRequest(**wanted), timeout=TIMEOUT_S)

    async def cancel(self, job_id: str, *, client: str = CLIENT) -> job_pb2.Job:
        with identity.acting_as(client):
            request = job_service_pb2.CancelJobRequest(job_id=job_id)
            return (await self.jobs.CancelJob(request, timeout=TIMEOUT_S)).job

    async def events(self, job_id: str, *, client: str = CLIENT, after: int = 0) -> list[Any]:
        with identity.acting_as(client):
            request = job_service_pb2.ListJobEventsRequest(job_id=job_id, after_sequence=after)
            return list((await self.jobs.ListJobEvents(request, timeout=TIMEOUT_S)).events)

    async def kinds(self, job_id: str) -> list[str]:
        return [event.kind for event in await self.events(job_id)]

    def watch(self, *, client: str = CLIENT, after: int = 0, job_id: str = "", **wanted: bool) -> Any:
        with identity.acting_as(client):
            request = job_service_pb2.WatchJobsRequest(after_position=after, job_id=job_id, **wanted)
            return self.jobs.WatchJobs(request, timeout=TIMEOUT_S)

    # For a worker.

    async def lease(
        self,
        slots: int = 1,
        *,
        wait_s: float = 0,
        pool: str = "default",
        worker: str = "worker-1",
        lease_s: int = 30,
    ) -> list[lease_service_pb2.Lease]:
        request = lease_service_pb2.LeaseJobsRequest(
            pool=pool, worker_id=worker, slots=slots, wait=duration(wait_s), lease=duration(lease_s)
        )
        return list((await self.leases.LeaseJobs(request, timeout=TIMEOUT_S)).leases)

    async def lease_one(self, **options: Any) -> lease_service_pb2.Lease:
        (lease,) = await self.lease(**options)
        return lease

    async def renew(self, lease: lease_service_pb2.Lease, *, progress: int = 0) -> Any:
        request = lease_service_pb2.RenewLeaseRequest(job_id=lease.job.id, epoch=lease.epoch, progress=progress)
        return await self.leases.RenewLease(request, timeout=TIMEOUT_S)

    async def renew_all(
        self, leases: Sequence[lease_service_pb2.Lease], *, progress: Sequence[int] = (), lease_s: int = 30
    ) -> list[Any]:
        """Renew these in one call; `progress` of each, none by default."""
        renewals = [
            lease_service_pb2.LeaseRenewal(job_id=lease.job.id, epoch=lease.epoch, progress=percent)
            for lease, percent in zip_longest(leases, progress, fillvalue=0)
        ]
        request = lease_service_pb2.RenewLeasesRequest(renewals=renewals, lease=duration(lease_s))
        return list((await self.leases.RenewLeases(request, timeout=TIMEOUT_S)).leases)

    async def release(self, lease: lease_service_pb2.Lease) -> None:
        request = lease_service_pb2.ReleaseLeaseRequest(job_id=lease.job.id, epoch=lease.epoch)
        await self.leases.ReleaseLease(request, timeout=TIMEOUT_S)

    async def begin(
        self,
        lease: lease_service_pb2.Lease,
        *,
        attempt_id: str = "",
        route: int = 0,
        repeatable: bool = False,
    ) -> attempt_pb2.Attempt:
        request = lease_service_pb2.BeginAttemptRequest(
            job_id=lease.job.id,
            epoch=lease.epoch,
            attempt_id=attempt_id or new_id("att"),
            route=route,
            repeatable=repeatable,
        )
        return (await self.leases.BeginAttempt(request, timeout=TIMEOUT_S)).attempt

    async def record(
        self, lease: lease_service_pb2.Lease, attempt: attempt_pb2.Attempt, upstream: str
    ) -> attempt_pb2.Attempt:
        request = lease_service_pb2.RecordUpstreamRequest(
            job_id=lease.job.id, epoch=lease.epoch, attempt_id=attempt.id, upstream_task_id=upstream
        )
        return (await self.leases.RecordUpstream(request, timeout=TIMEOUT_S)).attempt

    async def finish(
        self, lease: lease_service_pb2.Lease, attempt: attempt_pb2.Attempt | None, outcome: str, **changes: Any
    ) -> job_pb2.Job:
        fields: dict[str, Any] = {
            "job_id": lease.job.id,
            "epoch": lease.epoch,
            "attempt_id": attempt.id if attempt is not None else "",
            "outcome": f"ATTEMPT_OUTCOME_{outcome}",
        }
        if outcome == "SUCCEEDED":
            fields["outputs"] = [output()]
        else:
            fields["failure"] = failure()
        request = lease_service_pb2.FinishAttemptRequest(**(fields | changes))
        return (await self.leases.FinishAttempt(request, timeout=TIMEOUT_S)).job

    async def run_to_success(self, **options: Any) -> job_pb2.Job:
        lease = await self.lease_one(**options)
        return await self.finish(lease, await self.begin(lease), "SUCCEEDED")

    # For the house.

    async def fates(self, *job_ids: str) -> list[job_admin_service_pb2.Fate]:
        request = job_admin_service_pb2.ResolveFateRequest(job_ids=job_ids)
        return list((await self.admin.ResolveFate(request, timeout=TIMEOUT_S)).fates)

    async def inspect(self, job_id: str) -> job_admin_service_pb2.InspectJobResponse:
        request = job_admin_service_pb2.InspectJobRequest(job_id=job_id)
        return await self.admin.InspectJob(request, timeout=TIMEOUT_S)

    async def sweep(self, *, after_s: float = 0) -> None:
        self.clock.advance(after_s)
        await self.app.sweep.round()

    async def outbox(self, job_id: str = "") -> list[tuple[str, Any]]:
        """What was told to other services, in order: the event's name and its payload."""

        def work(tx: Any) -> list[Any]:
            return list(tx.conn.execute(text("SELECT subject, payload FROM outbox ORDER BY seq")))

        rows = [(row[0], PAYLOADS[row[0]].FromString(bytes(row[1]))) for row in await self.database.read(work)]
        return [(subject[16:], told) for subject, told in rows if job_id in ("", told.header.job_id)]

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        return await self.database.read(lambda tx: list(tx.conn.execute(text(statement), values)))

    async def check_books(self) -> None:
        """The counters of clients and lanes are what counting the jobs gives; events and ids are complete."""
        in_flight = "SELECT client_id, count(*) FROM jobs WHERE state <= 2 GROUP BY client_id ORDER BY client_id"
        counted = "SELECT client_id, in_flight FROM clients WHERE in_flight <> 0 ORDER BY client_id"
        assert await self.sql(counted) == await self.sql(in_flight)
        for column, condition in (("ready", "not_before_ms = 0"), ("delayed", "not_before_ms > 0")):
            rows = f"SELECT pool, client_id, {column} FROM lanes WHERE {column} <> 0 ORDER BY pool, client_id"
            jobs = (
                f"SELECT pool, client_id, count(*) FROM jobs WHERE waiting = 1 AND {condition}"
                " GROUP BY pool, client_id ORDER BY pool, client_id"
            )
            assert await self.sql(rows) == await self.sql(jobs)
        gaps = (
            "SELECT j.id FROM jobs j JOIN job_events e ON e.job_id = j.id GROUP BY j.id, j.sequence"
            " HAVING count(*) <> j.sequence OR max(e.sequence) <> j.sequence"
        )
        assert await self.sql(gaps) == []
        assert await self.sql("SELECT id FROM jobs EXCEPT SELECT id FROM job_ids WHERE fenced = 0") == []


def price(points: int = 30, outputs: int = 1) -> money_pb2.Price:
    option = money_pb2.PriceOption(unit=money_pb2.UNIT_POINTS, amount_per_output=points)
    return money_pb2.Price(options=[option], outputs=outputs, catalog_version="1")


def output(**changes: Any) -> job_pb2.Output:
    fields: dict[str, Any] = {
        "asset_id": new_id("asset"),
        "role": "image",
        "sha256": SHA256,
        "size_bytes": 1234,
        "mime_type": "image/png",
        "width": 64,
        "height": 32,
    }
    return job_pb2.Output(**(fields | changes))


def failure(reason: str = "PROVIDER_FAILED", message: str = "It broke.") -> job_pb2.Failure:
    return job_pb2.Failure(reason=f"ERROR_REASON_{reason}", message=message)


def duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def settings(**changes: Any) -> JobsSettings:
    fields: dict[str, Any] = {"internal_secret": SECRET, "recheck_s": 30.0, "stop_grace_s": 1.0}
    return JobsSettings(**(fields | changes))


class Builder:
    """Builds worlds on one database and takes them down again."""

    def __init__(self, url: str, clock: FakeClock) -> None:
        self._url = url
        self._clock = clock
        self._built: list[tuple[World, LocalServer, InProcessBus, Database]] = []

    async def __call__(self, *, start: bool = False, billing: FakeBilling | None = None, **changes: Any) -> World:
        """`start` runs relay and sweeper; without it a test moves both itself."""
        directory = LocalDirectory(copies=True)
        billing = billing or FakeBilling()
        house = LocalServer("billing", ServiceSettings(internal_secret=SECRET))
        house.add(hold_service_pb2_grpc.add_HoldServiceServicer_to_server, billing)
        directory.add(house)
        await house.start()

        def channel(service: str, target: str) -> Any:
            return connect(target, identity=IdentitySigner(service, SECRET), directory=directory)

        database = open_database(self._url, clock=self._clock)
        bus = InProcessBus()
        resources = Resources(
            opened_database=database,
            bus=bus,
            connect=lambda target: channel("job-orchestrator", target),
            clock=self._clock,
        )
        app = JobOrchestrator(settings(**changes), resources)
        server = LocalServer(app.name, settings())
        app.register(server)
        directory.add(server)
        front = channel("gateway", "local:job-orchestrator")
        worker = channel("provider-adapter", "local:job-orchestrator")
        world = World(
            database=database,
            clock=self._clock,
            billing=billing,
            app=app,
            jobs=job_service_pb2_grpc.JobServiceStub(front),
            jobs_channel=front,
            leases=lease_service_pb2_grpc.LeaseServiceStub(worker),
            worker_channel=worker,
            admin=job_admin_service_pb2_grpc.JobAdminServiceStub(channel("billing", "local:job-orchestrator")),
        )

        async def told(event: Event) -> None:
            world.told.append(event)

        bus.subscribe("test", ["atelier.jobs.v1.>"], told)
        await bus.start()
        await server.start()
        if start:
            await app.start()
        self._built.append((world, server, bus, database))
        return world

    async def close(self) -> None:
        for world, server, bus, database in reversed(self._built):
            await world.app.drain()
            await server.stop()
            await world.app.stop()
            await bus.stop()
            await database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def build(database_url: str, clock: FakeClock) -> AsyncIterator[Builder]:
    """Builds worlds with settings of their own; several share the database, like replicas."""
    builder = Builder(database_url, clock)
    yield builder
    await builder.close()


@pytest.fixture
async def world(build: Builder) -> World:
    return await build()


@pytest.fixture
def shop() -> Any:
    """The builders of messages, for tests that change one thing in them."""

    class Shop:
        price = staticmethod(price)
        output = staticmethod(output)
        failure = staticmethod(failure)
        duration = staticmethod(duration)

    return Shop


@pytest.fixture
def builder() -> type[Builder]:
    """For tests that run event loops of their own."""
    return Builder
