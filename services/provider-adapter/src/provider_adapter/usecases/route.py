"""Choosing what to do with a leased job: take up an open attempt, or try the next route that is not spent.

Routes are tried in the lease's order. The rule of what is spent is the orchestrator's too: one attempt with
ROUTE_FAILED, or `ROUTE_TRIES_MAX` attempts that ended UNSENT or RETRYABLE.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kit.errors import ErrorReason
from provider_adapter.domain import Attempt, Failure, Lease, Outcome

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
class Hopeless:
    """There is nothing left to try."""

    failure: Failure


def choose(lease: Lease, available: Callable[[str], bool]) -> Resume | Begin | Hopeless:
    """Return the next step; `available` tells whether a provider of that name can be called from here."""
    for attempt in reversed(lease.attempts):
        if attempt.open:
            return Resume(attempt=attempt)
    for number, route in enumerate(lease.routes):
        if available(route.provider) and not spent(number, lease.attempts):
            return Begin(route=number)
    failures = [attempt.failure for attempt in lease.attempts if attempt.failure is not None]
    return Hopeless(failure=failures[-1] if failures else _NOBODY)


def spent(route: int, attempts: Sequence[Attempt]) -> bool:
    """Tell whether no further attempt may use `route`."""
    outcomes = [attempt.outcome for attempt in attempts if attempt.route == route]
    return Outcome.ROUTE_FAILED in outcomes or sum(each in _CURABLE for each in outcomes) >= ROUTE_TRIES_MAX
