"""Who is calling: turns the `authorization` metadata into a client, or refuses."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.domain import Client, Credential, CredentialKind
from gateway.ports import Repositories, UnitOfWork
from gateway.secrets import API_KEY_FORM, Vault
from kit.errors import (
    ClientDisabled,
    CredentialExpired,
    CredentialInvalid,
    CredentialMissing,
    IpNotAllowed,
)

CACHE_S: Final = 5.0  # How long a revoked credential or a disabled client may still be let in.
CACHE_ENTRIES_MAX: Final = 10_000  # Enough for every active key; unknown keys are cached nowhere.
SIGN_WINDOW_MS: Final = 300_000  # Clocks of partners may differ so much; within it a signature works as a bearer token.
TIMESTAMP: Final = re.compile(r"[0-9]{13}", re.ASCII)
SIGN: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class TokenClaims(Protocol):
    """What a good token says."""

    @property
    def subject(self) -> str:
        """The client's user id."""
        ...

    @property
    def expire_ms(self) -> int:
        """When it stops being accepted."""
        ...


class Tokens(Protocol):
    """Checks tokens of the points contract."""

    async def verify(self, token: str) -> TokenClaims:
        """Raises CredentialInvalid, CredentialExpired, DependencyUnavailable."""
        ...


@dataclass(frozen=True)
class _Entry:
    client: Client
    expire_ms: int | None
    fresh_until: float
    expire_field: str | None = None  #: What of the request makes it expire, where it is not the credential itself.


class Authenticate:
    """Finds the client behind a credential. The same answer for a key never made, of another client, or mistyped."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        vault: Vault,
        configured_keys: Mapping[str, str],
        tokens: Tokens,
        monotonic: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`configured_keys` maps API keys of the settings to client ids; these keys are stored nowhere."""
        self._uow = uow
        self._vault = vault
        self._configured = {
            vault.lookup(CredentialKind.API_KEY, key): client_id for key, client_id in configured_keys.items()
        }
        self._tokens = tokens
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._cache: dict[str, _Entry] = {}

    async def __call__(self, authorization: str, *, peer_address: str) -> Client:
        """Return the client.

        Raises CredentialMissing, CredentialInvalid, CredentialExpired, ClientDisabled, IpNotAllowed.
        """
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if not token:
            raise CredentialMissing
        entry = self._cache.get(authorization)
        if entry is None or self._monotonic() >= entry.fresh_until:
            entry = await self._look_up(scheme.lower(), token)
            if len(self._cache) >= CACHE_ENTRIES_MAX:
                self._cache.clear()
            self._cache[authorization] = entry
        if entry.expire_ms is not None and self._now_ms() >= entry.expire_ms:
            raise CredentialExpired(field=entry.expire_field)
        if entry.client.disabled:
            raise ClientDisabled
        if not entry.client.may_call_from(peer_address):
            raise IpNotAllowed
        return entry.client

    def forget(self) -> None:
        """Drop what is remembered, so that a change by this process's operator counts at once."""
        self._cache.clear()

    async def _look_up(self, scheme: str, token: str) -> _Entry:
        match scheme:
            case "bearer" if token.count(".") == 2:
                return await self._by_token(token)
            case "bearer":
                return await self._by_key(CredentialKind.API_KEY, token)
            case "userkey":
                return await self._by_key(CredentialKind.USER_KEY, token)
            case "app":
                return await self._by_signature(token)
            case _:
                raise CredentialInvalid

    async def _by_key(self, kind: CredentialKind, key: str) -> _Entry:
        if not API_KEY_FORM.fullmatch(key):
            raise CredentialInvalid
        lookup = self._vault.lookup(kind, key)
        if kind is CredentialKind.API_KEY and lookup in self._configured:
            return await self._configured_client(self._configured[lookup])
        credential, client = await self._find(kind, lookup)
        if credential is None or client is None or credential.revoked:
            raise CredentialInvalid
        return self._entry(client, credential.expire_ms)

    async def _configured_client(self, client_id: str) -> _Entry:
        client = await self._uow.read(lambda repositories: repositories.clients.get(client_id))
        return self._entry(client or Client(id=client_id), None)

    async def _by_token(self, token: str) -> _Entry:
        claims = await self._tokens.verify(token)
        client = await self._uow.read(lambda repositories: repositories.clients.by_user_id(claims.subject))
        if client is None:
            raise CredentialInvalid
        return self._entry(client, claims.expire_ms)

    async def _by_signature(self, token: str) -> _Entry:
        """Check `<app id>:<timestamp>:<sign>`, sign = sha256(app id + secret + timestamp).

        Every cause of refusal has the same answer.
        """
        app_id, _, rest = token.partition(":")
        timestamp, _, sign = rest.partition(":")
        if not (app_id and TIMESTAMP.fullmatch(timestamp) and SIGN.fullmatch(sign)):
            raise CredentialInvalid
        credential, client = await self._find(CredentialKind.APP, app_id)
        secret = self._vault.open(credential.sealed_secret, bound_to=app_id) if credential else ""
        expected = hashlib.sha256(f"{app_id}{secret}{timestamp}".encode()).hexdigest()
        matches = hmac.compare_digest(expected.encode(), sign.encode())
        if credential is None or client is None or credential.revoked or not matches:
            raise CredentialInvalid
        if abs(self._now_ms() - int(timestamp)) > SIGN_WINDOW_MS:
            raise CredentialExpired(field="timestamp")
        until = int(timestamp) + SIGN_WINDOW_MS + 1
        if credential.expire_ms is not None and credential.expire_ms < until:
            return self._entry(client, credential.expire_ms)
        return self._entry(client, until, expire_field="timestamp")

    async def _find(self, kind: CredentialKind, lookup: str) -> tuple[Credential | None, Client | None]:
        def work(repositories: Repositories) -> tuple[Credential | None, Client | None]:
            found = repositories.clients.find_credential(kind, lookup)
            return found, repositories.clients.get(found.client_id) if found else None

        return await self._uow.read(work)

    def _entry(self, client: Client, expire_ms: int | None, *, expire_field: str | None = None) -> _Entry:
        return _Entry(client, expire_ms, self._monotonic() + CACHE_S, expire_field)
