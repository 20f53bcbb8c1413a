"""The life of a film at Ark: its states, cancelling, callbacks, answers that are not what they should be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kit import media
from kit.errors import ErrorReason
from provider_adapter import ports
from provider_adapter.ports import Accepted, Failed, Finished, Listener, Outcome, Pending, Unclear
from testkit.providers import ark
from testkit.providers.faults import Fault
from testkit.providers.serving import served
from testkit.providers.simulator import Simulator
from testkit.providers.trials import Ask, Subject, Trial, started

LONG = 200.0  # A pace at which a task stays in the queue for ten seconds.
FILM = Ask(capability="video.generate", upstream_model="doubao-seedance-2-0-260128")
PICTURE = Ask(capability="image.generate", upstream_model="doubao-seedream-4-0-250828")


def subject(simulator: Callable[[], Simulator] = ark.build) -> Subject:
    return Subject(
        kind="ark",
        simulator=simulator,
        options={"key": {"env": "ARK_API_KEY"}, "work_s": 1.0, "answer_s": 5.0, "cost_fen_per_output": 99},
        secrets={"ARK_API_KEY": ark.KEY},
        base_path=ark.BASE,
        asks=[],
        task_ids=True,
    )


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    async with started(subject(), ports, monkeypatch) as one:
        yield one


@pytest.fixture
def account(trial: Trial) -> ark.Ark:
    assert isinstance(trial.simulator, ark.Ark)
    return trial.simulator


async def submit(trial: Trial, ask: Ask = FILM, **changes: Any) -> Any:
    return await trial.provider.submit(trial.task(ask, **changes), lambda _: None)


async def end(trial: Trial, task_id: str) -> Any:
    async with asyncio.timeout(20):
        while isinstance(answer := await trial.provider.poll(task_id), Pending):
            await asyncio.sleep(0.02)
    return answer


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_film_is_paid_once_and_its_last_picture_is_a_by_product(trial: Trial) -> None:
    ask = Ask(**{**vars(FILM), "parameters": {"extra": {"return_last_frame": True}}})
    finished = await end(trial, (await submit(trial, ask)).upstream_task_id)
    assert isinstance(finished, Finished)
    assert finished.cost_fen == 99
    assert [(file.role, file.extra) for file in finished.files] == [("video", False), ("image", True)]
    types = [media.sniff(b"".join([chunk async for chunk in file.chunks()])) for file in finished.files]
    assert types == ["video/mp4", "image/png"]


async def test_task_in_the_queue_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(subject(lambda: ark.Ark(pace=LONG)), ports, monkeypatch) as trial:
        task_id = (await submit(trial)).upstream_task_id
        assert isinstance(await trial.provider.poll(task_id), Pending)
        await trial.provider.cancel(task_id)
        assert trial.simulator.cancels == [task_id]
        failed = await trial.provider.poll(task_id)
        assert isinstance(failed, Failed)
        assert failed.failure.message == "The task was ended at the provider."


async def test_running_task_is_left_alone(trial: Trial, account: ark.Ark) -> None:
    task_id = (await submit(trial, prompt=f"a fox [fault:{Fault.STUCK}]")).upstream_task_id
    await until(lambda: account.state(account.tasks[task_id]) == "running")
    await trial.provider.cancel(task_id)
    assert account.cancels == []
    assert isinstance(await trial.provider.poll(task_id), Pending)


async def test_cancel_does_not_delete_a_film_that_is_ready(trial: Trial, account: ark.Ark) -> None:
    """The vendor's call would: it deletes the record of a task that has ended."""
    task_id = (await submit(trial)).upstream_task_id
    assert isinstance(await end(trial, task_id), Finished)
    await trial.provider.cancel(task_id)
    assert account.cancels == []
    assert isinstance(await trial.provider.poll(task_id), Finished)


