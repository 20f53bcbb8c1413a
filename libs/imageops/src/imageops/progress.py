"""How an operation tells how far it is, and how it is told to stop."""

from collections.abc import Callable

#: Called from inside an operation with the share done, 0.0 to 1.0, never falling.
#: Raising from it ends the operation: the exception passes through unchanged.
OnProgress = Callable[[float], None]


def ignore_progress(_fraction: float) -> None:
    """The callback of a caller that does not want to know."""
