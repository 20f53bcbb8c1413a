"""A circuit breaker: calls that would only fail again are not made, and a single one finds out when to go on."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from kit.errors import ErrorReason
from provider_adapter.domain import Failed, Outcome

FAILURES_MAX: Final = 5  # In a row; one bad request must not close a road for all.
OPEN_FIRST_S: Final = 10.0
OPEN_MAX_S: Final = 300.0  # An outage of an hour costs twelve probes.
PROBE_S_MAX: Final = 600.0  # A probe that nobody heard of for so long is given up.

#: The provider's own fault; moderation and refused parameters are answers like any other.
_FAULTS: Final = frozenset(
    {
        ErrorReason.PROVIDER_FAILED,
        ErrorReason.PROVIDER_TIMEOUT,
        ErrorReason.PROVIDER_UNAVAILABLE,
        ErrorReason.PROVIDER_RESULT_INVALID,
    }
)
_SAYS_NOTHING: Final = frozenset({Outcome.CANCELLED, Outcome.DEFERRED})


class BreakerState(Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"  #: One probe is let through, or is under way.


class Breaker:
    """For one model of one provider."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: seconds of a clock that never goes back."""
        self._now = now
        self._failures = 0
        self._opened = 0  #: Times in a row.
        self._until = 0.0
        self._probe_ends = 0.0  #: 0 when there is none.

    @property
    def state(self) -> BreakerState:
        """As of now."""
        if not self._opened:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._now() < self._until else BreakerState.HALF_OPEN

    @property
    def wait_s(self) -> float:
        """How long until a call may be tried; 0 for now."""
        match self.state:
            case BreakerState.CLOSED:
                return 0.0
            case BreakerState.OPEN:
                return self._until - self._now()
            case BreakerState.HALF_OPEN:
                return OPEN_FIRST_S if self._now() < self._probe_ends else 0.0

    def calling(self) -> None:
        """A call is about to be made; while half open it is the probe."""
        if self.state is BreakerState.HALF_OPEN:
            self._probe_ends = self._now() + PROBE_S_MAX

    def dropped(self) -> None:
        """The call was given up before anything was heard; the next one may be the probe."""
        self._probe_ends = 0.0

    def heard(self, failed: Failed | None) -> None:
        """How a call ended; None for well."""
        state, self._probe_ends = self.state, 0.0
        if failed is not None and failed.outcome in _SAYS_NOTHING:
            return
        if failed is None or failed.failure.reason not in _FAULTS:
            self._failures = self._opened = 0
            return
        if state is BreakerState.OPEN:
            return  # It was under way when the breaker opened, and says nothing new.
        self._failures += 1
        if self._failures >= FAILURES_MAX or state is BreakerState.HALF_OPEN:
            self._until = self._now() + min(OPEN_FIRST_S * 2**self._opened, OPEN_MAX_S)
            self._opened = min(self._opened + 1, 16)
            self._failures = 0
