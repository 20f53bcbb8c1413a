"""One row of the event log."""

from dataclasses import dataclass

from job_orchestrator.domain.job import EventKind, Job


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEvent:
    """What happened, and the job right after it. The log is the one source of polling, streams and webhooks."""

    position: int  #: Orders the events of one client.
    kind: EventKind
    time_ms: int
    job: Job

    @property
    def event_id(self) -> str:
        """Unique, and the same however often the event is told."""
        return f"{self.job.id}-{self.job.sequence}"
