"""A small house to test events in: one database, one bus, one relay, consumers that note what they see."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, func, select
from sqlalchemy.dialects import postgresql, sqlite
from structlog.testing import capture_logs

from kit.db import Database, Tx, open_database
from kit.events import OUTBOX, Event, EventBus, InProcessBus, JetStreamBus, OutboxRelay, Retry, put, seen, tables

METADATA = MetaData()
tables(METADATA)
EFFECTS = Table("effects", METADATA, Column("event_id", Text, primary_key=True), Column("n", BigInteger))
RETRY = Retry(tries_max=5, first_s=0.02, max_s=0.2)
WAIT_S = 60.0  # A machine that runs everything at once is slow; nothing waits this long otherwise.


def count_effect(event_id: str) -> Callable[[Tx], None]:
    """Return a work that counts how often an event took effect."""

    def work(tx: Tx) -> None:
        if seen(tx, "counting", event_id):
            return
        dialect = sqlite if tx.dialect == "sqlite" else postgresql
        first = dialect.insert(EFFECTS).values(event_id=event_id, n=1)
        tx.conn.execute(first.on_conflict_do_update(index_elements=["event_id"], set_={"n": EFFECTS.c.n + 1}))

    return work


def _put(event: Event, tx: Tx) -> None:
    put(tx, event)


@dataclass
class House:
    """What a service and its neighbours have, with the relay running beside it."""

    db: Database
    make_bus: Callable[[], EventBus]
    bus: EventBus
    calls: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    relays: list[asyncio.Task[None]] = field(default_factory=list)

    def consume(
        self, name: str, subjects: Sequence[str], then: Callable[[Event], Awaitable[None]] | None = None
    ) -> None:
        """Subscribe a consumer that notes each delivery and then does `then`."""

        async def handle(event: Event) -> None:
            self.calls[name].append(event)
            if then is not None:
                await then(event)

        self.bus.subscribe(name, subjects, handle)

    async def start(self) -> None:
        await self.bus.start()
        self.relays.append(asyncio.create_task(OutboxRelay(self.db, self.bus, retry=RETRY).run()))

    async def stop(self) -> None:
        for relay in self.relays:
            relay.cancel()
        await asyncio.gather(*self.relays, return_exceptions=True)
        self.relays.clear()
        await self.bus.stop()

    def is_ready(self) -> bool:
        return self.bus.ready

    def renew_bus(self) -> None:
        """As after a restart of the process: the same place, nothing remembered."""
        self.bus = self.make_bus()

    async def put(self, *events: Event) -> None:
        """Put each event in a transaction of its own, one after another."""
        for event in events:
            await self.db.write(partial(_put, event))

    async def count(self, event: Event) -> None:
        """The effect of a handler: it happens once however often the event comes."""
        await self.db.write(count_effect(event.id))

    async def effects(self) -> dict[str, int]:
        return await self.db.read(lambda tx: {row.event_id: row.n for row in tx.conn.execute(select(EFFECTS)).all()})

    async def unsent(self) -> int:
        query = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.sent_ms.is_(None))
        return int(await self.db.read(lambda tx: tx.conn.execute(query).scalar_one()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_effects(self, events: int) -> None:
        """Wait until that many events took effect."""
        async with asyncio.timeout(WAIT_S):
            while len(await self.effects()) < events:
                await asyncio.sleep(0.005)

    async def until_sent(self) -> None:
        """Wait until nothing is left in the outbox."""
        async with asyncio.timeout(WAIT_S):
            while await self.unsent():
                await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged; drawing hundreds of expected tracebacks would take longer than the tests."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(params=["in_process", pytest.param("jetstream", marks=pytest.mark.servers)])
def make_bus(request: pytest.FixtureRequest) -> Callable[[], EventBus]:
    """Make a bus of each kind, always at the same place."""
    if request.param == "in_process":
        return InProcessBus
    url = request.getfixturevalue("nats_url")
    return lambda: JetStreamBus(url, retry=RETRY, ack_wait_s=1.0)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A database with an outbox, an inbox and a table of effects."""
    database = open_database(database_url)
    await database.write(lambda tx: METADATA.create_all(tx.conn))
    yield database
    await database.close()


@pytest.fixture
async def house(db: Database, make_bus: Callable[[], EventBus]) -> AsyncIterator[House]:
    """Not started yet: tests subscribe their consumers first."""
    built = House(db=db, make_bus=make_bus, bus=make_bus())
    yield built
    await built.stop()
