"""Reading jobs."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from job_orchestrator.domain.attempt import Attempt
from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.job import Job
from job_orchestrator.ports import Cursor, JobFilter, Jobs, Journal, Lists, PoolStats
from kit.clock import Clock
from kit.db import Database, Tx
from kit.errors import JobNotFound


class FinishedJobs:
    """The jobs read last that have ended: they never change, so polling them needs no database."""

    def __init__(self, jobs_max: int) -> None:
        """Keep at most `jobs_max` jobs, some kilobytes each."""
        self._jobs_max = jobs_max
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def get(self, job_id: str) -> Job | None:
        """Return the job if it is kept."""
        job = self._jobs.get(job_id)
        if job is not None:
            self._jobs.move_to_end(job_id)
        return job

    def keep(self, job: Job) -> None:
        """Keep the job if it has ended."""
        if job.live or self._jobs_max == 0:
            return
        self._jobs[job.id] = job
        self._jobs.move_to_end(job.id)
        if len(self._jobs) > self._jobs_max:
            self._jobs.popitem(last=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some jobs, and where the next page begins; None at the end."""

    jobs: Sequence[Job]
    end: Cursor | None
    total: int = 0


class ReadJobs:
    """Reads jobs for their client, or for the house."""

    def __init__(
        self, *, db: Database, jobs: Jobs, journal: Journal, lists: Lists, finished: FinishedJobs, clock: Clock
    ) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._journal = journal
        self._lists = lists
        self._finished = finished

    async def get(self, client_id: str, job_id: str) -> Job:
        """Return the client's job. Raises JobNotFound."""
        job = self._finished.get(job_id)
        if job is None:
            job = await self._db.read(lambda tx: self._jobs.find(tx, job_id))
        return self._of_client(job, client_id)

    async def get_external(self, client_id: str, external_id: str) -> Job:
        """Return the client's job by its external id. Raises JobNotFound."""
        job = await self._db.read(lambda tx: self._jobs.find_external(tx, external_id))
        return self._of_client(job, client_id)

    async def page(self, wanted: JobFilter, *, after: Cursor | None, skip: int, size: int, with_total: bool) -> Page:
        """Return a page of a client's jobs, newest first."""

        def work(tx: Tx) -> Page:
            jobs = self._lists.page(tx, wanted, after=after, skip=skip, limit=size + 1)
            total = self._lists.count(tx, wanted) if with_total else 0
            return _page(jobs, size, total=total, tie=lambda job: str(job.accept_position))

        return await self._db.read(work)

    async def page_of_all(self, wanted: JobFilter, *, after: Cursor | None, size: int) -> Page:
        """Return a page of all clients' jobs, newest first."""

        def work(tx: Tx) -> Page:
            jobs = self._lists.page_of_all(tx, wanted, after=after, limit=size + 1)
            return _page(jobs, size, total=0, tie=lambda job: job.id)

        return await self._db.read(work)

    async def events(self, client_id: str, job_id: str, *, after_sequence: int, size: int) -> list[JobEvent]:
        """Return a job's events in order. Raises JobNotFound."""
        await self.get(client_id, job_id)
        work = partial(self._lists.events_of_job, job_id=job_id, after_sequence=after_sequence, limit=size)
        return await self._db.read(work)

    async def inspect(self, job_id: str) -> tuple[Job, list[Attempt]]:
        """Return any client's job, by either id, with its attempts. Raises JobNotFound."""

        def work(tx: Tx) -> tuple[Job, list[Attempt]]:
            job = self._jobs.find(tx, job_id) or self._jobs.find_external(tx, job_id)
            if job is None:
                raise JobNotFound(job_id=job_id)
            return job, self._journal.of_jobs(tx, [job.id]).get(job.id, [])

        return await self._db.read(work)

    async def pool_stats(self) -> list[PoolStats]:
        """Count unfinished jobs by pool."""
        return await self._db.read(self._lists.pool_stats)

    def _of_client(self, job: Job | None, client_id: str) -> Job:
        """Another client's job, and a forgotten one, is exactly as absent as one that never existed."""
        if job is None or job.client_id != client_id or job.forgotten(self._clock.now_ms()):
            raise JobNotFound
        self._finished.keep(job)
        return job


def _page(jobs: list[Job], size: int, *, total: int, tie: Callable[[Job], str]) -> Page:
    if len(jobs) <= size:
        return Page(jobs=jobs, end=None, total=total)
    last = jobs[size - 1]
    return Page(jobs=jobs[:size], end=Cursor(create_ms=last.create_ms, tie=tie(last)), total=total)
