"""The bootstrap file: the operator's first clients, credentials and grants, applied at every start without harm."""

from __future__ import annotations  # Async stubs exist for type checkers only.

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_admin_service_pb2_grpc as admin_grpc
from atelier.gateway.v1 import client_pb2
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from kit import identity
from kit.errors import RequestIdReused

CALL_TIMEOUT_S: Final = 10.0
UNITS: Final = {"points": money_pb2.UNIT_POINTS, "count": money_pb2.UNIT_COUNT, "fen": money_pb2.UNIT_FEN}


class BootstrapInvalid(ValueError):
    """The bootstrap file cannot be used; the message has a line for each fault."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class App(_Strict):
    """The signed contract's credential."""

    id: str = Field(min_length=1, max_length=64)
    secret: str = Field(min_length=3, max_length=256)
    ip_allow: list[str] = []


class Limits(_Strict):
    """0 means no limit."""

    requests_per_second: int = Field(0, ge=0)
    burst: int = Field(0, ge=0)
    jobs_in_flight: int = Field(0, ge=0)
    jobs_per_day: int = Field(0, ge=0)


class BootstrapClient(_Strict):
    """One client."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    api_keys: list[str] = []
    user_id: str | int = ""
    app: App | None = None
    user_key: str = ""
    grants: dict[Literal["points", "count", "fen"], int] = {}
    limits: Limits = Limits()
    models: list[str] = []
    weight: int = Field(1, ge=1, le=1000)


class Bootstrap(_Strict):
    """The whole file."""

    clients: list[BootstrapClient] = []


@dataclass(frozen=True, kw_only=True)
class OperatorStubs:
    """The operator's RPCs."""

    clients: admin_grpc.ClientAdminServiceAsyncStub
    wallets: wallet_grpc.WalletServiceAsyncStub
    jobs: job_admin_grpc.JobAdminServiceAsyncStub

    async def balance_of(self, client_id: str, *, timeout_s: float) -> wallet_pb2.GetBalanceResponse:
        """What a client can spend."""
        with identity.acting_as(client_id):
            return await self.wallets.GetBalance(wallet_pb2.GetBalanceRequest(), timeout=timeout_s)


def read(path: Path) -> Bootstrap:
    """Read the file. Raises BootstrapInvalid naming every fault, never a secret."""
    try:
        document: Any = yaml.safe_load(path.read_bytes())
        return Bootstrap.model_validate(document or {})
    except (OSError, yaml.YAMLError) as error:
        raise BootstrapInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise BootstrapInvalid("\n".join(lines)) from error


async def apply(bootstrap: Bootstrap, stubs: OperatorStubs) -> list[str]:
    """Make the clients as the file says and return the ids of those that are new.

    Grants are given once for each client and unit, however often this runs.
    """
    created = []
    for client in bootstrap.clients:
        answer = await stubs.clients.PutClient(
            admin_pb2.PutClientRequest(client=_client(client)), timeout=CALL_TIMEOUT_S
        )
        if answer.created:
            created.append(client.id)
        for credential in _credentials(client):
            await stubs.clients.AddCredential(credential, timeout=CALL_TIMEOUT_S)
        for unit, value in client.grants.items():
            if value > 0:
                grant = wallet_pb2.GrantRequest(
                    grant_id=f"bootstrap:{client.id}:{unit}",
                    client_id=client.id,
                    amount=money_pb2.Amount(unit=UNITS[unit], value=value),
                    note="bootstrap",
                )
                await _grant_once(stubs, grant)
    return created


async def _grant_once(stubs: OperatorStubs, grant: wallet_pb2.GrantRequest) -> None:
    """Grant unless it was granted before, with whatever amount the file had then."""
    try:
        await stubs.wallets.Grant(grant, timeout=CALL_TIMEOUT_S)
    except RequestIdReused:
        return


def _client(client: BootstrapClient) -> client_pb2.Client:
    return client_pb2.Client(
        id=client.id,
        user_id=str(client.user_id),
        limits=client_pb2.Limits(**client.limits.model_dump()),
        models=client.models,
        ip_allow=client.app.ip_allow if client.app else [],
        weight=client.weight,
    )


def _credentials(client: BootstrapClient) -> list[admin_pb2.AddCredentialRequest]:
    found = [
        admin_pb2.AddCredentialRequest(client_id=client.id, kind=client_pb2.CREDENTIAL_KIND_API_KEY, secret=key)
        for key in client.api_keys
    ]
    if client.user_key:
        found.append(
            admin_pb2.AddCredentialRequest(
                client_id=client.id, kind=client_pb2.CREDENTIAL_KIND_USER_KEY, secret=client.user_key
            )
        )
    if client.app is not None:
        found.append(
            admin_pb2.AddCredentialRequest(
                client_id=client.id,
                kind=client_pb2.CREDENTIAL_KIND_APP,
                secret=client.app.secret,
                app_id=client.app.id,
            )
        )
    return found
