"""Choosing what to do with a leased job: take up an open attempt, or try the next route that is not spent.

Routes are tried in the lease's order, which holds only equivalent ones that cost no more than was accepted. The rule
of what is spent is the orchestrator's too: one attempt with ROUTE_FAILED, or `ROUTE_TRIES_MAX` attempts that ended
UNSENT or RETRYABLE. A route whose provider is held back (a breaker, a pause it asked for) is passed over for the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kit.errors import ErrorReason
from provider_adapter.domain import Attempt, Failure, Lease, Outcome, Route

ROUTE_TRIES_MAX: Final = 3  # As the orchestrator counts; a provider that failed three times in a row is down.

_CURABLE: Final = frozenset({Outcome.UNSENT, Outcome.RETRYABLE})
_NOBODY: Final = Failure(
    reason=ErrorReason.PROVIDER_UNAVAILABLE, message="No provider of the model's routes is available."
)


@dataclass(frozen=True, kw_only=True)
class Resume:
    """A provider may be at work on this attempt already."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True)
class Begin:
    """Try this route."""

    route: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Every route that is left is held back just now."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Hopeless:
    """There is nothing left to try."""

    failure: Failure


def choose(lease: Lease, held_back_s: Callable[[Route], float | None]) -> Resume | Begin | Wait | Hopeless:
    """Return the next step.

    `held_back_s` tells for how long a route's provider must not be called: 0 for not at all, None when it cannot be
    called from here.
    """
    for attempt in reversed(lease.attempts):
        if attempt.open:
            return Resume(attempt=attempt)
    waits: list[float] = []
    for number, route in enumerate(lease.routes):
        wait_s = None if spent(number, lease.attempts) else held_back_s(route)
        if wait_s == 0:
            return Begin(route=number)
        if wait_s is not None:
            waits.append(wait_s)
    if waits:
        return Wait(seconds=min(waits))
    failures = [attempt.failure for attempt in lease.attempts if attempt.failure is not None]
    return Hopeless(failure=failures[-1] if failures else _NOBODY)


def spent(route: int, attempts: Sequence[Attempt]) -> bool:
    """Tell whether no further attempt may use `route`."""
    outcomes = [attempt.outcome for attempt in attempts if attempt.route == route]
    return Outcome.ROUTE_FAILED in outcomes or sum(each in _CURABLE for each in outcomes) >= ROUTE_TRIES_MAX
