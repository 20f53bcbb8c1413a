"""The bus of the embedded default: publishing calls the subscribers' handlers directly.

"Published" means "handled by everybody", so the outbox row stays unsent until then, and the relay is what repeats.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from kit.errors import DependencyUnavailable
from kit.events.event import Event
from kit.events.port import HANDLER_TIMEOUT_S, Handler, HandlerFailed, check_subscription
from kit.logging import get_logger

STOP_TIMEOUT_S: Final = 10.0  # What a handler may still take when the process ends; the relay repeats the rest.

_log = get_logger(__name__)


class InProcessBus:
    """A `kit.events.EventBus` within one process and one event loop."""

    def __init__(self) -> None:
        """Nothing is delivered before `start`."""
        self._handlers: dict[str, tuple[Sequence[str], Handler]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._started = False

    @property
    def ready(self) -> bool:
        """See `EventBus.ready`."""
        return self._started

    @property
    def kept_since_ms(self) -> int:
        """See `EventBus.kept_since_ms`: what is published is handled, not kept."""
        return 0

    def subscribe(self, consumer: str, subjects: Sequence[str], handler: Handler) -> None:
        """See `EventBus.subscribe`."""
        check_subscription(consumer, subjects)
        if consumer in self._handlers or self._started:
            raise ValueError(f"consumer {consumer} subscribes twice, or after the start")
        self._handlers[consumer] = (tuple(subjects), handler)

    async def start(self) -> None:
        """See `EventBus.start`."""
        self._started = True

    async def stop(self) -> None:
        """See `EventBus.stop`."""
        self._started = False
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=STOP_TIMEOUT_S)
        for task in late:
            task.cancel()

    async def publish(self, event: Event) -> None:
        """See `EventBus.publish`."""
        if not self._started:
            raise DependencyUnavailable("the event bus is not running")
        deliveries = [
            asyncio.create_task(self._deliver(consumer, handler, event))
            for consumer, (subjects, handler) in self._handlers.items()
            if any(matches(subject, event.subject) for subject in subjects)
        ]
        self._running.update(deliveries)
        try:
            results = await asyncio.gather(*deliveries, return_exceptions=True)
        finally:
            self._running.difference_update(deliveries)
        for result in results:
            if isinstance(result, BaseException):
                raise HandlerFailed(str(result)) from result

    async def _deliver(self, consumer: str, handler: Handler, event: Event) -> None:
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                await handler(event)
        except Exception as error:
            _log.warning(
                "event_handler_failed",
                consumer=consumer,
                event_id=event.id,
                subject=event.subject,
                error=type(error).__name__,
                exc_info=True,
            )
            raise HandlerFailed(f"{consumer}: {type(error).__name__}") from error


def matches(pattern: str, subject: str) -> bool:
    """Tell whether `subject` falls under `pattern`, by the rules of NATS."""
    wanted, words = pattern.split("."), subject.split(".")
    for place, word in enumerate(wanted):
        if word == ">":
            return len(words) > place
        if place >= len(words) or word not in ("*", words[place]):
            return False
    return len(wanted) == len(words)
