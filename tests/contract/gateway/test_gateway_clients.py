"""Clients and credentials, on SQLite and Postgres."""

import hashlib
from collections.abc import Callable

import jwt
import pytest
from pydantic import SecretStr

from gateway.domain import Client, CredentialKind, Limits
from gateway.secrets import Vault
from gateway.sql import METADATA, SqlUnitOfWork
from gateway.tokens import TokenVerifier
from gateway.usecases.authenticate import CACHE_S, Authenticate
from gateway.usecases.clients import ManageClients
from kit.db import Database, assert_migrations_match
from kit.errors import (
    ClientDisabled,
    ClientNotFound,
    CredentialExpired,
    CredentialInvalid,
    CredentialMissing,
    InvalidArgument,
    IpNotAllowed,
    NotFound,
    RequestIdReused,
)
from testkit.clock import FakeClock

JWT_SECRET = "j" * 64


class Door:
    """Authentication and administration on one database, with a hand-moved clock."""

    def __init__(self, uow: SqlUnitOfWork, vault: Vault, clock: FakeClock) -> None:
        self.clock = clock
        self.monotonic = 0.0
        self.authenticate = Authenticate(
            uow=uow,
            vault=vault,
            configured_keys={"env-key": "partner-env"},
            tokens=TokenVerifier(secret=SecretStr(JWT_SECRET)),
            monotonic=lambda: self.monotonic,
            now_ms=clock.now_ms,
        )
        # Another process's operator: what it changes is noticed only when the cache is stale.
        self.clients = ManageClients(uow=uow, vault=vault, forget=lambda: None)

    async def enter(self, authorization: str, *, peer: str = "192.0.2.1") -> str:
        return (await self.authenticate(authorization, peer_address=peer)).id

    async def with_key(self, client: Client, key: str = "key-a", *, expire_ms: int | None = None) -> str:
        await self.clients.put(client)
        made = await self.clients.add_credential(
            client.id, CredentialKind.API_KEY, secret=key, app_id="", expire_ms=expire_ms
        )
        return made.credential.id


@pytest.fixture
def door(uow: SqlUnitOfWork, vault: Vault, clock: FakeClock) -> Door:
    return Door(uow, vault, clock)


async def test_migrations_make_the_tables_of_the_code(database: Database, database_url: str) -> None:
    assert_migrations_match(database_url, METADATA)


async def test_client_is_replaced_and_keeps_its_birthday(door: Door) -> None:
    first, created = await door.clients.put(Client(id="partner-a", limits=Limits(requests_per_second=5)))
    door.clock.advance(60)
    second, created_again = await door.clients.put(Client(id="partner-a", models=("m",), ip_allow=("10.0.0.0/8",)))
    assert (created, created_again) == (True, False)
    assert second.create_ms == first.create_ms
    assert second.models == ("m",)
    assert second.limits == Limits()


async def test_user_id_of_another_client_is_refused(door: Door) -> None:
    await door.clients.put(Client(id="a", user_id="17"))
    with pytest.raises(RequestIdReused):
        await door.clients.put(Client(id="b", user_id="17"))


async def test_pages_of_clients_are_in_order(door: Door) -> None:
    for name in ("c", "a", "b"):
        await door.clients.put(Client(id=name))
    assert [client.id for client in await door.clients.page(after_id="a", size=5)] == ["b", "c"]


async def test_api_key_opens_the_door(door: Door) -> None:
    await door.with_key(Client(id="partner-a"))
    assert await door.enter("Bearer key-a") == "partner-a"
    assert await door.enter("bearer  key-a") == "partner-a"


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("", CredentialMissing),
        ("Bearer", CredentialMissing),
        ("Bearer wrong", CredentialInvalid),
        ("Bearer key-a\x00", CredentialInvalid),
        ("Basic a2V5LWE=", CredentialInvalid),
        ("UserKey key-a", CredentialInvalid),  # A key is good for its own kind only.
        ("Bearer " + "k" * 300, CredentialInvalid),
        ("Bearer a.b.c", CredentialInvalid),
    ],
)
async def test_door_stays_shut_for_other_credentials(door: Door, authorization: str, expected: type[Exception]) -> None:
    await door.with_key(Client(id="partner-a"))
    with pytest.raises(expected):
        await door.enter(authorization)


