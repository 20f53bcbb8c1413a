"""What Ark receives: exact requests for films and pictures, inputs of each kind, and what is refused beforehand."""

import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from provider_adapter import ports
from provider_adapter.ports import Accepted, Failed, Finished, Outcome
from provider_adapter.providers.ark import media
from testkit.providers import ark
from testkit.providers.ark_rules import ENDPOINTS
from testkit.providers.files import picture
from testkit.providers.trials import Ask, BytesSource, Subject, Trial, started

TWO = "doubao-seedance-2-0-260128"
FAST = "doubao-seedance-2-0-fast-260128"
ONE_FIVE = "doubao-seedance-1-5-pro-251215"
ONE = "doubao-seedance-1-0-pro-250528"
T2V = "doubao-seedance-1-0-lite-t2v-250428"
I2V = "doubao-seedance-1-0-lite-i2v-250428"
FOUR = "doubao-seedream-4-0-250828"
FOUR_FIVE = "doubao-seedream-4-5-251128"
PRO = "doubao-seedream-5-0-pro-260628"
THREE = "doubao-seedream-3-0-t2i-250415"
[ENDPOINT] = ENDPOINTS


def source(number: int, role: str, mime_type: str = "image/png", link: str | None = None) -> BytesSource:
    link = f"https://house.test/{number}" if link is None else link
    one = BytesSource(picture(seed=number), role=role, mime_type=mime_type, link=link)
    one.field = f"inputs[{number}]"
    return one


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="ark",
        simulator=ark.build,
        options={"key": {"env": "ARK_API_KEY"}, "work_s": 5.0, "cost_fen_per_output": 20, "answer_s": 5.0},
        secrets={"ARK_API_KEY": ark.KEY},
        base_path=ark.BASE,
        asks=[],
        task_ids=True,
    )
    async with started(subject, ports, monkeypatch) as one:
        yield one


async def submit(
    trial: Trial,
    capability: str,
    model: str,
    parameters: dict[str, Any] | None = None,
    inputs: Sequence[BytesSource] = (),
    **changes: Any,
) -> Any:
    ask = Ask(capability=capability, upstream_model=model, parameters=parameters or {}, inputs=inputs)
    return await trial.provider.submit(trial.task(ask, **changes), lambda _: None)


async def film(trial: Trial, model: str = TWO, *args: Any, **changes: Any) -> Any:
    return await submit(trial, "video.generate", model, *args, **changes)


async def draw(trial: Trial, model: str = FOUR, *args: Any, **changes: Any) -> Any:
    return await submit(trial, "image.generate", model, *args, **changes)


def received(trial: Trial) -> Any:
    assert len(trial.simulator.submits) == 1
    return trial.simulator.submits[0]


def refused(trial: Trial, answer: Any, field: str) -> None:
    assert isinstance(answer, Failed), answer
    assert (answer.outcome, answer.failure.field) == (Outcome.ROUTE_FAILED, field)
    assert not trial.simulator.submits


async def test_film_of_words_alone(trial: Trial) -> None:
    given = {"duration": 15, "ratio": "adaptive", "resolution": "1080p", "scale": 3, "quality": "low", "seed": 9}
    callback = "http://127.0.0.1:9/callback"
    assert isinstance(await film(trial, TWO, given, callback_url=callback, attempt_id="att_9"), Accepted)
    assert received(trial) == {
        "model": TWO,
        "content": [{"type": "text", "text": "a fox"}],
        "resolution": "1080p",
        "ratio": "adaptive",
        "duration": 15,
        "watermark": False,
        "execution_expires_after": 3600,
        "callback_url": callback,
    }
    assert trial.simulator.request_ids == ["att_9"]  # type: ignore[attr-defined]


async def test_film_of_an_older_model_has_a_seed_and_no_ratio_that_adapts_to_nothing(trial: Trial) -> None:
    assert isinstance(await film(trial, ONE, {"duration": 2, "ratio": "adaptive"}, seed=2**32 - 1), Accepted)
    assert received(trial) == {
        "model": ONE,
        "content": [{"type": "text", "text": "a fox"}],
        "ratio": "16:9",
        "duration": 2,
        "seed": 2**32 - 1,
        "watermark": False,
        "execution_expires_after": 3600,
    }


