"""EvoLink: what is sent for an order, and which orders are refused before anything is."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from kit.errors import ErrorReason
from provider_adapter import ports
from provider_adapter.domain import Failed, Outcome
from provider_adapter.ports import Accepted
from testkit.providers import evolink
from testkit.providers.trials import Ask, BytesSource, Subject, Trial, source, started

HOUSE = "https://house.example/"
KEY = "TEST_EVOLINK_KEY"


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="evolink",
        simulator=evolink.build,
        options={"key": {"env": KEY}, "image_models": {"gpt-image-2-eu": "gpt-image-2"}},
        secrets={KEY: evolink.KEY},
        asks=[],
        task_ids=True,
    )
    async with started(subject, ports, monkeypatch) as trial:
        yield trial


def linked(name: str, role: str = "reference", *, mime_type: str = "image/png") -> BytesSource:
    return BytesSource(b"bytes", role=role, mime_type=mime_type, link=HOUSE + name)


async def order(
    trial: Trial,
    capability: str,
    model: str,
    parameters: dict[str, Any] | None = None,
    inputs: Sequence[BytesSource] = (),
    **changes: Any,
) -> Any:
    ask = Ask(capability=capability, upstream_model=model, parameters=parameters or {}, inputs=inputs)
    return await trial.provider.submit(trial.task(ask, **changes), lambda _: None)


async def test_order_for_a_picture_of_gpt_image_2(trial: Trial) -> None:
    parameters = {
        "width": 1000,
        "height": 1600,
        "quality": "high",
        "negative_prompt": "rain",
        "scale": 40,
        "force_single": True,
        "seed": 3,
    }
    answer = await order(
        trial, "image.generate", "gpt-image-2", parameters, [linked("a.png"), linked("b.png", "image")]
    )
    assert isinstance(answer, Accepted)
    assert answer.upstream_task_id in trial.simulator.tasks
    assert trial.simulator.submits == [
        {
            "model": "gpt-image-2",
            "prompt": "a fox",
            "size": "1008x1600",
            "quality": "high",
            "n": 1,
            "image_urls": [HOUSE + "a.png", HOUSE + "b.png"],
        }
    ]


@pytest.mark.parametrize(
    ("model", "parameters", "sent"),
    [
        ("gpt-image-2", {}, None),
        ("gpt-image-2", {"width": 3840.0, "height": 2160}, "3840x2160"),
        ("gpt-image-2", {"ratio": "21:9"}, "21:9"),
        ("gpt-image-1.5", {"width": 1024, "height": 1536}, "1024x1536"),
        ("gpt-image-1.5-lite", {"width": 1024, "height": 1024}, "1024x1024"),
        ("gpt-image-1.5", {"width": 800, "height": 820}, "1:1"),
        ("gpt-4o-image", {"width": 1920, "height": 1080}, "3:2"),
        ("gpt-4o-image", {"width": 1080, "height": 1920}, "2:3"),
    ],
)
async def test_size_is_sent_as_the_model_takes_it(
    trial: Trial, model: str, parameters: dict[str, Any], sent: str | None
) -> None:
    assert isinstance(await order(trial, "image.generate", model, parameters), Accepted)
    assert trial.simulator.submits[0].get("size") == sent


async def test_model_without_a_field_is_not_sent_it(trial: Trial) -> None:
    await order(trial, "image.generate", "gpt-4o-image", {"quality": "low"})
    await order(trial, "image.generate", "gpt-image-1.5", {"quality": "low"})
    assert trial.simulator.submits == [
        {"model": "gpt-4o-image", "prompt": "a fox"},
        {"model": "gpt-image-1.5", "prompt": "a fox", "quality": "low"},
    ]


async def test_order_for_a_repainted_picture(trial: Trial) -> None:
    inputs = [linked("mask.png", "mask"), linked("i.jpg", "image", mime_type="image/jpeg")]
    assert isinstance(await order(trial, "image.inpaint", "gpt-4o-image", {"quality": "low"}, inputs), Accepted)
    assert trial.simulator.submits == [
        {
            "model": "gpt-4o-image",
            "prompt": "a fox",
            "image_urls": [HOUSE + "i.jpg"],
            "mask_url": HOUSE + "mask.png",
        }
    ]


FILM = {"duration": 7, "resolution": "1080p", "ratio": "adaptive"}


@pytest.mark.parametrize(
    ("model", "inputs", "variant", "urls"),
    [
        ("seedance-2.0", [], "text", {}),
        ("seedance-2.0", [linked("1", "first_frame")], "image", {"image_urls": [HOUSE + "1"]}),
        (
            "seedance-2.0",
            [linked("2", "last_frame"), linked("1", "first_frame")],
            "image",
            {"image_urls": [HOUSE + "1", HOUSE + "2"]},
        ),
        (
            "seedance-2.0-reference-to-video",
            [linked("1"), linked("2", mime_type="video/mp4"), linked("3", mime_type="audio/mpeg"), linked("4")],
            "reference",
            {"image_urls": [HOUSE + "1", HOUSE + "4"], "video_urls": [HOUSE + "2"], "audio_urls": [HOUSE + "3"]},
        ),
    ],
)
async def test_order_for_a_film(
    trial: Trial, model: str, inputs: list[BytesSource], variant: str, urls: dict[str, Any]
) -> None:
    assert isinstance(await order(trial, "video.generate", model, FILM, inputs), Accepted)
    assert trial.simulator.submits == [
        {
            "model": f"seedance-2.0-{variant}-to-video",
            "prompt": "a fox",
            "duration": 7,
            "quality": "1080p",
            "aspect_ratio": "adaptive",
            **urls,
        }
    ]


async def test_newer_seedance_makes_longer_films(trial: Trial) -> None:
    assert isinstance(await order(trial, "video.generate", "seedance-2.5", {"duration": 30}), Accepted)
    assert trial.simulator.submits[0]["duration"] == 30


async def test_operators_own_fields_come_last(trial: Trial) -> None:
    extra = {"generate_audio": False, "aspect_ratio": "1:1"}
    await order(trial, "video.generate", "seedance-2.0", {"ratio": "16:9", "extra": extra})
    assert trial.simulator.submits[0]["generate_audio"] is False
    assert trial.simulator.submits[0]["aspect_ratio"] == "1:1"


@pytest.mark.parametrize(
    ("order_of", "field"),
    [
        (("image.generate", "gpt-image-2", {"width": 4096, "height": 1024}, []), "width"),
        (("image.generate", "gpt-image-2", {"width": 1024, "height": 4096}, []), "height"),
        (("image.generate", "gpt-image-2", {"width": 3200, "height": 1000}, []), "height"),
        (("image.generate", "gpt-image-2", {"width": 3840, "height": 3840}, []), "width"),
        (("image.generate", "gpt-image-2", {"width": 512, "height": 512}, []), "width"),
        (("image.generate", "gpt-image-2", {"width": 1024}, []), "height"),
        (("image.generate", "gpt-image-2", {"width": "wide", "height": 1024}, []), "width"),
        (("image.generate", "gpt-image-2", {"ratio": "5:3"}, []), "ratio"),
        (("image.generate", "gpt-image-2", {}, [linked(str(n)) for n in range(17)]), "inputs[0]"),
        (("image.generate", "gpt-image-2", {}, [linked("a.bmp", mime_type="image/bmp")]), "inputs[0]"),
        (("image.generate", "gpt-image-2", {}, [linked("m", "mask")]), "inputs[0]"),
        (("image.generate", "gpt-image-2", {}, [source()]), "inputs[0]"),
        (("image.inpaint", "gpt-4o-image", {}, [linked("i", "image")]), "inputs"),
        (
            (
                "image.inpaint",
                "gpt-4o-image",
                {},
                [linked("i", "image"), linked("m", "mask", mime_type="image/jpeg")],
            ),
            "inputs[0]",
        ),
        (("image.inpaint", "gpt-image-2-eu", {}, [linked("i", "image"), linked("m", "mask")]), "inputs[0]"),
        (("video.generate", "seedance-2.0", {"duration": 3}, []), "duration"),
        (("video.generate", "seedance-2.0", {"duration": 4.5}, []), "duration"),
        (("video.generate", "seedance-2.5", {"duration": 31}, []), "duration"),
        (("video.generate", "seedance-2.0-fast", {"resolution": "1080p"}, []), "resolution"),
        (("video.generate", "seedance-2.5", {"resolution": "1080p"}, []), "resolution"),
        (("video.generate", "seedance-2.0", {"ratio": "2:1"}, []), "ratio"),
        (("video.generate", "seedance-2.0", {}, [linked("l", "last_frame")]), "inputs[0]"),
        (("video.generate", "seedance-2.0", {}, [linked("f", "first_frame"), linked("r")]), "inputs[0]"),
        (("video.generate", "seedance-2.0-text-to-video", {}, [linked("r")]), "inputs"),
        (("video.generate", "seedance-2.0", {}, [linked(str(n)) for n in range(10)]), "inputs[0]"),
        (("video.generate", "seedance-2.0", {}, [linked("s", mime_type="audio/mpeg")]), "inputs[0]"),
        (("video.generate", "seedance-3.0", {}, []), ""),
        (("image.generate", "dall-e-3", {}, []), ""),
    ],
)
async def test_order_that_the_vendor_does_not_offer_is_refused_unsent(
    trial: Trial, order_of: tuple[str, str, dict[str, Any], list[BytesSource]], field: str
) -> None:
    failed = await order(trial, *order_of)
    assert isinstance(failed, Failed), failed
    assert (failed.outcome, failed.failure.reason) == (Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED)
    assert failed.failure.field == field
    assert not trial.simulator.submits


@pytest.mark.parametrize(
    ("model", "most"), [("gpt-image-2", 32_000), ("gpt-image-2-eu", 32_000), ("gpt-image-1.5", 2000)]
)
async def test_prompt_is_as_long_as_the_model_takes(trial: Trial, model: str, most: int) -> None:
    failed = await order(trial, "image.generate", model, prompt="狐" * (most + 1))
    assert isinstance(failed, Failed)
    assert failed.failure.field == "prompt"
    assert not trial.simulator.submits
    await order(trial, "image.generate", model, prompt="狐" * most)
    assert len(trial.simulator.submits) == (model != "gpt-image-2-eu")  # The vendor knows no such model.


async def test_picture_over_the_vendors_limit_is_refused(trial: Trial) -> None:
    large = linked("a.png")
    large.size_bytes = 50_000_001
    failed = await order(trial, "image.generate", "gpt-image-2", {}, [large])
    assert isinstance(failed, Failed)
    assert failed.failure.field == "inputs[0]"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://house.example/cb/token", True),
        ("http://house.example/cb/token", False),
        ("https://house.example/" + "x" * 2048, False),
        ("", False),
    ],
)
async def test_callback_url_is_sent_where_the_vendor_would_take_it(trial: Trial, url: str, sent: bool) -> None:
    assert isinstance(await order(trial, "image.generate", "gpt-image-2", callback_url=url), Accepted)
    assert trial.simulator.submits[0].get("callback_url", "") == (url if sent else "")
