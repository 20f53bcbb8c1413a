"""What every remote provider promises, over HTTP against its simulator: results, refusals, faults, one paid submit."""

import asyncio
import contextlib
import io
from typing import Any

import pytest
from PIL import Image

from kit import media
from kit.errors import ErrorReason
from provider_adapter.ports import Accepted, Failed, Finished, Forged, Listener, Outcome, Pending, Unclear, Unreadable
from testkit.providers.faults import Fault
from testkit.providers.trials import TIMEOUT_S, Ask, Trial

NOT_TAKEN = [
    (Fault.TOO_MANY, Outcome.DEFERRED, ErrorReason.PROVIDER_UNAVAILABLE),
    (Fault.BROKEN, Outcome.RETRYABLE, ErrorReason.PROVIDER_UNAVAILABLE),
    (Fault.UNAVAILABLE, Outcome.RETRYABLE, ErrorReason.PROVIDER_UNAVAILABLE),
    (Fault.MODERATED, Outcome.FAILED, ErrorReason.PROVIDER_MODERATED),
    (Fault.ACCOUNT, Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_UNAVAILABLE),
]
UNKNOWN = [Fault.RESET, Fault.LOST, Fault.HANG]
SPOILT = [
    Fault.TRUNCATED,
    Fault.HTML,
    Fault.EMPTY,
    Fault.ENDLESS,
    Fault.WRONG_TYPE,
    Fault.EXPIRED,
    Fault.DRIP,
]


async def submit(remote: Trial, ask: Ask, **changes: Any) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        return await remote.provider.submit(remote.task(ask, **changes), lambda _: None)


async def follow(remote: Trial, answer: Any) -> Any:
    """Poll until the task has ended."""
    task_id = answer.upstream_task_id if isinstance(answer, Accepted) else ""
    async with asyncio.timeout(TIMEOUT_S):
        while isinstance(answer, Accepted | Pending):
            await asyncio.sleep(0.03)
            answer = await remote.provider.poll(task_id)
    return answer


async def run(remote: Trial, ask: Ask, **changes: Any) -> Any:
    return await follow(remote, await submit(remote, ask, **changes))


async def contents(finished: Finished) -> list[bytes]:
    return [b"".join([chunk async for chunk in file.chunks()]) for file in finished.files]


def leave_out(remote: Trial, fault: Fault) -> bool:
    """A fault that the vendor cannot have needs a reason, and is then nothing to test."""
    reason = remote.subject.without.get(fault)
    assert reason is None or len(reason) > 10
    return reason is not None


async def test_every_capability_ends_with_its_files(remote: Trial) -> None:
    assert {ask.capability for ask in remote.subject.asks} == set(remote.provider.capabilities)
    for number, ask in enumerate(remote.subject.asks):
        answer = await submit(remote, ask, attempt_id=f"att_{number}")
        assert isinstance(answer, Accepted) == remote.subject.answers_with_task(ask), answer
        finished = await follow(remote, answer)
        assert isinstance(finished, Finished), (ask, finished)
        assert [media.sniff(data) for data in await contents(finished)] == [ask.mime_type]
        assert {file.role for file in finished.files} == {"video" if ask.mime_type == "video/mp4" else "image"}
    assert len(remote.simulator.tasks) == len(remote.subject.asks)


async def test_finished_task_can_be_asked_for_again_by_another_process(remote: Trial) -> None:
    ask = remote.subject.asks[0]
    answer = await submit(remote, ask)
    if not remote.subject.answers_with_task(ask):
        assert isinstance(answer, Finished)
        assert await contents(answer) == await contents(answer)
        return
    first = await contents(await follow(remote, answer))
    other = remote.build()
    await other.start()
    try:
        again = await other.poll(answer.upstream_task_id)
        assert isinstance(again, Finished)
        assert await contents(again) == first
    finally:
        await other.close()
    assert len(answer.upstream_task_id) <= 256


@pytest.mark.parametrize(("fault", "outcome", "reason"), NOT_TAKEN)
async def test_fault_that_takes_nothing(
    remote: Trial, fault: Fault, outcome: Outcome, reason: ErrorReason, caplog: pytest.LogCaptureFixture
) -> None:
    if leave_out(remote, fault):
        return
    failed = await submit(remote, remote.subject.asks[0], prompt=f"a fox [fault:{fault}]")
    assert isinstance(failed, Failed), failed
    assert (failed.outcome, failed.failure.reason) == (outcome, reason)
    assert not remote.simulator.tasks
    if fault is Fault.TOO_MANY:
        assert failed.retry_after_s is None or 0 < failed.retry_after_s <= 60


async def test_error_inside_an_answer_of_200_takes_nothing(remote: Trial) -> None:
    if leave_out(remote, Fault.ERROR_BODY):
        return
    failed = await submit(remote, remote.subject.asks[0], prompt=f"a fox [fault:{Fault.ERROR_BODY}]")
    assert isinstance(failed, Failed)
    assert failed.outcome in (Outcome.RETRYABLE, Outcome.ROUTE_FAILED, Outcome.FAILED)


@pytest.mark.parametrize("fault", UNKNOWN)
async def test_submit_without_an_answer_is_unknown_and_never_repeated(remote: Trial, fault: Fault) -> None:
    ask, task = remote.subject.asks[0], f"a fox [fault:{fault}]"
    answer = await submit(remote, ask, prompt=task)
    assert isinstance(answer, Failed), answer
    assert answer.outcome is Outcome.UNKNOWN
    assert len(remote.simulator.submits) == 1
    assert len(remote.simulator.tasks) == (0 if fault is Fault.RESET else 1)
    found = await remote.provider.look_up("att_1")
    if not remote.subject.found_by_attempt:
        assert isinstance(found, Unclear)
    elif fault is not Fault.RESET:
        assert isinstance(await follow(remote, found), Finished)


