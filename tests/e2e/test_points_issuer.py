"""Users of an identity provider: RS256 and ES256 tokens checked with the keys it publishes, while it rotates them."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from testkit.deployments import StandaloneDeployment, new_partner
from testkit.doors import token
from testkit.pointsclient import PointsClient
from testkit.web import Site, respond

ISSUER, AUDIENCE = "https://login.example.com/", "atelier"
REFETCH_S = 10.5  # A gateway asks the issuer at most every ten seconds.

pytestmark = pytest.mark.xdist_group("e2e-standalone")


class Issuer:
    """An identity provider with its keys on a web site."""

    def __init__(self, site: Site) -> None:
        self.url = f"http://127.0.0.1:{site.port}/jwks.json"
        self._site = site
        self._keys: dict[str, Any] = {}

    def publish(self, **keys: Any) -> None:
        """Publish these keys and withdraw all others."""
        self._keys |= keys
        listed = [self._published(name, key) for name, key in keys.items()]
        headers = {"Content-Type": "application/json"}
        self._site.reply("/jwks.json", respond(json.dumps({"keys": listed}).encode(), headers=headers))

    def token(self, key_id: str, user_id: str, **claims: Any) -> str:
        """A token for ten minutes; a claim that is None is left out."""
        now_s = int(time.time())
        facts = {"sub": user_id, "iat": now_s, "exp": now_s + 600, "iss": ISSUER, "aud": AUDIENCE} | claims
        present = {name: value for name, value in facts.items() if value is not None}
        return jwt.encode(present, self._keys[key_id], self._algorithm(self._keys[key_id]), headers={"kid": key_id})

    def _published(self, name: str, key: Any) -> dict[str, Any]:
        forms: dict[str, Callable[..., Any]] = {
            "RS256": jwt.algorithms.RSAAlgorithm.to_jwk,
            "ES256": jwt.algorithms.ECAlgorithm.to_jwk,
        }
        algorithm = self._algorithm(key)
        return {**forms[algorithm](key.public_key(), as_dict=True), "kid": name, "alg": algorithm, "use": "sig"}

    def _algorithm(self, key: Any) -> str:
        return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest_asyncio.fixture(loop_scope="session")
async def issuer(site: Site) -> Issuer:
    return Issuer(site)


@pytest_asyncio.fixture(loop_scope="session")
async def trusting(issuer: Issuer, tmp_path: Path) -> AsyncIterator[StandaloneDeployment]:
    """A deployment that believes this issuer, and its own secret, for this audience."""
    trust = {"GATEWAY_JWKS_URL": issuer.url, "GATEWAY_JWT_ISSUER": ISSUER, "GATEWAY_JWT_AUDIENCE": AUDIENCE}
    async with StandaloneDeployment(tmp_path / "house", environment=trust) as running:
        yield running


async def test_tokens_of_the_issuer_open_the_door_while_its_keys_rotate(
    trusting: StandaloneDeployment, issuer: Issuer
) -> None:
    user_id = str(secrets.randbelow(10**17) + 1)
    partner = await new_partner(trusting.operator(), trusting.url, user_id=user_id)
    await partner.http.aclose()

    async def status(credential: str) -> tuple[int, str]:
        async with PointsClient(trusting.url, credential) as client:
            answer = await client.http.get("/user/points/consumption/balance")
            return answer.status_code, answer.json()["message"]

    good, wrong, expired = (200, "success"), (401, "未登录或Token无效"), (401, "未登录或Token过期")
    curve = ec_key()
    issuer.publish(first=rsa_key(), curve=curve)
    assert await status(issuer.token("first", user_id)) == good
    assert await status(issuer.token("curve", user_id)) == good
    assert await status(token(trusting.jwt_secret, user_id, iss=ISSUER, aud=AUDIENCE)) == good
    assert await status(partner.key) == good

    now_s = int(time.time())
    assert await status(issuer.token("first", user_id, exp=now_s - 60)) == expired
    for claims in (
        {"iss": "https://evil.example.com/"},
        {"aud": "another"},
        {"iss": None},
        {"aud": None},
        {"exp": None},
    ):
        assert await status(issuer.token("first", user_id, **claims)) == wrong, claims
        assert await status(token(trusting.jwt_secret, user_id, **({"iss": ISSUER, "aud": AUDIENCE} | claims))) == wrong
    assert await status(issuer.token("first", "1")) == wrong

    await asyncio.sleep(REFETCH_S)
    issuer.publish(second=rsa_key(), curve=curve)
    assert await status(issuer.token("second", user_id)) == good  # Never seen before: fetched at once.
    assert await status(issuer.token("curve", user_id)) == good
    assert await status(issuer.token("first", user_id, iat=now_s + 1)) == wrong  # Withdrawn.
