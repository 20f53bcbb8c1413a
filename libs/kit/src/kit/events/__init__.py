"""Events between services: outbox, relay, bus, inbox."""

from typing import TYPE_CHECKING

from kit.events.event import PAYLOAD_BYTES_MAX, Event
from kit.events.in_process import InProcessBus
from kit.events.port import EventBus, Handler, HandlerFailed, Retry
from kit.events.relay import OutboxRelay
from kit.events.tables import INBOX, OUTBOX, put, seen, tables

if TYPE_CHECKING:
    from kit.events.jetstream import JetStreamBus

__all__ = [
    "INBOX",
    "OUTBOX",
    "PAYLOAD_BYTES_MAX",
    "Event",
    "EventBus",
    "Handler",
    "HandlerFailed",
    "InProcessBus",
    "JetStreamBus",
    "OutboxRelay",
    "Retry",
    "put",
    "seen",
    "tables",
]


def __getattr__(name: str) -> object:
    """Import the NATS client only for whoever uses it: the embedded default does not."""
    if name == "JetStreamBus":
        from kit.events.jetstream import JetStreamBus

        return JetStreamBus
    raise AttributeError(name)
