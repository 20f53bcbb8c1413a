"""Job events in: the last event of a job decides its outputs."""

from typing import Final

from asset_store.usecases.outputs import SettleOutputs
from atelier.events.v1 import job_events_pb2 as events_pb
from kit.events import Event

SUCCEEDED: Final = "atelier.jobs.v1.job_succeeded"
WITHOUT_RESULT: Final[dict[str, type[events_pb.JobFailed | events_pb.JobExpired | events_pb.JobCancelled]]] = {
    "atelier.jobs.v1.job_failed": events_pb.JobFailed,
    "atelier.jobs.v1.job_expired": events_pb.JobExpired,
    "atelier.jobs.v1.job_cancelled": events_pb.JobCancelled,
}
SUBJECTS: Final = (SUCCEEDED, *WITHOUT_RESULT)


class JobEvents:
    """Handles the subjects above; each event may come more than once."""

    def __init__(self, settle: SettleOutputs) -> None:
        self._settle = settle

    async def __call__(self, event: Event) -> None:
        """Handle one event. Raises what the database raises; the bus then brings the event again."""
        if event.subject == SUCCEEDED:
            succeeded = events_pb.JobSucceeded.FromString(event.payload)
            job_id, keep = succeeded.header.job_id, [output.asset_id for output in succeeded.outputs]
        else:
            ended = WITHOUT_RESULT[event.subject].FromString(event.payload)
            job_id, keep = ended.header.job_id, []
        await self._settle(event_id=event.id, job_id=job_id, keep=keep)
