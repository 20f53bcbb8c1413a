"""One durable pull consumer: fetches events, runs the handler, acknowledges after it.

Fetches are finite: a pull request parked at the server dies with the server and is not sent again on reconnect, so
an endless one can go silent. Tries are counted here as well as by the server, whose count may read too low.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from kit.events.event import Event
from kit.events.lanes import KeyedLanes
from kit.events.port import HANDLER_TIMEOUT_S, Handler, Retry
from kit.logging import get_logger
from kit.tasks import end

KEY_HEADER: Final = "Atelier-Key"
ID_HEADER: Final = "Nats-Msg-Id"
DEAD_LETTERS: Final = "atelier.dlq"  # `atelier.dlq.<consumer>` in the same stream, with the reason in headers.
FETCH_TIMEOUT_S: Final = 5.0
FETCH_MAX: Final = 64
IN_FLIGHT_MAX: Final = 256  # Handlers at once; enough to fill a group commit.
ACK_PENDING_MAX: Final = 10_000  # Of all replicas together: above their handlers and the events that wait.
TRIES_KEPT_MAX: Final = 10_000  # Events failing at once; the oldest is forgotten, the server counts too.
STOP_TIMEOUT_S: Final = 10.0  # For running handlers when the process ends; what is cut off comes again.

_log = get_logger(__name__)


class Consumer:
    """Delivers one consumer's events to its handler."""

    def __init__(
        self,
        jetstream: JetStreamContext,
        stream: str,
        name: str,
        subjects: Sequence[str],
        handler: Handler,
        *,
        restore: Callable[[JetStreamContext], Awaitable[None]],
        retry: Retry,
        ack_wait_s: float,
    ) -> None:
        """`restore` makes the stream again when it is gone."""
        self._retry = retry
        self._ack_wait_s = ack_wait_s
        self._jetstream = jetstream
        self._stream = stream
        self._name = name
        self._subjects = list(subjects)
        self._handler = handler
        self._restore = restore
        self._lanes = KeyedLanes(IN_FLIGHT_MAX)
        self._in_flight: dict[str, Msg] = {}  #: By the reply subject, which each delivery has of its own.
        self._tries: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to fetch, in the background."""
        self._tasks = [asyncio.create_task(self._keep_fetching()), asyncio.create_task(self._keep_alive())]

    async def stop(self) -> None:
        """Fetch no more, let running handlers finish within STOP_TIMEOUT_S and give the rest back."""
        fetching, heart = self._tasks
        await end(fetching)
        await self._lanes.drain(STOP_TIMEOUT_S)
        await end(heart)
        for message in self._in_flight.values():
            await self._reply(message.nak())

    async def _keep_fetching(self) -> None:
        failures = 0
        while True:
            try:
                subscription = await self._subscribe()
                failures = 0
                try:
                    await self._fetch(subscription)
                finally:
                    await self._reply(subscription.unsubscribe())
            except (NatsError, TimeoutError, OSError) as error:
                failures += 1
                _log.warning("events_not_fetched", consumer=self._name, error=type(error).__name__)
            except Exception:  # A bug or a surprise of the client: a silent consumer would be worse.
                failures += 1
                _log.exception("events_not_fetched", consumer=self._name)
            await asyncio.sleep(min(self._retry.delay_s(failures), FETCH_TIMEOUT_S))

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        await self._restore(self._jetstream)
        config = ConsumerConfig(
            durable_name=self._name,
            filter_subjects=self._subjects,
            deliver_policy=DeliverPolicy.ALL,  # A new consumer also hears what came before its first start.
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait_s,
            max_deliver=-1,  # At a limit the server would drop the event silently; we count ourselves.
            max_ack_pending=ACK_PENDING_MAX,
        )
        await self._jetstream.add_consumer(self._stream, config)
        return await self._jetstream.pull_subscribe_bind(consumer=self._name, stream=self._stream)

    async def _fetch(self, subscription: JetStreamContext.PullSubscription) -> None:
        """Fetch until something is wrong. Raises NatsError, TimeoutError, OSError."""
        while True:
            await self._lanes.wait_for_room()
            try:
                # The outer limit is a watchdog; the client ends a fetch that finds nothing by itself.
                async with asyncio.timeout(FETCH_TIMEOUT_S * 2) as watchdog:
                    messages = await subscription.fetch(min(FETCH_MAX, self._lanes.room), FETCH_TIMEOUT_S)
            except TimeoutError:
                if watchdog.expired():
                    raise
                continue
            for message in messages:
                await self._accept(message)

    async def _accept(self, message: Msg) -> None:
        try:
            event = _event(message)
        except ValueError as error:  # Somebody published by hand; it would come again for ever.
            _log.error("event_malformed", consumer=self._name, subject=message.subject, error=str(error))
            await self._reply(message.term())
            return
        self._in_flight[message.reply] = message
        self._lanes.add(event.order, partial(self._handle, message, event))

    async def _handle(self, message: Msg, event: Event) -> None:
        """Run the handler and answer the server; part of a lane, so it does not raise."""
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                await self._handler(event)
        except Exception as error:
            await self._failed(message, event, error)
        else:
            self._tries.pop(event.id, None)
            await self._reply(message.ack())
        self._in_flight.pop(message.reply, None)

    async def _failed(self, message: Msg, event: Event, error: Exception) -> None:
        tries = max(self._tries.get(event.id, 0) + 1, message.metadata.num_delivered)
        facts = {"consumer": self._name, "event_id": event.id, "subject": event.subject, "tries": tries}
        if not self._retry.is_over(tries):
            self._tries[event.id] = tries
            if len(self._tries) > TRIES_KEPT_MAX:
                del self._tries[next(iter(self._tries))]
            _log.warning("event_handler_failed", **facts, error=type(error).__name__, exc_info=error)
            await self._reply(message.nak(delay=self._retry.delay_s(tries)))
            return
        _log.error("event_given_up", **facts, error=type(error).__name__, exc_info=error)
        self._tries.pop(event.id, None)
        await self._reply(self._bury(message, event, error))

    async def _bury(self, message: Msg, event: Event, error: Exception) -> None:
        """Copy the event to the dead letters, then end its delivery."""
        headers = {
            ID_HEADER: f"{self._name}:{event.id}",
            "Atelier-Event-Id": event.id,
            "Atelier-Subject": event.subject,
            "Atelier-Error": type(error).__name__,
        }
        await self._jetstream.publish(f"{DEAD_LETTERS}.{self._name}", event.payload, headers=headers)
        await message.term()

    async def _keep_alive(self) -> None:
        """Tell the server about every event that is being handled or waits for its turn here."""
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)  # Three chances to be heard in time.
            for message in list(self._in_flight.values()):
                await self._reply(message.in_progress())

    async def _reply(self, sending: Awaitable[object]) -> None:
        """Send an answer; when it is lost the event comes again, which handlers expect anyway."""
        try:
            await sending
        except (NatsError, TimeoutError, OSError) as error:
            _log.warning("event_answer_lost", consumer=self._name, error=type(error).__name__)


def _event(message: Msg) -> Event:
    headers = message.headers or {}
    place = message.metadata
    # An event of ours always has an id; a message by hand (`nats pub`) gets its place in the stream.
    return Event(
        id=headers.get(ID_HEADER) or f"{place.stream}-{place.sequence.stream}",
        subject=message.subject,
        payload=message.data,
        key=headers.get(KEY_HEADER, ""),
    )
