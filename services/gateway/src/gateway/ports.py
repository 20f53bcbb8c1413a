"""What the gateway needs from outside."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from gateway.domain import Client, Credential, CredentialKind, Delivery, DeliveryState

T = TypeVar("T")


class Clients(Protocol):
    """Clients and their credentials, inside one transaction."""

    def get(self, client_id: str) -> Client | None:
        """Return the client, None when there is none."""
        ...

    def put(self, client: Client) -> bool:
        """Insert or replace; `create_ms` of an existing one is kept. Return whether it is new."""
        ...

    def page(self, *, after_id: str, size: int) -> Sequence[Client]:
        """Return up to `size` clients with an id greater than `after_id`, by id."""
        ...

    def by_user_id(self, user_id: str) -> Client | None:
        """Return the client with this user id of the points contract."""
        ...

    def find_credential(self, kind: CredentialKind, lookup: str) -> Credential | None:
        """Return the credential, revoked and expired ones too."""
        ...

    def add_credential(self, credential: Credential) -> bool:
        """Insert; False when (kind, lookup) exists already, which is then left alone."""
        ...

    def credentials(self, client_id: str) -> Sequence[Credential]:
        """Return the client's credentials, oldest first."""
        ...

    def revoke_credential(self, credential_id: str) -> bool:
        """Mark as revoked; False when there is none."""
        ...


class Deliveries(Protocol):
    """Webhook messages, inside one transaction."""

    def seen(self, event_id: str) -> bool:
        """Remember the event; True when it had been remembered before."""
        ...

    def add(self, delivery: Delivery) -> None:
        """Insert."""
        ...

    def due(self, *, now_ms: int, size: int) -> Sequence[Delivery]:
        """Return up to `size` pending ones whose time has come, longest due first."""
        ...

    def reserve(self, delivery_id: str, *, tries: int, until_ms: int) -> bool:
        """Take a pending one with exactly `tries` tries, so that no other sender takes it before `until_ms`."""
        ...

    def record(
        self, delivery_id: str, *, state: DeliveryState, tries: int, last_status: int, next_try_ms: int | None
    ) -> None:
        """Write what became of a try."""
        ...

    def get(self, delivery_id: str) -> Delivery | None:
        """Return one."""
        ...

    def page(self, *, client_id: str, job_id: str, state: str, size: int) -> Sequence[Delivery]:
        """Return the newest first; an empty filter does not filter."""
        ...


class Repositories(Protocol):
    """Everything one transaction can reach."""

    @property
    def clients(self) -> Clients:
        """Clients and their credentials."""
        ...

    @property
    def deliveries(self) -> Deliveries:
        """Webhook messages."""
        ...

    @property
    def now_ms(self) -> int:
        """Database time, unix milliseconds."""
        ...


class UnitOfWork(Protocol):
    """Runs a plain function in one transaction: committed when it returns, undone when it raises."""

    async def write(self, work: Callable[[Repositories], T]) -> T:
        """Run with the right to change."""
        ...

    async def read(self, work: Callable[[Repositories], T]) -> T:
        """Run on a snapshot."""
        ...
