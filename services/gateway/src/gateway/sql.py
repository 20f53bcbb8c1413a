"""The gateway's tables and the repositories on them; the same statements on SQLite and Postgres."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from gateway.domain import Client, Credential, CredentialKind, Delivery, DeliveryState, Limits
from gateway.ports import Repositories
from kit import events
from kit.db import Database, Tx

T = TypeVar("T")

CONSUMER = "gateway-webhooks"

METADATA = MetaData()
events.tables(METADATA)

CLIENTS = Table(
    "clients",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("disabled", Boolean, nullable=False),
    Column("user_id", Text, nullable=True, unique=True),
    # Limits, models, addresses and weight: read and written whole.
    Column("settings", Text, nullable=False),
    Column("create_ms", BigInteger, nullable=False),
)

CREDENTIALS = Table(
    "credentials",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("lookup", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("expire_ms", BigInteger, nullable=True),
    Column("create_ms", BigInteger, nullable=False),
    UniqueConstraint("kind", "lookup", name="credentials_kind_lookup"),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("job_id", Text, nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("last_status", Integer, nullable=False),
    Column("next_try_ms", BigInteger, nullable=True),
    Column("create_ms", BigInteger, nullable=False),
    Index("deliveries_due", "state", "next_try_ms"),
    Index("deliveries_newest", "create_ms"),
)


class SqlClients:
    """`ports.Clients` on a transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def get(self, client_id: str) -> Client | None:
        row = self._tx.conn.execute(select(CLIENTS).where(CLIENTS.c.id == client_id)).first()
        return _client(row) if row else None

    def put(self, client: Client) -> bool:
        settings = orjson.dumps(
            {
                "requests_per_second": client.limits.requests_per_second,
                "burst": client.limits.burst,
                "jobs_in_flight": client.limits.jobs_in_flight,
                "jobs_per_day": client.limits.jobs_per_day,
                "models": client.models,
                "ip_allow": client.ip_allow,
                "weight": client.weight,
            }
        ).decode()
        values = {"disabled": client.disabled, "user_id": client.user_id or None, "settings": settings}
        changed = self._tx.conn.execute(update(CLIENTS).where(CLIENTS.c.id == client.id).values(**values))
        if changed.rowcount:
            return False
        self._tx.conn.execute(insert(CLIENTS).values(id=client.id, create_ms=self._tx.now_ms, **values))
        return True

    def page(self, *, after_id: str, size: int) -> Sequence[Client]:
        query = select(CLIENTS).where(CLIENTS.c.id > after_id).order_by(CLIENTS.c.id).limit(size)
        return [_client(row) for row in self._tx.conn.execute(query)]

    def by_user_id(self, user_id: str) -> Client | None:
        row = self._tx.conn.execute(select(CLIENTS).where(CLIENTS.c.user_id == user_id)).first()
        return _client(row) if row else None

    def find_credential(self, kind: CredentialKind, lookup: str) -> Credential | None:
        query = select(CREDENTIALS).where(CREDENTIALS.c.kind == kind.value, CREDENTIALS.c.lookup == lookup)
        row = self._tx.conn.execute(query).first()
        return _credential(row) if row else None

    def add_credential(self, credential: Credential) -> bool:
        dialect = sqlite if self._tx.dialect == "sqlite" else postgresql
        statement = dialect.insert(CREDENTIALS).values(
            id=credential.id,
            client_id=credential.client_id,
            kind=credential.kind.value,
            lookup=credential.lookup,
            sealed_secret=credential.sealed_secret,
            hint=credential.hint,
            revoked=credential.revoked,
            expire_ms=credential.expire_ms,
            create_ms=self._tx.now_ms,
        )
        done = self._tx.conn.execute(statement.on_conflict_do_nothing(index_elements=["kind", "lookup"]))
        return bool(done.rowcount)

    def credentials(self, client_id: str) -> Sequence[Credential]:
        query = (
            select(CREDENTIALS)
            .where(CREDENTIALS.c.client_id == client_id)
            .order_by(CREDENTIALS.c.create_ms, CREDENTIALS.c.id)
        )
        return [_credential(row) for row in self._tx.conn.execute(query)]

    def revoke_credential(self, credential_id: str) -> bool:
        statement = update(CREDENTIALS).where(CREDENTIALS.c.id == credential_id).values(revoked=True)
        return bool(self._tx.conn.execute(statement).rowcount)


