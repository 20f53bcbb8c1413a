"""Ending an attempt and deciding what becomes of its job."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from job_orchestrator.domain.attempt import Attempt, AttemptOutcome
from job_orchestrator.domain.job import Change, Job
from job_orchestrator.domain.order import Failure, Output
from job_orchestrator.domain.retry import Report, after_report
from job_orchestrator.ports import Jobs, Journal
from job_orchestrator.usecases.attempt import attempt_of_job
from kit import crash
from kit.db import Database, Tx
from kit.errors import InvalidArgument

BEFORE_COMMIT: Final = crash.declare("jobs.finish.before_commit", "the end is written, nothing is committed")
AFTER_COMMIT: Final = crash.declare("jobs.finish.after_commit", "the end is committed, the worker knows nothing")

# Without an attempt no provider was called, so it can neither have succeeded nor be blamed or asked.
_NEEDS_ATTEMPT: Final = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.ROUTE_FAILED, AttemptOutcome.UNKNOWN})
_NEEDS_FAILURE: Final = frozenset(
    {
        AttemptOutcome.UNSENT,
        AttemptOutcome.RETRYABLE,
        AttemptOutcome.ROUTE_FAILED,
        AttemptOutcome.FAILED,
        AttemptOutcome.DEFERRED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """What a worker reports."""

    job_id: str
    epoch: int
    attempt_id: str  #: "" when the work ended before any attempt was begun.
    outcome: AttemptOutcome
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    provider_cost_fen: int = 0
    retry_after_ms: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise InvalidArgument for a report that contradicts itself."""
        if not self.attempt_id and self.outcome in _NEEDS_ATTEMPT:
            raise InvalidArgument("attempt_id: this outcome needs an attempt", field="attempt_id")
        if self.failure is None and self.outcome in _NEEDS_FAILURE:
            raise InvalidArgument("failure: required unless succeeded", field="failure")
        succeeded = self.outcome == AttemptOutcome.SUCCEEDED
        if succeeded != any(not output.extra for output in self.outputs):
            raise InvalidArgument("outputs: exactly a success has counted outputs", field="outputs")
        if not succeeded and self.notes:
            raise InvalidArgument("notes: only a success has notes", field="notes")
        if not succeeded and self.outputs:
            raise InvalidArgument("outputs: only a success has outputs", field="outputs")


class FinishAttempt:
    """Ends an attempt."""

    def __init__(
        self, *, db: Database, jobs: Jobs, journal: Journal, jitter: Callable[[], float] = random.random
    ) -> None:
        """`jitter` gives numbers in [0, 1) that spread back-offs."""
        self._db = db
        self._jobs = jobs
        self._journal = journal
        self._jitter = jitter

    async def __call__(self, finish: Finish) -> Job:
        """Return the job as it stands now; a repeated report changes nothing. Raises LeaseLost, JobNotFound,
        NotFound (no such attempt of this job), InvalidArgument, Conflict (the attempt ended in another way).
        """
        finish.check()
        job = await self._db.write(partial(self._work, finish, self._jitter()))
        crash.point(AFTER_COMMIT)
        return job

    def _work(self, finish: Finish, jitter: float, tx: Tx) -> Job:
        before = self._jobs.lock(tx, finish.job_id)
        attempt = attempt_of_job(self._journal, tx, finish.job_id, finish.attempt_id) if finish.attempt_id else None
        if _is_repeated(finish, before, attempt):
            return before
        held = before.held_by(finish.epoch)
        if attempt is not None:
            # An attempt whose outcome was unknown is reported twice: its later cost replaces the earlier one.
            held = held.spent(finish.provider_cost_fen - attempt.provider_cost_fen)
            attempt = attempt.reported(
                finish.outcome,
                epoch=finish.epoch,
                failure=finish.failure,
                provider_cost_fen=finish.provider_cost_fen,
                now_ms=tx.now_ms,
            )
            self._journal.update(tx, attempt)
        change = self._decide(tx, finish, held, attempt, jitter)
        self._jobs.save(tx, [(before, change)])
        crash.point(BEFORE_COMMIT)
        return change.job

    def _decide(self, tx: Tx, finish: Finish, held: Job, attempt: Attempt | None, jitter: float) -> Change:
        if finish.outcome == AttemptOutcome.SUCCEEDED:
            ended = held.ended(finish.epoch, finish.outcome)
            return ended.succeeded(finish.outputs, notes=finish.notes, now_ms=tx.now_ms)
        report = Report(
            epoch=finish.epoch,
            outcome=finish.outcome,
            failure=finish.failure,
            retry_after_ms=finish.retry_after_ms,
            jitter=jitter,
        )
        attempts = self._journal.of_jobs(tx, [held.id]).get(held.id, [])
        route = None if attempt is None else attempt.route
        return after_report(held, report, attempts, route=route, now_ms=tx.now_ms)


def _is_repeated(finish: Finish, job: Job, attempt: Attempt | None) -> bool:
    if attempt is not None:
        return (attempt.reported_epoch, attempt.outcome) == (finish.epoch, finish.outcome)
    return (job.ended_epoch, job.ended_outcome) == (finish.epoch, finish.outcome)
