"""The deployment of separate services: six processes on NATS, MinIO and Postgres, every one of them real."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import asyncpg
import urllib3
from minio import Minio
from minio.error import S3Error
from pydantic import SecretStr

from testkit.deployments.deployment import Deployment, all_of, kept_secrets
from testkit.deployments.ports import LOOPBACK, ReservedPort
from testkit.deployments.process import Probe, ServiceProcess, grpc_probe, http_probe
from testkit.servers import MinioServer, NatsServer, PostgresServer, Server

EDGE: Final = "edge"
BUCKET: Final = "atelier-assets"
_CALL_TIMEOUT_S: Final = 30.0

#: Service → its package, in the order in which they stop: who asks others stops before those it asks.
PACKAGES: Final = {
    EDGE: "edge",
    "provider-adapter": "provider_adapter",
    "gateway": "gateway",
    "job-orchestrator": "job_orchestrator",
    "billing": "billing",
    "asset-store": "asset_store",
}
#: Service → the prefix of its settings.
PREFIXES: Final = {
    EDGE: "EDGE_",
    "provider-adapter": "PROVIDERS_",
    "gateway": "GATEWAY_",
    "job-orchestrator": "JOBS_",
    "billing": "BILLING_",
    "asset-store": "ASSETS_",
}
#: Service → its database; the other two keep nothing.
DATABASES: Final = {"gateway": "gateway", "job-orchestrator": "jobs", "billing": "billing", "asset-store": "assets"}


class StackDeployment(Deployment):
    """Six services, each with its own log, database and port.

    `fast` databases never wait for the disk: right for tests, wrong for data that must survive a power cut.
    """

    kind: ClassVar[str] = "stack"

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        fast: bool = True,
        http_host: str = LOOPBACK,
        http_port: int = 0,
        catalog: Path | None = None,
    ) -> None:
        """Start nothing yet. Without an HTTP port it takes a free one, without a catalogue the checkout's.

        Raises ToolMissing where `make tools` has not run.
        """
        super().__init__(folder, environment=environment)
        self._secrets = kept_secrets(self.folder / "secrets.json")
        self.nats = NatsServer(folder=self.folder / "nats")
        self.minio = MinioServer(folder=self.folder / "minio")
        self.postgres = PostgresServer(folder=self.folder / "postgres", fast=fast)
        self.servers: Mapping[str, Server] = {one.name: one for one in (self.nats, self.minio, self.postgres)}
        self._http_host, self._http_given = http_host, http_port
        self._catalog = catalog or _deploy() / "catalog"
        self._ports = {name: ReservedPort() for name in PACKAGES}
        self._url_of_database: dict[str, str] = {}
        for name, package in PACKAGES.items():
            self._services[name] = ServiceProcess(
                name,
                ["-m", package],
                environment={},
                log_path=self.folder / f"{name}.log",
                probe=self._probe_of(name),
            )

    @property
    def url(self) -> str:
        return f"http://{self._http_host}:{self._http_port}"

    @property
    def _http_port(self) -> int:
        return self._http_given or self._ports[EDGE].number

    def grpc_address(self, service: str) -> str:
        return self._ports[service].address

    @property
    def internal_secret(self) -> SecretStr:
        return SecretStr(self._secrets["internal"])

    @property
    def jwt_secret(self) -> SecretStr:
        return SecretStr(self._secrets["jwt"])

    async def census(self) -> dict[str, int]:
        found = {}
        for database in DATABASES.values():
            connection = await asyncpg.connect(self._url_of_database[database], timeout=_CALL_TIMEOUT_S)
            try:
                tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
                for (table,) in tables:
                    found[f"{database}.{table}"] = await connection.fetchval(f'SELECT count(*) FROM "{table}"')
            finally:
                await connection.close(timeout=_CALL_TIMEOUT_S)
        return found

    async def stored_files(self) -> frozenset[str]:
        return await asyncio.to_thread(self._stored_files)

    async def read_object(self, name: str) -> bytes:
        """The bytes MinIO keeps under a name."""
        return await asyncio.to_thread(self._read_object, name)

    def _stored_files(self) -> frozenset[str]:
        spool = self.folder / "spool"
        waiting = {f"spool/{path.relative_to(spool)}" for path in spool.rglob("*") if path.is_file()}
        try:
            stored = {str(one.object_name) for one in self._s3().list_objects(BUCKET, recursive=True)}
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise
            stored = set()
        return frozenset(waiting | stored)

    def _read_object(self, name: str) -> bytes:
        response = self._s3().get_object(BUCKET, name)
        try:
            return bytes(response.read())
        finally:
            response.close()

    def _s3(self) -> Minio:
        pool = urllib3.PoolManager(timeout=_CALL_TIMEOUT_S, retries=False)
        return Minio(
            self.minio.endpoint,
            access_key=self.minio.access_key,
            secret_key=self.minio.secret_key,
            secure=False,
            http_client=pool,
        )

    async def _prepare(self) -> None:
        """Start the servers that do not run, and make the databases that are missing."""
        await all_of(server.start() for server in self.servers.values() if not server.running)
        for name in DATABASES.values():
            if name not in self._url_of_database:
                self._url_of_database[name] = await self._database(name)

    async def _database(self, name: str) -> str:
        try:
            return await self.postgres.create_database(name)
        except asyncpg.DuplicateDatabaseError:
            return self.postgres.url_of(name)

    async def _close_servers(self) -> None:
        for port in self._ports.values():
            port.release()
        await all_of(server.close() for server in self.servers.values())

    def _probe_of(self, service: str) -> Probe:
        if service == EDGE:
            return http_probe(f"http://{LOOPBACK}:{self._http_port}/readyz")
        return grpc_probe(self._ports[service].address)

    def _settings_of(self, service: str) -> dict[str, str]:
        house = {"ATELIER_INTERNAL_SECRET": self._secrets["internal"], "ATELIER_EVENTS_URL": self.nats.url}
        own = {
            "LISTEN": self._ports[service].address,
            "GATEWAY_TARGET": self._target("gateway"),
            "JOBS_TARGET": self._target("job-orchestrator"),
            "BILLING_TARGET": self._target("billing"),
            "ASSETS_TARGET": self._target("asset-store"),
            "PROVIDERS_TARGET": self._target("provider-adapter"),
        }
        if service in DATABASES:
            own["DATABASE_URL"] = self._url_of_database[DATABASES[service]]
        own |= self._only_for(service)
        return house | {PREFIXES[service] + name: value for name, value in own.items()}

    def _only_for(self, service: str) -> dict[str, str]:
        if service == EDGE:
            return {"HTTP_HOST": self._http_host, "HTTP_PORT": str(self._http_port)}
        if service == "gateway":
            return {
                "VAULT_SECRET": self._secrets["vault"],
                "JWT_SECRET": self._secrets["jwt"],
                "CATALOG_DIR": str(self._catalog),
                "MODERATION_WORDS": str(_deploy() / "moderation" / "words.txt"),
            }
        if service == "asset-store":
            return {
                "SPOOL": str(self.folder / "spool"),
                "S3_ENDPOINT": self.minio.url,
                "S3_BUCKET": BUCKET,
                "S3_ACCESS_KEY": self.minio.access_key,
                "S3_SECRET_KEY": self.minio.secret_key,
            }
        return {}

    def _target(self, service: str) -> str:
        return f"dns:///{self._ports[service].address}"


def _deploy() -> Path:
    """The checkout's `deploy` folder. Raises FileNotFoundError."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "deploy" / "catalog").is_dir():
            return folder / "deploy"
    raise FileNotFoundError("deploy/catalog: the local stack needs a checkout")
