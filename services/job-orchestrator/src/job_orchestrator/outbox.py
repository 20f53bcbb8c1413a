"""Telling other services: events as protos into the outbox, and a wake-up for who waits in this process."""

from functools import partial
from typing import Final, Protocol

from google.protobuf.message import Message

from atelier.events.v1 import job_events_pb2
from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.job import EventKind
from job_orchestrator.mapping.job import to_charge_proto, to_output_proto, to_reason_proto, to_timestamp
from kit.db import Tx
from kit.events import Event, put

SUBJECT_PREFIX: Final = "atelier.jobs.v1.job_"

# The rest of the log (progress, queueing again, a cancel that was asked for) concerns only who watches it.
PUBLISHED: Final = frozenset(
    {
        EventKind.ACCEPTED,
        EventKind.STARTED,
        EventKind.SUCCEEDED,
        EventKind.FAILED,
        EventKind.EXPIRED,
        EventKind.CANCELLED,
    }
)


class Bells(Protocol):
    """Who is woken."""

    def pool_ready(self, pool: str) -> None:
        """A job of the pool became ready."""
        ...

    def client_changed(self, client_id: str) -> None:
        """The client's event log has grown."""
        ...


class Announcer:
    """Announces each row of the event log in the transaction that writes it."""

    def __init__(self, bells: Bells) -> None:
        """`bells` ring after the commit, on the event loop."""
        self._bells = bells

    def __call__(self, tx: Tx, event: JobEvent) -> None:
        """Put the event into the outbox and ring once it is committed."""
        if event.kind in PUBLISHED:
            put(tx, to_outbox(event))
        tx.after_commit(partial(self._ring, event))

    def _ring(self, event: JobEvent) -> None:
        self._bells.client_changed(event.job.client_id)
        if event.job.ready:
            self._bells.pool_ready(event.job.order.pool)


def to_outbox(event: JobEvent) -> Event:
    """Return the event as other services read it."""
    return Event(
        id=event.event_id,
        subject=SUBJECT_PREFIX + event.kind,
        payload=_payload(event).SerializeToString(),
        key=event.job.id,
    )


def _payload(event: JobEvent) -> Message:
    job = event.job
    header = _header(event)
    match event.kind:
        case EventKind.ACCEPTED:
            return job_events_pb2.JobAccepted(header=header, pool=job.order.pool)
        case EventKind.STARTED:
            return job_events_pb2.JobStarted(header=header, attempts=job.attempts)
        case EventKind.SUCCEEDED:
            return job_events_pb2.JobSucceeded(
                header=header,
                outputs=[to_output_proto(output) for output in job.outputs],
                outputs_delivered=job.outputs_delivered,
                charge=to_charge_proto(job),
            )
        case EventKind.FAILED:
            assert job.failure is not None
            return job_events_pb2.JobFailed(
                header=header, reason=to_reason_proto(job.failure.reason), charge=to_charge_proto(job)
            )
        case EventKind.EXPIRED:
            return job_events_pb2.JobExpired(header=header, charge=to_charge_proto(job))
        case EventKind.CANCELLED:
            return job_events_pb2.JobCancelled(header=header, charge=to_charge_proto(job))
        case _:
            raise AssertionError(f"{event.kind} is not published")


def _header(event: JobEvent) -> job_events_pb2.JobEventHeader:
    return job_events_pb2.JobEventHeader(
        event_id=event.event_id,
        job_id=event.job.id,
        client_id=event.job.client_id,
        sequence=event.job.sequence,
        position=event.position,
        occur_time=to_timestamp(event.time_ms),
        webhook_url=event.job.order.webhook_url,
        contract=event.job.order.contract,
    )
