"""The attempt journal: the intent before a provider is called, the provider's task id as soon as it is known."""

from dataclasses import replace

from job_orchestrator.domain.attempt import Attempt, AttemptState
from job_orchestrator.domain.job import Job
from job_orchestrator.domain.order import Failure
from job_orchestrator.ports import Jobs, Journal
from kit.db import Database, Tx
from kit.errors import Conflict, ErrorReason, InvalidArgument, NotFound, RequestIdReused

_SUPERSEDED = Failure(reason=ErrorReason.PROVIDER_FAILED, message="The worker went away before it ended.")


class BeginAttempt:
    """Writes the intent to call a provider."""

    def __init__(self, *, db: Database, jobs: Jobs, journal: Journal) -> None:
        self._db = db
        self._jobs = jobs
        self._journal = journal

    async def __call__(self, job_id: str, epoch: int, *, attempt_id: str, route: int, repeatable: bool) -> Attempt:
        """Return the attempt, written now or before. Raises LeaseLost, JobNotFound, InvalidArgument (no such
        route), RequestIdReused (the id is another attempt's), and Conflict while an attempt is open that a provider
        may be at work on: that one is resumed or reconciled first, or the same work could be paid for twice.
        """

        def work(tx: Tx) -> Attempt:
            before = self._jobs.lock(tx, job_id)
            held = before.held_by(epoch)
            if route >= len(held.order.routes):
                raise InvalidArgument("route: the job has no such route", field="route")
            attempt = Attempt(
                id=attempt_id,
                job_id=job_id,
                epoch=epoch,
                route=route,
                provider=held.order.routes[route].provider,
                repeatable=repeatable,
                begin_ms=tx.now_ms,
            )
            known = self._journal.find(tx, attempt_id)
            if known is not None:
                return _repeated(known, attempt)
            self._close_superseded(tx, job_id)
            self._journal.add(tx, attempt)
            self._jobs.save(tx, [(before, held.begun(attempt.provider).taken_up(before, now_ms=tx.now_ms))])
            return attempt

        return await self._db.write(work)

    def _close_superseded(self, tx: Tx, job_id: str) -> None:
        for earlier in self._journal.of_jobs(tx, [job_id]).get(job_id, []):
            if earlier.state == AttemptState.FINISHED:
                continue
            if earlier.open:
                raise Conflict("Another attempt is open: resume or reconcile it.", attempt_id=earlier.id)
            self._journal.update(tx, earlier.superseded(failure=_SUPERSEDED, now_ms=tx.now_ms))


class RecordUpstream:
    """Writes the provider's task id."""

    def __init__(self, *, db: Database, jobs: Jobs, journal: Journal) -> None:
        self._db = db
        self._jobs = jobs
        self._journal = journal

    async def __call__(self, job_id: str, epoch: int, *, attempt_id: str, upstream_task_id: str) -> Attempt:
        """Return the attempt. Raises LeaseLost, JobNotFound, NotFound (no such attempt of this job), and Conflict
        when the attempt has ended or has another task.
        """

        def work(tx: Tx) -> Attempt:
            before = self._jobs.lock(tx, job_id)
            held = before.held_by(epoch)
            attempt = attempt_of_job(self._journal, tx, job_id, attempt_id)
            accepted = attempt.accepted_by_provider(upstream_task_id)
            self._journal.update(tx, accepted)
            job: Job = replace(held, reconciling=False)  # Now it is known what the provider has.
            self._jobs.save(tx, [(before, job.taken_up(before, now_ms=tx.now_ms))])
            return accepted

        return await self._db.write(work)


def attempt_of_job(journal: Journal, tx: Tx, job_id: str, attempt_id: str) -> Attempt:
    """Return the attempt. Raises NotFound when the job has none of that id."""
    attempt = journal.find(tx, attempt_id)
    if attempt is None or attempt.job_id != job_id:
        raise NotFound("The job has no such attempt.", field="attempt_id")
    return attempt


def _repeated(known: Attempt, wanted: Attempt) -> Attempt:
    same = (known.job_id, known.route, known.repeatable) == (wanted.job_id, wanted.route, wanted.repeatable)
    if not same:
        raise RequestIdReused("The attempt id is taken.", field="attempt_id")
    return known
