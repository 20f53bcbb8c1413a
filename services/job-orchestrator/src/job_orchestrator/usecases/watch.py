"""Streaming a client's event log as it grows."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from job_orchestrator.domain.event import JobEvent
from job_orchestrator.ports import Jobs, Lists, Wakeups
from kit.db import Database, Tx
from kit.errors import JobNotFound

BATCH: Final = 200  # Events in one read: a second's worth of a busy client, a megabyte at most.


class WatchJobs:
    """Follows the event log."""

    def __init__(self, *, db: Database, jobs: Jobs, lists: Lists, wakeups: Wakeups, recheck_s: float) -> None:
        """`recheck_s`: how often to look for events that another process logged."""
        self._db = db
        self._jobs = jobs
        self._lists = lists
        self._wakeups = wakeups
        self._recheck_s = recheck_s

    async def begin(self, client_id: str, *, after_position: int, job_id: str, from_first: bool = False) -> int:
        """Return the position behind which to follow: `after_position`, where 0 means all events of the job, or
        without a job those from now on, unless `from_first`.

        Raises JobNotFound for a job that is not the client's.
        """
        if from_first and not job_id:
            return after_position
        return await self._db.read(partial(self._begin, client_id, after_position, job_id))

    async def follow(self, client_id: str, *, position: int, job_id: str) -> AsyncIterator[JobEvent]:
        """Yield every event behind a position, each once and in order, until the caller leaves or the service stops,
        or, of one job, until it has ended and nothing of it is left to tell.
        """
        with self._wakeups.at_client(client_id) as waiter:
            while not self._wakeups.closed:
                waiter.clear()
                events, over = await self._db.read(partial(self._next, client_id, position, job_id))
                for event in events:
                    yield event
                    position = event.position
                if len(events) < BATCH:
                    if over:
                        return
                    await waiter.wait(self._recheck_s)

    def _next(self, client_id: str, position: int, job_id: str, tx: Tx) -> tuple[list[JobEvent], bool]:
        """The events behind a position, and whether the one job that is watched has ended."""
        # The job first: events that are read after it was seen to have ended are all there will be.
        job = self._jobs.find(tx, job_id) if job_id else None
        over = bool(job_id) and (job is None or job.state.terminal)
        events = self._lists.events_of_client(tx, client_id, job_id=job_id, after_position=position, limit=BATCH)
        return events, over

    def _begin(self, client_id: str, after_position: int, job_id: str, tx: Tx) -> int:
        if job_id:
            job = self._jobs.find(tx, job_id)
            if job is None or job.client_id != client_id:
                raise JobNotFound
            return after_position  # 0: from the job's first event.
        return after_position or self._lists.last_position(tx, client_id)
