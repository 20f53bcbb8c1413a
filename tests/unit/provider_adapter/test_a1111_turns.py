"""A server that serves everybody one at a time: whose progress is told, and what is interrupted and what never."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from provider_adapter import ports
from provider_adapter.ports import Failed, Finished, Outcome
from provider_adapter.providers.a1111.watch import BEGIN_TRIES, Watch, snapshot_of
from provider_adapter.providers.remote.http import NoAnswer, NotSent, Reply
from testkit.providers.a1111 import LOGIN, A1111Simulator
from testkit.providers.faults import Fault
from testkit.providers.trials import Ask, Subject, Trial, started

ASK = Ask(capability="image.generate", upstream_model="loaded", parameters={"width": 64, "height": 64})
STUCK = f"a fox [fault:{Fault.STUCK}]"
AUTHORIZATION = {"Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode()}


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="a1111",
        simulator=lambda: A1111Simulator(pace=5),
        options={"login": {"env": "A1111_LOGIN"}, "work_s": 20, "progress_every_s": 0.03, "answer_s": 2},
        secrets={"A1111_LOGIN": LOGIN},
        asks=[],
        task_ids=False,
    )
    async with started(subject, ports, monkeypatch) as made:
        yield made


class Told(list[float]):
    """Progress as it is told."""


def submitting(trial: Trial, told: Told | None = None, **changes: Any) -> asyncio.Task[Any]:
    tell = (told if told is not None else Told()).append
    return asyncio.create_task(trial.provider.submit(trial.task(ASK, **changes), tell))


async def until_at_work(trial: Trial, tasks: int = 1) -> None:
    async with asyncio.timeout(30):
        while len(trial.simulator.tasks) < tasks or not trial.simulator._now.job:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # So that it has been looked at.


async def until_interrupted(trial: Trial) -> None:
    async with asyncio.timeout(30):
        while not trial.simulator.interrupts:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)


@pytest.fixture
async def stranger(trial: Trial) -> AsyncIterator[Any]:
    """Starts somebody else's work at the same server, which never ends by itself."""
    async with httpx.AsyncClient(base_url=trial.address, headers=AUTHORIZATION, timeout=30) as client:
        calls: list[asyncio.Task[Any]] = []

        async def work(prompt: str = STUCK) -> asyncio.Task[Any]:
            call = asyncio.create_task(client.post("/sdapi/v1/txt2img", json={"prompt": prompt}))
            calls.append(call)
            await until_at_work(trial)
            return call

        yield work
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_progress_is_told_while_it_draws(trial: Trial) -> None:
    told = Told()
    assert isinstance(await submitting(trial, told), Finished)
    assert told == sorted(told)
    assert len({value for value in told if 0 < value <= 1}) >= 3


async def test_call_that_is_cancelled_ends_our_work(trial: Trial) -> None:
    submit = submitting(trial, prompt=STUCK)
    await until_at_work(trial)
    submit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submit
    await until_interrupted(trial)
    assert isinstance(await submitting(trial), Finished)


async def test_call_that_is_cancelled_before_it_is_begun_ends_our_work_too(trial: Trial) -> None:
    submit = submitting(trial, prompt=STUCK)
    async with asyncio.timeout(30):
        while not trial.simulator.submits:
            await asyncio.sleep(0)
    submit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submit
    await until_interrupted(trial)


async def test_closing_waits_for_the_interrupt(trial: Trial) -> None:
    submit = submitting(trial, prompt=STUCK)
    await until_at_work(trial)
    submit.cancel()
    await asyncio.wait({submit})
    await trial.provider.close()
    assert trial.simulator.interrupts == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("repeatable", "outcome"), [(True, Outcome.RETRYABLE), (False, Outcome.UNKNOWN)])
async def test_jobs_deadline_ends_our_work_and_nobody_knows_how_far_it_was(
    trial: Trial, repeatable: bool, outcome: Outcome
) -> None:
    provider = trial.build(repeatable=repeatable)
    await provider.start()
    try:
        failed = await provider.submit(trial.task(ASK, prompt=STUCK, timeout_s=0.5), lambda _: None)
        assert isinstance(failed, Failed)
        assert failed.outcome is outcome
        await until_interrupted(trial)
    finally:
        await provider.close()


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.LOST])
async def test_lost_answer_of_an_own_server_is_a_try_that_failed(trial: Trial, fault: Fault) -> None:
    failed = await submitting(trial, prompt=f"a fox [fault:{fault}]")
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.RETRYABLE


