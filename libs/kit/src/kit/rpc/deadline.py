"""How much time the call being handled has left; outgoing calls get no more than that."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

from kit import identity
from kit.errors import DeadlineExceeded

# With less than this left nobody would see the answer; saying so at once frees the caller and us.
REMAINING_S_MIN: Final = 0.005
# Kept back from outgoing calls, so that their failure can still be told to our own caller: at least this long, and as
# much as the wire rounds time-outs up by.
MARGIN_S: Final = 0.005
MARGIN_RATIO: Final = 0.01

_deadline: ContextVar[float | None] = ContextVar("atelier_deadline", default=None)


def enter(remaining: float | None) -> None:
    """Give this context `remaining` seconds from now; None for no limit.

    Raises DeadlineExceeded when too little is left to be of use.
    """
    if remaining is None:
        _deadline.set(None)
        return
    if remaining < REMAINING_S_MIN:
        raise DeadlineExceeded("Too little time is left to begin.")
    _deadline.set(time.monotonic() + remaining)


def remaining_s() -> float | None:
    """Return the seconds left of the call being handled, never negative; None when there is no such limit."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def capped(timeout_s: float) -> float:
    """Return the time an outgoing call may take. Raises DeadlineExceeded when none is left for it."""
    deadline = _deadline.get()
    if deadline is None:
        return timeout_s
    left = deadline - time.monotonic()
    left -= max(MARGIN_S, left * MARGIN_RATIO)
    if left < REMAINING_S_MIN:
        raise DeadlineExceeded("Too little time is left for a call this one needs.")
    return min(timeout_s, left)


@contextlib.contextmanager
def detached() -> Iterator[None]:
    """Lift the incoming call's deadline and identity inside the block.

    For work that outlives the call that caused it: start its task inside the block, because a task keeps the context
    it was made in.
    """
    deadline = _deadline.get()
    _deadline.set(None)
    try:
        with identity.nobody():
            yield
    finally:
        _deadline.set(deadline)
