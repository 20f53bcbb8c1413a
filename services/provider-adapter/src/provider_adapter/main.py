"""Wiring of the provider adapter: the same for a process of its own and inside the standalone."""

import os
import secrets
import socket
from collections.abc import Iterable
from typing import Final

from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.jobs.v1 import lease_service_pb2_grpc as lease_grpc
from atelier.providers.v1 import provider_service_pb2_grpc as provider_grpc
from kit.rpc import AnyServer
from kit.service import Resources, serve
from kit.tickets import TicketSigner
from provider_adapter.api import ProviderServicer
from provider_adapter.clients import GrpcAssets, GrpcAttempts, GrpcLeases
from provider_adapter.config import ProviderSettings
from provider_adapter.registry import known_providers
from provider_adapter.usecases.attempt import Doings
from provider_adapter.usecases.callback import Callbacks
from provider_adapter.usecases.inputs import FindInputs
from provider_adapter.usecases.outputs import StoreOutputs
from provider_adapter.usecases.roster import Known, Roster
from provider_adapter.usecases.work import GIVE_BACK_S, Worker

NAME: Final = "provider-adapter"
PACKAGE: Final = "provider_adapter"
PREFETCH: Final = 1  # Jobs beyond what can run: inputs are fetched while the engine is busy.
PROVIDERS_CLOSE_S: Final = 10.0  # Engine processes are killed, connections are closed.


class ProviderAdapter:
    """The provider adapter, ready to be put on a server."""

    name = NAME

    def __init__(
        self, settings: ProviderSettings, resources: Resources, *, providers: Iterable[Known] | None = None
    ) -> None:
        """Build the providers; nothing runs yet. `providers`: the registry's, unless a test brings its own.

        Raises ValueError for settings that cannot work.
        """
        self._grace_s = settings.stop_grace_s
        self.stop_timeout_s = settings.stop_grace_s + 2 * GIVE_BACK_S + PROVIDERS_CLOSE_S  #: The longest `stop` takes.
        self._roster = Roster(known_providers(settings) if providers is None else providers)
        self._settings, self._resources = settings, resources
        self._worker: Worker | None = None
        self._callbacks = Callbacks(
            settings.internal_secret,
            public_url=settings.public_url,
            roster=self._roster,
            attempts=GrpcAttempts(lambda: resources.connect(settings.jobs_target)),
        )
        self._servicer = ProviderServicer(self._roster, self._callbacks)

    @property
    def worker(self) -> Worker:
        """Who leases and works. Only after `start`."""
        assert self._worker is not None, "the adapter is started"
        return self._worker

    def register(self, server: AnyServer) -> None:
        """Put the servicer on a server."""
        server.add(provider_grpc.add_ProviderServiceServicer_to_server, self._servicer)

    async def start(self) -> None:
        """Start the providers and begin to lease.

        The providers come first: the engine's processes are started before this process has any channel.
        """
        await self._roster.start()
        self._worker = self._connected()
        self._worker.start()

    async def drain(self) -> None:
        """Lease no more, and give back what is not begun or can be resumed by another worker."""
        if self._worker is not None:
            await self._worker.drain()

    async def stop(self) -> None:
        """Let running jobs finish within the grace, give the rest back, stop the providers."""
        try:
            if self._worker is not None:
                await self._worker.stop(self._grace_s)
        finally:
            await self._roster.close()

    def _connected(self) -> Worker:
        settings, connect = self._settings, self._resources.connect
        leases = GrpcLeases(lease_grpc.LeaseServiceStub(connect(settings.jobs_target)))
        assets = GrpcAssets(
            assets_grpc.AssetServiceStub(connect(settings.assets_target)),
            TicketSigner(settings.internal_secret),
            public_url=settings.public_url,
        )
        return Worker(
            leases=leases,
            doings=Doings(
                roster=self._roster,
                leases=leases,
                find_inputs=FindInputs(assets),
                store_outputs=StoreOutputs(assets),
                callback_url=self._callbacks.url,
            ),
            clock=self._resources.clock,
            pool=settings.pool,
            worker_id=_worker_id(),
            slots=settings.slots or self._roster.running_max + PREFETCH,
            lease_s=settings.lease_s,
        )


def main() -> None:
    """Read the settings, serve until a signal."""
    serve(ProviderSettings(), ProviderAdapter, name=NAME, package=PACKAGE)


def _worker_id() -> str:
    """Unique for each process, and tells people which one it is."""
    return f"{socket.gethostname()[:64]}-{os.getpid()}-{secrets.token_hex(4)}"
