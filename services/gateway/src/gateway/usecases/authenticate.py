"""Who is calling: turns the `authorization` metadata into a client, or refuses."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import jwt
from pydantic import SecretStr

from gateway.domain import Client, Credential, CredentialKind
from gateway.ports import Repositories, UnitOfWork
from gateway.secrets import API_KEY_FORM, Vault
from kit.errors import (
    ClientDisabled,
    CredentialExpired,
    CredentialInvalid,
    CredentialMissing,
    IpNotAllowed,
    Unimplemented,
)

CACHE_S: Final = 5.0  # How long a revoked credential or a disabled client may still be let in.
CACHE_ENTRIES_MAX: Final = 10_000  # Enough for every active key; unknown keys are cached nowhere.
JWT_BYTES_MAX: Final = 8192
JWT_LEEWAY_S: Final = 30
JWT_ALGORITHM: Final = "HS256"


@dataclass(frozen=True)
class _Entry:
    client: Client
    expire_ms: int | None
    fresh_until: float


class Authenticate:
    """Finds the client behind a credential. The same answer for a key never made, of another client, or mistyped."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        vault: Vault,
        configured_keys: Mapping[str, str],
        jwt_secret: SecretStr | None,
        monotonic: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`configured_keys` maps API keys of the settings to client ids; these keys are stored nowhere."""
        self._uow = uow
        self._vault = vault
        self._configured = {
            vault.lookup(CredentialKind.API_KEY, key): client_id for key, client_id in configured_keys.items()
        }
        self._jwt_secret = jwt_secret
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
            raise CredentialExpired
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
            case "bearer" if token.count(".") == 2 and self._jwt_secret is not None:
                return await self._by_jwt(token)
            case "bearer":
                return await self._by_key(CredentialKind.API_KEY, token)
            case "userkey":
                return await self._by_key(CredentialKind.USER_KEY, token)
            case "app":
                raise Unimplemented("Signed requests are not built yet.")
            case _:
                raise CredentialInvalid

    async def _by_key(self, kind: CredentialKind, key: str) -> _Entry:
        if not API_KEY_FORM.fullmatch(key):
            raise CredentialInvalid
        lookup = self._vault.lookup(kind, key)
        if kind is CredentialKind.API_KEY and lookup in self._configured:
            return await self._configured_client(self._configured[lookup])

        def work(repositories: Repositories) -> tuple[Credential | None, Client | None]:
            found = repositories.clients.find_credential(kind, lookup)
            return found, repositories.clients.get(found.client_id) if found else None

        credential, client = await self._uow.read(work)
        if credential is None or client is None or credential.revoked:
            raise CredentialInvalid
        return self._entry(client, credential.expire_ms)

    async def _configured_client(self, client_id: str) -> _Entry:
        client = await self._uow.read(lambda repositories: repositories.clients.get(client_id))
        return self._entry(client or Client(id=client_id), None)

    async def _by_jwt(self, token: str) -> _Entry:
        assert self._jwt_secret is not None
        if len(token) > JWT_BYTES_MAX:
            raise CredentialInvalid
        try:
            claims = jwt.decode(
                token,
                self._jwt_secret.get_secret_value(),
                algorithms=[JWT_ALGORITHM],
                leeway=JWT_LEEWAY_S,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise CredentialExpired from error
        except jwt.PyJWTError as error:
            raise CredentialInvalid from error
        user_id = str(claims["sub"])
        client = await self._uow.read(lambda repositories: repositories.clients.by_user_id(user_id))
        if client is None:
            raise CredentialInvalid
        return self._entry(client, (int(claims["exp"]) + JWT_LEEWAY_S) * 1000)

    def _entry(self, client: Client, expire_ms: int | None) -> _Entry:
        return _Entry(client, expire_ms, self._monotonic() + CACHE_S)
