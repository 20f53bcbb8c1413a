"""Where the operator's commands go: the services of a data folder, or those of a running deployment."""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

from pydantic import SecretStr

from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.gateway.v1 import client_admin_service_pb2_grpc as admin_grpc
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from gateway.admin_api import OPERATOR
from kit.identity import IdentitySigner
from kit.rpc import connect
from standalone.assembly import Standalone
from standalone.bootstrap import OperatorStubs
from standalone.place import Place

#: Set all three, and ATELIER_INTERNAL_SECRET, to operate a deployment of separate services.
TARGETS: Final = ("ATELIER_GATEWAY_TARGET", "ATELIER_BILLING_TARGET", "ATELIER_JOBS_TARGET")


class OperatorConfused(ValueError):
    """The environment names only a part of what operating a deployment needs."""


@contextlib.asynccontextmanager
async def stubs(place: Place) -> AsyncIterator[OperatorStubs]:
    """The operator's stubs for the block. Works beside a process that serves from the same folder."""
    if any(os.environ.get(name) for name in TARGETS):
        async with _remote() as remote:
            yield remote
        return
    standalone = Standalone(place)
    async with standalone.life:
        yield standalone.operator_stubs()


@contextlib.asynccontextmanager
async def _remote() -> AsyncIterator[OperatorStubs]:
    missing = [name for name in (*TARGETS, "ATELIER_INTERNAL_SECRET") if not os.environ.get(name)]
    if missing:
        raise OperatorConfused(f"set {', '.join(missing)} as well")
    signer = IdentitySigner(OPERATOR, SecretStr(os.environ["ATELIER_INTERNAL_SECRET"]))
    async with contextlib.AsyncExitStack() as stack:
        gateway, billing, jobs = [
            await stack.enter_async_context(connect(os.environ[name], identity=signer)) for name in TARGETS
        ]
        yield OperatorStubs(
            clients=admin_grpc.ClientAdminServiceStub(gateway),
            wallets=wallet_grpc.WalletServiceStub(billing),
            jobs=job_admin_grpc.JobAdminServiceStub(jobs),
        )