@pytest.mark.parametrize(("timeout_s", "expires_s"), [(1800.0, 3600), (7200.5, 7201), (1e9, 259_200)])
async def test_task_expires_there_when_nobody_waits_any_more(trial: Trial, timeout_s: float, expires_s: int) -> None:
    await film(trial, timeout_s=timeout_s)
    assert received(trial)["execution_expires_after"] == expires_s


async def test_references_go_by_their_kind_and_in_order(trial: Trial) -> None:
    kinds = ["image/png", "video/mp4", "image/jpeg", "audio/mpeg"]
    inputs = [source(number, "reference", mime) for number, mime in enumerate(kinds)]
    assert isinstance(await film(trial, TWO, {}, inputs), Accepted)
    assert received(trial)["content"] == [
        {"type": "text", "text": "a fox"},
        {"type": "image_url", "image_url": {"url": "https://house.test/0"}, "role": "reference_image"},
        {"type": "video_url", "video_url": {"url": "https://house.test/1"}, "role": "reference_video"},
        {"type": "image_url", "image_url": {"url": "https://house.test/2"}, "role": "reference_image"},
        {"type": "audio_url", "audio_url": {"url": "https://house.test/3"}, "role": "reference_audio"},
    ]


async def test_picture_without_a_link_is_sent_whole(trial: Trial) -> None:
    one = source(1, "reference", link="")
    assert isinstance(await film(trial, TWO, {}, [one]), Accepted)
    url = received(trial)["content"][1]["image_url"]["url"]
    beginning, _, data = url.partition(",")
    assert beginning == "data:image/png;base64"
    assert base64.b64decode(data) == await one.read()


@pytest.mark.parametrize("model", [TWO, ONE_FIVE, ONE, I2V])
async def test_first_and_last_frame(trial: Trial, model: str) -> None:
    assert isinstance(await film(trial, model, {}, [source(0, "last_frame"), source(1, "first_frame")]), Accepted)
    assert [item.get("role") for item in received(trial)["content"]] == [None, "last_frame", "first_frame"]


@pytest.mark.parametrize(
    ("model", "role", "sent"),
    [
        (TWO, "reference", "reference_image"),
        (TWO, "image", "first_frame"),
        (I2V, "reference", "reference_image"),
        (ONE_FIVE, "reference", "first_frame"),
        (ONE, "reference", "first_frame"),
    ],
)
async def test_single_picture_plays_the_part_that_the_model_has(trial: Trial, model: str, role: str, sent: str) -> None:
    assert isinstance(await film(trial, model, {}, [source(0, role)]), Accepted)
    assert received(trial)["content"][1]["role"] == sent


async def test_own_endpoint_is_called_by_its_name_within_the_limits_of_its_model(trial: Trial) -> None:
    provider = trial.build(endpoints={ENDPOINT: ONE_FIVE})
    await provider.start()
    try:
        for duration, wanted in ((13, Failed), (12, Accepted)):
            ask = Ask(capability="video.generate", upstream_model=ENDPOINT, parameters={"duration": duration})
            assert isinstance(await provider.submit(trial.task(ask), lambda _: None), wanted)
    finally:
        await provider.close()
    assert (received(trial)["model"], received(trial)["seed"]) == (ENDPOINT, 7)


async def test_model_that_nobody_knows_is_left_to_ark_and_is_for_the_operator(trial: Trial) -> None:
    answer = await film(trial, "doubao-seedance-9-0-300101", {"duration": 99})
    assert isinstance(answer, Failed)
    assert answer.outcome is Outcome.ROUTE_FAILED
    assert answer.failure.message == "The provider does not serve us."


