"""Calling a service of the house until it answers, because what has been made must not be lost to its restart."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from kit.errors import AppError, ErrorReason
from kit.logging import get_logger

PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 5.0  # A service that is back is found within this.
FEW_TRIES: Final = 3  # Of what may be a fault that waiting does not cure.

#: The service is away, or has no room just now: the very same call will do later.
WAITABLE: Final = frozenset(
    {
        ErrorReason.DEPENDENCY_UNAVAILABLE,
        ErrorReason.DEADLINE_EXCEEDED,
        ErrorReason.NOT_SERVING,
        ErrorReason.CANCELLED,  # By the other side, which stops.
        ErrorReason.STORAGE_FULL,
    }
)
#: Worth a second look, but not a long one.
DOUBTFUL: Final = frozenset({ErrorReason.INTERNAL, ErrorReason.CONFLICT})

T = TypeVar("T")
_log = get_logger(__name__)


async def persist(call: Callable[[], Awaitable[T]]) -> T:
    """Call until it succeeds and return the result; whoever needs an end cancels it or sets a time limit.

    Raises AppError when waiting will not cure it.
    """
    tries = doubtful = 0
    while True:
        try:
            return await call()
        except AppError as error:
            doubtful += error.reason in DOUBTFUL
            if error.reason not in WAITABLE and (error.reason not in DOUBTFUL or doubtful >= FEW_TRIES):
                raise
            tries += 1
            if tries == 1:  # Once an outage: a thousand jobs may be waiting for the same service.
                _log.warning("house_call_failed", reason=error.reason)
            await asyncio.sleep(pause_s(tries, error.retry_after_s))


def pause_s(tries: int, retry_after_s: float | None = None) -> float:
    """How long to wait after so many failures in a row (at least 1): doubling, spread by half, or as we were told."""
    doubled: float = min(PAUSE_FIRST_S * 2 ** min(tries - 1, 10), PAUSE_MAX_S)
    return max(doubled * random.uniform(0.5, 1.0), min(retry_after_s or 0.0, PAUSE_MAX_S))  # noqa: S311  Not a secret.
