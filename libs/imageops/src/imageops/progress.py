"""How an operation tells how far it is, and how it is told to stop."""

from collections.abc import Callable

#: Called from inside an operation with the share done, 0.0 to 1.0, never falling.
#: Raising from it ends the operation: the exception passes through unchanged.
OnProgress = Callable[[float], None]


def ignore_progress(_fraction: float) -> None:
    """The callback of a caller that does not want to know."""


def between(low: float, high: float, on_progress: OnProgress) -> OnProgress:
    """Return a callback that maps 0..1 of a part of the work to `low`..`high` of the whole."""
    return lambda fraction: on_progress(low + (high - low) * fraction)
