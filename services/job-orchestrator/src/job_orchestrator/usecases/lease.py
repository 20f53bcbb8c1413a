"""Handing out jobs to workers: a long poll in front of one scheduling transaction."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from job_orchestrator.domain.attempt import Attempt
from job_orchestrator.domain.fairness import plan
from job_orchestrator.domain.job import Job
from job_orchestrator.ports import Jobs, Journal, Queue, Wakeups
from job_orchestrator.usecases.release import ReleaseLease
from kit import crash
from kit.db import Database, Tx
from kit.errors import AppError, NotServing
from kit.logging import get_logger
from kit.rpc import detached

AFTER_COMMIT: Final = crash.declare("jobs.lease.after_commit", "jobs are leased, the worker knows nothing")

DUE_BATCH: Final = 200  # Back-offs ended in one transaction: some 20 ms, so that others get their turn.

_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A job in a worker's hands, with the attempts of former leases."""

    job: Job
    attempts: tuple[Attempt, ...]


class LeaseJobs:
    """Leases jobs of a pool."""

    def __init__(
        self,
        *,
        db: Database,
        queue: Queue,
        jobs: Jobs,
        journal: Journal,
        release: ReleaseLease,
        wakeups: Wakeups,
        recheck_s: float,
    ) -> None:
        """`recheck_s`: how often a waiting call looks for jobs that another process accepted."""
        self._db = db
        self._queue = queue
        self._jobs = jobs
        self._journal = journal
        self._release = release
        self._wakeups = wakeups
        self._recheck_s = recheck_s
        self._giving_back: set[asyncio.Task[None]] = set()

    async def __call__(self, pool: str, worker_id: str, *, slots: int, wait_s: float, lease_ms: int) -> list[Lease]:
        """Return up to `slots` jobs, waiting up to `wait_s` for the first one; perhaps none. Raises NotServing."""
        if self._wakeups.closed:
            raise NotServing  # An empty answer would make the worker ask again at once.
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        with self._wakeups.at_pool(pool) as waiter:
            while True:
                waiter.clear()
                leases = await self._try(pool, worker_id, slots=slots, lease_ms=lease_ms)
                left_s = until - loop.time()
                if leases or left_s <= 0 or self._wakeups.closed:
                    return leases
                await waiter.wait(min(left_s, self._recheck_s))

    async def end_backoffs(self, pool: str) -> int:
        """Make delayed jobs ready whose time has come, and return how many (at most DUE_BATCH)."""

        def work(tx: Tx) -> int:
            due = self._queue.lock_due(tx, pool, DUE_BATCH)
            self._jobs.save(tx, [(job, job.due()) for job in due])
            return len(due)

        return await self._db.write(work)

    async def stop(self) -> None:
        """Wait for what is being given back."""
        if self._giving_back:
            await asyncio.wait(self._giving_back)

    async def _try(self, pool: str, worker_id: str, *, slots: int, lease_ms: int) -> list[Lease]:
        seen = await self._db.read(partial(self._look, pool))
        if seen.due:
            await self.end_backoffs(pool)
        if not (seen.ready or seen.due):
            return []
        writing = asyncio.ensure_future(self._db.write(partial(self._hand_out, pool, worker_id, slots, lease_ms)))
        try:
            leases = await asyncio.shield(writing)
        except asyncio.CancelledError:
            # Nobody waits for the answer, but the jobs may be leased a moment from now: back to the queue with them,
            # because until the lease is over nobody else could have them.
            self._in_background(self._give_back(writing))
            raise
        if leases:
            crash.point(AFTER_COMMIT)
        return leases

    def _look(self, pool: str, tx: Tx) -> Any:
        return self._queue.look(tx, pool)

    def _hand_out(self, pool: str, worker_id: str, slots: int, lease_ms: int, tx: Tx) -> list[Lease]:
        self._queue.lock_pool(tx, pool)
        supply: dict[str, deque[str]] = {}

        def next_job(client_id: str) -> str | None:
            if client_id not in supply:
                supply[client_id] = deque(self._queue.ready_ids(tx, pool, client_id, slots))
            return supply[client_id].popleft() if supply[client_id] else None

        planned = plan(self._queue.lanes(tx, pool, slots), next_job, slots)
        if not planned.job_ids:
            return []
        # A job that a cancel or the sweeper has locked meanwhile is left out; its slot is lost to the lane.
        ready = self._queue.lock_ready(tx, planned.job_ids)
        jobs = [ready[job_id] for job_id in planned.job_ids if job_id in ready]
        attempts = self._journal.of_jobs(tx, [job.id for job in jobs if job.epoch])
        changes = [(job, job.leased(worker_id, lease_ms=lease_ms, now_ms=tx.now_ms)) for job in jobs]
        self._jobs.save(tx, changes)
        self._queue.remember(tx, pool, planned)
        return [Lease(job=change.job, attempts=tuple(attempts.get(change.job.id, ()))) for _, change in changes]

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        with detached():  # The call's own deadline is over.
            task = asyncio.create_task(work)
        self._giving_back.add(task)
        task.add_done_callback(self._giving_back.discard)

    async def _give_back(self, writing: "asyncio.Future[list[Lease]]") -> None:
        try:
            for lease in await writing:
                await self._release(lease.job.id, lease.job.epoch)
        except AppError as error:
            _log.warning("unheard_lease_left_to_expire", cause=error.reason)
