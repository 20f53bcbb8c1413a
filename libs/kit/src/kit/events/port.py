"""The event bus port."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from kit.events.event import Event

Handler = Callable[[Event], Awaitable[None]]

HANDLER_TIMEOUT_S: Final = 60.0  # A handler does a transaction or two; one that takes longer hangs.
_CONSUMER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PATTERN: Final = re.compile(r"([a-z0-9_-]+|\*)(\.([a-z0-9_-]+|\*))*(\.>)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How often and how fast a failing event is tried again; the default takes about twelve minutes."""

    tries_max: int = 20
    first_s: float = 0.2  #: The usual cause is a neighbour that is just starting again. Doubles each time.
    max_s: float = 60.0  #: Long enough to spare a broken neighbour, short enough to notice it is back.

    def delay_s(self, tries: int) -> float:
        """Return how long to wait after the `tries`-th failure, in seconds."""
        return float(min(self.max_s, self.first_s * 2 ** min(tries - 1, 30)))

    def is_over(self, tries: int) -> bool:
        """Tell whether an event that failed `tries` times is given up."""
        return tries >= self.tries_max


class HandlerFailed(Exception):
    """A subscriber in this process could not handle the event now; publish it again later."""


class EventBus(Protocol):
    """Carries events from whoever publishes them to every consumer that subscribed to their subject.

    Promises, the same in one process and over NATS JetStream:

    - An event is delivered to each consumer at least once, and again after a handler failed or was cut off;
      after `Retry.tries_max` tries it is given up: logged, and kept where an operator finds it.
    - Handlers therefore are idempotent: `seen(tx, consumer, event.id)` in the transaction of the effect.
    - Events with the same `order` are handled one after another, in the order of publishing, as long as
      handlers succeed. One that failed is tried again later and others may overtake it meanwhile, and so may
      events of several replicas; whoever cares compares a sequence number in the payload.
    - A consumer sees events published while it was away.
    """

    async def publish(self, event: Event) -> None:
        """Return when the event is safe: stored by the server, or handled by every subscriber here.

        Raises DependencyUnavailable when the bus cannot take it now, HandlerFailed when a subscriber in
        this process failed. In both cases publish the same event again later.
        """
        ...

    def subscribe(self, consumer: str, subjects: Sequence[str], handler: Handler) -> None:
        """Let `consumer` handle the events of `subjects` (`*` stands for one word, a last `>` for the rest).

        Call it before `start`; a consumer name subscribes once in a process. Processes that use the same
        name share its events. Raises ValueError for a malformed or repeated name or subject.
        """
        ...

    async def start(self) -> None:
        """Begin to deliver. Returns even when the bus is away: it keeps trying, see `ready`."""
        ...

    async def stop(self) -> None:
        """Let running handlers finish, within a limit, and deliver nothing more."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the bus is usable, or was a moment ago."""
        ...

    @property
    def kept_since_ms(self) -> int:
        """Since when the server keeps what is published, in unix milliseconds of its clock.

        What was published before may be gone: it went into a stream that was lost and made again. 0 where nothing
        can be lost, and before the first connection.
        """
        ...


def check_subscription(consumer: str, subjects: Sequence[str]) -> None:
    """Raise ValueError unless both are well-formed."""
    if not _CONSUMER.fullmatch(consumer):
        raise ValueError(f"not a consumer name: {consumer!r}")
    if not subjects:
        raise ValueError(f"consumer {consumer} subscribes to nothing")
    for subject in subjects:
        if not _PATTERN.fullmatch(subject):
            raise ValueError(f"not a subject to subscribe to: {subject!r}")
