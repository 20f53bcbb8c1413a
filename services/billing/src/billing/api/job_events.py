"""Terminal job events settle holds."""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from atelier.events.v1 import job_events_pb2
from billing.charge import to_charged
from billing.domain import Settlement
from billing.usecases import SettleHold
from kit.errors import HoldAlreadyResolved, HoldNotFound, InvalidArgument
from kit.events import Event
from kit.logging import get_logger

_log = get_logger(__name__)
_PREFIX: Final = "atelier.jobs.v1."
_PARSERS: Final[dict[str, Callable[[bytes], Any]]] = {
    f"{_PREFIX}job_succeeded": job_events_pb2.JobSucceeded.FromString,
    f"{_PREFIX}job_failed": job_events_pb2.JobFailed.FromString,
    f"{_PREFIX}job_expired": job_events_pb2.JobExpired.FromString,
    f"{_PREFIX}job_cancelled": job_events_pb2.JobCancelled.FromString,
}


class JobEvents:
    """Handles the events that end a job."""

    SUBJECTS: Final = tuple(_PARSERS)

    def __init__(self, *, settle_hold: SettleHold) -> None:
        """Settle through this use-case."""
        self._settle_hold = settle_hold

    async def __call__(self, event: Event) -> None:
        """Settle the job's hold, once however often the event comes.

        What no repetition can mend is logged for somebody to look at and given up: a hold that is not there, one
        that ended otherwise, a payload that makes no sense. Raises what may pass: the database away.
        """
        try:
            message = _PARSERS[event.subject](event.payload)
        except DecodeError:
            _log.error("job_event_unreadable", event_id=event.id, subject=event.subject)
            return
        job_id = message.header.job_id
        if not message.HasField("charge"):  # Left to the sweeper, which asks what the job costs.
            _log.error("job_event_without_charge", event_id=event.id, job_id=job_id)
            return
        try:
            amount, unit, end = to_charged(message.charge)
            settlement = Settlement(hold_id=job_id, amount=amount, unit=unit, end=end)
            hold = await self._settle_hold.by_event(settlement, event_id=event.id)
        except (HoldNotFound, HoldAlreadyResolved, InvalidArgument) as error:
            _log.error("job_event_not_settled", event_id=event.id, job_id=job_id, reason=error.reason)
            return
        if hold is not None:
            _log.info("hold_settled", hold_id=hold.id, state=hold.state, captured=hold.captured)
