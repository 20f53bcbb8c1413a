"""The stream is lost with events in it that nobody had read: relays send them again, and each takes effect once."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import nats
import pytest

from kit.db import Database
from kit.events import Event, JetStreamBus, OutboxRelay, Retry, put
from testkit.servers import NatsServer

if TYPE_CHECKING:
    from conftest import House

pytestmark = pytest.mark.servers

SUBJECT = "atelier.jobs.v1.job_succeeded"
RETRY = Retry(tries_max=5, first_s=0.02, max_s=0.2)
WAIT_S = 60.0


class Consumer:
    """Notes what it hears, and when a bus of its own listens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ids: list[str] = []

    async def _handle(self, event: Event) -> None:
        self.ids.append(event.id)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        bus = JetStreamBus(self.url, retry=RETRY, ack_wait_s=1.0)
        bus.subscribe("billing", ["atelier.jobs.>"], self._handle)
        await bus.start()
        yield
        await bus.stop()


@asynccontextmanager
async def publishing(db: Database, url: str) -> AsyncIterator[None]:
    """A process that only publishes: nothing but the loss itself tells it of the loss."""
    bus = JetStreamBus(url, retry=RETRY)
    await bus.start()
    relay = asyncio.create_task(OutboxRelay(db, bus, retry=RETRY).run())
    yield
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await bus.stop()


async def publish(db: Database, house: "House", *names: str) -> None:
    for name in names:
        event = Event(id=name, subject=SUBJECT, payload=b"{}", key=name)
        await db.write(lambda tx, event=event: put(tx, event))
    await house.until_sent()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def delete_stream(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().delete_stream("ATELIER")
    await client.close()


@pytest.fixture
def make_bus(nats_url: str) -> Callable[[], JetStreamBus]:
    return lambda: JetStreamBus(nats_url, retry=RETRY)


@pytest.mark.parametrize("publisher", ["stays connected", "starts anew"])
async def test_unread_events_are_sent_again_when_the_stream_is_lost(
    db: Database, nats_url: str, house: "House", publisher: str
) -> None:
    consumer = Consumer(nats_url)
    async with publishing(db, nats_url):
        async with consumer.listening():
            await publish(db, house, "read")
            await until(lambda: consumer.ids == ["read"])
        await publish(db, house, "unread")
        if publisher == "stays connected":
            await delete_stream(nats_url)
            async with consumer.listening():  # Makes the stream again, before the publisher has noticed anything.
                await until(lambda: "unread" in consumer.ids)
            return
    await delete_stream(nats_url)
    async with publishing(db, nats_url), consumer.listening():
        await until(lambda: "unread" in consumer.ids)


async def test_unread_events_are_sent_again_when_the_server_lost_its_disk(db: Database, house: "House") -> None:
    async with NatsServer() as server:
        consumer = Consumer(server.url)
        async with publishing(db, server.url):
            await publish(db, house, "unread")
            await server.kill()
            shutil.rmtree(server.folder / "data")
            await server.start()
            async with consumer.listening():
                await until(lambda: "unread" in consumer.ids)


async def test_events_are_not_sent_again_while_the_stream_stays(db: Database, nats_url: str, house: "House") -> None:
    consumer = Consumer(nats_url)
    async with consumer.listening():
        for turn in range(3):
            async with publishing(db, nats_url):
                await publish(db, house, f"event{turn}")
        await until(lambda: len(consumer.ids) == 3)
        await asyncio.sleep(0.5)
    assert sorted(consumer.ids) == ["event0", "event1", "event2"]
