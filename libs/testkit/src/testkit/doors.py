"""Ways in beside the API key, and money of other units, for a client that a test made."""

import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

import jwt
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_pb2
from kit.ids import new_id
from testkit.deployments.deployment import Operator

CALL_TIMEOUT_S: Final = 30.0
KINDS: Final = {
    "api_key": client_pb2.CREDENTIAL_KIND_API_KEY,
    "app": client_pb2.CREDENTIAL_KIND_APP,
    "user_key": client_pb2.CREDENTIAL_KIND_USER_KEY,
}
UNITS: Final = {"points": money_pb2.UNIT_POINTS, "count": money_pb2.UNIT_COUNT, "fen": money_pb2.UNIT_FEN}


@dataclass(frozen=True, kw_only=True)
class Door:
    """One credential; `name` is the app id of a signed app."""

    name: str
    secret: str


async def open_door(operator: Operator, client_id: str, kind: str, *, life_s: float | None = None) -> Door:
    """Give a client a credential of kind "api_key", "app" or "user_key", good for so long."""
    name = f"app{secrets.token_hex(8)}" if kind == "app" else ""
    expire = None if life_s is None else Timestamp(seconds=int(time.time() + life_s))
    request = admin_pb2.AddCredentialRequest(client_id=client_id, kind=KINDS[kind], app_id=name, expire_time=expire)
    made = await operator.clients.AddCredential(request, timeout=CALL_TIMEOUT_S)
    return Door(name=name, secret=made.secret)


async def change_client(operator: Operator, client_id: str, **changes: Any) -> None:
    """Change fields of a client's record; gateways notice within five seconds."""
    found = await operator.clients.GetClient(admin_pb2.GetClientRequest(client_id=client_id), timeout=CALL_TIMEOUT_S)
    found.client.MergeFrom(client_pb2.Client(**changes))
    await operator.clients.PutClient(admin_pb2.PutClientRequest(client=found.client), timeout=CALL_TIMEOUT_S)


async def grant(operator: Operator, client_id: str, unit: str, value: int) -> None:
    """Add units to a client's wallet."""
    amount = money_pb2.Amount(unit=UNITS[unit], value=value)
    request = wallet_pb2.GrantRequest(grant_id=new_id("grant"), client_id=client_id, amount=amount)
    await operator.wallets.Grant(request, timeout=CALL_TIMEOUT_S)


def token(secret: SecretStr, user_id: str, **claims: Any) -> str:
    """A token of the points contract for ten minutes; a claim that is None is left out."""
    now_s = int(time.time())
    facts = {"sub": user_id, "iat": now_s, "exp": now_s + 600} | claims
    present = {name: value for name, value in facts.items() if value is not None}
    return jwt.encode(present, secret.get_secret_value(), "HS256")
