"""The attempt journal: one record for each try at a provider, written before the provider is called."""

from dataclasses import dataclass, replace
from enum import IntEnum

from job_orchestrator.domain.order import Failure
from kit.errors import Conflict


class AttemptState(IntEnum):
    """How far a try has got; the numbers are those of the proto and of the column."""

    INTENDED = 1
    ACCEPTED = 2
    FINISHED = 3


class AttemptOutcome(IntEnum):
    """How a try ended; the numbers are those of the proto and of the column."""

    NONE = 0  #: Not ended, or ended unreported with its worker.
    SUCCEEDED = 1
    UNSENT = 2
    RETRYABLE = 3
    ROUTE_FAILED = 4
    FAILED = 5
    CANCELLED = 6
    UNKNOWN = 7
    DEFERRED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try. It belongs to the job, not to a lease: a later lease may resume it."""

    id: str
    job_id: str
    epoch: int  #: The lease that began it.
    route: int
    provider: str
    repeatable: bool  #: Calling the provider twice costs nothing.
    begin_ms: int
    state: AttemptState = AttemptState.INTENDED
    upstream_task_id: str = ""
    outcome: AttemptOutcome = AttemptOutcome.NONE
    failure: Failure | None = None
    provider_cost_fen: int = 0
    finish_ms: int | None = None
    reported_epoch: int = 0  #: The lease that reported the outcome; 0 before.

    @property
    def open(self) -> bool:
        """Whether the provider may be at work on it, so that it must be resumed or reconciled, never repeated."""
        return self.state != AttemptState.FINISHED and (self.upstream_task_id != "" or not self.repeatable)

    @property
    def unclear(self) -> bool:
        """Whether nobody knows if the provider took it."""
        return self.open and self.upstream_task_id == ""

    def accepted_by_provider(self, upstream_task_id: str) -> "Attempt":
        """Return the attempt with the provider's task id. Raises Conflict when it has another one or has ended."""
        if self.state == AttemptState.FINISHED:
            raise Conflict("The attempt has ended already.", attempt_id=self.id)
        if self.upstream_task_id not in ("", upstream_task_id):
            raise Conflict("The attempt has another upstream task.", attempt_id=self.id)
        return replace(self, state=AttemptState.ACCEPTED, upstream_task_id=upstream_task_id)

    def superseded(self, *, failure: Failure, now_ms: int) -> "Attempt":
        """Return the attempt closed because its worker went away and the provider can simply be called again.

        It ends without an outcome: a lost worker is counted as the job's setback and says nothing about the route.
        """
        assert not self.open, "a provider may be at work on it"
        return replace(self, state=AttemptState.FINISHED, failure=failure, finish_ms=now_ms)

    def reported(
        self,
        outcome: AttemptOutcome,
        *,
        epoch: int,
        failure: Failure | None,
        provider_cost_fen: int,
        now_ms: int,
    ) -> "Attempt":
        """Return the attempt with its outcome. One whose outcome is UNKNOWN has not ended. Raises Conflict."""
        if self.state == AttemptState.FINISHED:
            raise Conflict("The attempt has ended already.", attempt_id=self.id)
        unknown = outcome == AttemptOutcome.UNKNOWN
        return replace(
            self,
            state=self.state if unknown else AttemptState.FINISHED,
            outcome=outcome,
            failure=failure,
            provider_cost_fen=provider_cost_fen,
            finish_ms=None if unknown else now_ms,
            reported_epoch=epoch,
        )
