"""Where "now" comes from: a port, so that tests can move time.

Rows carry database time (`Tx.now_ms`); this clock is for what happens outside a transaction.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day."""

    def now_ms(self) -> int:
        """Return unix time in milliseconds. It may step backwards when the machine's clock is corrected."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Return unix time in milliseconds."""
        return time.time_ns() // 1_000_000
