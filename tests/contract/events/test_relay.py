"""The relay alone: crashes at its named points, buses and databases that are away, several relays, pruning."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, update

from kit import crash
from kit.db import Database, Tx, open_database
from kit.errors import DependencyUnavailable
from kit.events import INBOX, OUTBOX, Event, InProcessBus, OutboxRelay, Retry, put, seen
from kit.events.outbox import INBOX_KEPT_MS, OUTBOX_KEPT_MS
from kit.events.relay import BEFORE_MARK, BEFORE_PUBLISH
from testkit.clock import FakeClock

if TYPE_CHECKING:
    from .conftest import House

SUBJECT = "atelier.jobs.v1.job_succeeded"
RETRY = Retry(tries_max=3, first_s=0.02, max_s=0.1)

# Puts one event and relays it to a handler with an effect, until an armed crash point ends the process.
CRASHING_SERVICE = """
import asyncio, sys
from kit import crash
from kit.db import open_database
from kit.events import Event, InProcessBus, JetStreamBus, OutboxRelay, put, seen
from sqlalchemy import text

COUNT = "INSERT INTO effects (event_id, n) VALUES (:id, 1)"

async def main(database_url, nats_url):
    crash.check()
    db = open_database(database_url)
    bus = JetStreamBus(nats_url) if nats_url else InProcessBus()
    def work(tx, event):
        seen(tx, "counting", event.id)
        tx.conn.execute(text(COUNT), {"id": event.id})
    async def handle(event):
        await db.write(lambda tx: work(tx, event))
    bus.subscribe("billing", ["atelier.>"], handle)
    await bus.start()
    event = Event(id="one", subject="atelier.jobs.v1.job_succeeded", payload=b"{}")
    await db.write(lambda tx: put(tx, event))
    await OutboxRelay(db, bus).run()

asyncio.run(main(*sys.argv[1:]))
"""


def event(name: str, *, key: str = "") -> Event:
    return Event(id=name, subject=SUBJECT, payload=b"{}", key=key)


async def rows(db: Database, *columns: Any) -> list[tuple[Any, ...]]:
    return await db.read(lambda tx: [tuple(row) for row in tx.conn.execute(select(*columns).order_by(columns[0]))])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


class ScriptedBus(InProcessBus):
    """A bus that is away while `away` is set, and counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.published: list[str] = []

    async def publish(self, event: Event) -> None:
        if self.away:
            raise DependencyUnavailable("the bus is away")
        self.published.append(event.id)
        await super().publish(event)


@pytest.fixture
async def bus() -> ScriptedBus:
    scripted = ScriptedBus()
    await scripted.start()
    return scripted


async def end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("point", [BEFORE_PUBLISH, BEFORE_MARK])
async def test_the_effect_happens_once_when_the_process_crashes_at(
    house: "House", database_url: str, request: pytest.FixtureRequest, point: str
) -> None:
    nats_url = "" if isinstance(house.bus, InProcessBus) else request.getfixturevalue("nats_url")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", CRASHING_SERVICE, database_url, nats_url),
        env=os.environ | {crash.ENVIRONMENT: point},
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(process.wait(), 60) == 137
    assert await house.unsent() == 1
    # On Postgres the dead relay holds its claim for a while; let that time pass.
    await house.db.write(lambda tx: tx.conn.execute(update(OUTBOX).values(due_ms=0)) and None)
    house.consume("billing", ["atelier.>"], house.count)
    await house.start()
    await house.until_sent()
    await house.until_effects(1)
    await asyncio.sleep(0.2)
    assert await house.effects() == {"one": 1}


async def test_events_wait_without_counting_tries_while_the_bus_is_away(db: Database, bus: ScriptedBus) -> None:
    bus.away = True
    relay = asyncio.create_task(OutboxRelay(db, bus, retry=RETRY).run())
    await db.write(lambda tx: put(tx, event("one")))
    await db.write(lambda tx: put(tx, event("two")))
    await asyncio.sleep(0.5)
    assert await rows(db, OUTBOX.c.id, OUTBOX.c.sent_ms, OUTBOX.c.tries) == [("one", None, 0), ("two", None, 0)]
    bus.away = False
    await until(lambda: bus.published == ["one", "two"])
    await end(relay)


async def test_the_relay_goes_on_when_the_database_was_away(db: Database, bus: ScriptedBus) -> None:
    class Flaky:
        """Refuses every call while `away`."""

        away = True
        dialect = db.dialect
        listen = db.listen
        ping = db.ping
        close = db.close

        async def write(self, work: Callable[[Tx], Any], *, timeout_s: float = 1) -> Any:
            return await self._call(db.write, work)

        async def read(self, work: Callable[[Tx], Any], *, timeout_s: float = 1) -> Any:
            return await self._call(db.read, work)

        async def _call(self, call: Any, work: Callable[[Tx], Any]) -> Any:
            if self.away:
                raise DependencyUnavailable("the database is away")
            return await call(work)

    flaky = Flaky()
    relay = asyncio.create_task(OutboxRelay(flaky, bus, retry=RETRY).run())
    await db.write(lambda tx: put(tx, event("one")))
    await asyncio.sleep(0.2)
    assert bus.published == []
    flaky.away = False
    await until(lambda: bus.published == ["one"])
    await end(relay)