async def test_user_key_opens_the_door(door: Door) -> None:
    await door.clients.put(Client(id="partner-a"))
    await door.clients.add_credential(
        "partner-a", CredentialKind.USER_KEY, secret="test-key", app_id="", expire_ms=None
    )
    assert await door.enter("UserKey test-key") == "partner-a"


async def test_configured_key_needs_no_record(door: Door) -> None:
    assert await door.enter("Bearer env-key") == "partner-env"


async def test_expired_key_is_told_from_a_wrong_one(door: Door) -> None:
    await door.with_key(Client(id="partner-a"), expire_ms=door.clock.now_ms() + 1000)
    assert await door.enter("Bearer key-a") == "partner-a"
    door.clock.advance(1)
    with pytest.raises(CredentialExpired):
        await door.enter("Bearer key-a")


async def test_disabled_client_is_refused_once_the_cache_is_stale(door: Door) -> None:
    await door.with_key(Client(id="partner-a"))
    await door.enter("Bearer key-a")
    await door.clients.put(Client(id="partner-a", disabled=True))
    assert await door.enter("Bearer key-a") == "partner-a"
    door.monotonic += CACHE_S
    with pytest.raises(ClientDisabled):
        await door.enter("Bearer key-a")


async def test_revoked_key_is_refused_once_the_cache_is_stale(door: Door) -> None:
    credential_id = await door.with_key(Client(id="partner-a"))
    await door.enter("Bearer key-a")
    await door.clients.revoke(credential_id)
    door.monotonic += CACHE_S
    with pytest.raises(CredentialInvalid):
        await door.enter("Bearer key-a")
    with pytest.raises(NotFound):
        await door.clients.revoke("cred_none")


@pytest.mark.parametrize(
    ("peer", "inside"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("192.0.2.1", False), ("", False), ("2001:db8::1", True)],
)
async def test_allow_list_decides_by_address(door: Door, peer: str, inside: bool) -> None:
    await door.with_key(Client(id="partner-a", ip_allow=("10.0.0.0/8", "2001:db8::1")))
    if inside:
        assert await door.enter("Bearer key-a", peer=peer) == "partner-a"
    else:
        with pytest.raises(IpNotAllowed):
            await door.enter("Bearer key-a", peer=peer)


def _token(door: Door, *, secret: str = JWT_SECRET, algorithm: str = "HS256", **claims: object) -> str:
    import time

    facts = {"sub": "17", "exp": int(time.time()) + 600} | claims
    return jwt.encode({name: value for name, value in facts.items() if value is not None}, secret, algorithm)


async def test_token_opens_the_door_of_its_user(door: Door) -> None:
    await door.clients.put(Client(id="partner-a", user_id="17"))
    door.clock.set(0)
    assert await door.enter(f"Bearer {_token(door)}") == "partner-a"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": 1}, CredentialExpired),
        ({"exp": None}, CredentialInvalid),
        ({"sub": None}, CredentialInvalid),
        ({"sub": "18"}, CredentialInvalid),
        ({"secret": "x" * 64}, CredentialInvalid),
        ({"algorithm": "HS512"}, CredentialInvalid),
    ],
)
async def test_token_is_refused_when_a_claim_is_wrong(
    door: Door, claims: dict[str, str], expected: type[Exception]
) -> None:
    await door.clients.put(Client(id="partner-a", user_id="17"))
    door.clock.set(0)
    with pytest.raises(expected):
        await door.enter(f"Bearer {_token(door, **claims)}")


def signature(app_id: str, secret: str, timestamp: str) -> str:
    return hashlib.sha256(f"{app_id}{secret}{timestamp}".encode()).hexdigest()


def test_signature_of_the_partners_document() -> None:
    sign = signature("xyzxy2121zxyz", "efcefcef1121cefcefc1212121", "1555378976238")
    assert sign == "6ddcdc405743c576cb6d34b17b47ed56e2b9b6670fae1fe85ed01244fd31558b"


async def add_app(door: Door) -> None:
    await door.clients.put(Client(id="partner-a"))
    await door.clients.add_credential(
        "partner-a", CredentialKind.APP, secret="demo-secret", app_id="demo-app", expire_ms=None
    )


@pytest.mark.parametrize("skew_s", [-300, 0, 300])
async def test_signature_opens_the_door_within_its_window(door: Door, skew_s: int) -> None:
    await add_app(door)
    stamp = str(door.clock.now_ms() + skew_s * 1000)
    assert await door.enter(f"App demo-app:{stamp}:{signature('demo-app', 'demo-secret', stamp)}") == "partner-a"