async def test_task_that_expired_there_took_too_long(trial: Trial, account: ark.Ark) -> None:
    task_id = (await submit(trial)).upstream_task_id
    account.expired.add(task_id)
    failed = await trial.provider.poll(task_id)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (Outcome.RETRYABLE, ErrorReason.PROVIDER_TIMEOUT)


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        ("", Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED),
        ("InternalServiceError", Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED),
        ("InputImageSensitiveContentDetected.PrivacyInformation", Outcome.FAILED, ErrorReason.PROVIDER_MODERATED),
        ("AccountOverdueError", Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_UNAVAILABLE),
    ],
)
async def test_failed_task_ends_as_its_code_says(
    trial: Trial, account: ark.Ark, code: str, outcome: Outcome, reason: ErrorReason
) -> None:
    account.fail_with = code
    failed = await end(trial, (await submit(trial, prompt=f"a fox [fault:{Fault.FAILED}]")).upstream_task_id)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (outcome, reason)


@pytest.mark.parametrize("ask", [FILM, PICTURE])
@pytest.mark.parametrize(
    ("status", "code", "outcome", "field"),
    [
        (400, "InputTextSensitiveContentDetected.PolicyViolation", Outcome.FAILED, "prompt"),
        (400, "InvalidParameter.UnsupportedParameter", Outcome.ROUTE_FAILED, ""),
        (429, "SetLimitExceeded", Outcome.ROUTE_FAILED, ""),
        (429, "ServerOverloaded", Outcome.DEFERRED, ""),
        (504, "InternalServiceError", Outcome.UNKNOWN, ""),
    ],
)
async def test_refused_submit_is_told_in_our_words(
    trial: Trial, account: ark.Ark, *, ask: Ask, status: int, code: str, outcome: Outcome, field: str
) -> None:
    account.refuse_next = (status, code)
    failed = await submit(trial, ask)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.field) == (outcome, field)
    assert failed.retry_after_s == (1.0 if status == 429 else None)
    assert "Request id" not in failed.failure.message


async def test_question_with_a_bad_key_does_not_end_the_task(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = (await submit(trial)).upstream_task_id
    monkeypatch.setenv("ARK_API_KEY", "rotated-too-early")
    assert isinstance(await trial.provider.poll(task_id), Pending)
    monkeypatch.setenv("ARK_API_KEY", ark.KEY)
    assert isinstance(await end(trial, task_id), Finished)


async def test_lost_film_is_told_of_by_its_callback_and_by_nothing_else(trial: Trial, account: ark.Ark) -> None:
    heard: list[tuple[str, str | None]] = []
    listener = trial.provider
    assert isinstance(listener, Listener)

    async def take(request: Request) -> Response:
        body = await request.body()
        heard.append((request.path_params["token"], await listener.hear(dict(request.headers), body)))
        return Response(status_code=204)

    async with served(_Replies({"/callbacks/{token}": take}), port=0) as house:
        failed = await submit(trial, prompt="a fox [fault:lost]", callback_url=f"{house}/callbacks/secret")
        assert isinstance(failed, Failed)
        assert failed.outcome is Outcome.UNKNOWN
        assert isinstance(await trial.provider.look_up("att_1"), Unclear)
        await until(lambda: account.told[-1:] == [(next(iter(account.tasks)), "succeeded")])
        await until(lambda: len(heard) == len(account.told))
    [task_id] = account.tasks
    assert set(heard) == {("secret", task_id)}
    assert account.submits[0]["callback_url"].endswith("/callbacks/secret")
    assert isinstance(await trial.provider.poll(task_id), Finished)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"id":7}', b'{"id":"../x"}', b'{"id":""}'])
async def test_callback_that_names_no_task_is_none(trial: Trial, body: bytes) -> None:
    assert await trial.provider.hear({}, body) is None


async def test_callback_is_taken_for_the_task_and_never_for_its_outcome(trial: Trial) -> None:
    """Anybody may send one who learns the address; the task is asked after all the same."""
    forged = {"id": "cgt-forged", "status": "succeeded", "content": {"video_url": "http://127.0.0.1/evil"}}
    assert await trial.provider.hear({}, orjson.dumps(forged)) == "cgt-forged"
    assert isinstance(await trial.provider.poll("cgt-forged"), Failed)


