"""What Replicate receives, what its answers mean, and which webhooks are believed."""

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import orjson
import pytest

from provider_adapter import ports
from provider_adapter.domain import Outcome
from provider_adapter.ports import Accepted, Failed, Finished, Forged, Pending, Unclear
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble
from provider_adapter.providers.replicate import Options, mapping
from testkit.providers.faults import Fault
from testkit.providers.replicate import TOKEN, WEBHOOK_SECRET, build, signed
from testkit.providers.trials import Ask, Subject, Trial, source, started

LINK = "https://house.example/a.png"
HASH = "f" * 64


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="replicate",
        simulator=build,
        options={
            "token": {"env": "TOKEN"},
            "webhook_secret": {"env": "SECRET"},
            "capabilities": ["image.generate"],
            "cost_fen_per_output": 3,
        },
        secrets={"TOKEN": TOKEN, "SECRET": WEBHOOK_SECRET},
        asks=[],
        task_ids=True,
    )
    async with started(subject, ports, monkeypatch) as made:
        yield made


def ask(model: str = "sim/draw", *inputs: Any, **parameters: Any) -> Ask:
    return Ask(capability="image.generate", upstream_model=model, inputs=inputs, parameters=parameters)


async def submit(trial: Trial, asked: Ask, **changes: Any) -> Any:
    return await trial.provider.submit(trial.task(asked, **changes), lambda _: None)


@pytest.mark.parametrize(
    ("model", "path", "body"),
    [
        ("owner/name", "/v1/models/owner/name/predictions", {}),
        ("owner-1/name.2_x", "/v1/models/owner-1/name.2_x/predictions", {}),
        ("owner/name:abc123", "/v1/predictions", {"version": "abc123"}),
        (HASH, "/v1/predictions", {"version": HASH}),
    ],
)
def test_model_decides_the_address(model: str, path: str, body: Mapping[str, str]) -> None:
    assert mapping.address(model) == (path, body)


@pytest.mark.parametrize("model", ["", "name", "a/b/c", "../x", "a/../b", "a/b:", "a/b:c/d", "a b/c", "a/b?x=1"])
def test_model_that_is_none_is_refused(model: str) -> None:
    with pytest.raises(Refused):
        mapping.address(model)


async def test_body_has_the_models_input_and_the_webhook(trial: Trial) -> None:
    reference = source(role="reference", link=LINK)
    asked = ask("sim/draw", reference, guidance=3.5, inputs={"reference": "image_urls[]"}, seed_input="seed")
    accepted = await submit(trial, asked, callback_url="https://house.example/callbacks/r/t")
    assert isinstance(accepted, Accepted)
    assert trial.simulator.submits == [
        {
            "input": {"prompt": "a fox", "guidance": 3.5, "image_urls": [LINK], "seed": 7},
            "webhook": "https://house.example/callbacks/r/t",
            "webhook_events_filter": ["completed"],
        }
    ]
    assert accepted.upstream_task_id == next(iter(trial.simulator.tasks))


async def test_extra_is_laid_over_the_body_and_no_webhook_is_asked_for_without_its_secret(trial: Trial) -> None:
    provider = trial.build(webhook_secret=None)
    await provider.start()
    one = trial.task(ask(extra={"webhook_events_filter": ["start"]}), callback_url="https://house.example/c")
    assert isinstance(await provider.submit(one, lambda _: None), Accepted)
    assert trial.simulator.submits == [{"input": {"prompt": "a fox"}, "webhook_events_filter": ["start"]}]
    with pytest.raises(Forged):
        await provider.hear(*reversed(signed(b'{"id": "a"}')))
    await provider.close()


async def test_input_that_the_model_does_not_take_ends_the_route(trial: Trial) -> None:
    for asked in (ask(colour="red"), ask("sim/none"), ask("sim/draw:0000")):
        failed = await submit(trial, asked)
        assert isinstance(failed, Failed)
        assert failed.outcome is Outcome.ROUTE_FAILED
        assert "permitted" not in failed.failure.message
    assert not trial.simulator.tasks


async def test_result_has_its_cost(trial: Trial) -> None:
    accepted = await submit(trial, ask())
    async with asyncio.timeout(30):
        while isinstance(found := await trial.provider.poll(accepted.upstream_task_id), Pending):
            await asyncio.sleep(0.02)
    assert isinstance(found, Finished)
    assert found.cost_fen == 3


async def test_lost_submit_cannot_be_looked_up(trial: Trial) -> None:
    assert (await submit(trial, ask(), prompt=f"a fox [fault:{Fault.LOST}]")).outcome is Outcome.UNKNOWN
    assert isinstance(await trial.provider.look_up("att_1"), Unclear)


async def test_task_id_that_is_none_is_never_put_into_a_path(trial: Trial) -> None:
    for task_id in ("../account", "a/b", "a?b", ""):
        assert isinstance(await trial.provider.poll(task_id), Failed)
        await trial.provider.cancel(task_id)
    assert trial.simulator.questions == 0


