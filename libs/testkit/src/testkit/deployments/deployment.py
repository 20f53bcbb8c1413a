"""What both kinds of deployment have in common for tests and for the local stack.

async with StackDeployment(folder, environment={"ZHINIAN_WEBHOOK_SECRET": "…"}) as deployment:
    operator = deployment.operator()
    await deployment.kill_hard("billing")
    await deployment.start("billing")
"""

import asyncio
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from pydantic import SecretStr

from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.gateway.v1 import client_admin_service_pb2_grpc as admin_grpc
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from kit.identity import IdentitySigner
from kit.rpc import Channel, connect
from testkit.deployments.process import KILL_TIMEOUT_S, STOP_GRACE_S, ServiceProcess

OPERATOR: Final = "operator"  #: The identity that administrative RPCs ask for.
SECRET_NAMES: Final = ("internal", "vault", "jwt")


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The operator's RPCs."""

    clients: "admin_grpc.ClientAdminServiceAsyncStub"
    wallets: "wallet_grpc.WalletServiceAsyncStub"
    jobs: "job_admin_grpc.JobAdminServiceAsyncStub"


class Deployment(ABC):
    """A whole Atelier in processes of its own, with its data under `folder`; nothing outlives this process.

    `environment` reaches every process. Addresses stay the same over restarts, and so does the data.
    """

    kind: ClassVar[str]

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        """Start nothing yet."""
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._environment = dict(environment or {})
        self._special: dict[str, dict[str, str]] = {}
        self._services: dict[str, ServiceProcess] = {}
        self._channels: list[Channel] = []

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # Addresses

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the edge serves HTTP."""

    @abstractmethod
    def grpc_address(self, service: str) -> str:
        """`host:port` of one service: "gateway", "billing", "job-orchestrator", "asset-store"."""

    @property
    @abstractmethod
    def internal_secret(self) -> SecretStr:
        """What signs the calls between services. Only after the first start."""

    @property
    @abstractmethod
    def jwt_secret(self) -> SecretStr:
        """What signs the points contract's tokens. Only after the first start."""

    def channel(self, service: str, *, identity: str = "e2e") -> Channel:
        """A channel to one service, signed as `identity`. It is closed with the deployment."""
        signer = IdentitySigner(identity, self.internal_secret)
        channel = connect(self.grpc_address(service), identity=signer)
        self._channels.append(channel)
        return channel

    def gateway_channel(self, *, identity: str = "e2e") -> Channel:
        """A channel to the front door, as an internal service uses it."""
        return self.channel("gateway", identity=identity)

    def operator(self) -> Operator:
        """Stubs that call as the operator, good until the deployment is closed."""
        return Operator(
            clients=admin_grpc.ClientAdminServiceStub(self.channel("gateway", identity=OPERATOR)),
            wallets=wallet_grpc.WalletServiceStub(self.channel("billing", identity=OPERATOR)),
            jobs=job_admin_grpc.JobAdminServiceStub(self.channel("job-orchestrator", identity=OPERATOR)),
        )

    # Life

    @property
    def services(self) -> Mapping[str, ServiceProcess]:
        """Our own processes by name, in the order in which they stop."""
        return self._services

    def configure(self, *, service: str | None = None, **variables: str | None) -> None:
        """Set environment variables, or with None unset them, for all processes or one, from the next start on."""
        chosen = self._environment if service is None else self._special.setdefault(service, {})
        for name, value in variables.items():
            if value is None:
                chosen.pop(name, None)
            else:
                chosen[name] = value

    async def start(self, service: str | None = None) -> None:
        """Start what does not run, or one service, and return when it is healthy. Raises ServerNotStarted."""
        await self._prepare()
        chosen = [one for one in self._chosen(service) if not one.running]
        for one in chosen:
            one.environment = self._environment_of(one.name)
            one.spawn()
        await all_of(one.wait_until_healthy() for one in chosen)

    async def stop(self, service: str | None = None, *, grace_s: float = STOP_GRACE_S) -> dict[str, int | None]:
        """End everything, or one service, with SIGTERM and in order; return the exit statuses.

        Raises TimeoutError when one does not end in time.
        """
        return {one.name: await one.terminate(grace_s) for one in self._chosen(service)}

    async def restart(self, service: str | None = None) -> None:
        """Stop what runs and start it on the same addresses with the same data."""
        await self.stop(service)
        await self.start(service)

    async def kill_hard(self, service: str | None = None) -> None:
        """SIGKILL one service, or all of them at the same moment."""
        chosen = self._chosen(service)
        for one in chosen:
            one.send_kill()
        for one in chosen:
            await one.wait_ended(KILL_TIMEOUT_S)

    async def close(self) -> None:
        """Stop everything and see that no process is left. Raises OrphansLeft, TimeoutError after all were ended."""
        for channel in self._channels:
            await channel.close()
        self._channels.clear()
        failures = []
        for one in self._services.values():
            try:
                await one.close()
            except (AssertionError, TimeoutError) as error:
                failures.append(error)
        await self._close_servers()
        if failures:
            raise failures[0]

    # What is inside, for tests that must see that nothing was left behind

    @abstractmethod
    async def census(self) -> dict[str, int]:
        """Rows in every table of every service, as `database.table`."""

    @abstractmethod
    async def stored_files(self) -> frozenset[str]:
        """Names of all files the asset store keeps, unfinished uploads among them."""

    def logs(self, service: str | None = None) -> str:
        """What all processes, or one, have logged so far."""
        paths = [one.log_path for one in self._chosen(service)]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    # For the two kinds

    async def _prepare(self) -> None:  # noqa: B027 - one kind has nothing to prepare
        """Make ready what the services need; cheap when it is there."""

    async def _close_servers(self) -> None:  # noqa: B027 - one kind has none
        """Stop what `_prepare` started."""

    @abstractmethod
    def _settings_of(self, service: str) -> dict[str, str]:
        """The environment that makes this service part of the deployment."""

    def _environment_of(self, service: str) -> dict[str, str]:
        return self._settings_of(service) | self._environment | self._special.get(service, {})

    def _chosen(self, service: str | None) -> list[ServiceProcess]:
        return list(self._services.values()) if service is None else [self._services[service]]


async def all_of(works: Iterable[Awaitable[None]]) -> None:
    """Do all at once, to the end of each; raise the first failure as it is, not in a group."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def kept_secrets(path: Path) -> dict[str, str]:
    """Secrets made once for a folder."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(json.dumps({name: secrets.token_urlsafe(32) for name in SECRET_NAMES}))
    stored: dict[str, str] = json.loads(path.read_text())
    return stored
