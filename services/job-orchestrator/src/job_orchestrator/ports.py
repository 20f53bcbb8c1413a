"""What the use-cases need from outside: tables inside a transaction, money, and somebody to wake.

Everything that takes a `Tx` is synchronous and runs inside one transaction of `kit.db`; nothing here commits.
Locks are taken in one order everywhere (job id, jobs, clients, lanes), so that two transactions never wait for
each other.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from job_orchestrator.domain.attempt import Attempt
from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.fairness import Lane, Plan
from job_orchestrator.domain.job import Change, Job, JobState
from job_orchestrator.domain.order import Amount, Order, Terms
from kit.db import Tx


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """What billing set aside for a job."""

    amount: Amount
    resolved: bool  #: Captured, released or timed out: it pays for nothing any more.


class Waiter(Protocol):
    """One caller's ear at a place where something may happen."""

    def clear(self) -> None:
        """Forget what was heard; then look at the database; then wait."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when something has happened since `clear`, or after so many seconds."""
        ...


class Wakeups(Protocol):
    """Wakes callers of this process who wait for the database to change. A hint, not a promise: another process
    may have changed it, so whoever waits looks again from time to time.
    """

    @property
    def closed(self) -> bool:
        """Whether nobody should wait any more, because the service stops."""
        ...

    def at_pool(self, pool: str) -> AbstractContextManager[Waiter]:
        """Hear of jobs that became ready; each is told to one waiter."""
        ...

    def at_client(self, client_id: str) -> AbstractContextManager[Waiter]:
        """Hear of the client's events."""
        ...

    def pool_ready(self, pool: str) -> None:
        """A job of the pool became ready."""
        ...


class Billing(Protocol):
    """The money side of a job; the hold's id is the job's id."""

    async def place_hold(self, order: Order, *, expire_ms: int) -> Hold:
        """Set the price aside, once however often it is asked. Raises InsufficientFunds, RequestIdReused,
        DependencyUnavailable and DeadlineExceeded; after the last two the hold may exist.
        """
        ...

    async def release_hold(self, *, job_id: str, client_id: str) -> None:
        """Give everything back. Only for a job id that is fenced. Raises what `place_hold` raises."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What is known before an order is taken on; a look, not a promise."""

    key_job_id: str | None  #: The job that the idempotency key belongs to.
    key_fingerprint: str | None
    id_fenced: bool
    id_taken: bool  #: A job of this id exists.
    in_flight: int  #: The client's unfinished jobs.
    on_day: int  #: The client's jobs accepted on the order's day.
    waiting: int  #: Jobs in the pool's queue.


class Admission(Protocol):
    """Who may still become a job: ids and idempotency keys, each decided by one unique key."""

    def probe(self, tx: Tx, order: Order, terms: Terms) -> Probe:
        """Look without locking anything."""
        ...

    def claim_id(self, tx: Tx, job_id: str) -> bool:
        """Reserve the id for a job; False when it belongs to a job or is fenced. Waits for a concurrent claim."""
        ...

    def is_fenced(self, tx: Tx, job_id: str) -> bool:
        """Tell whether the id was given up."""
        ...

    def fence(self, tx: Tx, job_id: str) -> bool:
        """Give the id up unless a job has it, and tell whether it is given up now."""
        ...

    def claim_key(self, tx: Tx, order: Order, key: str) -> bool:
        """Bind the client's idempotency key to the order; False when it is bound. Waits for a concurrent claim."""
        ...

    def key_holder(self, tx: Tx, client_id: str, key: str) -> tuple[str, str] | None:
        """Return (job id, fingerprint) of a bound key."""
        ...

    def forget_keys(self, tx: Tx, *, before_ms: int, limit: int) -> int:
        """Delete up to `limit` keys bound before `before_ms` and return how many."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """One of many leases to renew."""

    job_id: str
    epoch: int
    progress: int


class Jobs(Protocol):
    """Jobs with everything that must change together with them: event log, counters, lanes and outbox."""

    def add(self, tx: Tx, order: Order, terms: Terms, held: Amount) -> JobEvent:
        """Insert a new queued job. The id must be claimed. Raises TooManyJobs, DailyQuotaExceeded; RequestIdReused
        when another job has the external id.
        """
        ...

    def find(self, tx: Tx, job_id: str) -> Job | None:
        """Return the job, unlocked."""
        ...

    def find_external(self, tx: Tx, external_id: str) -> Job | None:
        """Return the job of that external id, unlocked."""
        ...

    def lock(self, tx: Tx, job_id: str) -> Job:
        """Return the job, locked until the transaction ends. Raises JobNotFound."""
        ...

    def save(self, tx: Tx, changes: Sequence[tuple[Job, Change]]) -> list[JobEvent]:
        """Store each job (as it was locked, as it becomes) and its event. Raises Conflict when a job is not as it
        was locked: then nothing of the transaction may be kept.
        """
        ...

    def prolong(self, tx: Tx, renewals: Sequence[Renewal], *, lease_ms: int) -> dict[str, bool]:
        """Prolong those leases that are held and of which nothing else is to be noted, no event and no progress;
        return for each of these jobs whether a cancel was asked for. The others are left as they are.
        """
        ...

    def delete(self, tx: Tx, job_ids: Sequence[str]) -> None:
        """Delete finished jobs with their ids, events and attempts. No idempotency key may name them any more."""
        ...


class Journal(Protocol):
    """The attempts of jobs; the job's lock covers them."""

    def of_jobs(self, tx: Tx, job_ids: Sequence[str]) -> dict[str, list[Attempt]]:
        """Return the attempts of each job that has any, oldest first."""
        ...

    def find(self, tx: Tx, attempt_id: str) -> Attempt | None:
        """Return one attempt."""
        ...

    def add(self, tx: Tx, attempt: Attempt) -> None:
        """Insert an attempt. Raises RequestIdReused when the id is taken."""
        ...

    def update(self, tx: Tx, attempt: Attempt) -> None:
        """Store an attempt that exists."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """What a pool has for a worker."""

    ready: bool  #: Jobs to lease now.
    due: bool  #: Delayed jobs whose back-off is over; `lock_due` gives them.


class Queue(Protocol):
    """The lanes of the pools."""

    def look(self, tx: Tx, pool: str) -> Readiness:
        """Tell what could be leased, without locking anything."""
        ...

    def lock_pool(self, tx: Tx, pool: str) -> None:
        """Let only one transaction at a time schedule this pool."""
        ...

    def lanes(self, tx: Tx, pool: str, limit: int) -> list[Lane]:
        """Return the lanes with ready jobs, smallest pass first."""
        ...

    def ready_ids(self, tx: Tx, pool: str, client_id: str, limit: int) -> list[str]:
        """Return a lane's ready jobs: highest priority first, then in order of acceptance."""
        ...

    def lock_ready(self, tx: Tx, job_ids: Sequence[str]) -> dict[str, Job]:
        """Lock those that are still ready and not locked by another transaction."""
        ...

    def lock_due(self, tx: Tx, pool: str, limit: int) -> list[Job]:
        """Lock delayed jobs of the pool whose back-off is over."""
        ...

    def remember(self, tx: Tx, pool: str, done: Plan) -> None:
        """Store the passes of the lanes that were served."""
        ...


