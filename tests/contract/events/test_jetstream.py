"""What only the JetStream bus has to prove: servers that come and go, the stream's settings, shared consumers."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType
from nats.js.errors import NotFoundError

from kit.errors import DependencyUnavailable
from kit.events import Event, JetStreamBus, Retry
from testkit.servers import NatsServer

pytestmark = pytest.mark.servers

SUBJECT = "atelier.jobs.v1.job_succeeded"
WAIT_S = 60.0  # A machine that runs everything at once is slow; nothing waits this long otherwise.

HANGING_CONSUMER = """
import asyncio, sys
from kit.events import JetStreamBus

async def handle(event):
    print('got', event.id, flush=True)
    await asyncio.sleep(600)

async def main():
    bus = JetStreamBus(sys.argv[1], ack_wait_s=1.0)
    bus.subscribe("billing", ["atelier.jobs.>"], handle)
    await bus.start()
    print("subscribed", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def event(name: str, *, key: str = "") -> Event:
    return Event(id=name, subject=SUBJECT, payload=b"{}", key=key)


class Listener:
    """A bus with one consumer that notes what it gets."""

    def __init__(
        self, url: str, then: Callable[[Event], Awaitable[None]] | None = None, *, server_is_up: bool = True
    ) -> None:
        self.server_is_up = server_is_up
        self.bus = JetStreamBus(url, retry=Retry(tries_max=3, first_s=0.02), ack_wait_s=1.0)
        self.ids: list[str] = []
        self._then = then
        self.bus.subscribe("billing", ["atelier.jobs.>"], self._handle)

    async def _handle(self, call: Event) -> None:
        self.ids.append(call.id)
        if self._then is not None:
            await self._then(call)

    async def publish(self, *events: Event) -> None:
        """Publish as the relay does: again until it worked."""
        for one in events:
            async with asyncio.timeout(WAIT_S):
                while True:
                    try:
                        await self.bus.publish(one)
                        break
                    except DependencyUnavailable:
                        await asyncio.sleep(0.05)

    def is_ready(self) -> bool:
        return self.bus.ready

    async def __aenter__(self) -> "Listener":
        await self.bus.start()
        if self.server_is_up:
            await until(self.is_ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def until_printed(process: asyncio.subprocess.Process, line: str) -> None:
    """Read what `process` prints, its log among it, up to `line`."""
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        while (printed := await process.stdout.readline()).decode().strip() != line:
            assert printed, "the process has ended"


@asynccontextmanager
async def operator(url: str) -> AsyncIterator[Client]:
    """A connection of somebody who looks at the server directly."""
    client = await nats.connect(url)
    yield client
    await client.close()


async def test_the_stream_keeps_events_in_files_and_refuses_rather_than_forgets(nats_url: str) -> None:
    async with Listener(nats_url), operator(nats_url) as client:
        config = (await client.jetstream().stream_info("ATELIER")).config
        assert config.subjects == ["atelier.>"]
        assert config.storage == StorageType.FILE
        assert config.retention == RetentionPolicy.LIMITS
        assert config.discard == DiscardPolicy.NEW
        assert config.duplicate_window == 1800
        assert config.max_age == 3 * 86_400


async def test_settings_of_an_operator_stay_when_the_stream_exists(nats_url: str) -> None:
    async with operator(nats_url) as client:
        await client.jetstream().add_stream(name="ATELIER", subjects=["atelier.>"], max_msgs=1000)
        async with Listener(nats_url) as listener:
            await listener.publish(event("one"))
            await until(lambda: listener.ids == ["one"])
        assert (await client.jetstream().stream_info("ATELIER")).config.max_msgs == 1000


async def test_an_event_is_stored_once_when_it_is_published_twice(nats_url: str) -> None:
    async with Listener(nats_url) as listener:
        await listener.publish(event("one"), event("one"), event("two"))
        await until(lambda: len(listener.ids) >= 2)
        await asyncio.sleep(0.2)
        assert listener.ids == ["one", "two"]


async def test_an_event_given_up_is_found_among_the_dead_letters(nats_url: str) -> None:
    async def then(_: Event) -> None:
        raise ValueError("cannot be understood")

    async with Listener(nats_url, then) as listener, operator(nats_url) as client:
        await listener.publish(event("poison"))
        await until(lambda: len(listener.ids) == 3)
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    letter = await client.jetstream().get_last_msg("ATELIER", "atelier.dlq.billing")
                    break
                except NotFoundError:
                    await asyncio.sleep(0.02)
        assert letter.data == b"{}"
        assert letter.headers is not None
        assert letter.headers["Atelier-Event-Id"] == "poison"
        assert letter.headers["Atelier-Subject"] == SUBJECT
        assert letter.headers["Atelier-Error"] == "ValueError"
        await asyncio.sleep(1.5)  # Longer than the acknowledgement's deadline.
        assert len(listener.ids) == 3


async def test_an_event_is_not_delivered_again_while_its_handler_still_works(nats_url: str) -> None:
    async def then(_: Event) -> None:
        await asyncio.sleep(3)  # Three times the acknowledgement's deadline.

    async with Listener(nats_url, then) as listener:
        await listener.publish(event("first"), event("second"))  # The second waits behind the first.
        await until(lambda: len(listener.ids) == 2)
        await asyncio.sleep(3.5)
        assert listener.ids == ["first", "second"]


async def test_an_event_comes_again_when_its_process_was_killed(nats_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING_CONSUMER, nats_url, stdout=asyncio.subprocess.PIPE
    )
    await until_printed(process, "subscribed")
    async with operator(nats_url) as client:
        await client.jetstream().publish(SUBJECT, b"{}", headers={"Nats-Msg-Id": "one"})
    await until_printed(process, "got one")
    process.kill()
    await process.wait()
    async with Listener(nats_url) as alive:
        await until(lambda: alive.ids == ["one"])


async def test_processes_with_the_same_consumer_share_its_events(nats_url: str) -> None:
    async def then(_: Event) -> None:
        await asyncio.sleep(0.002)

    async with Listener(nats_url, then) as one, Listener(nats_url, then) as other:
        names = [f"e{turn:03}" for turn in range(300)]
        await asyncio.gather(*(one.publish(event(name, key=name)) for name in names))
        await until(lambda: len(one.ids) + len(other.ids) >= 300)
        assert sorted(one.ids + other.ids) == names
        assert one.ids
        assert other.ids


async def test_a_message_published_by_hand_neither_stops_the_consumer_nor_comes_for_ever(nats_url: str) -> None:
    async with Listener(nats_url) as listener, operator(nats_url) as client:
        await client.jetstream().publish("atelier.jobs.By-Hand", b"no id, no proper subject")
        await client.jetstream().publish("atelier.jobs.v1.by_hand", b"no id")
        await listener.publish(event("one"))
        await until(lambda: len(listener.ids) == 2)
        assert sorted(listener.ids) == ["ATELIER-2", "one"]
        await asyncio.sleep(1.2)
        info = await client.jetstream().consumer_info("ATELIER", "billing")
        assert info.num_ack_pending == 0


@pytest.mark.parametrize("lost", ["stream", "consumer"])
async def test_what_is_gone_from_the_server_is_made_again(nats_url: str, lost: str) -> None:
    async with Listener(nats_url) as listener, operator(nats_url) as client:
        await listener.publish(event("one"))
        await until(lambda: listener.ids == ["one"])
        if lost == "stream":
            await client.jetstream().delete_stream("ATELIER")
        else:
            await client.jetstream().delete_consumer("ATELIER", "billing")
        await listener.publish(event("two"))
        await until(lambda: "two" in listener.ids)


async def test_delivery_goes_on_when_the_server_was_killed_and_started_again() -> None:
    async with NatsServer() as server, Listener(server.url) as listener:
        await listener.publish(event("one"))
        await server.kill()
        await asyncio.sleep(0.1)
        with pytest.raises(DependencyUnavailable):
            await listener.bus.publish(event("two"))
        await server.start()
        await listener.publish(event("two"), event("three"))
        await until(lambda: {"one", "two", "three"} <= set(listener.ids))
        await until(listener.is_ready)


async def test_no_event_is_lost_when_the_server_is_killed_again_and_again() -> None:
    async with NatsServer() as server, Listener(server.url) as listener:
        names = [f"e{turn:03}" for turn in range(200)]

        async def publish_all() -> None:
            for name in names:
                await listener.publish(event(name))
                await asyncio.sleep(0.01)

        publishing = asyncio.create_task(publish_all())
        for _ in range(3):
            await asyncio.sleep(random.uniform(0.2, 0.6))
            await server.kill()
            await server.start()
        await publishing
        await until(lambda: set(listener.ids) == set(names))


async def test_readiness_is_lost_a_moment_after_the_server_and_comes_back_with_it() -> None:
    async with NatsServer() as server, Listener(server.url) as listener:
        assert listener.is_ready()
        await server.kill()
        await asyncio.sleep(2)
        assert listener.is_ready()  # A reconnect usually takes a second: readiness does not flap.
        await asyncio.sleep(4)
        assert not listener.is_ready()
        await server.start()
        await until(listener.is_ready)


async def test_starting_before_the_server_returns_and_connects_later() -> None:
    async with NatsServer() as server:
        await server.stop()
        async with Listener(server.url, server_is_up=False) as listener:
            assert not listener.is_ready()
            with pytest.raises(DependencyUnavailable):
                await listener.bus.publish(event("one"))
            await server.start()
            await until(listener.is_ready)
            await listener.publish(event("one"))
            await until(lambda: listener.ids == ["one"])
