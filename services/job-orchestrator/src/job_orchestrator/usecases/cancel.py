"""Cancelling on behalf of the job's client."""

from job_orchestrator.domain.job import Job
from job_orchestrator.ports import Jobs
from kit.db import Database, Tx
from kit.errors import JobNotFound


class CancelJob:
    """Ends a queued job at once and asks the worker of a running one to stop."""

    def __init__(self, *, db: Database, jobs: Jobs) -> None:
        self._db = db
        self._jobs = jobs

    async def __call__(self, client_id: str, job_id: str) -> Job:
        """Return the job after the request. Raises JobNotFound (also for another client's), JobAlreadyFinished."""

        def work(tx: Tx) -> Job:
            before = self._jobs.lock(tx, job_id)
            if before.client_id != client_id or before.forgotten(tx.now_ms):
                raise JobNotFound(job_id=job_id)
            change = before.cancel_asked(now_ms=tx.now_ms)
            if change.job is not before:
                self._jobs.save(tx, [(before, change)])
            return change.job

        return await self._db.write(work)