async def test_provider_that_is_not_there_was_surely_not_reached(remote: Trial) -> None:
    away = remote.build(base_url="http://127.0.0.1:9")
    await away.start()
    try:
        failed = await away.submit(remote.task(remote.subject.asks[0]), lambda _: None)
        assert isinstance(failed, Failed)
        assert failed.outcome is Outcome.UNSENT
        for ask in filter(remote.subject.answers_with_task, remote.subject.asks):
            accepted = await submit(remote, ask)
            assert isinstance(await away.poll(accepted.upstream_task_id), Pending)
        await away.cancel("nobody knows it")
    finally:
        await away.close()


@pytest.mark.parametrize("fault", [Fault.FAILED, Fault.OUTPUT_MODERATED, Fault.LOST_TASK])
async def test_task_that_fails_at_the_provider(remote: Trial, fault: Fault) -> None:
    if leave_out(remote, fault):
        return
    failed = await run(remote, remote.subject.asks[0], prompt=f"a fox [fault:{fault}]")
    assert isinstance(failed, Failed), failed
    assert failed.outcome is Outcome.RETRYABLE
    moderated = failed.failure.reason is ErrorReason.PROVIDER_MODERATED
    assert moderated == (fault is Fault.OUTPUT_MODERATED)


async def test_questions_that_fail_are_asked_again(remote: Trial) -> None:
    if leave_out(remote, Fault.POLL_BROKEN):
        return
    finished = await run(remote, remote.subject.asks[0], prompt=f"a fox [fault:{Fault.POLL_BROKEN}]")
    assert isinstance(finished, Finished)
    assert len(remote.simulator.tasks) == 1


@pytest.mark.parametrize("fault", SPOILT)
async def test_spoilt_result_is_not_taken_for_a_picture(remote: Trial, fault: Fault) -> None:
    if leave_out(remote, fault):
        return
    answer = await run(remote, remote.subject.asks[0], prompt=f"a fox [fault:{fault}]")
    if isinstance(answer, Failed):
        failed = answer
    else:
        try:
            [data] = await contents(answer)
        except Unreadable as error:
            failed = error.failed
        else:
            assert not _decodes(data)  # The asset store refuses it, whatever the provider.
            return
    assert failed.outcome is Outcome.RETRYABLE
    assert failed.failure.reason is ErrorReason.PROVIDER_RESULT_INVALID


def _decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


async def test_what_is_not_offered_is_refused_before_anything_is_sent(remote: Trial) -> None:
    for ask, field in remote.subject.unsupported:
        failed = await submit(remote, ask)
        assert isinstance(failed, Failed), ask
        assert (failed.outcome, failed.failure.reason) == (Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED)
        assert failed.failure.field == field
    assert not remote.simulator.submits


async def test_unknown_task_is_a_failure_and_cancelling_it_does_nothing(remote: Trial) -> None:
    await remote.provider.cancel("nobody knows it")
    assert isinstance(await remote.provider.poll("nobody knows it"), Failed)


async def test_cancel_ends_the_task_where_the_vendor_can(remote: Trial) -> None:
    if not remote.subject.cancels:
        return
    accepted = await submit(remote, remote.subject.asks[0], prompt=f"a fox [fault:{Fault.STUCK}]")
    assert isinstance(accepted, Accepted)
    await remote.provider.cancel(accepted.upstream_task_id)
    assert isinstance(await remote.provider.poll(accepted.upstream_task_id), Failed)


async def test_missing_credential_is_our_account_and_a_new_one_is_taken_up(
    remote: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in remote.subject.secrets:
        monkeypatch.delenv(name)
    answer = await submit(remote, remote.subject.asks[0])
    if remote.subject.secrets:
        assert isinstance(answer, Failed)
        assert answer.outcome is Outcome.ROUTE_FAILED
        assert not remote.simulator.submits
    for name, value in remote.subject.secrets.items():
        monkeypatch.setenv(name, value)
    assert not isinstance(await submit(remote, remote.subject.asks[0]), Failed)


async def test_wrong_credential_is_refused_and_never_told(
    remote: Trial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in remote.subject.secrets:
        monkeypatch.setenv(name, "wrong-secret-value")
    answers = [
        await submit(remote, remote.subject.asks[0], prompt=prompt)
        for prompt in ("a fox", f"a fox [fault:{Fault.MODERATED}]", f"a fox [fault:{Fault.RESET}]")
    ]
    if remote.subject.secrets:
        assert isinstance(answers[0], Failed)
        assert answers[0].outcome is Outcome.ROUTE_FAILED
    told = "".join(capsys.readouterr()) + repr(answers) + repr(remote.provider.options)
    assert "wrong-secret-value" not in told


async def test_callback_tells_of_the_task_it_is_about(remote: Trial) -> None:
    if not isinstance(remote.provider, Listener):
        return
    accepted = await submit(remote, next(filter(remote.subject.answers_with_task, remote.subject.asks)))
    await follow(remote, accepted)
    task = next(iter(remote.simulator.tasks.values()))
    message = await remote.simulator.post_callback(task)
    assert message is not None
    body, headers = message
    lower = {name.lower(): value for name, value in headers.items()}
    assert await remote.provider.hear(lower, body) == accepted.upstream_task_id
    for nonsense in (b"", b"{}", b"[]", b"\xff"):
        with contextlib.suppress(Forged):
            assert await remote.provider.hear({}, nonsense) is None
