"""Keeping a lease, and giving it back unharmed."""

from collections.abc import Sequence
from dataclasses import dataclass

from job_orchestrator.domain.attempt import AttemptOutcome
from job_orchestrator.domain.job import Job
from job_orchestrator.domain.retry import after_release
from job_orchestrator.ports import Jobs, Journal, Renewal
from kit.db import Database, Tx
from kit.errors import JobNotFound, LeaseLost


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewed:
    """What a worker needs to know."""

    expire_ms: int
    cancel_requested: bool


class RenewLease:
    """Keeps a lease alive and notes the progress."""

    def __init__(self, *, db: Database, jobs: Jobs) -> None:
        self._db = db
        self._jobs = jobs

    async def __call__(self, job_id: str, epoch: int, *, progress: int, lease_ms: int) -> Renewed:
        """Return the new end of the lease. Raises LeaseLost, JobNotFound."""

        def work(tx: Tx) -> Job:
            before = self._jobs.lock(tx, job_id)
            held = before.held_by(epoch)
            change = held.renewed(before, progress=progress, lease_ms=lease_ms, now_ms=tx.now_ms)
            self._jobs.save(tx, [(before, change)])
            return change.job

        job = await self._db.write(work)
        return Renewed(expire_ms=job.lease_expire_ms, cancel_requested=job.cancel_ms is not None)


class RenewLeases:
    """Keeps many leases alive: those of which nothing else is to be noted in one write, the others one by one."""

    def __init__(self, *, db: Database, jobs: Jobs, renew: RenewLease) -> None:
        self._db = db
        self._jobs = jobs
        self._renew = renew

    async def __call__(self, renewals: Sequence[Renewal], *, lease_ms: int) -> list[Renewed | None]:
        """Return each one's new end in order; None for a lease that is lost."""

        def work(tx: Tx) -> dict[str, Renewed]:
            quiet = self._jobs.prolong(tx, renewals, lease_ms=lease_ms)
            expire_ms = tx.now_ms + lease_ms
            return {job_id: Renewed(expire_ms=expire_ms, cancel_requested=asked) for job_id, asked in quiet.items()}

        done = await self._db.write(work)
        return [done.get(renewal.job_id) or await self._one(renewal, lease_ms) for renewal in renewals]

    async def _one(self, renewal: Renewal, lease_ms: int) -> Renewed | None:
        try:
            return await self._renew(renewal.job_id, renewal.epoch, progress=renewal.progress, lease_ms=lease_ms)
        except (LeaseLost, JobNotFound):
            return None


class ReleaseLease:
    """Puts a leased job back into the queue; the attempt is not counted."""

    def __init__(self, *, db: Database, jobs: Jobs, journal: Journal) -> None:
        self._db = db
        self._jobs = jobs
        self._journal = journal

    async def __call__(self, job_id: str, epoch: int) -> None:
        """Give the job back; a repeated call changes nothing. Raises LeaseLost, JobNotFound."""

        def work(tx: Tx) -> None:
            before = self._jobs.lock(tx, job_id)
            if (before.ended_epoch, before.ended_outcome) == (epoch, AttemptOutcome.NONE):
                return
            held = before.held_by(epoch)
            attempts = self._journal.of_jobs(tx, [job_id]).get(job_id, [])
            change = after_release(held, attempts, epoch=epoch, now_ms=tx.now_ms)
            self._jobs.save(tx, [(before, change)])

        await self._db.write(work)