class Overdue(Protocol):
    """Jobs that nobody moves any more; each locks up to `limit` of them and passes over those locked elsewhere."""

    def lost_leases(self, tx: Tx, limit: int) -> list[Job]:
        """Return running jobs whose lease is over."""
        ...

    def past_deadline(self, tx: Tx, limit: int) -> list[Job]:
        """Return unfinished jobs whose deadline is over."""
        ...

    def ignored_cancels(self, tx: Tx, *, asked_before_ms: int, limit: int) -> list[Job]:
        """Return running jobs whose cancel was asked for before that moment."""
        ...

    def past_retention(self, tx: Tx, limit: int) -> list[str]:
        """Return the ids of finished jobs whose time to be asked for is over."""
        ...

    def due_pools(self, tx: Tx) -> list[str]:
        """Return the pools with a job whose back-off is over; unlocked."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFilter:
    """Filters add up; an empty one does not filter."""

    client_id: str = ""
    states: frozenset[JobState] = frozenset()
    capability: str = ""
    models: frozenset[str] = frozenset()
    before_ms: int | None = None
    with_inputs: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolStats:
    """What waits and runs in one pool."""

    pool: str
    queued: int
    running: int
    reconciling: int
    oldest_wait_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where a page ended: the last job's creation and, for order within one millisecond, a tie-breaker."""

    create_ms: int
    tie: str


class Lists(Protocol):
    """Reading many jobs or events; nothing is locked."""

    def page(self, tx: Tx, wanted: JobFilter, *, after: Cursor | None, skip: int, limit: int) -> list[Job]:
        """Return a client's jobs, newest first, beginning behind `after`."""
        ...

    def count(self, tx: Tx, wanted: JobFilter) -> int:
        """Return how many jobs of a client match."""
        ...

    def page_of_all(self, tx: Tx, wanted: JobFilter, *, after: Cursor | None, limit: int) -> list[Job]:
        """Return jobs of all clients, newest first."""
        ...

    def events_of_job(self, tx: Tx, job_id: str, *, after_sequence: int, limit: int) -> list[JobEvent]:
        """Return a job's events in order."""
        ...

    def events_of_client(
        self, tx: Tx, client_id: str, *, job_id: str, after_position: int, limit: int
    ) -> list[JobEvent]:
        """Return a client's events in order of position; only those of one of its jobs unless `job_id` is empty."""
        ...

    def last_position(self, tx: Tx, client_id: str) -> int:
        """Return the position of the client's newest event, 0 without any."""
        ...

    def pool_stats(self, tx: Tx) -> list[PoolStats]:
        """Count unfinished jobs by pool."""
        ...