@pytest.mark.parametrize(
    ("model", "given", "field"),
    [
        (TWO, {"duration": 3}, "duration"),
        (TWO, {"duration": -1}, "duration"),
        (TWO, {"duration": 5.5}, "duration"),
        (ONE_FIVE, {"duration": 13}, "duration"),
        (ONE, {"duration": 13}, "duration"),
        (FAST, {"resolution": "1080p"}, "resolution"),
        (ONE, {"resolution": "4k"}, "resolution"),
        (TWO, {"ratio": "5:4"}, "ratio"),
        (I2V, {}, "inputs"),
        (TWO, {"extra": "generate_audio"}, "extra"),
    ],
)
async def test_film_that_would_be_another_one_is_not_ordered(
    trial: Trial, model: str, given: dict[str, Any], field: str
) -> None:
    refused(trial, await film(trial, model, given), field)


@pytest.mark.parametrize(
    ("model", "inputs", "field"),
    [
        (TWO, [source(n, "reference") for n in range(10)], "inputs[9]"),
        (TWO, [source(n, "reference", "video/mp4") for n in range(4)], "inputs[3]"),
        (TWO, [source(0, "reference", "audio/mpeg")], "inputs[0]"),
        (TWO, [source(0, "reference", "video/mp4", link="")], "inputs[0]"),
        (TWO, [source(0, "first_frame"), source(1, "reference")], "inputs[1]"),
        (TWO, [source(0, "last_frame")], "inputs[0]"),
        (TWO, [source(0, "first_frame"), source(1, "first_frame")], "inputs[1]"),
        (TWO, [source(0, "first_frame", "video/mp4")], "inputs[0]"),
        (TWO, [source(0, "mask")], "inputs[0]"),
        (TWO, [source(0, "reference", "image/svg+xml")], "inputs[0]"),
        (ONE, [source(0, "reference", "image/heic")], "inputs[0]"),
        (ONE, [source(0, "reference"), source(1, "reference")], "inputs[0]"),
        (ONE_FIVE, [source(0, "reference", "video/mp4")], "inputs[0]"),
        (T2V, [source(0, "reference")], "inputs[0]"),
        (T2V, [source(0, "first_frame")], "inputs[0]"),
        (I2V, [source(n, "reference") for n in range(5)], "inputs[4]"),
    ],
)
async def test_inputs_that_the_model_cannot_use_are_named(
    trial: Trial, model: str, inputs: list[BytesSource], field: str
) -> None:
    refused(trial, await film(trial, model, {}, inputs), field)


