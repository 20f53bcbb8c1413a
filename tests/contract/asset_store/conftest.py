"""The stores, databases and transports that the asset store's promises are tested on."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from asset_store.blobs_folder import INCOMING, FolderBlobs
from asset_store.blobs_s3 import S3Blobs, S3Place
from asset_store.config import AssetStoreSettings
from asset_store.main import AssetStore
from asset_store.ports import BlobStore
from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as pb
from atelier.assets.v1.asset_service_pb2_grpc import AssetServiceStub
from atelier.jobs.v1 import job_admin_service_pb2 as admin_pb
from atelier.jobs.v1 import job_pb2
from atelier.jobs.v1.job_admin_service_pb2_grpc import JobAdminServiceServicer, add_JobAdminServiceServicer_to_server
from kit.db import Database, migrate, open_database
from kit.errors import DependencyUnavailable
from kit.events import EventBus, InProcessBus, JetStreamBus
from kit.identity import IdentitySigner, acting_as, require_service
from kit.rpc import LocalDirectory, Server, connect, open_server
from kit.service import Resources
from kit.settings import ServiceSettings
from kit.tickets import Ticket, TicketSigner
from testkit.clock import FakeClock
from testkit.web import FakeResolver

if TYPE_CHECKING:  # Only the type stubs know this class.
    from atelier.assets.v1.asset_service_pb2_grpc import AssetServiceAsyncStub

SERVERS = pytest.mark.servers
SECRET = SecretStr("s" * 32)
TIMEOUT_S = 30.0
CLIENT = "partner-a"


@pytest.fixture(params=["folder", pytest.param("s3", marks=SERVERS)])
def new_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """An empty blob store of each kind. Plain, because an async fixture cannot ask for another by name."""
    return FolderBlobs(tmp_path / "blobs") if request.param == "folder" else S3Blobs(s3_place(request))


def s3_place(request: pytest.FixtureRequest) -> S3Place:
    server = request.getfixturevalue("minio_server")
    return S3Place(
        endpoint=server.url,
        bucket=request.getfixturevalue("minio_bucket"),
        access_key=SecretStr(server.access_key),
        secret_key=SecretStr(server.secret_key),
        prefix="assets/",
    )


@pytest.fixture
async def blobs(new_blobs: BlobStore) -> AsyncIterator[BlobStore]:
    """An empty blob store of each kind, closed afterwards."""
    yield new_blobs
    await new_blobs.close()


@pytest.fixture
def spool_folder(tmp_path: Path) -> Path:
    """Where staged files lie: on the folder store's disk, as in production."""
    return tmp_path / "blobs" / INCOMING


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=SERVERS)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/assets.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def clock() -> FakeClock:
    """The database's time."""
    return FakeClock()


