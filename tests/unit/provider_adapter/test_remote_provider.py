"""How what goes wrong on the way ends an attempt, the same for every remote provider."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from kit.errors import ErrorReason
from kit.web import WallPolicy, WebClient
from provider_adapter.domain import Failed, Outcome
from provider_adapter.ports import Accepted, NotTaken, Pending, Task, Unclear, Unreadable
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Reply
from provider_adapter.providers.remote.options import Credential, CredentialMissing, RemoteOptions
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll, trouble_of_status
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble, failed

ACCEPTED = Accepted(upstream_task_id="1")
TASK = Task(
    job_id="job_1",
    attempt_id="att_1",
    capability="image.generate",
    upstream_model="any",
    parameters={},
    inputs=(),
    seed=1,
    timeout_s=10,
)
REFUSED = Refused(Trouble.INVALID, "Ours.", field="width")
MISSING = Unreadable(failed(Trouble.UNUSABLE))


class Options(RemoteOptions):
    api_key: Credential = Credential(env="TEST_KEY")


class Made(RemoteProvider):
    """Does what it is told."""

    capabilities = frozenset({"image.generate"})

    def __init__(self, does: Callable[[], Any]) -> None:
        options = Options.model_validate({"name": "made", "kind": "made", "base_url": "http://127.0.0.1:9"})
        super().__init__(options, Results(WebClient(WallPolicy())))
        self.does = does

    async def _submit(self, task: Task, on_progress: Any) -> Any:
        return self.does()

    async def _poll(self, upstream_task_id: str) -> Any:
        return self.does()

    async def _cancel(self, upstream_task_id: str) -> None:
        self.does()

    async def _look_up(self, attempt_id: str) -> Any:
        return self.does()


def raising(error: Exception) -> Made:
    def does() -> Any:
        raise error

    return Made(does)


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (NotSent("x"), Outcome.UNSENT, ErrorReason.PROVIDER_UNAVAILABLE),
        (CredentialMissing("x"), Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_UNAVAILABLE),
        (NoAnswer("x"), Outcome.UNKNOWN, ErrorReason.PROVIDER_FAILED),
        (NotReadable("x"), Outcome.UNKNOWN, ErrorReason.PROVIDER_FAILED),
        (REFUSED, Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED),
        (MISSING, Outcome.RETRYABLE, ErrorReason.PROVIDER_RESULT_INVALID),
    ],
)
async def test_submit_ends_by_what_went_wrong(error: Exception, outcome: Outcome, reason: ErrorReason) -> None:
    answer = await raising(error).submit(TASK, print)
    assert isinstance(answer, Failed)
    assert (answer.outcome, answer.failure.reason) == (outcome, reason)
    assert answer.failure.message != "x"


@pytest.mark.parametrize("error", [NotSent("x"), NoAnswer("x"), NotReadable("x"), CredentialMissing("x")])
async def test_question_that_fails_leaves_the_task_alone(error: Exception) -> None:
    provider = raising(error)
    assert await provider.poll("1") == Pending()
    await provider.cancel("1")
    assert await provider.look_up("att_1") == Unclear()


async def test_answers_pass_through() -> None:
    provider = Made(lambda: ACCEPTED)
    assert await provider.submit(TASK, print) == ACCEPTED
    assert await provider.look_up("att_1") == ACCEPTED
    assert await Made(NotTaken).look_up("att_1") == NotTaken()
    assert await raising(REFUSED).poll("1") == REFUSED.failed
    await raising(REFUSED).cancel("1")
    assert await raising(REFUSED).look_up("att_1") == Unclear()


async def test_capability_that_is_not_offered_is_not_tried() -> None:
    tried: list[int] = []
    provider = Made(lambda: tried.append(1))
    provider.capabilities = frozenset()
    answer = await provider.submit(TASK, print)
    assert isinstance(answer, Failed)
    assert answer.outcome is Outcome.ROUTE_FAILED
    assert not tried


async def test_fault_of_ours_is_not_hidden() -> None:
    for call in (Made.submit, Made.poll, Made.cancel, Made.look_up):
        arguments = (TASK, print) if call is Made.submit else ("1",)
        with pytest.raises(ZeroDivisionError):
            await call(raising(ZeroDivisionError()), *arguments)


async def test_missing_credential_is_told_at_the_start_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    provider = Made(lambda: ACCEPTED)
    with capture_logs() as logs:
        await provider.start()
    await provider.close()
    await provider.close()
    assert [(log["event"], log["cause"]) for log in logs] == [
        ("credential_missing", "environment variable TEST_KEY is not set")
    ]


@pytest.mark.parametrize(
    ("trouble", "statuses"),
    [
        (Trouble.NO_ANSWER, [101, 200, 204, 301, 307, 408, 502, 504, 520, 524, 529]),
        (Trouble.INVALID, [400, 404, 405, 409, 413, 415, 422, 451]),
        (Trouble.ACCOUNT, [401, 402, 403]),
        (Trouble.THROTTLED, [429]),
        (Trouble.UNAVAILABLE, [500, 503]),
    ],
)
def test_status_alone_says_so_much(trouble: Trouble, statuses: list[int]) -> None:
    assert {trouble_of_status(status) for status in statuses} == {trouble}


def test_question_is_put_off_by_429_and_5xx_only() -> None:
    headers = {"retry-after": "7"}
    for status in (408, 429, 500, 502, 503, 504):
        assert pause_of_poll(Reply(status=status, headers=headers, body=b"")) == Pending(poll_after_s=7)
    for status in (200, 400, 401, 404, 410):
        assert pause_of_poll(Reply(status=status, headers=headers, body=b"")) is None


def test_every_trouble_has_its_ending() -> None:
    for trouble in Trouble:
        one = failed(trouble, field="width", retry_after_s=2.0, cost_fen=3)
        assert one.failure.message
        assert (one.failure.field, one.retry_after_s, one.cost_fen) == ("width", 2.0, 3)
        assert failed(trouble, "Ours.").failure.message == "Ours."
    assert failed(Trouble.NO_ANSWER).outcome is Outcome.UNKNOWN
    assert failed(Trouble.UNREACHABLE).outcome is Outcome.UNSENT
