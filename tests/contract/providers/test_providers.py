"""What every provider promises (`provider_adapter.ports.Provider`)."""

import asyncio
import contextlib
from typing import Any

from kit import media
from provider_adapter.ports import Accepted, Failed, Finished, NotTaken, Outcome, Pending, Task, Unclear, Unreadable

TIMEOUT_S = 60.0


async def follow(provider: Any, answer: Any) -> Any:
    """Poll until the task has ended."""
    async with asyncio.timeout(TIMEOUT_S):
        while isinstance(answer, Accepted | Pending):
            if isinstance(answer, Accepted):
                task_id = answer.upstream_task_id
            await asyncio.sleep(answer.poll_after_s or 0.05)
            answer = await provider.poll(task_id)
    return answer


async def run(provider: Any, task: Task, told: list[float] | None = None) -> Any:
    """Submit and wait for the end."""
    async with asyncio.timeout(TIMEOUT_S):
        answer = await provider.submit(task, (told if told is not None else []).append)
    return await follow(provider, answer)


async def contents(finished: Finished) -> list[bytes]:
    return [b"".join([chunk async for chunk in file.chunks()]) for file in finished.files]


async def test_what_a_provider_is_can_be_told_before_it_starts(subject: Any) -> None:
    provider = subject.provider
    assert provider.name
    assert provider.running_max >= 1
    assert provider.capabilities
    assert isinstance(provider.repeatable, bool)


async def test_task_ends_with_files_that_can_be_read_again(subject: Any) -> None:
    finished = await run(subject.provider, subject.good("job_1"))
    assert isinstance(finished, Finished)
    assert any(not file.extra for file in finished.files)
    first = await contents(finished)
    assert [media.sniff(data) for data in first] == ["image/png"]
    assert await contents(finished) == first
    assert finished.cost_fen >= 0


async def test_progress_is_a_share_and_never_falls(subject: Any) -> None:
    told: list[float] = []
    await run(subject.provider, subject.good("job_1"), told)
    assert told == sorted(told)
    assert all(0.0 <= fraction <= 1.0 for fraction in told)


async def test_task_of_one_seed_gives_the_same_files_where_it_may_be_repeated(repeatable: Any) -> None:
    provider = repeatable.provider
    assert provider.repeatable
    first = await contents(await run(provider, repeatable.good("job_1")))
    assert await contents(await run(provider, repeatable.good("job_2"))) == first


async def test_refusal_is_an_answer_and_names_the_field(subject: Any) -> None:
    failed = await run(subject.provider, subject.refused("job_1"))
    assert isinstance(failed, Failed)
    assert failed.outcome in (Outcome.FAILED, Outcome.ROUTE_FAILED)
    assert failed.failure.field == "width"
    assert failed.failure.message


async def test_unreadable_input_is_told_as_the_source_tells_it(subject: Any) -> None:
    try:
        answer = await subject.provider.submit(subject.unreadable("job_1"), lambda _: None)
    except Unreadable as error:
        answer = error.failed
    assert isinstance(answer, Failed)
    assert (answer.outcome, answer.failure.field) == (Outcome.FAILED, "inputs[0]")


async def test_unknown_task_is_a_failure_and_cancelling_it_does_nothing(subject: Any) -> None:
    await subject.provider.cancel("nobody knows it")
    assert isinstance(await subject.provider.poll("nobody knows it"), Failed)


async def test_attempt_that_was_never_sent_is_not_found(subject: Any) -> None:
    assert isinstance(await subject.provider.look_up("att_never"), NotTaken | Unclear)


async def test_finished_task_can_be_asked_for_again_and_found_by_its_attempt(with_task_ids: Any) -> None:
    provider = with_task_ids.provider
    accepted = await provider.submit(with_task_ids.good("job_1"), lambda _: None)
    assert isinstance(accepted, Accepted)
    first = await contents(await follow(provider, accepted))
    assert await contents(await follow(provider, accepted)) == first
    found = await provider.look_up("att_job_1")
    assert isinstance(found, Unclear) or found.upstream_task_id == accepted.upstream_task_id


async def test_cancelled_work_ends_and_leaves_room_for_the_next(subject: Any) -> None:
    provider = subject.provider
    slow = [asyncio.create_task(provider.submit(subject.slow(f"job_{n}"), lambda _: None)) for n in range(2)]
    await asyncio.sleep(0.2)
    for task in slow:
        if task.done():
            await provider.cancel(task.result().upstream_task_id)
            assert isinstance(await provider.poll(task.result().upstream_task_id), Failed)
        else:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
    assert isinstance(await run(provider, subject.good("job_9")), Finished)


async def test_as_many_tasks_as_it_may_run_end_side_by_side(subject: Any) -> None:
    count = min(subject.provider.running_max, 4) + 1
    ends = await asyncio.gather(*(run(subject.provider, subject.good(f"job_{n}")) for n in range(count)))
    assert all(isinstance(end, Finished) for end in ends)


async def test_close_may_be_repeated_and_ends_what_runs(subject: Any) -> None:
    working = asyncio.create_task(subject.provider.submit(subject.slow("job_1"), lambda _: None))
    await asyncio.sleep(0.2)
    await subject.provider.close()
    await subject.provider.close()
    async with asyncio.timeout(10):
        assert isinstance(await working, Accepted | Failed)
