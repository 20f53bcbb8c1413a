"""`atelier providers`: what a provider adapter can call, and how that fares."""

import os
from typing import Final

from pydantic import SecretStr

from atelier.providers.v1 import provider_service_pb2 as pb2
from atelier.providers.v1 import provider_service_pb2_grpc as grpc
from gateway.admin_api import OPERATOR
from kit.identity import IdentitySigner
from kit.rpc import connect
from standalone.place import Place
from standalone.tables import print_table
from standalone.times import from_moment

CALL_TIMEOUT_S: Final = 10.0


async def list_providers(place: Place, target: str) -> None:
    """Ask the adapter at `target` (`host:port`) and print its answer."""
    secret = os.environ.get("ATELIER_INTERNAL_SECRET")
    signer = IdentitySigner(OPERATOR, SecretStr(secret) if secret else place.secrets().internal)
    async with connect(target, identity=signer) as channel:
        answer = await grpc.ProviderServiceStub(channel).ListProviders(
            pb2.ListProvidersRequest(), timeout=CALL_TIMEOUT_S
        )
    rows = [
        (
            one.name,
            _breaker(one) if one.configured else "switched off",
            f"{one.running} of {one.running_max}",
            from_moment(one.retry_time),
            " ".join(one.capabilities),
        )
        for one in answer.providers
    ]
    print_table(("provider", "breaker", "running", "probed at", "capabilities"), rows)


def _breaker(one: pb2.Provider) -> str:
    return pb2.BreakerState.Name(one.breaker).removeprefix("BREAKER_STATE_").lower().replace("_", " ")
