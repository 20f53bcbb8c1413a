"""Tokens: fixed algorithms, rotating published keys, issuers that go away."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from gateway.tokens import KEYS_FRESH_S, KEYS_STALE_S, REFETCH_MIN_S, PublishedKeys, TokenVerifier
from kit.errors import CredentialExpired, CredentialInvalid, DependencyUnavailable

SECRET = "s" * 64
RSA_ONE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_TWO = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_ONE = ec.generate_private_key(ec.SECP256R1())


def public(key_id: str, key: Any) -> dict[str, Any]:
    algorithm: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    name = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": name, "use": "sig"}


class Issuer:
    """Publishes keys, or is away; time is moved by hand."""

    def __init__(self, **keys: Any) -> None:
        self.keys = keys
        self.away = False
        self.asked = 0
        self.now = 1000.0
        self.published = PublishedKeys(self, monotonic=lambda: self.now)

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise DependencyUnavailable
        return {"keys": [public(name, key) for name, key in self.keys.items()]}


def token(key: Any, algorithm: str, key_id: str | None = None, **claims: Any) -> str:
    facts = {"sub": "17", "exp": int(time.time()) + 600, "iss": "us", "aud": "them"} | claims
    return jwt.encode(facts, key, algorithm, headers={"kid": key_id} if key_id else None)


def verifier(issuer: Issuer | None = None, **changes: Any) -> TokenVerifier:
    return TokenVerifier(**({"secret": SecretStr(SECRET), "published": issuer and issuer.published} | changes))


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_ONE, "RS256"), (EC_ONE, "ES256")])
async def test_published_key_opens(key: Any, algorithm: str) -> None:
    assert (await verifier(Issuer(k1=key)).verify(token(key, algorithm, "k1"))).subject == "17"


async def test_keys_are_fetched_once_while_fresh() -> None:
    issuer = Issuer(k1=RSA_ONE)
    for _ in range(5):
        await verifier(issuer).verify(token(RSA_ONE, "RS256", "k1"))
    assert issuer.asked == 1


async def test_rotated_key_is_found_and_the_old_one_refused_when_stale() -> None:
    issuer = Issuer(k1=RSA_ONE)
    check = verifier(issuer)
    await check.verify(token(RSA_ONE, "RS256", "k1"))
    issuer.keys = {"k2": RSA_TWO}
    issuer.now += REFETCH_MIN_S
    await check.verify(token(RSA_TWO, "RS256", "k2"))
    with pytest.raises(CredentialInvalid):
        await check.verify(token(RSA_ONE, "RS256", "k1"))


async def test_made_up_key_ids_do_not_flood_the_issuer() -> None:
    issuer = Issuer(k1=RSA_ONE)
    for number in range(50):
        with pytest.raises(CredentialInvalid):
            await verifier(issuer).verify(token(RSA_TWO, "RS256", f"made-up-{number}"))
    assert issuer.asked == 1


async def test_last_keys_serve_while_the_issuer_is_away_and_not_for_ever() -> None:
    issuer = Issuer(k1=RSA_ONE)
    check = verifier(issuer)
    await check.verify(token(RSA_ONE, "RS256", "k1"))
    issuer.away = True
    issuer.now += KEYS_FRESH_S + 1
    await check.verify(token(RSA_ONE, "RS256", "k1"))
    issuer.now += KEYS_STALE_S
    with pytest.raises(CredentialInvalid):
        await check.verify(token(RSA_ONE, "RS256", "k1"))


async def test_issuer_away_from_the_start_is_not_the_callers_fault() -> None:
    issuer = Issuer(k1=RSA_ONE)
    issuer.away = True
    with pytest.raises(DependencyUnavailable):
        await verifier(issuer).verify(token(RSA_ONE, "RS256", "k1"))


async def test_algorithm_cannot_be_chosen_by_the_token() -> None:
    issuer = Issuer(k1=RSA_ONE)
    check = verifier(issuer)
    unsigned = jwt.encode({"sub": "17", "exp": int(time.time()) + 600}, "", algorithm="none")
    for bad in (
        unsigned,
        token(RSA_ONE, "PS256", "k1"),
        token(SECRET, "HS512"),
        token(RSA_ONE, "RS256"),
        token(RSA_TWO, "RS256", "k1"),
        token("o" * 64, "HS256"),
        "a.b.c",
        "x" * 9000,
    ):
        with pytest.raises(CredentialInvalid):
            await check.verify(bad)


async def test_kinds_of_keys_that_are_not_configured_are_refused() -> None:
    with pytest.raises(CredentialInvalid):
        await verifier(None).verify(token(RSA_ONE, "RS256", "k1"))
    with pytest.raises(CredentialInvalid):
        await verifier(Issuer(k1=RSA_ONE), secret=None).verify(token(SECRET, "HS256"))


async def test_issuer_and_audience_are_demanded_where_configured() -> None:
    check = TokenVerifier(secret=SecretStr(SECRET), audience="them")
    assert (await check.verify(token(SECRET, "HS256"))).subject == "17"
    for wrong in ({"aud": "others"}, {"aud": None}):
        with pytest.raises(CredentialInvalid):
            await check.verify(token(SECRET, "HS256", **wrong))
    strict = TokenVerifier(secret=SecretStr(SECRET), issuer="us")
    assert (await strict.verify(token(SECRET, "HS256"))).subject == "17"
    with pytest.raises(CredentialInvalid):
        await strict.verify(token(SECRET, "HS256", iss="them"))


async def test_expired_token_is_told_from_a_wrong_one_after_the_leeway() -> None:
    check = verifier()
    await check.verify(token(SECRET, "HS256", exp=int(time.time()) - 20))
    with pytest.raises(CredentialExpired):
        await check.verify(token(SECRET, "HS256", exp=int(time.time()) - 40))


async def test_numeric_subject_is_taken_as_text() -> None:
    assert (await verifier().verify(token(SECRET, "HS256", sub="17563793187762127"))).subject == "17563793187762127"