async def test_signature_expires_with_its_window_even_when_remembered(door: Door) -> None:
    await add_app(door)
    stamp = str(door.clock.now_ms())
    header = f"App demo-app:{stamp}:{signature('demo-app', 'demo-secret', stamp)}"
    assert await door.enter(header) == "partner-a"
    door.clock.advance(300.001)
    for _ in range(2):  # As remembered, and looked at anew.
        with pytest.raises(CredentialExpired) as expired:
            await door.enter(header)
        assert expired.value.field == "timestamp"
        door.monotonic += CACHE_S


async def test_app_that_is_over_is_told_from_an_old_timestamp(door: Door) -> None:
    await door.clients.put(Client(id="partner-a"))
    over_ms = door.clock.now_ms() + 1000
    await door.clients.add_credential(
        "partner-a", CredentialKind.APP, secret="demo-secret", app_id="demo-app", expire_ms=over_ms
    )
    stamp = str(door.clock.now_ms())
    header = f"App demo-app:{stamp}:{signature('demo-app', 'demo-secret', stamp)}"
    assert await door.enter(header) == "partner-a"
    door.clock.advance(1)
    with pytest.raises(CredentialExpired) as expired:
        await door.enter(header)
    assert expired.value.field is None


@pytest.mark.parametrize(
    ("app_id", "secret", "change"),
    [
        ("demo-app", "wrong", str),
        ("other-app", "demo-secret", str),
        ("demo-app", "demo-secret", lambda stamp: stamp[:10]),
        ("demo-app", "demo-secret", lambda stamp: f"{stamp}0"),
        ("demo-app", "demo-secret", lambda stamp: f"+{stamp[1:]}"),
        ("", "demo-secret", str),
    ],
)
async def test_wrong_signature_is_refused(door: Door, app_id: str, secret: str, change: Callable[[str], str]) -> None:
    await add_app(door)
    stamp = change(str(door.clock.now_ms()))
    with pytest.raises(CredentialInvalid):
        await door.enter(f"App {app_id}:{stamp}:{signature(app_id, secret, stamp)}")


async def test_signature_is_lower_case_hex_of_full_length(door: Door) -> None:
    await add_app(door)
    stamp = str(door.clock.now_ms())
    sign = signature("demo-app", "demo-secret", stamp)
    for other in (sign.upper(), sign[:-1], f"{sign}0", ""):
        with pytest.raises((CredentialInvalid, CredentialMissing)):
            await door.enter(f"App demo-app:{stamp}:{other}")


async def test_credential_given_twice_is_the_same_one(door: Door) -> None:
    assert await door.with_key(Client(id="partner-a")) == await door.with_key(Client(id="partner-a"))
    assert len(await door.clients.credentials("partner-a")) == 1


async def test_key_of_another_client_is_refused(door: Door) -> None:
    await door.with_key(Client(id="partner-a"))
    with pytest.raises(RequestIdReused):
        await door.with_key(Client(id="partner-b"))


async def test_app_secret_is_stored_encrypted_and_compared(door: Door, vault: Vault) -> None:
    await door.clients.put(Client(id="partner-a"))

    async def add(secret: str) -> bytes:
        made = await door.clients.add_credential(
            "partner-a", CredentialKind.APP, secret=secret, app_id="demo-app", expire_ms=None
        )
        return made.credential.sealed_secret

    sealed = await add("demo-secret")
    assert b"demo-secret" not in sealed
    assert vault.open(sealed, bound_to="demo-app") == "demo-secret"
    assert await add("demo-secret") == sealed
    with pytest.raises(RequestIdReused):
        await add("other-secret")


async def test_made_key_is_shown_once_and_works(door: Door) -> None:
    await door.clients.put(Client(id="partner-a"))
    made = await door.clients.add_credential("partner-a", CredentialKind.API_KEY, secret="", app_id="", expire_ms=None)
    assert made.secret.startswith("atelier_")
    assert made.credential.hint == made.secret[-4:]
    assert await door.enter(f"Bearer {made.secret}") == "partner-a"


async def test_credentials_of_nobody_are_refused(door: Door) -> None:
    with pytest.raises(ClientNotFound):
        await door.clients.add_credential("none", CredentialKind.API_KEY, secret="abc", app_id="", expire_ms=None)
    with pytest.raises(InvalidArgument):
        await door.clients.add_credential("none", CredentialKind.API_KEY, secret="a b", app_id="", expire_ms=None)
