"""Waiting for what happens soon but not at once, with a limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 0.05


async def until(look: Callable[[], Awaitable[T]], is_right: Callable[[T], bool], *, timeout_s: float = 20.0) -> T:
    """Look again and again until what is seen is right, and return it. Raises TimeoutError with what was seen last."""
    deadline = time.monotonic() + timeout_s
    while not is_right(seen := await look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:g} s it is still {seen!r}")
        await asyncio.sleep(INTERVAL_S)
    return seen