async def test_large_inputs_are_refused_before_they_are_read(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = source(0, "reference", link=""), source(1, "reference", link="")
    one.size_bytes = media.PICTURE_BYTES_MAX + 1
    refused(trial, await film(trial, TWO, {}, [one]), "inputs[0]")
    refused(trial, await draw(trial, FOUR, {}, [one]), "inputs[0]")
    one.size_bytes = two.size_bytes = media.PICTURE_BYTES_MAX  # Four thirds of it, twice, are more than a request has.
    refused(trial, await film(trial, TWO, {}, [one, two]), "inputs[1]")
    monkeypatch.setattr("provider_adapter.providers.ark.provider.BODY_BYTES_MAX", 200)
    refused(trial, await film(trial, TWO, {}, [source(0, "reference", link="")]), "inputs")


async def test_picture_of_words_alone(trial: Trial) -> None:
    given = {"width": 1280, "height": 720, "negative_prompt": "rain", "scale": 50, "quality": "high", "seed": 1}
    answer = await draw(trial, FOUR, given, attempt_id="att_9")
    assert isinstance(answer, Finished)
    assert (len(answer.files), answer.cost_fen) == (1, 20)
    assert received(trial) == {
        "model": FOUR,
        "prompt": "a fox",
        "size": "1280x720",
        "sequential_image_generation": "disabled",
        "response_format": "url",
        "watermark": False,
    }
    assert trial.simulator.request_ids == ["att_9"]  # type: ignore[attr-defined]


async def test_single_picture_is_sent_as_a_text_and_several_as_a_list(trial: Trial) -> None:
    one, two = source(0, "image"), source(1, "reference", link="")
    assert isinstance(await draw(trial, FOUR, {}, [one]), Finished)
    assert received(trial)["image"] == "https://house.test/0"
    assert "size" not in received(trial)
    assert isinstance(await draw(trial, FOUR, {}, [one, two]), Finished)
    [first, second] = trial.simulator.submits[1]["image"]
    assert (first, second[:22]) == ("https://house.test/0", "data:image/png;base64,")


async def test_group_is_as_large_as_the_inputs_leave_room_for(trial: Trial) -> None:
    answer = await draw(trial, FOUR, {"force_single": False}, [source(0, "reference"), source(1, "reference")])
    assert isinstance(answer, Finished)
    assert received(trial)["sequential_image_generation"] == "auto"
    assert received(trial)["sequential_image_generation_options"] == {"max_images": 13}
    assert (len(answer.files), answer.cost_fen) == (3, 60)


async def test_one_bad_picture_does_not_spoil_a_group(trial: Trial) -> None:
    trial.simulator.bad_pictures = {1}  # type: ignore[attr-defined]
    answer = await draw(trial, FOUR, {"force_single": False})
    assert isinstance(answer, Finished)
    assert (len(answer.files), answer.cost_fen) == (2, 40)
    trial.simulator.bad_pictures = {0, 1, 2}  # type: ignore[attr-defined]
    answer = await draw(trial, FOUR, {"force_single": False})
    assert isinstance(answer, Failed)
    assert answer.outcome is Outcome.RETRYABLE


async def test_oldest_picture_model_has_a_seed_and_no_groups(trial: Trial) -> None:
    assert isinstance(await draw(trial, THREE, {"width": 1024, "height": 1024}), Finished)
    assert received(trial) == {
        "model": THREE,
        "prompt": "a fox",
        "size": "1024x1024",
        "seed": 7,
        "response_format": "url",
        "watermark": False,
    }


async def test_route_may_name_the_size_in_arks_words(trial: Trial) -> None:
    """The smallest picture of some models is larger than the default of the contracts."""
    extra = {"size": "2K", "optimize_prompt_options": {"mode": "fast"}, "watermark": True}
    given = {"width": 1024, "height": 1024, "extra": extra}
    assert isinstance(await draw(trial, FOUR_FIVE, given), Finished)
    assert {name: received(trial)[name] for name in extra} == extra


async def test_film_takes_the_extra_of_the_route_last(trial: Trial) -> None:
    extra = {"generate_audio": False, "execution_expires_after": 7200}
    assert isinstance(await film(trial, TWO, {"extra": extra}), Accepted)
    assert {name: received(trial)[name] for name in extra} == extra


@pytest.mark.parametrize(
    ("model", "given", "field"),
    [
        (FOUR, {"width": 512, "height": 512}, "width"),
        (FOUR, {"width": 4096, "height": 4097}, "width"),
        (FOUR, {"width": 16384, "height": 1000}, "width"),
        (FOUR, {"width": 1024}, "height"),
        (FOUR, {"height": 1024}, "width"),
        (FOUR, {"width": 0, "height": 0}, "width"),
        (FOUR_FIVE, {"width": 1024, "height": 1024}, "width"),
        (PRO, {"width": 1280, "height": 728}, "height"),
        (PRO, {"width": 2064, "height": 2048}, "width"),
    ],
)
async def test_size_that_the_model_does_not_draw_is_refused(
    trial: Trial, model: str, given: dict[str, Any], field: str
) -> None:
    refused(trial, await draw(trial, model, given), field)


@pytest.mark.parametrize(
    ("model", "inputs", "field"),
    [
        (FOUR, [source(n, "reference") for n in range(15)], "inputs[14]"),
        (PRO, [source(n, "reference") for n in range(11)], "inputs[10]"),
        (THREE, [source(0, "reference")], "inputs[0]"),
        (FOUR, [source(0, "image"), source(1, "mask")], "inputs[1]"),
        (FOUR, [source(0, "reference", "video/mp4")], "inputs[0]"),
    ],
)
async def test_pictures_that_cannot_be_drawn_after_are_named(
    trial: Trial, model: str, inputs: list[BytesSource], field: str
) -> None:
    refused(trial, await draw(trial, model, {}, inputs), field)


@pytest.mark.parametrize("capability", ["image.inpaint", "image.upscale"])
async def test_what_ark_could_only_imitate_is_not_offered(trial: Trial, capability: str) -> None:
    refused(trial, await submit(trial, capability, FOUR, {}, [source(0, "image")]), "")
