"""A client of its own for a test: with its own key and wallet it disturbs nobody on a shared deployment."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_pb2
from kit.ids import new_id
from testkit.deployments.deployment import Operator
from testkit.openclient import OpenClient

CALL_TIMEOUT_S: Final = 30.0

#: `new_partner` of one deployment, as a fixture gives it to tests.
NewPartner = Callable[..., Awaitable[OpenClient]]


async def new_partner(
    operator: Operator, url: str, *, points: int = 1000, limits: client_pb2.Limits | None = None, **client: Any
) -> OpenClient:
    """Make a client with a grant, and the program that calls as it; `client` are fields of its record."""
    client_id = f"test-{secrets.token_hex(6)}"
    record = client_pb2.Client(id=client_id, limits=limits, **client)
    await operator.clients.PutClient(admin_pb2.PutClientRequest(client=record), timeout=CALL_TIMEOUT_S)
    made = await operator.clients.AddCredential(
        admin_pb2.AddCredentialRequest(client_id=client_id, kind=client_pb2.CREDENTIAL_KIND_API_KEY),
        timeout=CALL_TIMEOUT_S,
    )
    if points:
        amount = money_pb2.Amount(unit=money_pb2.UNIT_POINTS, value=points)
        await operator.wallets.Grant(
            wallet_pb2.GrantRequest(grant_id=new_id("grant"), client_id=client_id, amount=amount),
            timeout=CALL_TIMEOUT_S,
        )
    return OpenClient(url, made.secret, client_id=client_id)
