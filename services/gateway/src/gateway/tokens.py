"""JWTs of the points contract: HS256 with our secret, RS256 and ES256 with the keys an issuer publishes (JWKS).

Each kind of key has its own fixed algorithms, so a token cannot choose how it is checked; `kid` only picks among the
keys of the one configured address; `jku`, `x5u` and `jwk` in a token are never looked at.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import jwt
from pydantic import SecretStr

from kit.errors import CredentialExpired, CredentialInvalid, DependencyUnavailable
from kit.logging import get_logger

log = get_logger(__name__)

TOKEN_CHARS_MAX: Final = 8192
LEEWAY_S: Final = 30
SHARED_ALGORITHMS: Final = ("HS256",)
PUBLISHED_ALGORITHMS: Final = ("RS256", "ES256")
KEYS_FRESH_S: Final = 300.0  # A withdrawn key is refused after this.
KEYS_STALE_S: Final = 3600.0  # While the issuer is away its last keys are good for so long.
REFETCH_MIN_S: Final = 10.0  # Tokens with made-up key ids must not become a flood at the issuer.
FETCH_TIMEOUT_S: Final = 5.0
KEYS_BYTES_MAX: Final = 256 * 1024
REQUIRED: Final = ("exp", "sub")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a good token says."""

    subject: str
    expire_ms: int  #: When it stops being accepted, the leeway included.


class KeySource(Protocol):
    """Where an issuer's published keys come from."""

    async def fetch(self) -> dict[str, Any]:
        """Return the key set as JSON. Raises DependencyUnavailable."""
        ...


class HttpKeySource:
    """A JWKS address. It is the operator's setting, so the wall does not stand before it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=FETCH_TIMEOUT_S, trust_env=False, follow_redirects=False)

    async def fetch(self) -> dict[str, Any]:
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            if len(answer.content) > KEYS_BYTES_MAX:
                raise ValueError("key set too large")
            return dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            log.warning("key_set_away", error=type(error).__name__)
            raise DependencyUnavailable("The issuer's keys cannot be had.") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class PublishedKeys:
    """An issuer's keys by id, fetched when first needed, when stale, and when a token names one we have not seen."""

    def __init__(self, source: KeySource, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self, key_id: str) -> jwt.PyJWK:
        """Return the key. Raises CredentialInvalid when the issuer has none of that id, DependencyUnavailable."""
        if self._wants_fetch(key_id):
            async with self._lock:
                if self._wants_fetch(key_id):
                    await self._fetch()
        key = self._keys.get(key_id)
        if key is None or self._monotonic() - self._fetched_at > KEYS_STALE_S:
            raise CredentialInvalid
        return key

    def _wants_fetch(self, key_id: str) -> bool:
        now = self._monotonic()
        due = key_id not in self._keys or now - self._fetched_at > KEYS_FRESH_S
        return due and now - self._tried_at >= REFETCH_MIN_S

    async def _fetch(self) -> None:
        self._tried_at = self._monotonic()
        try:
            document = await self._source.fetch()
            found = {key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys if key.key_id}
        except (DependencyUnavailable, jwt.PyJWTError) as error:
            if self._keys:
                return  # The last keys serve until they are stale.
            raise DependencyUnavailable("The issuer's keys cannot be had.") from error
        self._keys = found
        self._fetched_at = self._monotonic()


class TokenVerifier:
    """Checks tokens of both kinds."""

    def __init__(
        self,
        *,
        secret: SecretStr | None,
        published: PublishedKeys | None = None,
        issuer: str = "",
        audience: str = "",
    ) -> None:
        """`issuer` and `audience` are demanded where they are not empty."""
        self._secret = secret
        self._published = published
        self._issuer = issuer
        self._audience = audience

    async def verify(self, token: str) -> Claims:
        """Return what the token says. Raises CredentialInvalid, CredentialExpired, DependencyUnavailable."""
        if len(token) > TOKEN_CHARS_MAX:
            raise CredentialInvalid
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise CredentialInvalid from error
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm in SHARED_ALGORITHMS and self._secret is not None:
            return self._decode(token, self._secret.get_secret_value(), SHARED_ALGORITHMS)
        if algorithm in PUBLISHED_ALGORITHMS and self._published is not None and isinstance(key_id, str):
            return self._decode(token, (await self._published.get(key_id)).key, PUBLISHED_ALGORITHMS)
        raise CredentialInvalid

    def _decode(self, token: str, key: Any, algorithms: Sequence[str]) -> Claims:
        demanded = [*REQUIRED, *(["iss"] if self._issuer else []), *(["aud"] if self._audience else [])]
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                leeway=LEEWAY_S,
                issuer=self._issuer or None,
                audience=self._audience or None,
                options={"require": demanded, "verify_aud": bool(self._audience), "verify_sub": False},
            )
            return Claims(subject=str(claims["sub"]), expire_ms=(int(claims["exp"]) + LEEWAY_S) * 1000)
        except jwt.ExpiredSignatureError as error:
            raise CredentialExpired from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise CredentialInvalid from error
