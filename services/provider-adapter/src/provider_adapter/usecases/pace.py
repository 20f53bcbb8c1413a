"""How fast a provider is called: a steady rate with a burst, and a pause when it asks for one."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

COOL_FIRST_S: Final = 1.0  # When it does not say how long.
COOL_MAX_S: Final = 60.0  # Whatever it says: a limit of an hour is one for the operator to hear of, job by job.


class Pace:
    """A rate, as GCRA keeps it: one number, the time that the next call is due."""

    def __init__(self, per_second: float = math.inf, *, now: Callable[[], float] = time.monotonic) -> None:
        """`per_second` on average, with bursts of one second's worth, at least one."""
        self.per_second = per_second
        self._now = now
        self._interval_s = 1.0 / per_second
        self._burst_s = max(1.0, per_second) * self._interval_s if math.isfinite(per_second) else 0.0
        self._due = 0.0
        self._cool_until = 0.0

    @property
    def cool_s(self) -> float:
        """How long the provider wants to be left alone; 0 when it does not."""
        return max(0.0, self._cool_until - self._now())

    def cool(self, seconds: float | None) -> None:
        """The provider asked for a pause; None when it did not say how long."""
        pause_s = COOL_FIRST_S if seconds is None else min(seconds, COOL_MAX_S)
        self._cool_until = max(self._cool_until, self._now() + pause_s)

    async def turn(self) -> float:
        """Wait for a turn; returns the seconds waited. Turns are in the order of asking."""
        now = self._now()
        self._due = max(self._due, now) + self._interval_s
        wait_s = max(self._due - self._burst_s - now, 0.0)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        return wait_s
