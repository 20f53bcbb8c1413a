"""The bus between processes: NATS JetStream.

The stream only carries wake-ups; the truth is in the databases. Losing the whole stream costs time, never a job,
so it is made again when it is gone, and so are the consumers; relays see by its age that they have to send again.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from kit.errors import DependencyUnavailable
from kit.events.event import Event
from kit.events.jetstream_consumer import ID_HEADER, KEY_HEADER, Consumer
from kit.events.port import Handler, Retry, check_subscription
from kit.logging import get_logger
from kit.tasks import end

STREAM: Final = "ATELIER"
SUBJECTS: Final = ["atelier.>"]
STREAM_AGE_S: Final = 3 * 86_400  # A consumer may be away over a weekend; what it misses, sweepers find.
DUPLICATES_S: Final = 30 * 60  # The server drops what the relay repeats within this; later the inbox does.
CONNECT_TIMEOUT_S: Final = 2.0
RECONNECT_WAIT_S: Final = 1.0  # With jitter; for ever.
PING_INTERVAL_S: Final = 10  # Two missed pings, and a dead connection is noticed within half a minute.
CALL_TIMEOUT_S: Final = 5.0  # A publish is acknowledged in a millisecond.
START_TIMEOUT_S: Final = 5.0  # How long `start` waits for a server that is starting too.
ACK_WAIT_S: Final = 30.0  # How late events come again that a crashed process had taken.
LOOK_S: Final = 10.0  # How late a publisher notices that the stream was lost while the connection stayed.
NOT_READY_AFTER_S: Final = 5.0  # A reconnect takes a second; readiness should not flap with it.

_log = get_logger(__name__)


class JetStreamBus:
    """A `kit.events.EventBus` on a NATS server or cluster."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "atelier",
        replicas: int = 1,
        retry: Retry | None = None,
        ack_wait_s: float = ACK_WAIT_S,
    ) -> None:
        """Connect to nothing yet.

        `url` is `nats://host:4222`, several joined by commas. `name` is what the server's monitoring shows.
        `replicas` 3 keeps the stream on three servers.
        """
        self._retry = retry or Retry()
        self._ack_wait_s = ack_wait_s
        self._servers = url.split(",")
        self._name = name
        self._replicas = replicas
        self._subscriptions: dict[str, tuple[Sequence[str], Handler]] = {}
        self._consumers: list[Consumer] = []
        self._client: Client | None = None
        self._jetstream: JetStreamContext | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._usable = asyncio.Event()  #: Connected, and the stream exists.
        self._kept_since_ms = 0
        self._changed = asyncio.Event()  #: Something happened to the connection.
        self._away_since_s: float | None = 0.0  #: None while connected; never connected counts as long ago.

    @property
    def ready(self) -> bool:
        """See `EventBus.ready`: false when disconnected for longer than NOT_READY_AFTER_S."""
        if self._away_since_s is None:
            return self._usable.is_set()
        return self._usable.is_set() and time.monotonic() - self._away_since_s <= NOT_READY_AFTER_S

    @property
    def kept_since_ms(self) -> int:
        """See `EventBus.kept_since_ms`."""
        return self._kept_since_ms

    def subscribe(self, consumer: str, subjects: Sequence[str], handler: Handler) -> None:
        """See `EventBus.subscribe`."""
        check_subscription(consumer, subjects)
        if consumer in self._subscriptions or self._keeper is not None:
            raise ValueError(f"consumer {consumer} subscribes twice, or after the start")
        self._subscriptions[consumer] = (tuple(subjects), handler)

    async def start(self) -> None:
        """See `EventBus.start`. Waits up to START_TIMEOUT_S for the server."""
        self._keeper = asyncio.create_task(self._keep_connected())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._usable.wait()
        except TimeoutError:
            _log.warning("event_bus_away_at_start")

    async def stop(self) -> None:
        """See `EventBus.stop`."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        await end(keeper)
        self._usable.clear()

    async def publish(self, event: Event) -> None:
        """See `EventBus.publish`. The server knows the event by its id and stores it once."""
        client, jetstream = self._client, self._jetstream
        if client is None or jetstream is None or not client.is_connected or not self._usable.is_set():
            raise DependencyUnavailable("the event bus is not connected")
        headers = {ID_HEADER: event.id} | ({KEY_HEADER: event.key} if event.key else {})
        try:
            await jetstream.publish(event.subject, event.payload, CALL_TIMEOUT_S, headers=headers)
        except NoStreamResponseError as error:
            await self._restore(jetstream)
            raise DependencyUnavailable("the event stream was gone") from error
        except (NatsError, TimeoutError, OSError) as error:
            _log.warning("event_not_stored", event_id=event.id, error=str(error))
            raise DependencyUnavailable("the event bus did not store the event") from error

    async def _keep_connected(self) -> None:
        """Connect, serve until the connection is closed for good, and begin again."""
        try:
            while True:
                try:
                    await self._serve()
                except (NatsError, TimeoutError, OSError) as error:
                    _log.warning("event_bus_unreachable", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_WAIT_S * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret.
        finally:
            await self._disconnect()

    async def _serve(self) -> None:
        closed = asyncio.Event()
        self._client = client = await nats.connect(
            self._servers,
            name=self._name,
            connect_timeout=CONNECT_TIMEOUT_S,
            # The first connection is repeated by `_keep_connected`; a lost one by the client, for ever.
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S * random.uniform(0.5, 1.5),  # noqa: S311 - not a secret.
            ping_interval=PING_INTERVAL_S,
            error_cb=_log_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=_setter(closed, self._changed),
        )
        try:
            self._jetstream = jetstream = client.jetstream(timeout=CALL_TIMEOUT_S)
            await self._restore(jetstream)
            self._away_since_s = None
            self._usable.set()
            _log.info("event_bus_connected")
            self._consumers = [
                Consumer(
                    jetstream,
                    STREAM,
                    name,
                    subjects,
                    handler,
                    restore=self._restore,
                    retry=self._retry,
                    ack_wait_s=self._ack_wait_s,
                )
                for name, (subjects, handler) in self._subscriptions.items()
            ]
            for consumer in self._consumers:
                consumer.start()
            while not closed.is_set():
                await self._look_after(jetstream)
        finally:
            await self._disconnect()

    async def _look_after(self, jetstream: JetStreamContext) -> None:
        """Wait for a reconnect, the end, or LOOK_S, and see whether the stream is there and still the same one.

        Who only publishes would not notice otherwise that another process has made it again.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._changed.wait()
        self._changed.clear()
        try:
            await self._restore(jetstream)
        except (NatsError, TimeoutError, OSError) as error:  # The next look finds out.
            _log.warning("event_stream_unseen", error=type(error).__name__)

    async def _restore(self, jetstream: JetStreamContext) -> None:
        """Make the stream when it does not exist. An operator may have changed its settings; they stay."""
        try:
            self._found(await jetstream.stream_info(STREAM))
            return
        except NotFoundError:
            pass
        config = StreamConfig(
            name=STREAM,
            subjects=SUBJECTS,
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,  # When it is full the outbox waits; nothing unread is thrown away.
            max_age=STREAM_AGE_S,
            duplicate_window=DUPLICATES_S,
            num_replicas=self._replicas,
        )
        try:
            self._found(await jetstream.add_stream(config))
            _log.info("event_stream_made", stream=STREAM)
        except APIError:
            self._found(await jetstream.stream_info(STREAM))  # Another process was faster, with other settings.

    def _found(self, stream: StreamInfo) -> None:
        self._kept_since_ms = 0 if stream.created is None else round(stream.created.timestamp() * 1000)

    async def _disconnect(self) -> None:
        consumers, self._consumers = self._consumers, []
        await asyncio.gather(*(consumer.stop() for consumer in consumers))
        client, self._client, self._jetstream = self._client, None, None
        self._usable.clear()
        if client is None or client.is_closed:
            return
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                if client.is_connected:
                    await client.flush()  # The acknowledgements of the last handlers.
        except (NatsError, TimeoutError, OSError):
            _log.warning("event_bus_not_flushed")
        await client.close()

    async def _on_disconnected(self) -> None:
        self._away_since_s = time.monotonic()
        _log.warning("event_bus_disconnected")

    async def _on_reconnected(self) -> None:
        self._away_since_s = None
        self._changed.set()
        _log.info("event_bus_reconnected")


async def _log_error(error: Exception) -> None:
    _log.warning("event_bus_error", error=type(error).__name__)


def _setter(*events: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def callback() -> None:
        for event in events:
            event.set()

    return callback