@pytest.fixture
async def database(database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    """The asset store's tables, empty."""
    await asyncio.to_thread(migrate, database_url, "asset_store")
    database = open_database(database_url, clock=clock)
    yield database
    await database.close()


class FakeOrchestrator(JobAdminServiceServicer):  # Only the RPC that the asset store calls.
    """Answers ResolveFate from a table; a job that is not in it is fenced, as the real one would."""

    def __init__(self) -> None:
        self.fates: dict[str, admin_pb.Fate] = {}
        self.asked: list[str] = []
        self.away = False

    def decide(self, job_id: str, state: job_pb2.JobState, *asset_ids: str) -> None:
        self.fates[job_id] = admin_pb.Fate(job_id=job_id, state=state, asset_ids=asset_ids)

    async def ResolveFate(self, request: admin_pb.ResolveFateRequest, context: Any) -> admin_pb.ResolveFateResponse:
        require_service("asset-store")
        if self.away:
            raise DependencyUnavailable
        self.asked += request.job_ids
        fenced = [self.fates.get(job_id, admin_pb.Fate(job_id=job_id, fenced=True)) for job_id in request.job_ids]
        return admin_pb.ResolveFateResponse(fates=fenced)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How one kind of deployment is set up."""

    settings: AssetStoreSettings
    directory: LocalDirectory | None
    bus: EventBus
    blobs: BlobStore  #: Another way into the same bytes, to see what is really there.
    spool: Path


@dataclass(kw_only=True)
class House:
    """A running asset store, and what a test needs to work with it."""

    deployment: Deployment
    store: AssetStore
    stub: "AssetServiceAsyncStub"
    jobs: FakeOrchestrator
    clock: FakeClock
    resolver: FakeResolver
    tickets: TicketSigner = field(default_factory=lambda: TicketSigner(SECRET))

    def ticket(self, action: str = "upload", *, ttl_s: float = 60, **fields: Any) -> str:
        values: dict[str, Any] = {"client_id": CLIENT, "bytes_max": 20 * 1024 * 1024 if action == "upload" else 0}
        return self.tickets.sign(Ticket(action=action, **values | fields), ttl_s)

    async def send(self, messages: Sequence[pb.UploadAssetRequest]) -> asset_pb2.Asset:
        response = await self.stub.UploadAsset(_each(messages), timeout=TIMEOUT_S)
        return response.asset

    async def upload(
        self, data: bytes, *, ticket: str | None = None, name: str = "", kind: str = "", **fields: Any
    ) -> asset_pb2.Asset:
        header = pb.UploadHeader(ticket=ticket or self.ticket(**fields), name=name, kind=kind)
        chunks = [data[start : start + 700_000] for start in range(0, len(data), 700_000)]
        return await self.send(
            [pb.UploadAssetRequest(header=header), *(pb.UploadAssetRequest(chunk=chunk) for chunk in chunks)]
        )

    async def upload_output(self, data: bytes, asset_id: str, job_id: str) -> asset_pb2.Asset:
        return await self.upload(data, asset_id=asset_id, job_id=job_id, bytes_max=500 * 1024 * 1024)

    async def fetch(self, url: str, *, name: str = "", **fields: Any) -> asset_pb2.Asset:
        request = pb.FetchAssetRequest(ticket=self.ticket(**fields), url=url, name=name)
        return (await self.stub.FetchAsset(request, timeout=TIMEOUT_S)).asset

    async def read(
        self, asset_id: str, *, offset: int = 0, length: int = 0, ticket: str | None = None
    ) -> tuple[asset_pb2.Asset, bytes]:
        request = pb.ReadAssetRequest(
            ticket=ticket or self.ticket("read", asset_id=asset_id), offset=offset, length=length
        )
        messages = [message async for message in self.stub.ReadAsset(request, timeout=TIMEOUT_S)]
        assert all(len(message.chunk) <= 256 * 1024 for message in messages)
        return messages[0].asset, b"".join(message.chunk for message in messages[1:])

    async def get(self, asset_id: str, *, client_id: str = CLIENT) -> asset_pb2.Asset:
        with acting_as(client_id):
            response = await self.stub.GetAsset(pb.GetAssetRequest(asset_id=asset_id), timeout=TIMEOUT_S)
        return response.asset

    async def list(self, *, client_id: str = CLIENT, **fields: Any) -> pb.ListAssetsResponse:
        with acting_as(client_id):
            return await self.stub.ListAssets(pb.ListAssetsRequest(**fields), timeout=TIMEOUT_S)

    async def delete(self, asset_id: str, *, client_id: str = CLIENT) -> None:
        with acting_as(client_id):
            await self.stub.DeleteAsset(pb.DeleteAssetRequest(asset_id=asset_id), timeout=TIMEOUT_S)

    async def link(self, asset_id: str, *, client_id: str = CLIENT, **fields: Any) -> str:
        with acting_as(client_id):
            request = pb.CreateLinkRequest(asset_id=asset_id, **fields)
            return (await self.stub.CreateLink(request, timeout=TIMEOUT_S)).token

    async def stored(self) -> int:
        """How many blobs there are."""
        return len(await self.deployment.blobs.scan(after="", limit=1000))

    async def is_empty(self) -> bool:
        """Whether neither bytes, nor waiting files, nor records are there."""
        spooled = os.listdir(self.deployment.spool) if self.deployment.spool.exists() else []
        return not (spooled or await self.stored() or (await self.list()).assets)


async def _each(messages: Sequence[pb.UploadAssetRequest]) -> AsyncIterator[pb.UploadAssetRequest]:
    for message in messages:
        yield message


@pytest.fixture(params=["embedded", pytest.param("apart", marks=SERVERS)])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    """One process on SQLite and a folder; or gRPC, Postgres, MinIO and JetStream."""
    settings = AssetStoreSettings(internal_secret=SECRET, sweep_every_s=3600, stop_grace_s=1)
    if request.param == "embedded":
        folder = tmp_path / "assets"
        return Deployment(
            settings=settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/assets.db", "folder": folder}),
            directory=LocalDirectory(copies=True),
            bus=InProcessBus(),
            blobs=FolderBlobs(folder),
            spool=folder / INCOMING,
        )
    place = s3_place(request)
    s3 = {
        "s3_endpoint": place.endpoint,
        "s3_bucket": place.bucket,
        "s3_access_key": place.access_key,
        "s3_secret_key": place.secret_key,
        "s3_prefix": place.prefix,
        "spool": str(tmp_path / "spool"),
    }
    return Deployment(
        settings=settings.model_copy(update={"database_url": request.getfixturevalue("postgres_url"), **s3}),
        directory=None,
        bus=JetStreamBus(request.getfixturevalue("nats_url")),
        blobs=S3Blobs(place),
        spool=tmp_path / "spool",
    )


@pytest.fixture
async def house(deployment: Deployment, allow_private_targets: str) -> AsyncIterator[House]:
    """The asset store, started, beside an orchestrator that only knows fates."""
    plan, clock, jobs = deployment, FakeClock(time.time_ns() // 1_000_000), FakeOrchestrator()  # type: ignore[abstract]  # The rest is inherited.
    async with AsyncExitStack() as stack:
        orchestrator = open_server(
            "job-orchestrator", ServiceSettings(internal_secret=SECRET), directory=plan.directory
        )
        orchestrator.add(add_JobAdminServiceServicer_to_server, jobs)
        await orchestrator.start()
        stack.push_async_callback(orchestrator.stop, 0)
        await asyncio.to_thread(migrate, plan.settings.database_url, "asset_store")
        database = open_database(plan.settings.database_url, clock=clock)
        stack.push_async_callback(database.close)
        stack.push_async_callback(plan.blobs.close)

        settings = plan.settings.model_copy(
            update={"jobs_target": _target(orchestrator), "allow_private_targets": allow_private_targets}
        )
        to_jobs = connect(
            settings.jobs_target, identity=IdentitySigner("asset-store", SECRET), directory=plan.directory
        )
        stack.push_async_callback(to_jobs.close)
        resources = Resources(opened_database=database, bus=plan.bus, connect=lambda _: to_jobs, clock=clock)
        resolver = FakeResolver({"inner.example.com": ["10.1.2.3"], "pictures.example.com": ["127.0.0.1"]})
        store = AssetStore(settings, resources, resolver=resolver)
        server = open_server("asset-store", settings, directory=plan.directory)
        store.register(server)
        await store.start()
        stack.push_async_callback(store.stop)
        await server.start()
        stack.push_async_callback(server.stop)
        stack.push_async_callback(plan.bus.stop)
        await plan.bus.start()
        channel = connect(_target(server), identity=IdentitySigner("gateway", SECRET), directory=plan.directory)
        stack.push_async_callback(channel.close)
        await asyncio.sleep(0)
        await store.sweep()  # The one that begins with the start is over by then.
        yield House(
            deployment=replace(plan, settings=settings),
            store=store,
            stub=AssetServiceStub(channel),
            jobs=jobs,
            clock=clock,
            resolver=resolver,
        )


@pytest.fixture
def allow_private_targets() -> str:
    """What the wall lets through; tests that fetch from a local site override it."""
    return ""


def _target(server: Any) -> str:
    return f"127.0.0.1:{server.port}" if isinstance(server, Server) else f"local:{server.name}"


Photo = Callable[..., bytes]


@pytest.fixture(scope="session")
def photo() -> Photo:
    """Makes pictures that compress like photographs: smooth shapes with a little noise."""

    def make(file_format: str, width: int = 1600, height: int = 1250, *, seed: int = 7, **options: Any) -> bytes:
        rng = np.random.default_rng(seed)
        across, down = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
        waves = [np.sin(across * (i + 1) + seed) + np.cos(down * (3 - i)) for i in range(3)]
        pixels = np.stack(waves, axis=-1) * 60 + 128 + rng.normal(0, 2, (height, width, 3))
        buffer = BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, file_format, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Waits until something becomes true; events take a moment between processes."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(15):
            while not await condition():
                await asyncio.sleep(0.02)

    return wait


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