@pytest.mark.parametrize("task_id", ["../../v1/keys", "a?b", "a/b", "", "a" * 300, "-a", "ä"])
async def test_id_that_cannot_be_arks_is_never_asked_for(trial: Trial, account: ark.Ark, task_id: str) -> None:
    assert isinstance(await trial.provider.poll(task_id), Failed)
    await trial.provider.cancel(task_id)
    assert (account.questions, account.cancels) == (0, [])


class _Replies(Simulator):
    """Answers what it is told to."""

    def __init__(self, answers: dict[str, Callable[[Request], Awaitable[Response]]]) -> None:
        super().__init__()
        self.app = Starlette(
            routes=[Route(path, answer, methods=["GET", "POST", "DELETE"]) for path, answer in answers.items()]
        )

    def routes(self) -> list[Any]:
        return []


@pytest.fixture
async def answered(trial: Trial) -> AsyncIterator[Callable[[Response], Awaitable[Any]]]:
    """The adapter, started before a server that gives one answer to everything."""
    answers: list[Response] = []

    async def answer(request: Request) -> Response:
        await request.body()
        return answers[-1]

    async with served(_Replies({"/{path:path}": answer})) as address:
        provider = trial.build(base_url=f"{address}{ark.BASE}")
        await provider.start()

        async def with_answer(response: Response) -> Any:
            answers.append(response)
            return provider

        yield with_answer
        await provider.close()


@pytest.mark.parametrize(
    ("ask", "body"),
    [(FILM, {}), (FILM, {"id": ""}), (FILM, {"id": "a/b"}), (FILM, []), (PICTURE, {}), (PICTURE, {"data": "x"})],
)
async def test_answer_that_is_none_leaves_it_open_whether_it_was_taken(
    answered: Any, trial: Trial, ask: Ask, body: Any
) -> None:
    provider = await answered(JSONResponse(body))
    failed = await provider.submit(trial.task(ask), lambda _: None)
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("data", [[], [{}], [None], [{"size": "1x1"}]])
async def test_answer_without_a_picture_is_no_result(answered: Any, trial: Trial, data: Any) -> None:
    provider = await answered(JSONResponse({"data": data}))
    failed = await provider.submit(trial.task(PICTURE), lambda _: None)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (Outcome.RETRYABLE, ErrorReason.PROVIDER_RESULT_INVALID)


@pytest.mark.parametrize(
    "response",
    [
        PlainTextResponse("<html>", 404),
        JSONResponse({"detail": "Not Found"}, 404),
        JSONResponse({"status": "paused"}),
        JSONResponse({"error": {"code": "AccessDenied"}}, 403),
        JSONResponse({"error": {"code": "InvalidParameter"}}, 400),
        JSONResponse({}, 502),
        PlainTextResponse("ok"),
    ],
)
async def test_answer_that_says_nothing_of_the_task_does_not_end_it(answered: Any, response: Response) -> None:
    """Taking it for a failure would order, and pay for, a second film."""
    provider = await answered(response)
    assert isinstance(await provider.poll("cgt-1"), Pending)


async def test_film_without_an_address_is_no_result(answered: Any) -> None:
    provider = await answered(JSONResponse({"status": "succeeded", "content": {}}))
    failed = await provider.poll("cgt-1")
    assert isinstance(failed, Failed)
    assert (failed.failure.reason, failed.cost_fen) == (ErrorReason.PROVIDER_RESULT_INVALID, 99)


async def test_accepted_task_is_known_by_arks_own_id(trial: Trial, account: ark.Ark) -> None:
    accepted = await submit(trial)
    assert isinstance(accepted, Accepted)
    assert [accepted.upstream_task_id] == list(account.tasks)
    assert accepted.upstream_task_id.startswith("cgt-")
