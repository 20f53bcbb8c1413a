"""All services in one process: the same code as six processes, on in-process channels, SQLite and a folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asset_store.config import AssetStoreSettings
from asset_store.main import NAME as ASSET_STORE
from asset_store.main import AssetStore
from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.gateway.v1 import client_admin_service_pb2_grpc as admin_grpc
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from billing.config import BillingSettings
from billing.main import NAME as BILLING
from billing.main import Billing
from edge.config import EdgeSettings
from edge.main import NAME as EDGE
from edge.main import STOP_TIMEOUT_S as EDGE_STOP_TIMEOUT_S
from edge.main import Edge
from gateway.admin_api import OPERATOR
from gateway.config import GatewaySettings
from gateway.main import NAME as GATEWAY
from gateway.main import Gateway
from job_orchestrator.config import JobsSettings
from job_orchestrator.main import NAME as JOB_ORCHESTRATOR
from job_orchestrator.main import JobOrchestrator
from kit.events import InProcessBus
from kit.identity import IdentitySigner
from kit.lifecycle import Lifecycle
from kit.rpc import LocalDirectory, Server, connect
from kit.service import STOP_SLACK_S, App, Resources, Settings, host
from kit.settings import ServiceSettings
from provider_adapter.config import ProviderSettings
from provider_adapter.main import NAME as PROVIDER_ADAPTER
from provider_adapter.main import ProviderAdapter
from standalone import bootstrap
from standalone.bootstrap import OperatorStubs
from standalone.place import ROOT, Place

MODERATION_WORDS: Final = ROOT / "deploy" / "moderation" / "words.txt"

PACKAGES: Final = {
    BILLING: "billing",
    JOB_ORCHESTRATOR: "job_orchestrator",
    ASSET_STORE: "asset_store",
    GATEWAY: "gateway",
    PROVIDER_ADAPTER: "provider_adapter",
}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the embedded deployment serves; port 0 takes a free one."""

    http_host: str = "127.0.0.1"
    http_port: int = 8081
    grpc_listen: str = ""  #: `host:port` for the services' RPCs; empty serves none outside of this process.


class Standalone:
    """The embedded deployment in one data folder."""

    def __init__(
        self,
        place: Place,
        *,
        address: Address | None = None,
        bootstrap_file: Path | None = None,
        catalog_dir: Path | None = None,
    ) -> None:
        """Build the services; nothing runs yet. Without an address it only answers the operator's calls.

        Raises BootstrapInvalid, CatalogInvalid, ValueError for settings that cannot work.
        """
        self._place = place
        self._secrets = place.secrets()
        self._catalog_dir = catalog_dir or ROOT / "deploy" / "catalog"
        self._directory = LocalDirectory()
        self._bus = InProcessBus()
        self.life = Lifecycle()
        self.edge: Edge | None = None
        self._apps: list[App] = []
        self._host_keepers(background=address is not None)
        if address is not None:
            self._host_worker()
            self.life.add("bus", start=self._bus.start, stop=self._bus.stop)
        if bootstrap_file is not None:
            self._bootstrap_with(bootstrap_file)
        if address is not None and address.grpc_listen:
            self._open_rpc(address.grpc_listen)
        if address is not None:
            self.edge = self._open_edge(address)

    def _open_edge(self, address: Address) -> Edge:
        """Add the edge: the last part to start and the first to stop."""
        settings = EdgeSettings(
            internal_secret=self._secrets.internal, http_host=address.http_host, http_port=address.http_port
        )
        edge = Edge(settings, directory=self._directory)
        self.life.add(EDGE, start=edge.start, stop=edge.stop, stop_timeout_s=EDGE_STOP_TIMEOUT_S)
        return edge

    def _open_rpc(self, listen: str) -> None:
        """Serve every service's RPCs on one port, for internal services and operators' tools."""
        settings = ServiceSettings(internal_secret=self._secrets.internal, listen=listen)
        server = Server("atelier", settings)
        for app in self._apps:
            app.register(server)
        stop_s = settings.drain_wait_s + settings.stop_grace_s + STOP_SLACK_S
        self.life.add("rpc server", start=server.start, stop=server.stop, stop_timeout_s=stop_s)

    def _bootstrap_with(self, path: Path) -> None:
        """Apply a bootstrap file once the services answer."""
        document = bootstrap.read(path)

        async def apply() -> None:
            await bootstrap.apply(document, self.operator_stubs())

        self.life.add("bootstrap", start=apply)

    def operator_stubs(self) -> OperatorStubs:
        """Stubs that call as the operator."""
        signer = IdentitySigner(OPERATOR, self._secrets.internal)
        gateway = connect(f"local:{GATEWAY}", identity=signer, directory=self._directory)
        billing = connect(f"local:{BILLING}", identity=signer, directory=self._directory)
        jobs = connect(f"local:{JOB_ORCHESTRATOR}", identity=signer, directory=self._directory)
        return OperatorStubs(
            clients=admin_grpc.ClientAdminServiceStub(gateway),
            wallets=wallet_grpc.WalletServiceStub(billing),
            jobs=job_admin_grpc.JobAdminServiceStub(jobs),
        )

    def _host_keepers(self, *, background: bool) -> None:
        """The four services that keep something."""
        secret = self._secrets.internal
        url = self._place.database_url
        billing = BillingSettings(database_url=url("billing"), internal_secret=secret)
        assets = AssetStoreSettings(database_url=url("assets"), internal_secret=secret, folder=self._place.assets)
        jobs = JobsSettings(database_url=url("jobs"), internal_secret=secret)
        gateway = GatewaySettings(
            database_url=url("gateway"),
            internal_secret=secret,
            vault_secret=self._secrets.vault,
            jwt_secret=self._secrets.jwt,
            catalog_dir=self._catalog_dir,
            moderation_words=Path(os.environ.get("GATEWAY_MODERATION_WORDS") or MODERATION_WORDS),
        )
        self._host(billing, Billing, BILLING, background=background)
        self._host(assets, AssetStore, ASSET_STORE, background=background)
        self._host(jobs, JobOrchestrator, JOB_ORCHESTRATOR, background=background)
        self._host(gateway, Gateway, GATEWAY, background=background)

    def _host_worker(self) -> None:
        """The service that keeps nothing and does the work."""
        self._host(ProviderSettings(internal_secret=self._secrets.internal), ProviderAdapter, PROVIDER_ADAPTER)

    def _host(
        self, settings: Settings, build: Callable[[Settings, Resources], App], name: str, *, background: bool = True
    ) -> None:
        app = host(
            self.life,
            settings,
            build,
            name=name,
            package=PACKAGES[name],
            bus=self._bus,
            directory=self._directory,
            background=background,
        )
        self._apps.append(app)
