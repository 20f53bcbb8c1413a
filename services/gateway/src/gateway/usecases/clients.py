"""What operators do: make clients, give and revoke credentials, look at and repeat webhook deliveries."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain import Client, Credential, CredentialKind, Delivery, DeliveryState
from gateway.ports import Repositories, UnitOfWork
from gateway.secrets import API_KEY_FORM, Vault, new_api_key
from kit.errors import ClientNotFound, InvalidArgument, NotFound, RequestIdReused
from kit.ids import new_id

PAGE_SIZE: Final = 100
DELIVERIES_SIZE: Final = 50
SECRET_CHARS_MIN: Final = 3  # The operator's own keys may be short in a laboratory; ours have 256 bits.


@dataclass(frozen=True, kw_only=True)
class NewCredential:
    """A credential and, this once, the secret we made for it."""

    credential: Credential
    secret: str  #: Empty when the operator brought it.


class ManageClients:
    """Clients and credentials."""

    def __init__(self, *, uow: UnitOfWork, vault: Vault, forget: Callable[[], None]) -> None:
        """`forget` drops what authentication remembers, so that changes count at once in this process."""
        self._uow = uow
        self._vault = vault
        self._forget = forget

    async def put(self, client: Client) -> tuple[Client, bool]:
        """Make or replace; return the client and whether it is new."""

        def work(repositories: Repositories) -> tuple[Client, bool]:
            if client.user_id:
                owner = repositories.clients.by_user_id(client.user_id)
                if owner is not None and owner.id != client.id:
                    raise RequestIdReused("The user id belongs to another client.", field="client.user_id")
            created = repositories.clients.put(client)
            return _known(repositories, client.id), created

        result = await self._uow.write(work)
        self._forget()
        return result

    async def get(self, client_id: str) -> Client:
        """Raises ClientNotFound."""
        return await self._uow.read(lambda repositories: _known(repositories, client_id))

    async def page(self, *, after_id: str, size: int) -> Sequence[Client]:
        """By id, beginning after `after_id`."""
        wanted = size or PAGE_SIZE
        return await self._uow.read(lambda repositories: repositories.clients.page(after_id=after_id, size=wanted))

    async def add_credential(
        self, client_id: str, kind: CredentialKind, *, secret: str, app_id: str, expire_ms: int | None
    ) -> NewCredential:
        """Give a client another way in; idempotent for a secret the operator brings.

        Raises ClientNotFound, RequestIdReused.
        """
        if secret and not (len(secret) >= SECRET_CHARS_MIN and API_KEY_FORM.fullmatch(secret)):
            raise InvalidArgument("secret must be 3 to 256 printable ASCII characters without spaces", field="secret")
        made = "" if secret else new_api_key()
        value = secret or made
        name = app_id or f"app{secrets.token_hex(8)}"
        is_app = kind is CredentialKind.APP
        credential = Credential(
            id=new_id("cred"),
            client_id=client_id,
            kind=kind,
            lookup=name if is_app else self._vault.lookup(kind, value),
            sealed_secret=self._vault.seal(value, bound_to=name) if is_app else b"",
            hint=name if is_app else value[-4:],
            expire_ms=expire_ms,
        )

        def work(repositories: Repositories) -> Credential:
            _known(repositories, client_id)
            repositories.clients.add_credential(credential)
            stored = repositories.clients.find_credential(kind, credential.lookup)
            assert stored is not None
            return stored

        stored = await self._uow.write(work)
        if stored.id != credential.id:
            self._check_same(stored, client_id, value, bound_to=name)
            made = ""
        self._forget()
        return NewCredential(credential=stored, secret=made)

    def _check_same(self, stored: Credential, client_id: str, secret: str, *, bound_to: str) -> None:
        """An existing credential may be given again only as it is."""
        other_secret = (
            stored.kind is CredentialKind.APP and self._vault.open(stored.sealed_secret, bound_to=bound_to) != secret
        )
        if stored.client_id != client_id or stored.revoked or other_secret:
            raise RequestIdReused("The credential exists already, for another client, revoked, or with another secret.")

    async def credentials(self, client_id: str) -> Sequence[Credential]:
        """Oldest first. Raises ClientNotFound."""

        def work(repositories: Repositories) -> Sequence[Credential]:
            _known(repositories, client_id)
            return repositories.clients.credentials(client_id)

        return await self._uow.read(work)

    async def revoke(self, credential_id: str) -> None:
        """Raises NotFound."""
        if not await self._uow.write(lambda repositories: repositories.clients.revoke_credential(credential_id)):
            raise NotFound("There is no such credential.")
        self._forget()


class ManageDeliveries:
    """Webhook deliveries."""

    def __init__(self, *, uow: UnitOfWork, poke: Callable[[], None]) -> None:
        self._uow = uow
        self._poke = poke

    async def page(self, *, client_id: str, job_id: str, state: str, size: int) -> Sequence[Delivery]:
        """Newest first."""
        if state and state not in set(DeliveryState):
            raise InvalidArgument("state must be pending, delivered or exhausted", field="state")
        return await self._uow.read(
            lambda repositories: repositories.deliveries.page(
                client_id=client_id, job_id=job_id, state=state, size=size or DELIVERIES_SIZE
            )
        )

    async def replay(self, delivery_id: str) -> Delivery:
        """Send again from the first try, with the same id. Raises NotFound."""

        def work(repositories: Repositories) -> Delivery:
            if repositories.deliveries.get(delivery_id) is None:
                raise NotFound("There is no such delivery.")
            repositories.deliveries.record(
                delivery_id,
                state=DeliveryState.PENDING,
                tries=0,
                last_status=0,
                next_try_ms=repositories.now_ms,
            )
            delivery = repositories.deliveries.get(delivery_id)
            assert delivery is not None
            return delivery

        delivery = await self._uow.write(work)
        self._poke()
        return delivery


def _known(repositories: Repositories, client_id: str) -> Client:
    client = repositories.clients.get(client_id)
    if client is None:
        raise ClientNotFound(client_id=client_id)
    return client
