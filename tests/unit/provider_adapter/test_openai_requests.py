"""What OpenAI's API receives for each kind of task, and how answers end that come late or never end."""

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from provider_adapter import ports
from provider_adapter.ports import Failed, Finished, Outcome
from testkit.providers.faults import Fault
from testkit.providers.openai import KEY, OpenaiSimulator
from testkit.providers.trials import Ask, BytesSource, Subject, Trial, source, started


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="openai",
        simulator=OpenaiSimulator,
        options={"key": {"env": "OPENAI_KEY"}, "work_s": 5, "organization": "org-1", "project": "proj-1"},
        secrets={"OPENAI_KEY": KEY},
        base_path="/v1",
        asks=[],
        task_ids=False,
    )
    async with started(subject, ports, monkeypatch) as made:
        yield made


def mask(size: tuple[int, int] = (64, 64), *, marked: tuple[int, int, int, int] = (0, 0, 8, 8)) -> BytesSource:
    image = Image.new("L", size, 0)
    image.paste(255, marked)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    made = BytesSource(buffer.getvalue(), role="mask")
    made.field = "inputs[1]"
    return made


def ask(capability: str = "image.generate", model: str = "gpt-image-1", *, inputs: Any = (), **parameters: Any) -> Ask:
    return Ask(capability=capability, upstream_model=model, inputs=inputs, parameters=parameters)


async def submit(trial: Trial, asked: Ask, **changes: Any) -> Any:
    return await trial.provider.submit(trial.task(asked, **changes), lambda _: None)


async def pictures(finished: Finished) -> list[Image.Image]:
    files = [b"".join([chunk async for chunk in file.chunks()]) for file in finished.files]
    return [Image.open(io.BytesIO(data)) for data in files]


async def test_prompt_alone_is_a_generation(trial: Trial) -> None:
    finished = await submit(trial, ask(width=1000, height=600, quality="low", extra={"output_format": "jpeg"}))
    assert isinstance(finished, Finished), finished
    assert trial.simulator.submits == [
        {
            "model": "gpt-image-1",
            "prompt": "a fox",
            "n": 1,
            "size": "1536x1024",
            "quality": "low",
            "output_format": "jpeg",
        }
    ]
    headers = trial.simulator.headers[0]  # type: ignore[attr-defined]
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")
    [picture] = await pictures(finished)
    assert (picture.size, picture.format) == ((1000, 600), "JPEG")


async def test_references_are_sent_as_files_of_an_edit(trial: Trial) -> None:
    first, second = source(role="reference", seed=1), source(role="reference", seed=2)
    assert isinstance(await submit(trial, ask(inputs=[first, second])), Finished)
    assert isinstance(await submit(trial, ask(inputs=[first])), Finished)
    forms = trial.simulator.forms  # type: ignore[attr-defined]
    assert forms[0][0] == {"model": "gpt-image-1", "prompt": "a fox", "n": "1"}
    assert forms[0][1] == [("image[]", await first.read()), ("image[]", await second.read())]
    assert [name for name, _ in forms[1][1]] == ["image"]


async def test_white_of_the_mask_arrives_as_transparency(trial: Trial) -> None:
    inputs = [source(size=(1000, 700)), mask((1000, 700), marked=(0, 0, 500, 700))]
    finished = await submit(trial, ask("image.inpaint", "gpt-image-2", inputs=inputs))
    assert isinstance(finished, Finished), finished
    [(texts, files)] = trial.simulator.forms  # type: ignore[attr-defined]
    assert texts == {"model": "gpt-image-2", "prompt": "a fox", "n": "1", "size": "1008x704"}
    assert [name for name, _ in files] == ["image", "mask"]
    sent = Image.open(io.BytesIO(files[1][1]))
    assert (sent.mode, sent.size) == ("RGBA", (1000, 700))
    assert (sent.getchannel("A").getpixel((0, 0)), sent.getchannel("A").getpixel((999, 699))) == (0, 255)
    assert [picture.size for picture in await pictures(finished)] == [(1000, 700)]


