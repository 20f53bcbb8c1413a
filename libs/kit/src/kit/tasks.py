"""Ending tasks for certain."""

import asyncio
from typing import Any, Final

AGAIN_S: Final = 1.0  # Longer than a task that heard the first cancel takes to clean up.


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks and wait until all have ended, whatever they raise.

    Once is not enough: `asyncio.wait_for`, which libraries use, can swallow a cancel on Python 3.11 when it comes in
    the moment in which its own work is done, and a task that loops goes on for ever.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # Whoever ends a task does not ask how; unasked, asyncio would complain.
