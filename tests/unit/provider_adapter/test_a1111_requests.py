"""What an AUTOMATIC1111 server receives for each kind of task."""

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from provider_adapter import ports
from provider_adapter.ports import Failed, Finished, Outcome
from testkit.providers.a1111 import LOGIN, A1111Simulator
from testkit.providers.trials import Ask, BytesSource, Subject, Trial, source, started


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="a1111",
        simulator=A1111Simulator,
        options={"login": {"env": "A1111_LOGIN"}, "work_s": 5, "progress_every_s": 0.03, "cost_fen_per_output": 3},
        secrets={"A1111_LOGIN": LOGIN},
        asks=[],
        task_ids=False,
    )
    async with started(subject, ports, monkeypatch) as made:
        yield made


def file(image: Image.Image, form: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def mask(size: tuple[int, int], *, level: int = 255, mode: str = "L") -> BytesSource:
    image = Image.new("L", size, 0)
    image.paste(level, (0, 0, 8, 8))
    made = BytesSource(file(image.convert(mode)), role="mask")
    made.field = "inputs[1]"
    return made


def ask(capability: str, model: str = "loaded", *, inputs: Any = (), **parameters: Any) -> Ask:
    return Ask(capability=capability, upstream_model=model, inputs=inputs, parameters=parameters)


async def finished(trial: Trial, asked: Ask) -> tuple[dict[str, Any], Image.Image]:
    """What the server received, and the picture."""
    answer = await trial.provider.submit(trial.task(asked), lambda _: None)
    assert isinstance(answer, Finished), answer
    assert answer.cost_fen == 3
    [made] = answer.files
    return dict(trial.simulator.submits[-1]), Image.open(io.BytesIO(b"".join([c async for c in made.chunks()])))


async def test_prompt_alone_is_drawn_and_cut_to_the_order(trial: Trial) -> None:
    body, picture = await finished(trial, ask("image.generate", width=500, height=300, seed=9))
    assert (body["width"], body["height"], body["seed"]) == (504, 304, 7)
    assert picture.size == (500, 300)
    [task] = trial.simulator.tasks.values()
    assert task.kind == "txt2img"


async def test_reference_is_drawn_after_in_its_own_size(trial: Trial) -> None:
    reference = source(role="reference", size=(100, 60))
    body, picture = await finished(trial, ask("image.generate", inputs=[reference]))
    assert body["init_images"] == [base64.b64encode(await reference.read()).decode()]
    assert (body["width"], body["height"], body["resize_mode"]) == (104, 64, 1)
    assert picture.size == (100, 60)
    body, picture = await finished(trial, ask("image.generate", inputs=[reference], width=256, height=128))
    assert (body["width"], body["height"]) == (256, 128)
    assert picture.size == (256, 128)


async def test_mask_arrives_grey_and_the_picture_keeps_its_size(trial: Trial) -> None:
    inputs = [source(size=(1000, 700)), mask((1000, 700), mode="RGBA")]
    body, picture = await finished(trial, ask("image.inpaint", "xl", inputs=inputs))
    sent = Image.open(io.BytesIO(base64.b64decode(body.pop("mask"))))
    assert (sent.mode, sent.size, sent.getpixel((0, 0)), sent.getpixel((9, 9))) == ("L", (1000, 700), 255, 0)
    assert body == {
        "prompt": "a fox",
        "negative_prompt": "",
        "seed": 7,
        "batch_size": 1,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
        "override_settings": {"sd_model_checkpoint": "xl"},
        "width": 512,
        "height": 360,
        "init_images": [base64.b64encode(await inputs[0].read()).decode()],
        "inpainting_mask_invert": 0,
        "inpainting_fill": 1,
        "inpaint_full_res": True,
    }
    assert picture.size == (1000, 700)


async def test_picture_is_enlarged_to_the_pixel(trial: Trial) -> None:
    one = source(size=(100, 75))
    body, picture = await finished(trial, ask("image.upscale", "R-ESRGAN 4x+", inputs=[one], resolution="2k"))
    assert body == {
        "image": base64.b64encode(await one.read()).decode(),
        "upscaler_1": "R-ESRGAN 4x+",
        "resize_mode": 1,
        "upscaling_resize_w": 2048,
        "upscaling_resize_h": 1536,
        "upscaling_crop": True,
    }
    assert picture.size == (2048, 1536)


async def test_picture_stored_turned_is_sent_as_it_is_shown(trial: Trial) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = BytesSource(file(Image.new("RGB", (64, 32)), "JPEG", exif=exif), mime_type="image/jpeg")
    _, picture = await finished(trial, ask("image.upscale", "Lanczos", inputs=[turned]))
    assert picture.size == (64, 128)


def changed(**changes: Any) -> BytesSource:
    one = source()
    for name, value in changes.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (ask("image.generate", inputs=[changed(mime_type="image/gif")]), "inputs[0]"),
        (ask("image.generate", inputs=[changed(size_bytes=50_000_001)]), "inputs[0]"),
        (ask("image.generate", inputs=[source(), mask((64, 64))]), "inputs"),
        (ask("image.upscale", inputs=[]), "inputs"),
        (ask("image.upscale", inputs=[BytesSource(b"no picture")]), "inputs[0]"),
        (ask("image.inpaint", inputs=[source(), mask((64, 64), level=100)]), "inputs[1]"),
        (ask("image.inpaint", inputs=[source(), mask((64, 65))]), "inputs[1]"),
    ],
)
async def test_input_that_cannot_be_used_is_refused_unsent(trial: Trial, asked: Ask, field: str) -> None:
    failed = await trial.provider.submit(trial.task(asked), lambda _: None)
    assert isinstance(failed, Failed), failed
    assert (failed.outcome, failed.failure.field) == (Outcome.ROUTE_FAILED, field)
    assert not trial.simulator.submits


async def test_server_without_a_login_is_sent_none(trial: Trial) -> None:
    provider = trial.build(login=None)
    await provider.start()
    try:
        failed = await provider.submit(trial.task(ask("image.generate")), lambda _: None)
    finally:
        await provider.close()
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.ROUTE_FAILED  # This one wants a login.


def test_own_server_may_be_asked_again_and_a_charged_one_may_not(trial: Trial) -> None:
    assert trial.provider.repeatable
    assert not trial.build(repeatable=False).repeatable
    assert trial.provider.running_max == 1
