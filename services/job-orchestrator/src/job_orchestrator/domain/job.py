"""A job and its transitions.

    queued ──leased──▶ running ──▶ succeeded | failed | expired | cancelled
       ▲                  │
       └──given back──────┘   a running job whose provider may still be at work stays running while it waits

Two things are kept apart: `state` is what the partner sees, `waiting` says that the job stands in the queue for a
worker. A queued job always waits; a running one waits when its worker went away but the provider may be at work on
it, so that the next worker resumes or reconciles instead of beginning anew.

A lease is fenced by its epoch, not by time. `holder` is empty once the worker itself ended its lease; a lease that
merely expired can still be used by its holder until somebody else has taken the job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from job_orchestrator.domain.attempt import AttemptOutcome
from job_orchestrator.domain.charge import Outcome, charged, outcome_of
from job_orchestrator.domain.order import Amount, Failure, Order, Output
from kit.errors import ErrorReason, JobAlreadyFinished, LeaseLost

PROGRESS_EVENT_INTERVAL_MS: Final = 1_000  # People cannot see faster, and each event is a row for good.

RESOLUTION_PREFIX: Final = "resolve:"  # Billing's name for the one transaction that ends a job's hold.

TAKEN_UP_LEASE_MS: Final = 30_000  # The usual lease: its holder is alive and renews it within a third of that.


class JobState(IntEnum):
    """Where a job stands; the numbers are those of the proto and of the column."""

    QUEUED = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    EXPIRED = 5
    CANCELLED = 6

    @property
    def terminal(self) -> bool:
        """Whether it is final."""
        return self >= JobState.SUCCEEDED


class EventKind(StrEnum):
    """What a row of the event log says."""

    ACCEPTED = "accepted"
    STARTED = "started"
    PROGRESSED = "progressed"
    REQUEUED = "requeued"
    CANCEL_REQUESTED = "cancel_requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Change(NamedTuple):
    """A job after a transition, and the event to log; None when nobody needs to hear of it."""

    job: "Job"
    kind: EventKind | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A generation job as it stands. All times are unix milliseconds of the database's clock."""

    order: Order
    held: Amount
    create_ms: int
    deadline_ms: int
    accept_position: int  #: Position of its first event: the order of acceptance within the client.
    state: JobState = JobState.QUEUED
    waiting: bool = True
    reconciling: bool = False
    outputs: tuple[Output, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)  #: What the engine has to say besides the outputs.
    progress: int = 0
    progress_event_ms: int = 0  #: When the last event about progress was logged.
    failure: Failure | None = None
    attempts: int = 0  #: Leases, without those given back unharmed.
    provider: str = ""
    provider_cost_fen: int = 0  #: All attempts together, by the providers' own reports; 0 when none was made.
    outcome: Outcome = Outcome.NONE
    charged: int = 0  #: What it cost in the end, in the unit of `held`.
    sequence: int = 1  #: Of the last event.
    cancel_ms: int | None = None  #: When a cancel was asked for.
    start_ms: int | None = None
    finish_ms: int | None = None
    epoch: int = 0  #: Grows with every lease.
    holder: str = ""  #: The worker of the newest lease; "" once that worker ended it.
    lease_expire_ms: int = 0
    not_before_ms: int = 0  #: While waiting: not to be leased earlier; 0 for at once.
    setbacks: int = 0  #: Leases that ended without an attempt's outcome.
    ended_epoch: int = 0  #: The lease whose end was reported last,
    ended_outcome: AttemptOutcome = AttemptOutcome.NONE  #: and how, to know a repeated report.

    def __post_init__(self) -> None:
        assert not (self.waiting and self.state.terminal), "a finished job waits for nobody"
        assert self.waiting or self.state != JobState.QUEUED, "a queued job waits"
        assert self.state.terminal == (self.finish_ms is not None)
        assert bool(self.outputs) == (self.state == JobState.SUCCEEDED)
        assert self.state.terminal == (self.outcome is not Outcome.NONE)
        assert 0 <= self.charged <= self.held.value

    @property
    def id(self) -> str:
        """The house's id."""
        return self.order.job_id

    @property
    def client_id(self) -> str:
        """Who asked and pays."""
        return self.order.client_id

    @property
    def live(self) -> bool:
        """Whether it is unfinished."""
        return not self.state.terminal

    @property
    def ready(self) -> bool:
        """Whether a worker may have it now."""
        return self.waiting and self.not_before_ms == 0

    @property
    def delayed(self) -> bool:
        """Whether it waits for its back-off to pass."""
        return self.waiting and self.not_before_ms > 0

    @property
    def forget_ms(self) -> int | None:
        """When it is no longer to be found; None for never."""
        kept_s = self.order.job_retention_s
        return None if kept_s is None else self.create_ms + round(kept_s * 1000)

    def forgotten(self, now_ms: int) -> bool:
        """Whether its time to be asked for is over."""
        return self.forget_ms is not None and now_ms >= self.forget_ms

    @property
    def outputs_delivered(self) -> int:
        """Outputs that the price counts; never more than were asked for."""
        return min(_counted(self.outputs), self.order.price.outputs)

    @property
    def refund_id(self) -> str:
        """The ledger's transaction that gives back what is not charged; "" when nothing is given back."""
        gives_back = self.state.terminal and self.charged < self.held.value
        return f"{RESOLUTION_PREFIX}{self.id}" if gives_back else ""

    @classmethod
    def accepted(cls, order: Order, *, held: Amount, position: int, now_ms: int) -> Change:
        """Return a new queued job."""
        deadline_ms = now_ms + round(order.deadline_s * 1000)
        job = cls(order=order, held=held, create_ms=now_ms, deadline_ms=deadline_ms, accept_position=position)
        return Change(job, EventKind.ACCEPTED)

    def leased(self, worker_id: str, *, lease_ms: int, now_ms: int) -> Change:
        """Hand the job to a worker: a new epoch, which ends every lease before it."""
        assert self.ready
        job = replace(
            self,
            state=JobState.RUNNING,
            waiting=False,
            attempts=self.attempts + 1,
            start_ms=now_ms if self.start_ms is None else self.start_ms,
            epoch=self.epoch + 1,
            holder=worker_id,
            lease_expire_ms=now_ms + lease_ms,
            sequence=self.sequence + 1,
        )
        return Change(job, EventKind.STARTED)

    def held_by(self, epoch: int) -> "Job":
        """Return the job as the holder of `epoch` has it. Raises LeaseLost.

        After the lease expired and the job stands in the queue again, its holder may still come back: then the
        job leaves the queue, as if the lease had never expired.
        """
        if self.state.terminal or epoch != self.epoch or self.holder == "":
            raise LeaseLost(job_id=self.id, epoch=epoch)
        if not self.waiting:
            return self
        return replace(self, state=JobState.RUNNING, waiting=False, not_before_ms=0)

    def renewed(self, before: "Job", *, progress: int, lease_ms: int, now_ms: int) -> Change:
        """Prolong the lease of a held job; `before` is the job as it was stored, perhaps back in the queue."""
        progress = max(progress, self.progress)
        job = replace(self, progress=progress, lease_expire_ms=now_ms + lease_ms)
        if before.waiting:
            return Change(replace(job, sequence=job.sequence + 1), EventKind.STARTED)
        due = now_ms - self.progress_event_ms >= PROGRESS_EVENT_INTERVAL_MS
        if progress == self.progress or not due:
            return Change(job, None)
        return Change(replace(job, progress_event_ms=now_ms, sequence=job.sequence + 1), EventKind.PROGRESSED)

    def taken_up(self, before: "Job", *, now_ms: int) -> Change:
        """Tell when a held job that stood in the queue again leaves it, and give its holder time to renew."""
        if not before.waiting:
            return Change(self, None)
        job = replace(self, lease_expire_ms=now_ms + TAKEN_UP_LEASE_MS, sequence=self.sequence + 1)
        return Change(job, EventKind.STARTED)

    def begun(self, provider: str) -> "Job":
        """Note which provider works on it."""
        return replace(self, provider=provider)

    def spent(self, provider_cost_fen: int) -> "Job":
        """Add to what the providers say the job cost us; negative when a report corrects an earlier one."""
        return replace(self, provider_cost_fen=self.provider_cost_fen + provider_cost_fen)

    def ended(self, epoch: int, outcome: AttemptOutcome) -> "Job":
        """Note that the worker reported the end of its lease, and so let go of the job."""
        return replace(self, holder="", ended_epoch=epoch, ended_outcome=outcome)

    def given_back(self, *, resume: bool, reconciling: bool, not_before_ms: int = 0) -> Change:
        """Put the job into the queue again; with `resume` it stays running, because the provider may be at work."""
        job = replace(
            self,
            state=JobState.RUNNING if resume else JobState.QUEUED,
            waiting=True,
            reconciling=reconciling,
            progress=self.progress if resume else 0,
            provider=self.provider if resume else "",
            not_before_ms=not_before_ms,
            sequence=self.sequence + 1,
        )
        return Change(job, EventKind.REQUEUED)

    def uncounted(self) -> "Job":
        """Forget the newest lease in the count of attempts: its worker gave the job back unharmed."""
        return replace(self, attempts=max(0, self.attempts - 1))

    def set_back(self) -> "Job":
        """Count a lease that ended without an attempt's outcome."""
        return replace(self, setbacks=self.setbacks + 1)

    def found_upstream(self) -> Change:
        """Note that it is known now what the provider has; a job that waits is resumed at once."""
        job = replace(self, reconciling=False)
        if not self.waiting:
            return Change(job, None)
        return Change(replace(job, not_before_ms=0, sequence=job.sequence + 1), EventKind.REQUEUED)

    def due(self) -> Change:
        """End the back-off."""
        assert self.delayed
        return Change(replace(self, not_before_ms=0), None)

    def succeeded(self, outputs: tuple[Output, ...], *, notes: Mapping[str, str] | None = None, now_ms: int) -> Change:
        """Finish with stored outputs."""
        assert outputs
        done = replace(self, notes=notes or {})
        return done._finished(JobState.SUCCEEDED, outputs=outputs, failure=None, now_ms=now_ms)

    def failed(self, failure: Failure, *, now_ms: int) -> Change:
        """Finish without a result."""
        return self._finished(JobState.FAILED, outputs=(), failure=failure, now_ms=now_ms)

    def expired(self, *, now_ms: int) -> Change:
        """Finish because the deadline passed."""
        failure = Failure(reason=ErrorReason.JOB_EXPIRED, message="The job was not finished before its deadline.")
        return self._finished(JobState.EXPIRED, outputs=(), failure=failure, now_ms=now_ms)

    def cancelled(self, *, now_ms: int) -> Change:
        """Finish because a cancel was asked for."""
        failure = Failure(reason=ErrorReason.JOB_CANCELLED, message="The job was cancelled.")
        return self._finished(JobState.CANCELLED, outputs=(), failure=failure, now_ms=now_ms)

    def cancel_asked(self, *, now_ms: int) -> Change:
        """Cancel a queued job at once, ask the worker of a running one. Raises JobAlreadyFinished."""
        if self.state == JobState.CANCELLED or (self.live and self.cancel_ms is not None):
            return Change(self, None)
        if self.state.terminal:
            raise JobAlreadyFinished(job_id=self.id, state=self.state.name.lower())
        asked = replace(self, cancel_ms=now_ms)
        if self.state == JobState.QUEUED:
            return asked.cancelled(now_ms=now_ms)
        return Change(replace(asked, sequence=self.sequence + 1), EventKind.CANCEL_REQUESTED)

    def _finished(
        self, state: JobState, *, outputs: tuple[Output, ...], failure: Failure | None, now_ms: int
    ) -> Change:
        assert self.live
        outcome = self._outcome(state, failure)
        job = replace(
            self,
            state=state,
            waiting=False,
            reconciling=False,
            outputs=outputs,
            failure=failure,
            outcome=outcome,
            charged=charged(
                outcome,
                held=self.held,
                outputs=self.order.price.outputs,
                delivered=min(_counted(outputs), self.order.price.outputs),
                charges=self.order.charges,
            ),
            progress=100 if state == JobState.SUCCEEDED else self.progress,
            finish_ms=now_ms,
            # Whoever still holds the job is fenced; a repeated report is known by `ended_epoch`, not by this.
            holder="",
            lease_expire_ms=0,
            not_before_ms=0,
            sequence=self.sequence + 1,
        )
        return Change(job, EventKind(state.name.lower()))

    def _outcome(self, state: JobState, failure: Failure | None) -> Outcome:
        match state:
            case JobState.SUCCEEDED:
                return Outcome.SUCCEEDED
            case JobState.EXPIRED:
                return Outcome.EXPIRED
            case JobState.CANCELLED:
                queued = self.state == JobState.QUEUED
                return Outcome.CANCELLED_QUEUED if queued else Outcome.CANCELLED_RUNNING
            case _:
                assert failure is not None
                return outcome_of(failure)


def _counted(outputs: tuple[Output, ...]) -> int:
    return sum(1 for output in outputs if not output.extra)
