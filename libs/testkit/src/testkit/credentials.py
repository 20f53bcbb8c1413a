"""Credentials of every contract, good ones and every kind of bad one with the words that refuse it.

The contracts go by their names: "open", "points", "signed", "studio".
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from testkit.deployments import Deployment
from testkit.doors import open_door, token
from testkit.openclient import OpenClient
from testkit.signedclient import proof

CONTRACTS: Final = ("open", "points", "signed", "studio")
TOKEN_LIFE_S: Final = 3600  # Longer than any test.

Fields = Callable[[], Mapping[str, str]]
Said = tuple[int, dict[str, Any]]

#: What is said to the good credential of a disabled client.
DISABLED: Final[Mapping[str, Said]] = {
    "open": (403, {"error": "This API client is disabled."}),
    "points": (403, {"code": 403, "message": "账号停用", "data": None}),
    "signed": (200, {"code": 602, "msg": "账号停用", "charge": False}),
    "studio": (200, {"err_code": 1, "err_msg": "账户不存在"}),
}


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a request carries to prove who sends it."""

    what: str  #: "good", or what is wrong with it.
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Fields = dict  #: Of the form, made when it is sent.


@dataclass(frozen=True, kw_only=True)
class BadCredential(Credential):
    """One that is refused with this status and body; the signed contract's body without its number."""

    status: int
    body: dict[str, Any]


async def good_credentials(house: Deployment, partner: OpenClient, user_id: str) -> dict[str, Credential]:
    """One for each contract; `user_id` is the client's."""
    app = await open_door(house.operator(), partner.client_id, "app")
    user_key = (await open_door(house.operator(), partner.client_id, "user_key")).secret
    jwt = token(house.jwt_secret, user_id, exp=int(time.time()) + TOKEN_LIFE_S)
    return {
        "open": Credential(what="good", headers=_bearer(partner.key)),
        "points": Credential(what="good", headers=_bearer(jwt)),
        "signed": Credential(what="good", fields=_proof(app.name, app.secret)),
        "studio": Credential(what="good", fields=lambda: {"user_key": user_key}),
    }


async def disabled_credentials(house: Deployment, partner: OpenClient, user_id: str) -> dict[str, BadCredential]:
    """One for each contract, good until the caller disables the client."""
    good = await good_credentials(house, partner, user_id)
    return {
        contract: BadCredential(
            what="disabled",
            headers=one.headers,
            fields=one.fields,
            status=DISABLED[contract][0],
            body=DISABLED[contract][1],
        )
        for contract, one in good.items()
    }


async def bad_credentials(house: Deployment, partner: OpenClient, user_id: str) -> dict[str, list[BadCredential]]:
    """For each contract none, wrong ones, another contract's, and expired ones of a client that is in order."""
    operator, client_id = house.operator(), partner.client_id
    user_key = (await open_door(operator, client_id, "user_key")).secret
    old_user_key = (await open_door(operator, client_id, "user_key", life_s=-1)).secret
    old_key = (await open_door(operator, client_id, "api_key", life_s=-1)).secret
    keys = {"none": "", "wrong": "sk-wrong", "of another contract": user_key, "expired": old_key}
    past = token(house.jwt_secret, user_id, exp=int(time.time()) - 60)
    forged = token(SecretStr("x" * 40), user_id)
    studio = {"none": "", "wrong": "wrong", "of another contract": partner.key, "expired": old_user_key}
    return {
        "open": _of_open(keys),
        "points": _of_points({**keys, "expired token": past, "forged token": forged}),
        "signed": await _of_signed(house, partner),
        "studio": [_of_studio(what, key) for what, key in studio.items()],
    }


def _of_open(keys: Mapping[str, str]) -> list[BadCredential]:
    said = {"none": "Missing API key.", "expired": "The credential has expired."}
    return [
        BadCredential(
            what=f"{what} in {name}",
            headers={name: prefix + key} if key else {},
            status=401,
            body={"error": said.get(what, "Invalid API key.")},
        )
        for what, key in keys.items()
        for name, prefix in (("authorization", "Bearer "), ("x-zhinian-api-key", ""))
    ]


def _of_points(keys: Mapping[str, str]) -> list[BadCredential]:
    said = {"none": "未登录", "expired": "未登录或Token过期", "expired token": "未登录或Token过期"}
    return [
        BadCredential(
            what=what,
            headers=_bearer(key) if key else {},
            status=401,
            body={"code": 401, "message": said.get(what, "未登录或Token无效"), "data": None},
        )
        for what, key in keys.items()
    ]


async def _of_signed(house: Deployment, partner: OpenClient) -> list[BadCredential]:
    app = await open_door(house.operator(), partner.client_id, "app")
    old = await open_door(house.operator(), partner.client_id, "app", life_s=-1)
    proofs: dict[str, tuple[Fields, str]] = {
        "none": (dict, "appId不能为空"),
        "unsigned": (lambda: {**_proof(app.name, app.secret)(), "sign": ""}, "sign不能为空"),
        "wrong": (_proof(app.name, "wrong"), "sign不正确"),
        "unknown": (_proof("nobody", app.secret), "sign不正确"),
        "of another contract": (_proof(partner.client_id, partner.key), "sign不正确"),
        "stale": (_proof(app.name, app.secret, skew_s=-310), "timestamp已过期"),
        "expired": (_proof(old.name, old.secret), "appId已过期"),
    }
    return [
        BadCredential(what=what, fields=fields, status=200, body={"code": 400, "msg": message, "charge": False})
        for what, (fields, message) in proofs.items()
    ]


def _of_studio(what: str, key: str) -> BadCredential:
    status, body = DISABLED["studio"]  # The document has one sentence for all of them.
    return BadCredential(what=what, fields=lambda: {"user_key": key} if key else {}, status=status, body=body)


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _proof(app_id: str, secret: str, *, skew_s: float = 0.0) -> Fields:
    """The signed contract's three parameters."""
    return lambda: proof(app_id, secret, skew_s=skew_s)
