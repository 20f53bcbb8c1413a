"""Jimeng's answers and what they mean, against a scripted server and against the simulator."""

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kit.errors import ErrorReason
from provider_adapter import ports
from provider_adapter.ports import Accepted, Failed, Finished, Outcome, Pending, Unreadable
from provider_adapter.providers.jimeng import provider as module
from testkit.providers.files import picture
from testkit.providers.jimeng import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, JimengSimulator
from testkit.providers.simulator import Simulator
from testkit.providers.trials import Ask, Subject, Trial, source, started

R = ErrorReason
GENERATE = Ask(capability="image.generate", upstream_model="jimeng_t2i_v40", mime_type="image/jpeg")
TASK_ID = "jimeng_t2i_v40:7392616336519610409"
KEYS = {"access_key": {"env": "TEST_ACCESS_KEY"}, "secret_key": {"env": "TEST_SECRET_KEY"}}


class Scripted(Simulator):
    """Answers with what it is given, in turn; the last answer again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: deque[Response] = deque()
        self.heard: list[dict[str, Any]] = []
        self.paths: list[str] = []

    def routes(self) -> list[BaseRoute]:
        return [Route("/{path:path}", self._any, methods=["POST"])]

    async def _any(self, request: Request) -> Response:
        self.heard.append(orjson.loads(await request.body()))
        self.paths.append(f"{request.url.path}?{request.url.query}")
        return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]

    def forget(self) -> None:
        """Begin anew."""
        self.answers.clear()
        self.heard.clear()

    def say(self, status: int, code: int | None = None, *, data: Any = None, headers: Any = None) -> None:
        body = {"code": code, "data": data, "message": "their own words", "request_id": "1", "status": code}
        self.answers.append(Response(orjson.dumps(body), status, headers, "application/json"))

    def say_gateway(self, status: int, word: str) -> None:
        body = {"ResponseMetadata": {"RequestId": "1", "Error": {"Code": word, "CodeN": 1, "Message": "words"}}}
        self.answers.append(Response(orjson.dumps(body), status, media_type="application/json"))


def subject(simulator: Any) -> Subject:
    return Subject(
        kind="jimeng",
        simulator=simulator,
        options=KEYS,
        secrets={"TEST_ACCESS_KEY": ACCESS_KEY, "TEST_SECRET_KEY": SECRET_KEY},
        asks=(),
        task_ids=True,
    )


@pytest.fixture
async def scripted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    async with started(subject(Scripted), ports, monkeypatch) as trial:
        yield trial


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    async with started(subject(JimengSimulator), ports, monkeypatch) as trial:
        yield trial


async def submit(trial: Any, ask: Ask = GENERATE, **changes: Any) -> Any:
    return await trial.provider.submit(trial.task(ask, **changes), lambda _: None)


async def follow(trial: Any, answer: Any) -> Any:
    assert isinstance(answer, Accepted), answer
    task_id = answer.upstream_task_id
    async with asyncio.timeout(30):
        while isinstance(answer, Accepted | Pending):
            await asyncio.sleep(0.02)
            answer = await trial.provider.poll(task_id)
    return answer


async def contents(finished: Finished) -> list[bytes]:
    return [b"".join([chunk async for chunk in file.chunks()]) for file in finished.files]


# Every documented code.

INPUT, OUTPUT = Outcome.FAILED, Outcome.RETRYABLE
MODERATED, REJECTED, UNAVAILABLE = R.PROVIDER_MODERATED, R.PROVIDER_REJECTED, R.PROVIDER_UNAVAILABLE
CODES = [
    (400, 50411, INPUT, MODERATED, "inputs"),
    (400, 50511, OUTPUT, MODERATED, ""),
    (400, 50412, INPUT, MODERATED, "prompt"),
    (400, 50512, INPUT, MODERATED, ""),
    (400, 50413, INPUT, MODERATED, "prompt"),
    (400, 50516, OUTPUT, MODERATED, ""),
    (400, 50517, OUTPUT, MODERATED, ""),
    (400, 50518, INPUT, MODERATED, "inputs"),
    (400, 50519, OUTPUT, MODERATED, ""),
    (400, 50520, Outcome.ROUTE_FAILED, REJECTED, ""),
    (400, 50521, Outcome.ROUTE_FAILED, REJECTED, ""),
    (400, 50522, Outcome.ROUTE_FAILED, REJECTED, ""),
    (400, 50215, Outcome.ROUTE_FAILED, REJECTED, ""),
    (200, 50215, Outcome.ROUTE_FAILED, REJECTED, ""),
]
NOT_TAKEN = [
    (429, 50429, Outcome.DEFERRED, UNAVAILABLE, ""),
    (429, 50430, Outcome.DEFERRED, UNAVAILABLE, ""),
    (200, 50430, Outcome.DEFERRED, UNAVAILABLE, ""),
    (500, 50500, Outcome.RETRYABLE, UNAVAILABLE, ""),
    (500, 50501, Outcome.RETRYABLE, UNAVAILABLE, ""),
    (400, 50400, Outcome.ROUTE_FAILED, UNAVAILABLE, ""),
]


async def test_code_of_a_submit(scripted: Any) -> None:
    for status, code, *ending in CODES + NOT_TAKEN:
        scripted.simulator.forget()
        scripted.simulator.say(status, code, headers={"Retry-After": "7"})
        failed = await submit(scripted)
        assert isinstance(failed, Failed)
        assert [failed.outcome, failed.failure.reason, failed.failure.field] == ending, code
        assert failed.retry_after_s == 7
        assert "words" not in failed.failure.message
        assert len(scripted.simulator.heard) == 1


async def test_code_of_a_task_ends_it(scripted: Any) -> None:
    for status, code, *ending in CODES:
        scripted.simulator.forget()
        scripted.simulator.say(status, code)
        failed = await scripted.provider.poll(TASK_ID)
        assert isinstance(failed, Failed)
        assert [failed.outcome, failed.failure.reason, failed.failure.field] == ending, code


async def test_code_that_is_about_the_question_leaves_the_task_alone(scripted: Any) -> None:
    for status, code, *_ in NOT_TAKEN:
        scripted.simulator.forget()
        scripted.simulator.say(status, code, headers={"Retry-After": "7"})
        assert await scripted.provider.poll(TASK_ID) == Pending(poll_after_s=7), code


WORDS = [
    (400, "MissingParameter", Outcome.ROUTE_FAILED, REJECTED),
    (400, "MissingRequestInfo", Outcome.ROUTE_FAILED, REJECTED),
    (400, "InvalidTimestamp", Outcome.ROUTE_FAILED, UNAVAILABLE),
    (404, "ServiceNotFound", Outcome.ROUTE_FAILED, UNAVAILABLE),
    (404, "InvalidActionOrVersion", Outcome.ROUTE_FAILED, UNAVAILABLE),
    (401, "InvalidAccessKey", Outcome.ROUTE_FAILED, UNAVAILABLE),
    (401, "SignatureDoesNotMatch", Outcome.ROUTE_FAILED, UNAVAILABLE),
    (403, "AccessDenied", Outcome.ROUTE_FAILED, UNAVAILABLE),
    (500, "InternalError", Outcome.RETRYABLE, UNAVAILABLE),
    (504, "InternalServiceTimeout", Outcome.UNKNOWN, R.PROVIDER_FAILED),
    (500, "InternalServiceTimeout", Outcome.UNKNOWN, R.PROVIDER_FAILED),
    (400, "SomethingNew", Outcome.ROUTE_FAILED, REJECTED),
    (502, "SomethingNew", Outcome.UNKNOWN, R.PROVIDER_FAILED),
]


async def test_word_of_the_gateway(scripted: Any) -> None:
    for status, word, *ending in WORDS:
        scripted.simulator.forget()
        scripted.simulator.say_gateway(status, word)
        failed = await submit(scripted)
        assert isinstance(failed, Failed)
        assert [failed.outcome, failed.failure.reason] == ending, word
        assert isinstance(await scripted.provider.poll(TASK_ID), Pending)


TEXTS = [
    (200, b"<html>", Outcome.UNKNOWN),
    (200, b"[]", Outcome.UNKNOWN),
    (200, b"{}", Outcome.UNKNOWN),
    (200, b'{"code":"10000","data":{"task_id":"1"}}', Outcome.UNKNOWN),
    (200, b'{"code":10000,"data":null}', Outcome.UNKNOWN),
    (200, b'{"code":10000,"data":{"task_id":7}}', Outcome.UNKNOWN),
    (200, b'{"code":10000,"data":{"task_id":"%s"}}' % (b"1" * 250), Outcome.UNKNOWN),
    (302, b"", Outcome.UNKNOWN),
    (502, b"<html>", Outcome.UNKNOWN),
    (504, b"", Outcome.UNKNOWN),
    (503, b"<html>", Outcome.RETRYABLE),
    (413, b"<html>", Outcome.ROUTE_FAILED),
    (401, b"", Outcome.ROUTE_FAILED),
    (429, b"", Outcome.DEFERRED),
]


async def test_answer_that_is_not_the_vendors(scripted: Any) -> None:
    for status, text, outcome in TEXTS:
        scripted.simulator.forget()
        scripted.simulator.answers.append(Response(text, status))
        failed = await submit(scripted)
        assert isinstance(failed, Failed)
        assert failed.outcome is outcome, text
        assert isinstance(await scripted.provider.poll(TASK_ID), Pending)


async def test_refused_picture_is_named(scripted: Any) -> None:
    scripted.simulator.say(400, 50411)
    one = source(link="https://house.example/a")
    assert (await submit(scripted, inputs=[one])).failure.field == "inputs[0]"
    assert (await submit(scripted, inputs=[one, one])).failure.field == "inputs"


# Status questions.


async def test_question_names_model_and_task_and_asks_for_urls(scripted: Any) -> None:
    scripted.simulator.say(200, 10000, data={"status": "in_queue"})
    assert isinstance(await scripted.provider.poll(TASK_ID), Pending)
    assert scripted.simulator.heard == [
        {"req_key": "jimeng_t2i_v40", "task_id": "7392616336519610409", "req_json": '{"return_url":true}'}
    ]
    assert scripted.simulator.paths == ["/?Action=CVSync2AsyncGetResult&Version=2022-08-31"]


@pytest.mark.parametrize("status", ["not_found", "expired"])
async def test_task_that_is_lost_there_may_be_tried_again(scripted: Any, status: str) -> None:
    scripted.simulator.say(200, 10000, data={"status": status})
    failed = await scripted.provider.poll(TASK_ID)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (Outcome.RETRYABLE, R.PROVIDER_FAILED)


@pytest.mark.parametrize("data", [None, {}, {"status": "sleeping"}, {"status": 1}])
async def test_status_that_is_not_documented_is_never_an_end(scripted: Any, data: Any) -> None:
    scripted.simulator.say(200, 10000, data=data)
    assert isinstance(await scripted.provider.poll(TASK_ID), Pending)


@pytest.mark.parametrize(
    "data",
    [
        {"image_urls": None, "binary_data_base64": None},
        {"image_urls": [], "binary_data_base64": []},
        {"image_urls": "https://x"},
        {"image_urls": [None]},
        {"binary_data_base64": [7]},
        {"video_url": 1},
    ],
)
async def test_finished_task_without_results_is_not_usable(scripted: Any, data: Any) -> None:
    scripted.simulator.say(200, 10000, data={"status": "done", **data})
    failed = await scripted.provider.poll(TASK_ID)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (Outcome.RETRYABLE, R.PROVIDER_RESULT_INVALID)


async def test_result_that_is_no_base64_cannot_be_read(scripted: Any) -> None:
    scripted.simulator.say(200, 10000, data={"status": "done", "binary_data_base64": ["no base64!"]})
    finished = await scripted.provider.poll(TASK_ID)
    with pytest.raises(Unreadable) as caught:
        await contents(finished)
    assert caught.value.failed.failure.reason == R.PROVIDER_RESULT_INVALID


async def test_results_may_come_inside_the_answer(scripted: Any) -> None:
    data = picture()
    text = base64.b64encode(data).decode()
    scripted.simulator.say(200, 10000, data={"status": "done", "image_urls": None, "binary_data_base64": [text]})
    finished = await scripted.provider.poll(TASK_ID)
    assert isinstance(finished, Finished)
    assert await contents(finished) == [data]


async def test_internal_error_of_a_finished_task_ends_it_and_another_only_after_many(scripted: Any) -> None:
    scripted.simulator.say(500, 50500, data={"status": "done"})
    failed = await scripted.provider.poll(TASK_ID)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (Outcome.RETRYABLE, R.PROVIDER_FAILED)
    scripted.simulator.answers.clear()
    scripted.simulator.say(500, 50501)
    answers = [await scripted.provider.poll(TASK_ID) for _ in range(module.INTERNAL_ERRORS_MAX)]
    assert all(isinstance(answer, Pending) for answer in answers[:-1])
    assert isinstance(answers[-1], Failed)


async def test_internal_errors_count_only_in_a_row(scripted: Any) -> None:
    for _ in range(module.INTERNAL_ERRORS_MAX - 1):
        scripted.simulator.say(500, 50500)
    scripted.simulator.say(200, 10000, data={"status": "generating"})
    scripted.simulator.say(500, 50500)
    answers = [await scripted.provider.poll(TASK_ID) for _ in range(module.INTERNAL_ERRORS_MAX + 5)]
    assert all(isinstance(answer, Pending) for answer in answers)


@pytest.mark.parametrize("task_id", ["", ":", "nobody knows it", "jimeng_t2i_v40:"])
async def test_id_that_is_not_ours_is_not_asked_after(scripted: Any, task_id: str) -> None:
    assert isinstance(await scripted.provider.poll(task_id), Failed)
    assert not scripted.simulator.heard


# The simulator.


async def test_base_url_with_a_path_is_signed_and_called(scripted: Any) -> None:
    scripted.simulator.say(200, 10000, data={"task_id": "1"})
    other = scripted.build(base_url=f"{scripted.address}/proxy/cv/")
    await other.start()
    try:
        accepted = await other.submit(scripted.task(GENERATE), lambda _: None)
    finally:
        await other.close()
    assert accepted.upstream_task_id == "jimeng_t2i_v40:1"
    assert scripted.simulator.paths[0].startswith("/proxy/cv/?Action=")


async def test_every_output_is_returned_and_counted(trial: Any) -> None:
    dear = trial.build(cost_fen_per_output=20)
    await dear.start()
    try:
        answer = await dear.submit(trial.task(GENERATE, parameters={"prompt": "x", "force_single": False}), print)
        await follow(trial, answer)
        finished = await dear.poll(answer.upstream_task_id)
    finally:
        await dear.close()
    assert isinstance(finished, Finished)
    assert (len(finished.files), finished.cost_fen) == (2, 40)
    first, second = await contents(finished)
    assert first != second


async def test_film_is_asked_after_later_and_its_url_lives_an_hour(trial: Any) -> None:
    answer = await submit(trial, Ask(capability="video.generate", upstream_model="jimeng_ti2v_v30_pro"))
    assert answer.poll_after_s == module.FILM_FIRST_POLL_S
    finished = await follow(trial, answer)
    assert [file.role for file in finished.files] == ["video"]
    [task] = trial.simulator.tasks.values()
    task.began -= 3601
    finished = await trial.provider.poll(answer.upstream_task_id)
    with pytest.raises(ports.Unreadable) as caught:
        await contents(finished)
    assert caught.value.failed.failure.reason is R.PROVIDER_RESULT_INVALID


async def test_task_is_gone_after_twelve_hours(trial: Any) -> None:
    answer = await submit(trial)
    next(iter(trial.simulator.tasks.values())).began -= 12 * 3600 + 1
    failed = await trial.provider.poll(answer.upstream_task_id)
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.RETRYABLE


async def test_too_many_at_once_are_throttled(trial: Any) -> None:
    trial.simulator.running_max = 1
    accepted = await submit(trial)
    failed = await submit(trial)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.retry_after_s) == (Outcome.DEFERRED, 1.0)
    assert isinstance(await follow(trial, accepted), Finished)
    assert isinstance(await submit(trial), Accepted)


async def test_wrong_secret_is_our_account_and_a_rotated_one_is_taken_up(
    trial: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = await submit(trial)
    monkeypatch.setenv("TEST_SECRET_KEY", "another-secret-value")
    failed = await submit(trial)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (Outcome.ROUTE_FAILED, UNAVAILABLE)
    assert isinstance(await trial.provider.poll(accepted.upstream_task_id), Pending)
    monkeypatch.setenv("TEST_SECRET_KEY", SECRET_KEY)
    assert isinstance(await follow(trial, accepted), Finished)
    told = "".join(capsys.readouterr())
    assert "SignatureDoesNotMatch" in told
    assert "another-secret-value" not in told


async def test_temporary_credentials_are_sent_and_signed(trial: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SESSION_TOKEN", SESSION_TOKEN)
    other = trial.build(session_token={"env": "TEST_SESSION_TOKEN"})
    await other.start()
    try:
        assert isinstance(await other.submit(trial.task(GENERATE), print), Accepted)
        monkeypatch.setenv("TEST_SESSION_TOKEN", "another-token")
        assert isinstance(await other.submit(trial.task(GENERATE), print), Failed)
    finally:
        await other.close()
    assert trial.simulator.signed_headers == ["content-type;host;x-content-sha256;x-date;x-security-token"]


async def test_another_region_is_another_signature(trial: Any) -> None:
    other = trial.build(region="cn-beijing")
    async with contextlib.AsyncExitStack() as stack:
        await other.start()
        stack.push_async_callback(other.close)
        failed = await other.submit(trial.task(GENERATE), print)
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.ROUTE_FAILED


async def test_simulator_refuses_a_body_that_was_changed_on_its_way(trial: Any) -> None:
    query = {"Action": module.SUBMIT, "Version": module.VERSION}
    content, headers = trial.provider._signed(query, {"req_key": "jimeng_t2i_v40", "prompt": "a"})
    for body, changes in (
        (content.replace(b'"a"', b'"b"'), {}),
        (content, {"X-Date": "20200101T000000Z"}),
        (content, {"Authorization": "HMAC-SHA256 nonsense"}),
        (content, {"X-Extra": "not signed"}),
    ):
        reply = await trial.provider.upstream.call(
            "POST", "/", params=query, headers={**headers, **changes}, content=body
        )
        assert reply.status in {400, 401}
        assert "Error" in reply.object()["ResponseMetadata"]
    assert not trial.simulator.submits
    reply = await trial.provider.upstream.call("POST", "/", params=query, headers=headers, content=content)
    assert reply.status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "a"},
        {"req_key": "jimeng_t2i_v40"},
        {"req_key": "jimeng_t2i_v40", "prompt": "a", "unknown": 1},
        {"req_key": "jimeng_t2i_v40", "prompt": "a", "scale": 50},
        {"req_key": "jimeng_t2i_v40", "prompt": "a", "width": 4000, "height": 1000},
        {"req_key": "jimeng_t2i_v40", "prompt": "a", "binary_data_base64": ["AAAA"]},
        {"req_key": "jimeng_image2image_dream_inpaint", "prompt": "a", "image_urls": ["https://a"]},
        {"req_key": "jimeng_i2i_seed3_tilesr_cvtob", "image_urls": ["https://a"], "resolution": "2k"},
        {"req_key": "jimeng_ti2v_v30_pro", "prompt": "a", "frames": 168},
        {"req_key": "jimeng_ti2v_v30_pro", "image_urls": ["https://a"], "aspect_ratio": "1:1"},
    ],
)
async def test_simulator_is_strict(trial: Any, body: dict[str, Any]) -> None:
    reply = await trial.provider._call(module.SUBMIT, body)
    assert reply.status == 400
    assert not trial.simulator.tasks