async def test_work_of_somebody_else_is_neither_told_nor_interrupted(trial: Trial, stranger: Any) -> None:
    theirs = await stranger()
    told = Told()
    submit = submitting(trial, told)
    async with asyncio.timeout(30):
        while len(trial.simulator.tasks) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    submit.cancel()
    await asyncio.wait({submit})
    await trial.provider.close()
    assert not told
    assert trial.simulator.interrupts == 0  # type: ignore[attr-defined]
    assert not theirs.done()


async def test_two_of_ours_at_once_do_not_end_each_other(trial: Trial) -> None:
    first, second = submitting(trial, prompt=STUCK), submitting(trial, prompt=STUCK, attempt_id="att_2")
    await until_at_work(trial, tasks=2)
    second.cancel()
    await asyncio.wait({second})
    await asyncio.sleep(0.2)
    assert trial.simulator.interrupts == 0  # type: ignore[attr-defined]
    first.cancel()
    await asyncio.wait({first})


async def test_picture_that_somebody_interrupted_is_not_taken_for_a_finished_one(trial: Trial) -> None:
    for word in ("interrupt", "skip"):
        submit = submitting(trial, prompt=STUCK)
        await until_at_work(trial)
        async with httpx.AsyncClient(base_url=trial.address, headers=AUTHORIZATION) as client:
            await client.post(f"/sdapi/v1/{word}")
        failed = await submit
        assert isinstance(failed, Failed), failed
        assert failed.outcome is Outcome.RETRYABLE
    assert isinstance(await submitting(trial), Finished)


def reply(job: str = "", stamp: str = "1", *, status: int = 200, **state: Any) -> Reply:
    facts = {"job": job, "job_count": 1 if job else 0, "job_timestamp": stamp, **state}
    return Reply(status=status, headers={}, body=orjson.dumps({"progress": 0.5, "state": facts}))


@pytest.mark.parametrize(
    "answer",
    [
        Reply(status=200, headers={}, body=b"<html>"),
        Reply(status=200, headers={}, body=b"[]"),
        Reply(status=200, headers={}, body=b'{"progress": 0.5}'),
        Reply(status=200, headers={}, body=b'{"progress": null, "state": {}}'),
        reply(status=401),
    ],
)
def test_answer_that_tells_nothing_is_none(answer: Reply) -> None:
    assert snapshot_of(answer) is None


def test_work_whose_steps_are_not_counted_yet_is_work() -> None:
    seen = snapshot_of(reply(job_count=-1))
    assert seen is not None
    assert seen.busy


async def watched(*answers: Reply | Exception) -> tuple[Watch, list[Reply | Exception]]:
    left = list(answers)

    async def ask() -> Reply:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = Watch(ask)
    await watch.before()
    return watch, left


async def test_first_work_after_an_idle_server_is_ours() -> None:
    watch, _ = await watched(reply(), reply(), reply("scripts_txt2img", "2"))
    assert await watch.running(0.001)
    assert watch.stamp == "2"


async def test_work_that_follows_ours_is_not_ours() -> None:
    watch, _ = await watched(reply(), reply("scripts_txt2img", "2"), reply("scripts_txt2img", "3", interrupted=True))
    await watch.look()
    assert not await watch.running(0.001)
    assert not watch.cut_short


async def test_work_that_never_begins_is_not_waited_for() -> None:
    watch, left = await watched(reply(), *[reply() for _ in range(BEGIN_TRIES)], reply("scripts_txt2img", "2"))
    assert not await watch.running(0.001)
    assert len(left) == 1


async def test_server_that_does_not_tell_is_not_told_anything() -> None:
    for silence in (NoAnswer("ReadTimeout"), reply(status=500)):
        watch, _ = await watched(silence, reply("scripts_txt2img", "2"))
        assert not await watch.running(0.001)
    with pytest.raises(NotSent):
        await watched(NotSent("ConnectError"))


async def test_work_done_between_two_looks_is_known_by_its_stamp() -> None:
    watch, _ = await watched(reply(stamp="1"), reply(stamp="2", interrupted=True))
    await watch.look()
    assert watch.cut_short
