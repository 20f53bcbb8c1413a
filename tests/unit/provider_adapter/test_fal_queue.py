"""What fal's queue receives, what its answers mean, and how tasks are named, cancelled and found."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from provider_adapter import ports
from provider_adapter.domain import Outcome
from provider_adapter.ports import Accepted, Failed, Finished, Pending
from provider_adapter.providers.fal import Options, mapping
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble
from testkit.providers.fal import KEY, FalSimulator
from testkit.providers.faults import Fault
from testkit.providers.trials import Ask, Subject, Trial, source, started

LINK = "https://house.example/a.png"
CALLBACK = "https://house.example/callbacks/fal/token?a=1&b=2"


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="fal",
        simulator=FalSimulator,
        options={
            "key": {"env": "KEY"},
            "keys_url": "/.well-known/jwks.json",
            "capabilities": ["image.generate"],
            "cost_fen_per_output": 5,
        },
        secrets={"KEY": KEY},
        asks=[],
        task_ids=True,
    )
    async with started(subject, ports, monkeypatch) as made:
        yield made


def ask(model: str = "sim/draw/fast", *inputs: Any, **parameters: Any) -> Ask:
    return Ask(capability="image.generate", upstream_model=model, inputs=inputs, parameters=parameters)


async def submit(trial: Trial, asked: Ask, **changes: Any) -> Any:
    return await trial.provider.submit(trial.task(asked, **changes), lambda _: None)


async def follow(provider: Any, task_id: str) -> Any:
    async with asyncio.timeout(30):
        while isinstance(found := await provider.poll(task_id), Pending):
            await asyncio.sleep(0.02)
    return found


async def test_body_is_the_models_input_and_the_webhook_is_in_the_query(trial: Trial) -> None:
    reference = source(role="reference", link=LINK)
    given = {"image_size.width": 64, "image_size.height": 32, "inputs": {"reference": "image_urls[]"}}
    asked = ask("sim/draw/fast", reference, **given, seed_input="seed", extra={"guidance": 2})
    accepted = await submit(trial, asked, callback_url=CALLBACK)
    assert isinstance(accepted, Accepted)
    assert trial.simulator.submits == [
        {
            "prompt": "a fox",
            "image_size": {"width": 64, "height": 32},
            "image_urls": [LINK],
            "seed": 7,
            "guidance": 2,
        }
    ]
    [task] = trial.simulator.tasks.values()
    assert task.callback_url == CALLBACK
    assert accepted.upstream_task_id == f"sim/draw/requests/{task.id}"


async def test_result_has_its_cost(trial: Trial) -> None:
    accepted = await submit(trial, ask())
    found = await follow(trial.provider, accepted.upstream_task_id)
    assert isinstance(found, Finished)
    assert (len(found.files), found.cost_fen) == (1, 5)


async def test_input_that_the_model_does_not_take_names_our_field(trial: Trial) -> None:
    for changes, field in (({"seed": "7"}, "seed"), ({"colour": "red"}, ""), ({"image_size.width": "x"}, "width")):
        failed = await submit(trial, ask(**changes))
        assert isinstance(failed, Failed)
        assert (failed.outcome, failed.failure.field) == (Outcome.ROUTE_FAILED, field)
        assert "permitted" not in failed.failure.message
    assert (await submit(trial, ask("sim/none"))).outcome is Outcome.ROUTE_FAILED
    assert not trial.simulator.tasks


async def test_lost_submit_is_found_by_its_webhook_even_after_a_restart(trial: Trial) -> None:
    failed = await submit(trial, ask(), prompt=f"a fox [fault:{Fault.LOST}]")
    assert failed.outcome is Outcome.UNKNOWN
    [task] = trial.simulator.tasks.values()
    message = await trial.simulator.post_callback(task)
    assert message is not None
    body, sent = message
    headers = {name.lower(): value for name, value in sent.items()}
    for models, named in (
        (["sim/draw/fast"], f"sim/draw/requests/{task.id}"),
        (["sim/fill", "sim/draw/fast"], f"*/requests/{task.id}"),
    ):
        other = trial.build(models=models)
        await other.start()
        task_id = await other.hear(headers, body)
        assert task_id == named
        assert isinstance(await follow(other, task_id), Finished)
        await other.close()
    unaware = trial.build()
    await unaware.start()
    assert await unaware.hear(headers, body) is None
    await unaware.close()


async def test_task_of_an_unknown_app_is_cancelled_where_it_is(trial: Trial) -> None:
    accepted = await submit(trial, ask(), prompt=f"a fox [fault:{Fault.STUCK}]")
    other = trial.build(models=["sim/fill", "sim/draw/fast"])
    await other.start()
    request_id = accepted.upstream_task_id.rpartition("/")[2]
    assert isinstance(await other.poll(f"*/requests/{request_id}"), Pending)
    await other.cancel(f"*/requests/{request_id}")
    assert trial.simulator.cancels == [request_id]
    assert isinstance(await other.poll(f"*/requests/{request_id}"), Failed)
    assert isinstance(await other.poll("*/requests/none"), Failed)
    await other.close()


@pytest.mark.parametrize("task_id", ["", "a", "a/b", "a/b/requests/", "a/b/requests/../x", "../b/requests/c", "a/b/c"])
async def test_task_id_that_is_none_is_never_put_into_a_path(trial: Trial, task_id: str) -> None:
    assert isinstance(await trial.provider.poll(task_id), Failed)
    await trial.provider.cancel(task_id)
    assert trial.simulator.questions == 0


@pytest.mark.parametrize(
    ("url", "app"),
    [
        ("https://queue.fal.run/fal-ai/flux/requests/r1", "fal-ai/flux"),
        ("https://queue.fal.run/fal-ai/flux/dev/requests/r1", "fal-ai/flux/dev"),
        ("https://queue.fal.run/else/where/requests/r1", "fal-ai/flux"),
        ("https://queue.fal.run/fal-ai/requests/r1", "fal-ai/flux"),
        ("https://queue.fal.run/fal-ai/flux/requests/r2", "fal-ai/flux"),
        (None, "fal-ai/flux"),
    ],
)
def test_answers_own_url_says_where_to_ask(url: str | None, app: str) -> None:
    assert mapping.taken({"request_id": "r1", "response_url": url}, "fal-ai/flux/dev") == f"{app}/requests/r1"
    assert mapping.parts(f"{app}/requests/r1") == (app, "r1")


@pytest.mark.parametrize("model", ["", "name", "/a/b", "a//b", "a/../b", "a/b?x=1", "a/b/", "https://a/b"])
def test_model_that_is_none_is_refused(model: str) -> None:
    with pytest.raises(Refused):
        mapping.app_of(model)


def test_state_that_is_not_known_is_neither_a_failure_nor_a_result() -> None:
    assert mapping.standing({"status": "IN_QUEUE", "queue_position": 3}) == Pending()
    assert mapping.standing({"status": "IN_PROGRESS"}) == Pending()
    assert mapping.standing({"status": "COMPLETED"}) is None
    with pytest.raises(Refused) as caught:
        mapping.standing({"status": "CANCELLATION_REQUESTED"})
    assert caught.value.failed == Refused(Trouble.CANCELLED).failed
    for status in ("PAUSED", None, 3):
        with pytest.raises(NotReadable):
            mapping.standing({"status": status})


OPTIONS = Options.model_validate(
    {
        "name": "f",
        "kind": "fal",
        "key": {"env": "K"},
        "capabilities": ["image.generate"],
        "input_moderation": ["content_policy"],
        "output_moderation": ["nsfw"],
    }
)


def reply(status: int, body: Any = None, **headers: str) -> Reply:
    return Reply(
        status=status, headers={name.replace("_", "-"): each for name, each in headers.items()}, body=orjson.dumps(body)
    )


def details(kind: str, *loc: str, **more: Any) -> dict[str, Any]:
    return {"detail": [{"loc": ["body", *loc], "msg": "no", "type": kind, **more}]}


@pytest.mark.parametrize(
    ("answer", "trouble", "field"),
    [
        (reply(400, {"detail": "bad"}), Trouble.INVALID, ""),
        (reply(401), Trouble.ACCOUNT, ""),
        (reply(403, {"detail": "Exhausted balance"}), Trouble.ACCOUNT, ""),
        (reply(404), Trouble.INVALID, ""),
        (reply(422, details("missing", "prompt")), Trouble.INVALID, "prompt"),
        (reply(422, details("missing", "image_url")), Trouble.INVALID, ""),
        (reply(422, details("content_policy_violation", "prompt")), Trouble.INPUT_MODERATED, "prompt"),
        (reply(422, details("missing", "seed", input={"prompt": "nsfw"})), Trouble.INVALID, "seed"),
        (reply(429), Trouble.THROTTLED, ""),
        (reply(500), Trouble.UNAVAILABLE, ""),
        (reply(502), Trouble.NO_ANSWER, ""),
        (reply(503), Trouble.UNAVAILABLE, ""),
        (reply(504), Trouble.NO_ANSWER, ""),
        (reply(200, {"detail": "not queued"}), Trouble.INVALID, ""),
    ],
)
def test_refused_submit_has_a_class(answer: Reply, trouble: Trouble, field: str) -> None:
    assert mapping.refusal(answer, OPTIONS).failed == Refused(trouble, field=field).failed


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(422, details("content_policy_violation", "prompt")), Refused(Trouble.INPUT_MODERATED, field="prompt")),
        (reply(422, details("nsfw_result", "image")), Refused(Trouble.OUTPUT_MODERATED)),
        (reply(422, details("too_large", "width")), Refused(Trouble.INVALID, field="width")),
        (reply(400, "bad"), Refused(Trouble.INVALID)),
        (reply(500, {"detail": "out of memory"}), Refused(Trouble.BROKEN)),
        (reply(404), Refused(Trouble.GONE)),
        (reply(504, x_fal_request_timeout_type="user"), Refused(Trouble.TIMED_OUT)),
        (reply(504), Pending()),
        (reply(503, retry_after="7"), Pending(poll_after_s=7.0)),
        (reply(502), Pending()),
        (reply(429), Pending()),
    ],
)
def test_error_of_a_completed_task_has_a_class(answer: Reply, expected: Pending | Refused) -> None:
    found = mapping.failure(answer, OPTIONS)
    if isinstance(expected, Pending):
        assert found == expected
    else:
        assert isinstance(found, Refused)
        assert found.failed == expected.failed


def test_credential_that_is_refused_later_does_not_end_the_task() -> None:
    for status in (401, 402, 403):
        with pytest.raises(NotReadable):
            mapping.failure(reply(status), OPTIONS)
