"""All services in one process: the same code as six processes, on in-process channels, SQLite and a folder."""

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
from kit.rpc import LocalDirectory, connect
from kit.service import host
from provider_adapter.config import ProviderSettings
from provider_adapter.main import NAME as PROVIDER_ADAPTER
from provider_adapter.main import ProviderAdapter

from standalone import bootstrap
from standalone.bootstrap import OperatorStubs
from standalone.place import ROOT, Place

PACKAGES: Final = {
    BILLING: "billing",
    JOB_ORCHESTRATOR: "job_orchestrator",
    ASSET_STORE: "asset_store",
    GATEWAY: "gateway",
    PROVIDER_ADAPTER: "provider_adapter",
}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the embedded deployment serves HTTP; port 0 takes a free one."""

    http_host: str = "127.0.0.1"
    http_port: int = 8081


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
        self._host_keepers(background=address is not None)
        if address is not None:
            self._host_worker()
            self.life.add("bus", start=self._bus.start, stop=self._bus.stop)
        if bootstrap_file is not None:
            self._bootstrap_with(bootstrap_file)
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
        bus, directory, life = self._bus, self._directory, self.life
        host(
            life,
            BillingSettings(database_url=url("billing"), internal_secret=secret),
            Billing,
            name=BILLING,
            package=PACKAGES[BILLING],
            bus=bus,
            directory=directory,
            background=background,
        )
        host(
            life,
            AssetStoreSettings(database_url=url("assets"), internal_secret=secret, folder=self._place.assets),
            AssetStore,
            name=ASSET_STORE,
            package=PACKAGES[ASSET_STORE],
            bus=bus,
            directory=directory,
            background=background,
        )
        host(
            life,
            JobsSettings(database_url=url("jobs"), internal_secret=secret),
            JobOrchestrator,
            name=JOB_ORCHESTRATOR,
            package=PACKAGES[JOB_ORCHESTRATOR],
            bus=bus,
            directory=directory,
            background=background,
        )
        host(
            life,
            GatewaySettings(
                database_url=url("gateway"),
                internal_secret=secret,
                vault_secret=self._secrets.vault,
                jwt_secret=self._secrets.jwt,
                catalog_dir=self._catalog_dir,
            ),
            Gateway,
            name=GATEWAY,
            package=PACKAGES[GATEWAY],
            bus=bus,
            directory=directory,
            background=background,
        )

    def _host_worker(self) -> None:
        """The service that keeps nothing and does the work."""
        host(
            self.life,
            ProviderSettings(internal_secret=self._secrets.internal),
            ProviderAdapter,
            name=PROVIDER_ADAPTER,
            package=PACKAGES[PROVIDER_ADAPTER],
            bus=self._bus,
            directory=self._directory,
        )
