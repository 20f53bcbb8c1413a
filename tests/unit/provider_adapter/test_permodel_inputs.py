"""A model's input from a catalogue route: names, words, pictures; and the files of a model's answer."""

import base64
from typing import Any

import pytest

from kit.web import WallPolicy, WebClient
from provider_adapter.domain import Outcome
from provider_adapter.ports import OutputFile, Task
from provider_adapter.providers.remote.permodel import PerModelOptions, extra_of, files_of, model_input, moderated
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble
from testkit.providers.trials import source

LINK = "https://house.example/a"


def options(**changes: Any) -> PerModelOptions:
    values = {"name": "p", "kind": "k", "base_url": "https://a.example", "capabilities": ["image.generate"], **changes}
    return PerModelOptions.model_validate(values)


def task(*inputs: Any, **parameters: Any) -> Task:
    return Task(
        job_id="job_1",
        attempt_id="att_1",
        capability="image.generate",
        upstream_model="m",
        parameters=parameters,
        inputs=inputs,
        seed=7,
        timeout_s=60,
    )


async def refusal(*inputs: Any, **parameters: Any) -> tuple[Outcome, str]:
    with pytest.raises(Refused) as caught:
        await model_input(task(*inputs, **parameters), options())
    return caught.value.failed.outcome, caught.value.failed.failure.field


async def test_route_names_become_the_models_input() -> None:
    given = {
        "prompt": "a fox",
        "image_size.width": 64,
        "image_size.height": 32,
        "absent": None,
        "seed_input": "options.seed",
        "extra": {"a": 1},
    }
    assert await model_input(task(**given), options()) == {
        "prompt": "a fox",
        "image_size": {"width": 64, "height": 32},
        "options": {"seed": 7},
    }
    assert extra_of(task(**given)) == {"a": 1}


async def test_models_own_words_replace_ours_and_others_are_refused() -> None:
    words = {"duration": {"5": "5s", "10": 10}, "fast": {"true": "yes", "false": "no"}}
    assert await model_input(task(duration=5, fast=True, values=words), options()) == {"duration": "5s", "fast": "yes"}
    assert await model_input(task(duration=10.0, values=words), options()) == {"duration": 10}
    assert await refusal(duration=7, values=words) == (Outcome.ROUTE_FAILED, "duration")
    assert await refusal(aspect_ratio="1:1", values={"aspect_ratio": {}}) == (Outcome.ROUTE_FAILED, "ratio")
    assert await refusal(num_steps=3, values={"num_steps": {}}) == (Outcome.ROUTE_FAILED, "")


async def test_pictures_go_where_their_role_says() -> None:
    first, second = (source(role="reference", link=f"{LINK}{number}") for number in (1, 2))
    image = source(link=LINK)
    places = {"image": "in.image_url", "reference": "urls[]"}
    assert await model_input(task(first, image, second, inputs=places), options()) == {
        "in": {"image_url": LINK},
        "urls": [f"{LINK}1", f"{LINK}2"],
    }
    for wrong in ({"reference": "url"}, {"reference": "url[]", "image": "url"}, {"image": "url"}, {}, {"image": 1}):
        assert await refusal(image, first, second, inputs=wrong) == (Outcome.ROUTE_FAILED, "inputs[0]")
    assert await refusal(inputs="image_url") == (Outcome.ROUTE_FAILED, "")


async def test_house_without_a_public_address_sends_pictures_inside_the_request_where_allowed() -> None:
    image = source()
    assert await refusal(image, inputs={"image": "url"}) == (Outcome.ROUTE_FAILED, "inputs[0]")
    made = await model_input(task(image, inputs={"image": "url"}), options(data_url_bytes_max=image.size_bytes))
    assert made == {"url": f"data:image/png;base64,{base64.b64encode(await image.read()).decode()}"}
    with pytest.raises(Refused):
        await model_input(task(image, inputs={"image": "url"}), options(data_url_bytes_max=image.size_bytes - 1))


def roles(output: Any, path: str | None = None) -> list[str]:
    results = Results(WebClient(WallPolicy()))
    files: list[OutputFile] = files_of(output, path, results, 0)
    return [file.role for file in files]


A, B, FILM = "https://f.example/a.png", "https://f.example/b.png", "https://f.example/c.mp4?x=1"
PROMPT = "https://evil.example/prompt"


@pytest.mark.parametrize(
    ("output", "path", "expected"),
    [
        (A, None, ["image"]),
        ([A, B, A], None, ["image", "image"]),
        ({"images": [{"url": A, "content_type": "image/png"}, {"url": B}], "seed": 1}, None, ["image", "image"]),
        ({"video": {"url": FILM}, "prompt": PROMPT}, None, ["video"]),
        ({"picture": A, "mask": B}, "picture", ["image"]),
        ({"result": {"image": {"url": A, "mask": {"url": B}}}}, "result.image", ["image"]),
        ("data:image/png;base64,AAAA", None, ["image"]),
        ("data:video/mp4;base64,AAAA", None, ["video"]),
    ],
)
def test_files_are_found_in_every_form_of_answer(output: Any, path: str | None, expected: list[str]) -> None:
    assert roles(output, path) == expected


@pytest.mark.parametrize(
    ("output", "path"),
    [
        (None, None),
        ([], None),
        ("no url", None),
        ({"prompt": PROMPT}, None),
        ({"images": [{"url": A}]}, "image"),
        ([A], "images"),
        ([f"https://f.example/{number}" for number in range(33)], None),
    ],
)
def test_answer_without_files_is_unusable(output: Any, path: str | None) -> None:
    with pytest.raises(Refused) as caught:
        roles(output, path)
    assert caught.value.failed == Refused(Trouble.UNUSABLE).failed


def test_moderation_is_told_by_the_operators_words() -> None:
    one = options(input_moderation=["flagged"], output_moderation=["nsfw"])
    assert moderated("The prompt was FLAGGED", one) is Trouble.INPUT_MODERATED
    assert moderated("flagged as NSFW", one) is Trouble.OUTPUT_MODERATED
    assert moderated("out of memory", one) is None
    assert moderated("nsfw", options()) is None