OPTIONS = Options.model_validate(
    {
        "name": "r",
        "kind": "replicate",
        "token": {"env": "T"},
        "capabilities": ["image.generate"],
        "input_moderation": ["sensitive"],
        "output_moderation": ["nsfw"],
    }
)


@pytest.mark.parametrize(
    ("status", "error", "trouble"),
    [
        ("failed", "CUDA out of memory", Trouble.BROKEN),
        ("failed", None, Trouble.BROKEN),
        ("failed", "NSFW content", Trouble.OUTPUT_MODERATED),
        ("failed", "flagged as sensitive", Trouble.INPUT_MODERATED),
        ("canceled", None, Trouble.CANCELLED),
    ],
)
def test_state_that_is_a_failure_has_a_class(status: str, error: str | None, trouble: Trouble) -> None:
    with pytest.raises(Refused) as caught:
        mapping.standing({"status": status, "error": error}, OPTIONS)
    assert caught.value.failed == Refused(trouble).failed


def test_state_that_is_not_known_is_neither_a_failure_nor_a_result() -> None:
    assert mapping.standing({"status": "starting"}, OPTIONS) == Pending()
    assert mapping.standing({"status": "processing"}, OPTIONS) == Pending()
    assert mapping.standing({"status": "succeeded"}, OPTIONS) is None
    for status in ("queued up", None, 3):
        with pytest.raises(NotReadable):
            mapping.standing({"status": status}, OPTIONS)


@pytest.mark.parametrize(
    ("status", "detail", "trouble"),
    [
        (400, "", Trouble.INVALID),
        (401, "", Trouble.ACCOUNT),
        (402, "", Trouble.ACCOUNT),
        (403, "", Trouble.ACCOUNT),
        (404, "", Trouble.INVALID),
        (422, "unknown field", Trouble.INVALID),
        (422, "sensitive prompt", Trouble.INPUT_MODERATED),
        (429, "sensitive", Trouble.THROTTLED),
        (500, "", Trouble.UNAVAILABLE),
        (502, "", Trouble.NO_ANSWER),
        (503, "", Trouble.UNAVAILABLE),
        (504, "", Trouble.NO_ANSWER),
    ],
)
def test_status_of_a_refused_submit_has_a_class(status: int, detail: str, trouble: Trouble) -> None:
    reply = Reply(status=status, headers={"retry-after": "9"}, body=orjson.dumps({"detail": detail}))
    assert mapping.refusal(reply, OPTIONS).failed == Refused(trouble, retry_after_s=9.0).failed


def forged(change: str) -> tuple[Mapping[str, str], bytes]:
    """A genuine webhook with one thing changed."""
    body, headers = signed(b'{"id": "abc"}', age_s={"old": 400.0, "early": -400.0}.get(change, 0.0))
    headers = dict(headers)
    match change:
        case "body":
            body = b'{"id": "abd"}'
        case "secret":
            body, headers = signed(body, secret="whsec_" + base64.b64encode(b"another").decode())
        case "id":
            headers["webhook-id"] = "msg_other"
        case "time":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
        case "none":
            headers = {}
        case "empty":
            headers["webhook-signature"] = ""
        case "nonsense":
            headers["webhook-signature"] = "v1,ü v1 , v2,x"
        case "version":
            headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    return headers, body


@pytest.mark.parametrize(
    "change", ["body", "secret", "id", "time", "none", "empty", "nonsense", "version", "old", "early"]
)
async def test_forged_webhook_is_not_believed(trial: Trial, change: str) -> None:
    with pytest.raises(Forged):
        await trial.provider.hear(*forged(change))


async def test_genuine_webhook_tells_of_its_prediction_whichever_signature_fits(trial: Trial) -> None:
    headers, body = forged("")
    assert await trial.provider.hear(headers, body) == "abc"
    several = {
        **headers,
        "webhook-signature": f"v1,{base64.b64encode(b'x' * 32).decode()} {headers['webhook-signature']}",
    }
    assert await trial.provider.hear(several, body) == "abc"
    for other in (b"[]", b"{}", b'{"id": 3}', b'{"id": "../x"}', b"no json"):
        assert await trial.provider.hear(*reversed(signed(other))) is None


async def test_signature_is_that_of_the_published_scheme(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vector of the scheme's description, at its own time."""
    monkeypatch.setenv("SECRET", "whsec_c3ludGhldGljLXdlYmhvb2stc2VjcmV0")
    body = '{"synthetic": "café"}'.encode()
    signature = "v1,qzuLCtHIXTcfJr8yxIcKC07cOqyNSgdmZRut6AFa+RA="
    content = b"evt_synthetic.1750000000." + body
    assert signature == "v1," + base64.b64encode(hmac.digest(b"synthetic-webhook-secret", content, "sha256")).decode()
    headers = {"webhook-id": "evt_synthetic", "webhook-timestamp": "1750000000", "webhook-signature": signature}
    with pytest.raises(Forged):  # Its time is long over.
        await trial.provider.hear(headers, body)

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Then":
            return cls.fromtimestamp(1750000100, tz=tz)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Then)
    assert await trial.provider.hear(headers, body) is None  # Genuine, and of no prediction.
