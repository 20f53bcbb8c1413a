"""Taking a job on: money first, then one transaction that makes it true.

    look ─▶ place the hold ─▶ claim id and key, insert job, event and outbox row, commit ─▶ answer

A crash between hold and commit leaves a hold without a job; billing's sweeper finds it, fences the id here (see
`fate.py`) and gives the money back. A refusal after the hold does the same at once: the id is fenced before the hold is
released, so that a second call with the same id can never commit a job whose hold is gone.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from job_orchestrator.domain.job import Job
from job_orchestrator.domain.order import Amount, Order, Terms
from job_orchestrator.ports import Admission, Billing, Jobs
from kit import crash
from kit.clock import Clock
from kit.db import Database, Tx
from kit.errors import (
    AppError,
    DailyQuotaExceeded,
    IdempotencyKeyReused,
    JobFenced,
    QueueFull,
    RequestIdReused,
    TooManyJobs,
)
from kit.logging import get_logger

AFTER_HOLD: Final = crash.declare("jobs.accept.after_hold", "the hold is placed, no row of the job is written")
BEFORE_COMMIT: Final = crash.declare("jobs.accept.before_commit", "all rows are written, nothing is committed")
AFTER_COMMIT: Final = crash.declare("jobs.accept.after_commit", "the job is committed, the caller knows nothing")

HOLD_MARGIN_MS: Final = 600_000  # Past the deadline: the sweeper's next rounds and a settlement that is tried again.
QUEUE_FULL_RETRY_S: Final = 10.0  # Long enough for a worker to finish a picture.

_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The job, accepted now or before."""

    job: Job
    reused: bool


class _KeyTaken(Exception):
    """Another job got the idempotency key between the first look and the commit."""

    def __init__(self, job_id: str, fingerprint: str) -> None:
        self.job_id = job_id
        self.fingerprint = fingerprint


class AcceptJob:
    """Accepts orders."""

    def __init__(
        self, *, db: Database, admission: Admission, jobs: Jobs, billing: Billing, clock: Clock, queue_max: int
    ) -> None:
        """`queue_max` is how many jobs may wait in one pool before new ones are refused."""
        self._db = db
        self._admission = admission
        self._jobs = jobs
        self._billing = billing
        self._clock = clock
        self._queue_max = queue_max

    async def __call__(self, order: Order, terms: Terms) -> Accepted:
        """Return the accepted job. Raises what `JobService.AcceptJob` documents."""
        earlier = await self._db.read(partial(self._look, order, terms))
        if earlier is not None:
            return Accepted(job=earlier, reused=True)
        expire_ms = self._clock.now_ms() + round(order.deadline_s * 1000) + HOLD_MARGIN_MS
        hold = await self._billing.place_hold(order, expire_ms=expire_ms)
        crash.point(AFTER_HOLD)
        if hold.resolved:
            return await self._with_resolved_hold(order)
        try:
            accepted = await self._db.write(partial(self._commit, order, terms, hold.amount))
        except _KeyTaken as taken:
            await self._give_up(order)
            return await self._reuse_key(order, taken)
        except (JobFenced, RequestIdReused, TooManyJobs, DailyQuotaExceeded):
            await self._give_up(order)
            raise
        crash.point(AFTER_COMMIT)
        return accepted

    def _look(self, order: Order, terms: Terms, tx: Tx) -> Job | None:
        """Return the job of an earlier call, and refuse what is cheap to refuse before money moves."""
        seen = self._admission.probe(tx, order, terms)
        if seen.key_job_id is not None:
            if seen.key_fingerprint != order.fingerprint:
                raise IdempotencyKeyReused(field="idempotency_key")
            return self._jobs.find(tx, seen.key_job_id)
        if seen.id_taken:
            return self._same(tx, order)
        if seen.id_fenced:
            raise JobFenced(job_id=order.job_id)
        if 0 < terms.in_flight_max <= seen.in_flight:
            raise TooManyJobs(jobs_in_flight_max=terms.in_flight_max)
        if 0 < terms.per_day_max <= seen.on_day:
            raise DailyQuotaExceeded(jobs_per_day_max=terms.per_day_max)
        if seen.waiting >= self._queue_max:
            raise QueueFull(retry_after_s=QUEUE_FULL_RETRY_S)
        return None

    def _same(self, tx: Tx, order: Order) -> Job:
        """Return the job that has the order's id. Raises RequestIdReused when it is another order's."""
        job = self._jobs.find(tx, order.job_id)
        assert job is not None, "an id that is taken and not fenced has a job"
        if job.client_id != order.client_id or job.order.fingerprint != order.fingerprint:
            raise RequestIdReused(field="job_id")
        return job

    def _commit(self, order: Order, terms: Terms, held: Amount, tx: Tx) -> Accepted:
        if not self._admission.claim_id(tx, order.job_id):
            if self._admission.is_fenced(tx, order.job_id):
                raise JobFenced(job_id=order.job_id)
            return Accepted(job=self._same(tx, order), reused=True)
        if terms.idempotency_key and not self._admission.claim_key(tx, order, terms.idempotency_key):
            holder = self._admission.key_holder(tx, order.client_id, terms.idempotency_key)
            assert holder is not None
            raise _KeyTaken(*holder)
        event = self._jobs.add(tx, order, terms, held)
        crash.point(BEFORE_COMMIT)
        return Accepted(job=event.job, reused=False)

    async def _with_resolved_hold(self, order: Order) -> Accepted:
        """The hold of this id pays for nothing any more: its job has ended meanwhile, or the id was given up."""

        def look(tx: Tx) -> Job | None:
            return None if self._jobs.find(tx, order.job_id) is None else self._same(tx, order)

        job = await self._db.read(look)
        if job is None:
            raise JobFenced(job_id=order.job_id)
        return Accepted(job=job, reused=True)

    async def _reuse_key(self, order: Order, taken: _KeyTaken) -> Accepted:
        if taken.fingerprint != order.fingerprint:
            raise IdempotencyKeyReused(field="idempotency_key")
        job = await self._db.read(lambda tx: self._jobs.find(tx, taken.job_id))
        assert job is not None, "a key is bound in the transaction that inserts its job"
        return Accepted(job=job, reused=True)

    async def _give_up(self, order: Order) -> None:
        """Fence the id and release its hold, unless a job has the id after all. As well as it goes: whatever is
        left of it, billing's sweeper finds.
        """
        try:
            fenced = await self._db.write(lambda tx: self._admission.fence(tx, order.job_id))
            if fenced:
                await self._billing.release_hold(job_id=order.job_id, client_id=order.client_id)
        except AppError as error:
            _log.warning("hold_left_to_sweeper", job_id=order.job_id, cause=error.reason)