class SqlDeliveries:
    """`ports.Deliveries` on a transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def seen(self, event_id: str) -> bool:
        return events.seen(self._tx, CONSUMER, event_id)

    def add(self, delivery: Delivery) -> None:
        self._tx.conn.execute(
            insert(DELIVERIES).values(
                id=delivery.id,
                client_id=delivery.client_id,
                job_id=delivery.job_id,
                url=delivery.url,
                body=delivery.body,
                state=delivery.state.value,
                tries=delivery.tries,
                last_status=delivery.last_status,
                next_try_ms=self._tx.now_ms if delivery.next_try_ms is None else delivery.next_try_ms,
                create_ms=self._tx.now_ms,
            )
        )

    def due(self, *, now_ms: int, size: int) -> Sequence[Delivery]:
        query = (
            select(DELIVERIES)
            .where(DELIVERIES.c.state == DeliveryState.PENDING.value, DELIVERIES.c.next_try_ms <= now_ms)
            .order_by(DELIVERIES.c.next_try_ms)
            .limit(size)
        )
        return [_delivery(row) for row in self._tx.conn.execute(query)]

    def reserve(self, delivery_id: str, *, tries: int, until_ms: int) -> bool:
        statement = (
            update(DELIVERIES)
            .where(
                DELIVERIES.c.id == delivery_id,
                DELIVERIES.c.state == DeliveryState.PENDING.value,
                DELIVERIES.c.tries == tries,
                DELIVERIES.c.next_try_ms <= self._tx.now_ms,
            )
            .values(next_try_ms=until_ms)
        )
        return bool(self._tx.conn.execute(statement).rowcount)

    def record(
        self, delivery_id: str, *, state: DeliveryState, tries: int, last_status: int, next_try_ms: int | None
    ) -> None:
        self._tx.conn.execute(
            update(DELIVERIES)
            .where(DELIVERIES.c.id == delivery_id)
            .values(state=state.value, tries=tries, last_status=last_status, next_try_ms=next_try_ms)
        )

    def get(self, delivery_id: str) -> Delivery | None:
        row = self._tx.conn.execute(select(DELIVERIES).where(DELIVERIES.c.id == delivery_id)).first()
        return _delivery(row) if row else None

    def page(self, *, client_id: str, job_id: str, state: str, size: int) -> Sequence[Delivery]:
        query = select(DELIVERIES).order_by(DELIVERIES.c.create_ms.desc()).limit(size)
        for column, wanted in (("client_id", client_id), ("job_id", job_id), ("state", state)):
            if wanted:
                query = query.where(DELIVERIES.c[column] == wanted)
        return [_delivery(row) for row in self._tx.conn.execute(query)]


class SqlRepositories:
    """`ports.Repositories` on a transaction."""

    def __init__(self, tx: Tx) -> None:
        self.clients = SqlClients(tx)
        self.deliveries = SqlDeliveries(tx)
        self.now_ms = tx.now_ms


class SqlUnitOfWork:
    """`ports.UnitOfWork` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, work: Callable[[Repositories], T]) -> T:
        return await self._database.write(lambda tx: work(SqlRepositories(tx)))

    async def read(self, work: Callable[[Repositories], T]) -> T:
        return await self._database.read(lambda tx: work(SqlRepositories(tx)))


def _client(row: Row[Any]) -> Client:
    settings = orjson.loads(row.settings)
    return Client(
        id=row.id,
        disabled=row.disabled,
        user_id=row.user_id or "",
        limits=Limits(
            requests_per_second=settings["requests_per_second"],
            burst=settings["burst"],
            jobs_in_flight=settings["jobs_in_flight"],
            jobs_per_day=settings["jobs_per_day"],
        ),
        models=tuple(settings["models"]),
        ip_allow=tuple(settings["ip_allow"]),
        weight=settings["weight"],
        create_ms=row.create_ms,
    )


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        client_id=row.client_id,
        kind=CredentialKind(row.kind),
        lookup=row.lookup,
        sealed_secret=bytes(row.sealed_secret),
        hint=row.hint,
        revoked=row.revoked,
        expire_ms=row.expire_ms,
        create_ms=row.create_ms,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        client_id=row.client_id,
        job_id=row.job_id,
        url=row.url,
        body=bytes(row.body),
        state=DeliveryState(row.state),
        tries=row.tries,
        last_status=row.last_status,
        next_try_ms=row.next_try_ms,
        create_ms=row.create_ms,
    )
