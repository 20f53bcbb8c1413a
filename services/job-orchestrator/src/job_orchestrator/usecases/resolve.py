"""Settling an attempt whose outcome is unknown: by what an operator found out, or by a provider's callback."""

from job_orchestrator.domain.attempt import Attempt, AttemptOutcome, AttemptState
from job_orchestrator.domain.order import Failure
from job_orchestrator.domain.retry import after_resolution
from job_orchestrator.ports import Jobs, Journal
from kit.db import Database, Tx
from kit.errors import Conflict, ErrorReason, InvalidArgument, NotFound

_SETTLED = Failure(reason=ErrorReason.PROVIDER_FAILED, message="The provider did not do the work.")


class ResolveAttempt:
    """Settles one attempt."""

    def __init__(self, *, db: Database, jobs: Jobs, journal: Journal) -> None:
        self._db = db
        self._jobs = jobs
        self._journal = journal

    async def accepted(self, attempt_id: str, upstream_task_id: str) -> Attempt:
        """The provider has this task of the attempt: it is resumed. Repeating it changes nothing.

        Raises NotFound, Conflict (the attempt has ended, or has another task).
        """

        def work(tx: Tx) -> Attempt:
            known = self._find(tx, attempt_id)
            job = self._jobs.lock(tx, known.job_id)
            attempt = self._find(tx, attempt_id)  # As it is under the lock.
            if attempt.upstream_task_id == upstream_task_id:
                return attempt
            accepted = attempt.accepted_by_provider(upstream_task_id)
            if job.state.terminal:
                raise Conflict("The job has ended.", attempt_id=attempt_id)
            self._journal.update(tx, accepted)
            self._jobs.save(tx, [(job, job.found_upstream())])
            return accepted

        return await self._db.write(work)

    async def settled(self, attempt_id: str, outcome: AttemptOutcome) -> Attempt:
        """The provider did not take it (UNSENT: it is tried again), or will never bring it (FAILED: the job fails).

        Raises NotFound, InvalidArgument (another outcome), Conflict (it is not unclear, or a worker is at it).
        """
        if outcome not in (AttemptOutcome.UNSENT, AttemptOutcome.FAILED):
            raise InvalidArgument("outcome: must be UNSENT or FAILED, or upstream_task_id is set", field="outcome")

        def work(tx: Tx) -> Attempt:
            job = self._jobs.lock(tx, self._find(tx, attempt_id).job_id)
            attempt = self._find(tx, attempt_id)
            if attempt.state == AttemptState.FINISHED or job.state.terminal:
                raise Conflict("The attempt has ended already.", attempt_id=attempt_id)
            if not attempt.unclear:
                raise Conflict("The provider has it: it is resumed by itself.", attempt_id=attempt_id)
            if not job.waiting:
                raise Conflict("A worker is asking the provider just now; try again soon.", attempt_id=attempt_id)
            ended = attempt.reported(
                outcome,
                epoch=job.epoch,
                failure=_SETTLED,
                provider_cost_fen=attempt.provider_cost_fen,
                now_ms=tx.now_ms,
            )
            self._journal.update(tx, ended)
            attempts = self._journal.of_jobs(tx, [job.id]).get(job.id, [])
            change = after_resolution(
                job, attempts, outcome=outcome, route=attempt.route, failure=_SETTLED, now_ms=tx.now_ms
            )
            self._jobs.save(tx, [(job, change)])
            return ended

        return await self._db.write(work)

    def _find(self, tx: Tx, attempt_id: str) -> Attempt:
        attempt = self._journal.find(tx, attempt_id)
        if attempt is None:
            raise NotFound("There is no such attempt.", field="attempt_id")
        return attempt
