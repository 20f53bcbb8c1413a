"""How many requests a second a client may make (GCRA), counted in this process.

A deployment with several gateways gives each client the rate once for each of them; the limit that guards money and
workers (jobs in flight) is the orchestrator's and counted in the database.
"""

import time
from collections.abc import Callable
from typing import Final

from gateway.domain import Client
from kit.errors import RateLimited

CLIENTS_MAX: Final = 100_000  # Forgetting all of them grants one burst, no more.


class LimitRate:
    """Lets a client through, or says when to come back."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._arrival: dict[str, float] = {}

    def __call__(self, client: Client) -> None:
        """Count one request. Raises RateLimited with `retry_after_s`; a refused request is not counted."""
        rate = client.limits.requests_per_second
        if rate == 0:
            return
        interval = 1 / rate
        tolerance = interval * max(client.limits.burst, 1)
        now = self._monotonic()
        arrival = max(now, self._arrival.get(client.id, now)) + interval
        if arrival - now > tolerance:
            raise RateLimited(retry_after_s=arrival - now - tolerance)
        if len(self._arrival) >= CLIENTS_MAX:
            self._arrival.clear()
        self._arrival[client.id] = arrival
