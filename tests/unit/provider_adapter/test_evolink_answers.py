"""EvoLink: its codes, states, results and callbacks in our words."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
import pytest

from kit.errors import ErrorReason
from kit.web import WallPolicy, WebClient
from provider_adapter.domain import Outcome
from provider_adapter.ports import Finished, Pending
from provider_adapter.providers.evolink import Options, build
from provider_adapter.providers.evolink.mapping import refusal, standing
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble, failed
from testkit.providers import evolink
from testkit.providers.serving import served

RESULTS = Results(WebClient(WallPolicy()))
ID = "task-unified-1760000000-ab12cd34"


def reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, headers=headers or {}, body=body if isinstance(body, bytes) else orjson.dumps(body))


def error(code: str, **more: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "their words", "type": "api_error", **more}}


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (400, "invalid_request", Trouble.INVALID),
        (401, "unauthorized", Trouble.ACCOUNT),
        (402, "insufficient_quota", Trouble.ACCOUNT),
        (402, "quota_exceeded", Trouble.ACCOUNT),
        (403, "model_access_denied", Trouble.ACCOUNT),
        (403, "permission_denied", Trouble.ACCOUNT),
        (404, "model_not_found", Trouble.INVALID),
        (413, "body_too_large", Trouble.INVALID),
        (429, "rate_limit_exceeded", Trouble.THROTTLED),
        (500, "internal_error", Trouble.UNAVAILABLE),
        (502, "upstream_error", Trouble.NO_ANSWER),
        (503, "service_unavailable", Trouble.UNAVAILABLE),
        (503, "something new", Trouble.UNAVAILABLE),
        (504, "something new", Trouble.NO_ANSWER),
        (400, "content_policy_violation", Trouble.INPUT_MODERATED),
        (200, "something new", Trouble.NO_ANSWER),
    ],
)
def test_code_of_a_refused_submit(status: int, code: str, trouble: Trouble) -> None:
    assert refusal(reply(status, error(code))).failed == failed(trouble)


def test_refused_parameter_is_named_in_our_words() -> None:
    assert refusal(reply(400, error("invalid_request", param="aspect_ratio"))).failed.failure.field == "ratio"
    assert refusal(reply(400, error("invalid_request", param="what we never sent"))).failed.failure.field == ""


def test_refusal_without_the_vendors_form_goes_by_its_status() -> None:
    assert refusal(reply(502, b"<html>Bad Gateway</html>")).failed.outcome is Outcome.UNKNOWN
    assert refusal(reply(429, b"[]", {"retry-after": "7"})).failed == failed(Trouble.THROTTLED, retry_after_s=7.0)


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("content_policy_violation", Trouble.INPUT_MODERATED),
        ("invalid_parameters", Trouble.INVALID),
        ("image_processing_error", Trouble.INVALID),
        ("image_dimension_mismatch", Trouble.INVALID),
        ("request_cancelled", Trouble.CANCELLED),
        ("resource_not_found", Trouble.INVALID),
        ("generation_timeout", Trouble.TIMED_OUT),
        ("resource_exhausted", Trouble.UNAVAILABLE),
        ("quota_exceeded", Trouble.UNAVAILABLE),
        ("service_error", Trouble.BROKEN),
        ("service_unavailable", Trouble.UNAVAILABLE),
        ("unknown_error", Trouble.BROKEN),
        ("generation_failed_no_content", Trouble.INVALID),
        ("something new", Trouble.BROKEN),
    ],
)
def test_code_of_a_failed_task(code: str, trouble: Trouble) -> None:
    with pytest.raises(Refused) as refused:
        standing({"id": ID, "status": "failed", **error(code)}, RESULTS, 0)
    assert refused.value.failed == failed(trouble)
    assert "their words" not in repr(refused.value.failed)


def test_moderated_task_is_a_failure_for_good() -> None:
    with pytest.raises(Refused) as refused:
        standing({"status": "failed", **error("content_policy_violation")}, RESULTS, 0)
    assert refused.value.failed.outcome is Outcome.FAILED
    assert refused.value.failed.failure.reason is ErrorReason.PROVIDER_MODERATED


@pytest.mark.parametrize(
    ("progress", "fraction"), [(0, 0.0), (42, 0.42), (100, 1.0), (250, 1.0), (-1, 0.0), (None, None), ("50", None)]
)
def test_progress_of_a_task_under_way(progress: object, fraction: float | None) -> None:
    for status in ("pending", "processing"):
        assert standing({"status": status, "progress": progress}, RESULTS, 0) == Pending(fraction=fraction)


def test_unknown_state_of_a_task_is_not_its_end() -> None:
    with pytest.raises(NotReadable):
        standing({"status": "archived"}, RESULTS, 0)


def test_cancelled_task_has_ended() -> None:
    with pytest.raises(Refused) as refused:
        standing({"status": "cancelled"}, RESULTS, 0)
    assert refused.value.failed == failed(Trouble.CANCELLED)


def test_results_cost_what_the_operator_says() -> None:
    task = {"status": "completed", "type": "image", "results": ["https://a.example/1", "https://a.example/2"]}
    finished = standing(task, RESULTS, 35)
    assert isinstance(finished, Finished)
    assert (len(finished.files), finished.cost_fen) == (2, 70)
    assert {file.role for file in finished.files} == {"image"}


def test_results_are_found_in_their_other_place() -> None:
    data = [{"video_url": "https://a.example/1"}]
    finished = standing({"status": "completed", "type": "video", "results": [], "result_data": data}, RESULTS, 0)
    assert isinstance(finished, Finished)
    assert [file.role for file in finished.files] == ["video"]


@pytest.mark.parametrize("results", [None, [], {}, "https://a.example/1"])
def test_finished_task_without_results_is_unusable(results: object) -> None:
    with pytest.raises(Refused) as refused:
        standing({"status": "completed", "type": "image", "results": results}, RESULTS, 0)
    assert refused.value.failed == failed(Trouble.UNUSABLE)


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        (orjson.dumps({"id": ID, "status": "completed"}), ID),
        (orjson.dumps({"id": "another-vendors-1"}), None),
        (orjson.dumps({"id": "task-unified-" + "1" * 256}), None),
        (orjson.dumps({"id": 5}), None),
        (b"[1]", None),
        (b"{", None),
    ],
)
async def test_callback_tells_of_its_task_only(body: bytes, task_id: str | None) -> None:
    options = Options.model_validate({"name": "evolink", "kind": "evolink", "key": {"env": "UNSET_KEY"}})
    assert await build(options, RESULTS).hear({}, body) == task_id


async def test_base_address_is_the_vendors_own() -> None:
    options = Options.model_validate({"name": "evolink", "kind": "evolink", "key": {"env": "UNSET_KEY"}})
    assert options.base == "https://api.evolink.ai"


async def test_question_refused_for_our_account_leaves_the_task_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(evolink.build()) as address:
        options = {"name": "evolink", "kind": "evolink", "key": {"env": "TEST_EVOLINK_KEY"}, "base_url": address}
        monkeypatch.setenv("TEST_EVOLINK_KEY", "revoked")
        provider = build(Options.model_validate(options), RESULTS)
        await provider.start()
        try:
            assert await provider.poll(ID) == Pending()
            monkeypatch.setenv("TEST_EVOLINK_KEY", evolink.KEY)
            assert await provider.poll(ID) == failed(Trouble.GONE)
        finally:
            await provider.close()


async def test_simulated_callback_is_tried_again_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evolink, "CALLBACK_PAUSES_S", (0.01, 0.01, 0.01))
    simulator = evolink.build()
    async with served(simulator) as address, httpx.AsyncClient() as client:
        body = {"model": "gpt-image-2", "prompt": "a fox"}
        headers = {"Authorization": f"Bearer {evolink.KEY}"}
        refused = await client.post(
            f"{address}/v1/images/generations", json={**body, "callback_url": address}, headers=headers
        )
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "callback_url")
        await simulator.take("gpt-image-2", body, prompt="a fox", callback_url=f"{address}/nobody-listens")
        async with asyncio.timeout(20):
            while len(simulator.callbacks) < 4:
                await asyncio.sleep(0.02)
    assert simulator.callbacks == [404, 404, 404, 404]
