"""What finally became of a job id; an id without a job is fenced by the very question."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from job_orchestrator.domain.job import Job
from job_orchestrator.ports import Admission, Jobs
from kit.db import Database, Tx


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """The job, or None when the id was never committed and now never will be."""

    job_id: str
    job: Job | None


class ResolveFate:
    """Tells the fate of ids, so that whoever kept something for a job may give it up."""

    def __init__(self, *, db: Database, admission: Admission, jobs: Jobs) -> None:
        self._db = db
        self._admission = admission
        self._jobs = jobs

    async def __call__(self, job_ids: Sequence[str]) -> list[Fate]:
        """Return one fate for each id, in order."""
        found = await self._db.read(partial(self._find, job_ids))
        unknown = sorted({job_id for job_id in job_ids if job_id not in found})
        if unknown:
            found |= await self._db.write(partial(self._fence, unknown))
        return [Fate(job_id=job_id, job=found.get(job_id)) for job_id in job_ids]

    def _find(self, job_ids: Sequence[str], tx: Tx) -> dict[str, Job]:
        jobs = (self._jobs.find(tx, job_id) for job_id in job_ids)
        return {job.id: job for job in jobs if job is not None}

    def _fence(self, job_ids: Sequence[str], tx: Tx) -> dict[str, Job]:
        """Fence each id, and return the jobs of those that were committed a moment before."""
        return self._find([job_id for job_id in job_ids if not self._admission.fence(tx, job_id)], tx)
