"""SuChuang: what is sent for an order of each family, and which orders are refused before anything is."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from kit.errors import ErrorReason
from provider_adapter import ports
from provider_adapter.domain import Failed, Outcome
from provider_adapter.ports import Accepted, Pending
from testkit.providers import suchuang
from testkit.providers.trials import Ask, BytesSource, Subject, Trial, source, started

HOUSE = "https://house.example/"
KEY = "TEST_SUCHUANG_KEY"
SORA_IMG: Mapping[str, Any] = {
    "capability": "image.generate",
    "submit_path": suchuang.SORA_IMG_SUBMIT,
    "detail_path": "/api/img/drawDetail",
    "encoding": "form",
    "names": {"prompt": "prompt", "images": "url", "size": "size"},
    "ratios": ["auto", "1:1", "2:3", "3:2"],
    "status": {0: "queued", 1: "running", 2: "succeeded", 3: "failed"},
}


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="suchuang",
        simulator=suchuang.build,
        options={
            "key": {"env": KEY},
            "families": {
                "soraImg": SORA_IMG,
                "image_nanoBanana_pro": {"ratios": ["1:1", "16:9"]},
                "sora2": {"resolutions": {"720p": "small", "1080p": "large"}},
                "sora2pro": {"resolutions": {"1080p": "large"}},
            },
        },
        secrets={KEY: suchuang.KEY},
        asks=[],
        task_ids=True,
    )
    async with started(subject, ports, monkeypatch) as trial:
        yield trial


def linked(name: str, role: str = "reference") -> BytesSource:
    return BytesSource(b"bytes", role=role, link=HOUSE + name)


async def order(
    trial: Trial, model: str, parameters: Mapping[str, Any] | None = None, inputs: Sequence[BytesSource] = ()
) -> Any:
    capability = "video.generate" if model.startswith("sora2") else "image.generate"
    ask = Ask(capability=capability, upstream_model=model, parameters=parameters or {}, inputs=inputs)
    return await trial.provider.submit(trial.task(ask), lambda _: None)


WIDE = {"width": 1920, "height": 1080}
TALL_FILM = {"duration": 15, "ratio": "9:16"}


@pytest.mark.parametrize(
    ("model", "parameters", "inputs", "path", "sent"),
    [
        ("image_gpt", {}, (), "/api/async/image_gpt", {}),
        ("image_gpt", WIDE, (), "/api/async/image_gpt", {"size": "16:9"}),
        ("image_gpt", {"ratio": "auto"}, (), "/api/async/image_gpt", {"size": "auto"}),
        ("image_gpt", {"width": 400, "height": 1300}, (), "/api/async/image_gpt", {"size": "1:3"}),
        (
            "image_gpt_2.5",
            WIDE,
            (linked("a"), linked("b,c")),
            "/api/async/image_gpt_2.5",
            {"aspectRatio": "1920x1080", "urls": f"{HOUSE}a,{HOUSE}b%2Cc"},
        ),
        ("image_nanoBanana", {}, (linked("a"),), "/api/async/image_nanoBanana", {"urls": [HOUSE + "a"]}),
        (
            "image_nanoBanana_pro",
            {**WIDE, "resolution": "4k"},
            (linked("a"), linked("b", "image")),
            "/api/async/image_nanoBanana_pro",
            {"aspectRatio": "16:9", "size": "4K", "urls": [HOUSE + "a", HOUSE + "b"]},
        ),
        ("image_nanoBanana2", {"resolution": "1k"}, (), "/api/async/image_nanoBanana2", {"size": "1K"}),
        (
            "nanoBanana",
            {},
            (linked("a"),),
            "/api/img/nanoBanana",
            {"model": "nano-banana", "img_url": [HOUSE + "a"]},
        ),
        ("nanoBanana-pro", {"resolution": "2k"}, (), "/api/img/nanoBanana-pro", {"imageSize": "2K"}),
        ("soraImg", WIDE, (linked("a"),), suchuang.SORA_IMG_SUBMIT, {"size": "3:2", "url": HOUSE + "a"}),
        ("soraImg", {"ratio": "auto"}, (), suchuang.SORA_IMG_SUBMIT, {"size": "auto"}),
        (
            "sora2",
            {**TALL_FILM, "resolution": "1080p"},
            (linked("a", "first_frame"),),
            "/api/sora2/submit",
            {"duration": "15", "aspectRatio": "9:16", "size": "large", "url": HOUSE + "a"},
        ),
        ("sora2-new", {"duration": 10}, (), "/api/sora2-new/submit", {"duration": "10"}),
        (
            "sora2pro",
            {"duration": 25.0, "resolution": "1080p"},
            (linked("a"),),
            "/api/sora2pro/submit",
            {"duration": "25", "url": HOUSE + "a"},
        ),
    ],
)
async def test_order_of_a_family(  # noqa: PLR0917  A row of the table.
    trial: Trial,
    model: str,
    parameters: Mapping[str, Any],
    inputs: Sequence[BytesSource],
    path: str,
    sent: Mapping[str, Any],
) -> None:
    hints = {"negative_prompt": "rain", "scale": 40, "quality": "high", "force_single": True, "seed": 3}
    answer = await order(trial, model, {**hints, **parameters}, inputs)
    assert isinstance(answer, Accepted)
    assert trial.simulator.submits == [{"prompt": "a fox", **sent}]
    [task] = trial.simulator.tasks.values()
    assert task.kind == path
    assert answer.upstream_task_id == f"{model}:{task.id}"


async def test_operators_own_fields_come_last(trial: Trial) -> None:
    await order(trial, "image_gpt", {**WIDE, "extra": {"size": "1:1"}})
    await order(trial, "sora2", {**TALL_FILM, "extra": {"duration": 10}})
    assert [body.get("size") or body["duration"] for body in trial.simulator.submits] == ["1:1", "10"]


@pytest.mark.parametrize(
    ("model", "parameters", "inputs", "field"),
    [
        ("image_gpt", {"ratio": "5:4"}, [], "ratio"),
        ("image_gpt", {"width": 1024}, [], "height"),
        ("image_gpt", {"resolution": "2k"}, [], "resolution"),
        ("image_gpt", {}, [linked(str(number)) for number in range(11)], "inputs[0]"),
        ("image_gpt", {}, [source(role="reference")], "inputs[0]"),
        ("image_gpt", {}, [linked("m", "mask")], "inputs[0]"),
        ("image_gpt_2.5", {"ratio": "1:1"}, [], "ratio"),
        ("image_nanoBanana", WIDE, [], "width"),
        ("image_nanoBanana", {"resolution": "1k"}, [], "resolution"),
        ("nanoBanana", {"ratio": "1:1"}, [], "ratio"),
        ("image_nanoBanana_pro", {"resolution": "8k"}, [], "resolution"),
        ("soraImg", {}, [linked("a"), linked("b")], "inputs[0]"),
        ("soraImg", {"ratio": "16:9"}, [], "ratio"),
        ("sora2", {"ratio": "16:9"}, [], "duration"),
        ("sora2", {"duration": 12}, [], "duration"),
        ("sora2pro", {"duration": 10}, [], "duration"),
        ("sora2", {"duration": 10, "ratio": "adaptive"}, [], "ratio"),
        ("sora2", {"duration": 10, "resolution": "480p"}, [], "resolution"),
        ("sora2-new", {"duration": 10, "resolution": "720p"}, [], "resolution"),
        ("sora2", {"duration": 10}, [linked("l", "last_frame")], "inputs[0]"),
        ("sora2", {"duration": 10}, [linked("a"), linked("b")], "inputs[0]"),
        ("image_unknown", {}, [], ""),
    ],
)
async def test_order_that_is_not_offered_is_refused_unsent(
    trial: Trial, model: str, parameters: Mapping[str, Any], inputs: Sequence[BytesSource], field: str
) -> None:
    failed = await order(trial, model, parameters, inputs)
    assert isinstance(failed, Failed), failed
    assert (failed.outcome, failed.failure.reason) == (Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED)
    assert failed.failure.field == field
    assert not trial.simulator.submits


async def test_family_of_another_capability_is_refused(trial: Trial) -> None:
    ask = Ask(capability="video.generate", upstream_model="image_gpt", parameters={"duration": 10})
    failed = await trial.provider.submit(trial.task(ask), lambda _: None)
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.ROUTE_FAILED
    assert not trial.simulator.submits


@pytest.mark.parametrize(
    ("where", "seen"),
    [
        ("never", []),
        ("details", ["/api/async/detail"]),
        ("always", ["/api/async/image_gpt", "/api/async/detail"]),
    ],
)
async def test_key_is_in_the_address_only_where_it_is_wanted(trial: Trial, where: str, seen: list[str]) -> None:
    provider = trial.build(key_in_query=where)
    await provider.start()
    try:
        ask = Ask(capability="image.generate", upstream_model="image_gpt")
        accepted = await provider.submit(trial.task(ask), lambda _: None)
        assert isinstance(accepted, Accepted)
        assert isinstance(await provider.poll(accepted.upstream_task_id), Pending)
    finally:
        await provider.close()
    assert isinstance(trial.simulator, suchuang.SuChuang)
    assert trial.simulator.keys_in_query == seen


async def test_task_of_a_family_that_is_no_longer_configured_is_not_given_up(trial: Trial) -> None:
    accepted = await order(trial, "soraImg")
    provider = trial.build(families={})
    await provider.start()
    try:
        assert await provider.poll(accepted.upstream_task_id) == Pending()
    finally:
        await provider.close()
