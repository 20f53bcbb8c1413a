"""What a ComfyUI server receives for each kind of task, how its socket tells progress, and how tasks are ended."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from provider_adapter import ports
from provider_adapter.ports import Accepted, Failed, Finished, NotTaken, Outcome, Pending, Unclear
from provider_adapter.providers.comfyui.provider import id_of
from testkit.providers.comfyui import ComfyUI
from testkit.providers.faults import Fault
from testkit.providers.trials import Ask, Subject, Trial, source, started

MODEL = {"checkpoint": "sim.safetensors"}
SIZE = {"width": 64, "height": 64}


def subject(**options: Any) -> Subject:
    return Subject(kind="comfyui", simulator=ComfyUI, options=options, secrets={}, asks=[], task_ids=True)


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    async with started(subject(), ports, monkeypatch) as made:
        yield made


def server(trial: Trial) -> ComfyUI:
    assert isinstance(trial.simulator, ComfyUI)
    return trial.simulator


def draw(*, inputs: Any = (), **parameters: Any) -> Ask:
    return Ask(
        capability="image.generate",
        upstream_model="txt2img,img2img",
        inputs=inputs,
        parameters={**MODEL, **SIZE, **parameters},
    )


async def submit(trial: Trial, ask: Ask, **changes: Any) -> Any:
    return await trial.provider.submit(trial.task(ask, **changes), lambda _: None)


async def follow(trial: Trial, answer: Any) -> Any:
    assert isinstance(answer, Accepted), answer
    async with asyncio.timeout(30):
        while isinstance(found := await trial.provider.poll(answer.upstream_task_id), Pending):
            await asyncio.sleep(0.02)
    return found


async def picture(finished: Any) -> Image.Image:
    assert isinstance(finished, Finished), finished
    return Image.open(io.BytesIO(b"".join([chunk async for chunk in finished.files[0].chunks()])))


def nodes(trial: Trial, class_type: str) -> list[dict[str, Any]]:
    graph = server(trial).submits[-1]["prompt"]
    return [node["inputs"] for node in graph.values() if node["class_type"] == class_type]


async def test_text_is_a_latent_picture_of_whole_eights_cut_to_the_order(trial: Trial) -> None:
    ask = draw(width=1001, height=604, negative_prompt="rain", steps=8, extra={"front": True})
    finished = await follow(trial, await submit(trial, ask, seed=-1))
    body = server(trial).submits[0]
    assert set(body) == {"prompt", "client_id", "prompt_id", "front"}
    assert (body["prompt_id"], body["front"]) == (id_of("att_1"), True)
    assert nodes(trial, "EmptyLatentImage") == [{"width": 1000, "height": 608, "batch_size": 1}]
    assert [each["text"] for each in nodes(trial, "CLIPTextEncode")] == ["a fox", "rain"]
    [sampler] = nodes(trial, "KSampler")
    assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (2**64 - 1, 8, 8.0)
    assert (await picture(finished)).size == (1001, 604)


async def test_reference_is_uploaded_under_a_name_that_follows_from_its_bytes(trial: Trial) -> None:
    reference = source(role="reference")
    await follow(trial, await submit(trial, draw(inputs=[reference])))
    data = await reference.read()
    name = f"atelier_{hashlib.sha256(data).hexdigest()[:40]}.png"
    assert server(trial).uploads == {name: data}
    assert nodes(trial, "LoadImage") == [{"image": name}]
    assert nodes(trial, "KSampler")[0]["denoise"] == 0.65
    await submit(trial, draw(inputs=[reference]), attempt_id="att_2")
    assert list(server(trial).uploads) == [name]


async def test_white_of_the_mask_is_repainted_and_the_size_stays(trial: Trial) -> None:
    image, mask = source(size=(70, 50)), source(role="mask", size=(70, 50), seed=2)
    ask = Ask(capability="image.inpaint", upstream_model="inpaint", parameters=MODEL, inputs=[image, mask])
    finished = await follow(trial, await submit(trial, ask))
    [loaded], [loaded_mask] = nodes(trial, "LoadImage"), nodes(trial, "LoadImageMask")
    assert server(trial).uploads[loaded["image"]] == await image.read()
    assert server(trial).uploads[loaded_mask["image"]] == await mask.read()
    assert loaded_mask["channel"] == "red"
    assert (await picture(finished)).size == (70, 50)


@pytest.mark.parametrize(
    ("order", "size"),
    [({"resolution": "2k"}, (2048, 1024)), ({"scale": 3}, (240, 120)), ({}, (160, 80))],
)
async def test_enlarging_reaches_the_size_ordered(trial: Trial, order: dict[str, Any], size: tuple[int, int]) -> None:
    ask = Ask(
        capability="image.upscale",
        upstream_model="upscale",
        parameters={"upscale_model": "sim-4x.pth", **order},
        inputs=[source(size=(80, 40))],
    )
    assert (await picture(await follow(trial, await submit(trial, ask)))).size == size


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"width": "64"}, "width"),
        ({"width": 20_000}, "width"),
        ({"height": 8}, "height"),
        ({"duration": 5}, "duration"),
        ({"resolution": "2k"}, "resolution"),
    ],
)
async def test_order_that_the_graph_cannot_obey_is_refused_by_its_field(
    trial: Trial, order: dict[str, Any], field: str
) -> None:
    failed = await submit(trial, draw(**order, inputs=[source(role="reference")]))
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.field) == (Outcome.ROUTE_FAILED, field)
    assert not server(trial).uploads


async def test_checkpoint_that_the_server_does_not_have_ends_the_route_in_our_words(trial: Trial) -> None:
    failed = await submit(trial, draw(checkpoint="other.safetensors"))
    assert isinstance(failed, Failed)
    assert failed.outcome is Outcome.ROUTE_FAILED
    assert "value_not_in_list" not in failed.failure.message
    assert not server(trial).tasks


async def test_socket_tells_how_far_the_task_is(trial: Trial) -> None:
    accepted = await submit(trial, draw(), prompt=f"a fox [fault:{Fault.STUCK}]")
    async with asyncio.timeout(30):
        while (await trial.provider.poll(accepted.upstream_task_id)).fraction != 0.75:
            await asyncio.sleep(0.02)
    asked = server(trial).questions
    assert isinstance(await trial.provider.poll(accepted.upstream_task_id), Pending)
    assert server(trial).questions == asked + 1


async def test_lost_socket_is_opened_again_under_the_same_client_id(trial: Trial) -> None:
    await follow(trial, await submit(trial, draw()))
    [(client_id, socket)] = server(trial).sockets.items()
    await socket.close()
    async with asyncio.timeout(30):
        while server(trial).sockets.get(client_id) in (None, socket):
            await asyncio.sleep(0.02)
    assert server(trial).submits[0]["client_id"] == client_id


async def test_waiting_task_is_taken_off_the_queue_and_no_other_is_interrupted(trial: Trial) -> None:
    server(trial).pace = 100
    running = await submit(trial, draw(), attempt_id="att_0")
    server(trial).tasks[running.upstream_task_id].began -= 6
    waiting = await submit(trial, draw())
    await trial.provider.cancel(waiting.upstream_task_id)
    assert server(trial).deleted == [waiting.upstream_task_id]
    assert server(trial).interrupts == []
    ended = await trial.provider.poll(waiting.upstream_task_id)
    assert isinstance(ended, Failed)
    assert isinstance(await trial.provider.poll(running.upstream_task_id), Pending)
    await trial.provider.cancel(running.upstream_task_id)
    assert server(trial).interrupts == [running.upstream_task_id]
    assert isinstance(await trial.provider.poll(running.upstream_task_id), Failed)


async def test_submit_that_never_arrived_is_surely_not_taken(trial: Trial) -> None:
    failed = await submit(trial, draw(), prompt=f"a fox [fault:{Fault.RESET}]")
    assert failed.outcome is Outcome.UNKNOWN
    assert isinstance(await trial.provider.look_up("att_1"), NotTaken)


async def test_older_server_that_chooses_ids_is_followed_but_never_searched(trial: Trial) -> None:
    server(trial).takes_prompt_id = False
    accepted = await submit(trial, draw())
    assert accepted.upstream_task_id != id_of("att_1")
    assert isinstance(await follow(trial, accepted), Finished)
    assert isinstance(await trial.provider.look_up("att_1"), Unclear)
    told = trial.build(takes_prompt_id=False)
    await told.start()
    assert isinstance(await told.look_up("att_9"), Unclear)
    await told.close()


async def test_failed_upload_is_surely_not_the_task(trial: Trial) -> None:
    provider = trial.build(base_url="http://127.0.0.1:9")
    await provider.start()
    failed = await provider.submit(trial.task(draw(inputs=[source(role="reference")])), lambda _: None)
    assert failed.outcome is Outcome.UNSENT
    await provider.close()


async def test_server_behind_a_proxy_gets_the_whole_header(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    server(trial).authorization = "Basic b3A6c2VjcmV0"
    failed = await submit(trial, draw())
    assert (failed.outcome, failed.failure.field) == (Outcome.ROUTE_FAILED, "")
    monkeypatch.setenv("COMFY", "Basic b3A6c2VjcmV0")
    provider = trial.build(authorization={"env": "COMFY"})
    await provider.start()
    accepted = await provider.submit(trial.task(draw(inputs=[source(role="reference")])), lambda _: None)
    async with asyncio.timeout(30):
        while isinstance(found := await provider.poll(accepted.upstream_task_id), Pending):
            await asyncio.sleep(0.02)
    assert (await picture(found)).size == (64, 64)
    await provider.close()