async def test_rows_are_found_without_a_poke(db: Database, database_url: str, bus: ScriptedBus) -> None:
    relay = asyncio.create_task(OutboxRelay(db, bus).run())
    await asyncio.sleep(0.1)
    elsewhere = open_database(database_url)  # As if another process had put it.
    await elsewhere.write(lambda tx: put(tx, event("one")))
    await elsewhere.close()
    await until(lambda: bus.published == ["one"])
    await end(relay)


async def test_an_event_given_up_is_kept_with_its_reason(db: Database, bus: ScriptedBus) -> None:
    async def handle(_: Event) -> None:
        raise ValueError("secret words")

    failing = ScriptedBus()
    failing.subscribe("billing", ["atelier.>"], handle)
    await failing.start()
    relay = asyncio.create_task(OutboxRelay(db, failing, retry=RETRY).run())
    await db.write(lambda tx: put(tx, event("poison")))
    async with asyncio.timeout(60):
        while await rows(db, OUTBOX.c.id, OUTBOX.c.tries, OUTBOX.c.error) != [("poison", 3, "billing: ValueError")]:
            await asyncio.sleep(0.01)
    assert failing.published == ["poison"] * 3
    await end(relay)


async def test_running_publishes_finish_and_are_marked_when_the_relay_stops(db: Database) -> None:
    entered = asyncio.Event()

    async def handle(_: Event) -> None:
        entered.set()
        await asyncio.sleep(0.2)

    slow = InProcessBus()
    slow.subscribe("billing", ["atelier.>"], handle)
    await slow.start()
    relay = asyncio.create_task(OutboxRelay(db, slow).run())
    await db.write(lambda tx: put(tx, event("one")))
    await entered.wait()
    await end(relay)
    [(_, sent_ms)] = await rows(db, OUTBOX.c.id, OUTBOX.c.sent_ms)
    assert sent_ms is not None


async def test_each_event_is_published_once_when_several_replicas_relay(
    db: Database, database_url: str, bus: ScriptedBus
) -> None:
    if db.dialect == "sqlite":  # One process serves a SQLite file, with one relay.
        relays = [asyncio.create_task(OutboxRelay(db, bus).run())]
        others = []
    else:
        others = [open_database(database_url) for _ in range(2)]
        relays = [asyncio.create_task(OutboxRelay(one, bus).run()) for one in (db, *others)]
    names = [f"e{turn:03}" for turn in range(400)]
    await asyncio.gather(*(db.write(_putting(name)) for name in names))
    await until(lambda: len(bus.published) >= 400)
    await asyncio.sleep(0.1)
    assert sorted(bus.published) == names
    await end(*relays)
    for one in others:
        await one.close()


def _putting(name: str) -> Callable[[Tx], None]:
    return lambda tx: put(tx, event(name, key=name))


async def test_old_rows_are_pruned_but_not_what_is_unsent_or_was_given_up(
    db: Database, database_url: str, bus: ScriptedBus
) -> None:
    clock = FakeClock()
    clocked = open_database(database_url, clock=clock)

    def fill(tx: Tx) -> None:
        for turn in range(2500):
            put(tx, event(f"old{turn}"))
            seen(tx, "billing", f"old{turn}")
        tx.conn.execute(update(OUTBOX).values(sent_ms=tx.now_ms))
        put(tx, event("given-up"))
        tx.conn.execute(update(OUTBOX).where(OUTBOX.c.id == "given-up").values(sent_ms=tx.now_ms, error="billing"))

    await clocked.write(fill)
    clock.advance(OUTBOX_KEPT_MS / 1000 + 1)
    await clocked.write(lambda tx: put(tx, event("unsent")))
    bus.away = True
    relay = asyncio.create_task(OutboxRelay(clocked, bus, retry=RETRY).run())
    async with asyncio.timeout(60):
        while await rows(clocked, OUTBOX.c.id) != [("given-up",), ("unsent",)]:
            await asyncio.sleep(0.05)
    assert await rows(clocked, func.count(INBOX.c.event_id)) == [(2500,)]
    await end(relay)
    clock.advance(INBOX_KEPT_MS / 1000)
    relay = asyncio.create_task(OutboxRelay(clocked, bus, retry=RETRY).run())
    async with asyncio.timeout(60):
        while await rows(clocked, func.count(INBOX.c.event_id)) != [(0,)]:
            await asyncio.sleep(0.05)
    await end(relay)
    await clocked.close()
