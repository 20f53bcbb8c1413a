"""A task that is to end ends, also when something in it swallows a cancel."""

import asyncio

from kit.tasks import end


async def test_task_that_swallows_a_cancel_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end(task)
    assert (task.cancelled(), swallowed) == (True, 1)


async def test_task_that_has_failed_is_just_over() -> None:
    async def failing() -> None:
        raise ValueError("no")

    task = asyncio.create_task(failing())
    await asyncio.wait([task])
    await end(task)
    assert isinstance(task.exception(), ValueError)
