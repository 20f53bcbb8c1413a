"""What becomes of a job after an attempt, or a whole lease, that brought no result.

Workers choose the route; they see the journal in their lease and skip routes that are spent by the same rule as here:
one attempt with ROUTE_FAILED, or ROUTE_TRIES_MAX attempts that ended UNSENT or RETRYABLE. DEFERRED attempts
count for nothing but the pause before the next one: the route is not to blame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from job_orchestrator.domain.attempt import Attempt, AttemptOutcome
from job_orchestrator.domain.job import Change, Job
from job_orchestrator.domain.order import Failure
from kit.errors import ErrorReason

ROUTE_TRIES_MAX: Final = 3  # A provider that failed three times in a row is down; another route is the better try.
SETBACKS_MAX: Final = 5  # A job that took five workers down with it would take the sixth, too.
BACKOFF_FIRST_MS: Final = 1_000
BACKOFF_MAX_MS: Final = 60_000  # Longer pauses only bring the deadline nearer.
BACKOFF_JITTER: Final = 0.2  # ± this share, so that jobs which failed together do not come back together.
_CURABLE: Final = frozenset({AttemptOutcome.UNSENT, AttemptOutcome.RETRYABLE})

LOST_FAILURE: Final = Failure(reason=ErrorReason.INTERNAL, message="The work on this job broke off too many times.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How a worker says that its lease ended without outputs."""

    epoch: int
    outcome: AttemptOutcome
    failure: Failure | None
    retry_after_ms: int | None  #: The provider's wish; None for our own back-off.
    jitter: float  #: In 0 ≤ jitter < 1, drawn by the caller.


def backoff_ms(tries: int, jitter: float) -> int:
    """Return the pause after so many failed tries (at least 1): 1 s, 2 s, 4 s … 60 s, each ±20 %."""
    doubled = BACKOFF_FIRST_MS << min(tries - 1, 16)
    return round(min(doubled, BACKOFF_MAX_MS) * (1 + BACKOFF_JITTER * (2 * jitter - 1)))


def route_spent(route: int, attempts: Sequence[Attempt]) -> bool:
    """Tell whether no further attempt may use `route`."""
    outcomes = [attempt.outcome for attempt in attempts if attempt.route == route]
    return AttemptOutcome.ROUTE_FAILED in outcomes or _curable(outcomes) >= ROUTE_TRIES_MAX


def after_report(job: Job, report: Report, attempts: Sequence[Attempt], *, route: int | None, now_ms: int) -> Change:
    """Return what becomes of a held job whose worker reports anything but success.

    `attempts` is the journal with the reported outcome in it; `route` is the reported attempt's, None without one.
    """
    job = job.ended(report.epoch, report.outcome)
    if report.outcome == AttemptOutcome.UNKNOWN:
        pause_ms = _pause_ms(report, job.attempts)
        return job.given_back(resume=True, reconciling=True, not_before_ms=now_ms + pause_ms)
    failure = report.failure or LOST_FAILURE
    if report.outcome == AttemptOutcome.FAILED:
        return job.failed(failure, now_ms=now_ms)
    if report.outcome == AttemptOutcome.CANCELLED or job.cancel_ms is not None:
        return job.cancelled(now_ms=now_ms)
    if route is None:
        return _after_no_attempt(job, report, failure, now_ms=now_ms)
    return _on_some_route(job, report, attempts, route=route, failure=failure, now_ms=now_ms)


def _after_no_attempt(job: Job, report: Report, failure: Failure, *, now_ms: int) -> Change:
    """The work ended before a provider was chosen: no route is to blame, so the job itself is counted against."""
    if report.outcome != AttemptOutcome.DEFERRED:  # Else all routes are held back just now, which ends by itself.
        job = job.set_back()
    not_before_ms = now_ms + _pause_ms(report, max(job.setbacks, 1))
    if job.setbacks >= SETBACKS_MAX or not_before_ms >= job.deadline_ms:
        return job.failed(failure, now_ms=now_ms)
    return job.given_back(resume=False, reconciling=False, not_before_ms=not_before_ms)


def _on_some_route(
    job: Job, report: Report, attempts: Sequence[Attempt], *, route: int, failure: Failure, now_ms: int
) -> Change:
    outcomes = [attempt.outcome for attempt in attempts if attempt.route == route]
    tries = _curable(outcomes) + outcomes.count(AttemptOutcome.DEFERRED)
    not_before_ms = now_ms + _pause_ms(report, max(tries, 1))
    if not route_spent(route, attempts) and not_before_ms < job.deadline_ms:
        return job.given_back(resume=False, reconciling=False, not_before_ms=not_before_ms)
    others = (other for other in range(len(job.order.routes)) if other != route)
    if any(not route_spent(other, attempts) for other in others):
        return job.given_back(resume=False, reconciling=False)
    return job.failed(failure, now_ms=now_ms)


def after_resolution(
    job: Job, attempts: Sequence[Attempt], *, outcome: AttemptOutcome, route: int, failure: Failure, now_ms: int
) -> Change:
    """Return what becomes of a waiting job when an operator settles its unclear attempt as UNSENT or FAILED."""
    report = Report(epoch=job.epoch, outcome=outcome, failure=failure, retry_after_ms=0, jitter=0.0)
    if outcome == AttemptOutcome.FAILED:
        return job.failed(failure, now_ms=now_ms)
    if job.cancel_ms is not None:
        return job.cancelled(now_ms=now_ms)
    return _on_some_route(job, report, attempts, route=route, failure=failure, now_ms=now_ms)


def after_lost_lease(job: Job, attempts: Sequence[Attempt], *, now_ms: int) -> Change:
    """Return what becomes of a job whose lease expired unrenewed. Its holder may still come back (see `held_by`)."""
    job = job.set_back()
    if job.setbacks >= SETBACKS_MAX:
        return job.failed(LOST_FAILURE, now_ms=now_ms)
    return _resumed_or_anew(job, attempts, now_ms=now_ms)


def after_release(job: Job, attempts: Sequence[Attempt], *, epoch: int, now_ms: int) -> Change:
    """Return what becomes of a held job whose worker gives it back unharmed."""
    job = job.ended(epoch, AttemptOutcome.NONE).uncounted()
    return _resumed_or_anew(job, attempts, now_ms=now_ms)


def _resumed_or_anew(job: Job, attempts: Sequence[Attempt], *, now_ms: int) -> Change:
    resume = any(attempt.open for attempt in attempts)
    if job.cancel_ms is not None and not resume:
        return job.cancelled(now_ms=now_ms)
    return job.given_back(resume=resume, reconciling=any(attempt.unclear for attempt in attempts))


def _pause_ms(report: Report, tries: int) -> int:
    own_ms = backoff_ms(tries, report.jitter)
    if report.retry_after_ms is None:
        return own_ms
    # A provider that says "in a second" again and again is not asked every second.
    return max(report.retry_after_ms, own_ms) if report.outcome == AttemptOutcome.DEFERRED else report.retry_after_ms


def _curable(outcomes: Sequence[AttemptOutcome]) -> int:
    return sum(1 for outcome in outcomes if outcome in _CURABLE)
