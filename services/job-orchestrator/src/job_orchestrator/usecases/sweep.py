"""Finding what nobody moves any more: lost leases, passed deadlines, unheeded cancels, ended back-offs, old jobs.

Every step is safe to run in several processes at once, and safe to be missed for a while: it only takes time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from job_orchestrator.domain.job import Change, Job
from job_orchestrator.domain.retry import after_lost_lease
from job_orchestrator.ports import Admission, Jobs, Journal, Overdue, Wakeups
from kit.db import Database, Tx
from kit.logging import get_logger

BATCH: Final = 100  # Jobs in one transaction: some 20 ms of the one writer that everybody shares on SQLite.
ROUND_BATCHES_MAX: Final = 50  # Of one step; whatever is left waits for the next round, after the other steps.
KEYS_KEPT_MS: Final = 31 * 24 * 3_600_000  # A month, the longest time that a contract lets a job be asked for.

EndBackoffs = Callable[[str], Awaitable[int]]

_log = get_logger(__name__)


class Sweep:
    """Runs round after round."""

    def __init__(
        self,
        *,
        db: Database,
        overdue: Overdue,
        jobs: Jobs,
        journal: Journal,
        admission: Admission,
        end_backoffs: EndBackoffs,
        wakeups: Wakeups,
        interval_s: float,
        cancel_grace_ms: int,
    ) -> None:
        """`cancel_grace_ms`: how long a worker may take to heed a cancel before the job is taken from it."""
        self._db = db
        self._overdue = overdue
        self._jobs = jobs
        self._journal = journal
        self._admission = admission
        self._end_backoffs = end_backoffs
        self._wakeups = wakeups
        self._interval_s = interval_s
        self._cancel_grace_ms = cancel_grace_ms

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(self._interval_s)

    async def round(self) -> None:
        """Run every step once. What a step cannot do now, because the database is away, the next round does."""
        # Deadlines and cancels come first, so that no job is queued again only to be ended.
        for step in (self._expire, self._cancel, self._requeue, self._forget):
            await self._guarded(step.__name__, self._until_done(step))
        await self._guarded("end_backoffs", self._wake_due())

    async def _guarded(self, step: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            _log.exception("sweep_step_failed", step=step)

    async def _until_done(self, step: Callable[[Tx], int]) -> None:
        for _ in range(ROUND_BATCHES_MAX):
            if await self._db.write(step) < BATCH:
                return

    async def _wake_due(self) -> None:
        for pool in await self._db.read(self._overdue.due_pools):
            for _ in range(await self._end_backoffs(pool)):
                self._wakeups.pool_ready(pool)

    def _expire(self, tx: Tx) -> int:
        overdue = self._overdue.past_deadline(tx, BATCH)
        return self._end(tx, overdue, lambda job: job.expired(now_ms=tx.now_ms))

    def _cancel(self, tx: Tx) -> int:
        asked_before_ms = tx.now_ms - self._cancel_grace_ms
        ignored = self._overdue.ignored_cancels(tx, asked_before_ms=asked_before_ms, limit=BATCH)
        return self._end(tx, ignored, lambda job: job.cancelled(now_ms=tx.now_ms))

    def _requeue(self, tx: Tx) -> int:
        lost = self._overdue.lost_leases(tx, BATCH)
        attempts = self._journal.of_jobs(tx, [job.id for job in lost]) if lost else {}
        return self._end(tx, lost, lambda job: after_lost_lease(job, attempts.get(job.id, []), now_ms=tx.now_ms))

    def _forget(self, tx: Tx) -> int:
        # Jobs are kept at least as long as keys, and go in a transaction that leaves no older key, so that a key never
        # names a job that is gone.
        keys = self._admission.forget_keys(tx, before_ms=tx.now_ms - KEYS_KEPT_MS + 1, limit=BATCH)
        if keys == BATCH:
            return keys
        old = self._overdue.past_retention(tx, BATCH)
        if old:
            self._jobs.delete(tx, old)
        return len(old)

    def _end(self, tx: Tx, jobs: list[Job], decide: Callable[[Job], Change]) -> int:
        self._jobs.save(tx, [(job, decide(job)) for job in jobs])
        return len(jobs)