async def test_picture_stored_turned_is_sent_as_its_mask_was_drawn(trial: Trial) -> None:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32), "red").save(buffer, "JPEG", exif=exif)
    inputs = [BytesSource(buffer.getvalue(), mime_type="image/jpeg"), mask((32, 64))]
    assert isinstance(await submit(trial, ask("image.inpaint", inputs=inputs)), Finished)
    [(texts, files)] = trial.simulator.forms  # type: ignore[attr-defined]
    assert texts["size"] == "1024x1536"
    assert Image.open(io.BytesIO(files[0][1])).size == (32, 64)


def made(**changes: Any) -> BytesSource:
    one = source()
    for name, value in changes.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (ask(inputs=[made(mime_type="image/gif")]), "inputs[0]"),
        (ask(inputs=[made(size_bytes=50_000_000)]), "inputs[0]"),
        (ask(inputs=[made(size_bytes=40_000_000)] * 3), "inputs"),
        (ask(inputs=[made(field=f"inputs[{number}]") for number in range(17)]), "inputs[16]"),
        (ask(inputs=[made(role="first_frame")]), "inputs[0]"),
        (ask("image.inpaint", inputs=[mask(), mask()]), "inputs"),
        (ask("image.inpaint", inputs=[source(), mask(marked=(0, 0, 0, 0))]), "inputs[1]"),
        (ask("image.inpaint", inputs=[source(), mask((64, 65))]), "inputs[1]"),
        (ask("image.inpaint", inputs=[BytesSource(b"no picture"), mask()]), "inputs[0]"),
    ],
)
async def test_input_out_of_the_vendors_limits_is_refused_unsent(trial: Trial, asked: Ask, field: str) -> None:
    failed = await submit(trial, asked)
    assert isinstance(failed, Failed), failed
    assert (failed.outcome, failed.failure.field) == (Outcome.ROUTE_FAILED, field)
    assert not trial.simulator.submits


async def test_mask_of_four_megabytes_is_refused(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provider_adapter.providers.openai.inputs.MASK_BYTES_MAX", 50)
    failed = await submit(trial, ask("image.inpaint", inputs=[source(), mask()]))
    assert isinstance(failed, Failed)
    assert failed.failure.field == "inputs[1]"


@pytest.mark.parametrize("fault", [Fault.DRIP, Fault.ENDLESS, Fault.STUCK])
async def test_answer_that_does_not_end_is_unknown(trial: Trial, fault: Fault) -> None:
    brief = trial.build(work_s=0.7)
    await brief.start()
    try:
        failed = await brief.submit(trial.task(ask(), prompt=f"a fox [fault:{fault}]"), lambda _: None)
    finally:
        await brief.close()
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.UNKNOWN
    assert len(trial.simulator.tasks) == 1


async def test_jobs_deadline_ends_the_wait(trial: Trial) -> None:
    failed = await submit(trial, ask(), prompt=f"a fox [fault:{Fault.STUCK}]", timeout_s=0.3)
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.UNKNOWN


async def test_unknown_model_is_not_offered(trial: Trial) -> None:
    failed = await submit(trial, ask(model="gpt-image-0"))
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.ROUTE_FAILED


@pytest.mark.parametrize(("inputs", "field"), [([], "prompt"), ([source(role="reference")], "")])
async def test_refused_content_is_the_prompts_where_there_is_nothing_else(
    trial: Trial, inputs: Any, field: str
) -> None:
    failed = await submit(trial, ask(inputs=inputs), prompt=f"a fox [fault:{Fault.MODERATED}]")
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.field) == (Outcome.FAILED, field)


async def test_several_pictures_cost_several_times(trial: Trial) -> None:
    dear = trial.build(cost_fen_per_output=30)
    await dear.start()
    try:
        finished = await dear.submit(trial.task(ask(extra={"n": 2})), lambda _: None)
    finally:
        await dear.close()
    assert isinstance(finished, Finished)
    assert (len(finished.files), finished.cost_fen) == (2, 60)
