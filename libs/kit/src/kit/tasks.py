"""Ending a task for certain."""

import asyncio
from typing import Any, Final

AGAIN_S: Final = 1.0  # Longer than a task that heard the first cancel takes to clean up.


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait until it has ended, whatever it raises.

    Once is not enough: `asyncio.wait_for`, which libraries use, can swallow a cancel on Python 3.11 when it comes in
    the moment in which its own work is done, and a task that loops goes on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_S)
