"""Every task of the studio contract from the document's own calls to its results, as a partner's program sees them."""

import asyncio
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import pytest_asyncio
import skimage.data
from PIL import Image, ImageFilter

from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.studioclient import StudioClient, new_studio_client
from testkit.studiopictures import difference, studded, watermarked, woven

PROGRAM: Final = Path(__file__).parent / "clients" / "studio.py"
PROGRAM_TIMEOUT_S: Final = 240.0
SIZE: Final = (96, 72)

Pair = Callable[[], tuple[Image.Image, Image.Image]]  #: The picture as it is sent, and as it was before.
Run = Callable[..., Awaitable[tuple[dict[str, Any], dict[str, Any]]]]


@pytest_asyncio.fixture(loop_scope="session")
async def studio(house: Deployment, partner: OpenClient) -> StudioClient:
    return await new_studio_client(house.operator(), partner, count=5, fen=199)


@pytest.fixture
def run(house: Deployment, studio: StudioClient, tmp_path: Path) -> Run:
    """Runs the partner's program for one endpoint; returns the submit's answer and the last status."""

    async def program(endpoint: str, picture: bytes, *changes: str) -> tuple[dict[str, Any], dict[str, Any]]:
        path = tmp_path / "picture.png"
        path.write_bytes(picture)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            *(house.url, studio.user_key, str(path), endpoint, *changes),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NO_PROXY": "*"},
        )
        try:
            async with asyncio.timeout(PROGRAM_TIMEOUT_S):
                printed, complaints = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
        assert child.returncode == 0, complaints.decode()
        submitted, last = (json.loads(line) for line in printed.decode().splitlines())
        _assert_is_as_the_document_says(submitted, last)
        return submitted, last

    return program


def _assert_is_as_the_document_says(submitted: dict[str, Any], last: dict[str, Any]) -> None:
    assert set(submitted) == {"err_code", "task_id", "remaining_count", "remaining_money"}
    assert (submitted["err_code"], submitted["remaining_count"], submitted["remaining_money"]) == (0, 4, 1)
    assert isinstance(submitted["task_id"], str)
    assert last["status"] == "Completed", last
    assert (last["err_code"], last["remaining_count"], last["remaining_money"]) == (0, 4, 1)
    for url in ("images_url", "vector_url", "grid_url"):
        assert isinstance(last[url], str)
    if "images_urls" in last:
        assert last["images_urls"][0] == last["images_url"]


async def _picture(studio: StudioClient, url: str) -> Image.Image:
    answer = await studio.open(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(answer.content))
    picture.load()
    return picture


async def test_redraw_with_the_documents_values(run: Run, studio: StudioClient) -> None:
    _, done = await run("submit_task", encoded(photo(SIZE), "PNG"))

    assert (await _picture(studio, done["images_url"])).size == SIZE
    assert (done["vector_url"], done["grid_url"]) == ("", "")
    assert set(done).isdisjoint({"images_urls", "images_url_1m", "generated_prompt"})


async def test_redraw_enlarges(run: Run, studio: StudioClient) -> None:
    _, done = await run("submit_task", encoded(photo(SIZE), "PNG"), "upscale=2.5")

    assert (await _picture(studio, done["images_url"])).size == (240, 180)


@pytest.mark.parametrize(
    ("endpoint", "pair"),
    [
        ("submit_remove_fabric_task", woven),
        ("submit_remove_watermark_task", watermarked),
        ("submit_remove_diamonds_task", studded),
    ],
)
async def test_what_lies_over_a_picture_is_taken_off(run: Run, studio: StudioClient, endpoint: str, pair: Pair) -> None:
    damaged, clean = pair()

    _, done = await run(endpoint, encoded(damaged, "PNG"))

    result = await _picture(studio, done["images_url"])
    assert result.size == clean.size
    assert difference(result, clean) < 0.4 * difference(damaged, clean)


def _faded_portrait() -> tuple[Image.Image, Image.Image]:
    """A soft and grainy portrait, and the good one."""
    astronaut = skimage.data.astronaut()  # type: ignore[no-untyped-call]  # The library has no types.
    clean = Image.fromarray(astronaut[0:256, 96:352])
    soft = np.asarray(clean.filter(ImageFilter.GaussianBlur(1.2)), np.float32)
    grain = np.random.default_rng(3).normal(0, 6, soft.shape)
    return Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)), clean


async def test_face_is_repaired_and_the_rest_left_alone(run: Run, studio: StudioClient) -> None:
    faded, clean = _faded_portrait()
    face, background = (80, 60, 180, 190), (0, 0, 40, 100)

    _, done = await run("submit_face_enhance_task", encoded(faded, "PNG"))

    result = await _picture(studio, done["images_url"])
    assert difference(result.crop(face), clean.crop(face)) < 0.9 * difference(faded.crop(face), clean.crop(face))
    assert difference(result.crop(background), faded.crop(background)) == 0


async def test_picture_without_a_face_fails_and_costs_nothing(studio: StudioClient) -> None:
    submitted = await studio.submit("submit_face_enhance_task", encoded(photo(SIZE), "PNG"))
    assert submitted["remaining_count"] == 4

    failed = await studio.finished(submitted["task_id"])

    assert (failed["err_code"], failed["status"]) == (0, "Failed")
    assert "images_url" not in failed
    again = await studio.submit("submit_face_enhance_task", encoded(photo(SIZE), "PNG"))
    assert again["remaining_count"] == 4
    await studio.finished(again["task_id"])


async def test_picture_is_edited_as_the_instruction_says(run: Run, studio: StudioClient) -> None:
    picture = photo(SIZE)

    _, painted = await run("submit_edit_image_task", encoded(picture, "PNG"))
    result = await _picture(studio, painted["images_url"])
    assert result.size == SIZE
    assert 3 < difference(result, picture) < 60  # Another manner, the same motif.


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_both_model_versions_take_the_colour_out(studio: StudioClient, version: str) -> None:
    submitted = await studio.submit(
        "submit_edit_image_task", encoded(photo(SIZE), "PNG"), prompt="变成黑白", model_version=version
    )
    done = await studio.finished(submitted["task_id"])

    red, green, blue = (await _picture(studio, done["images_url"])).convert("RGB").split()
    assert red.tobytes() == green.tobytes() == blue.tobytes()


async def test_instruction_that_nobody_can_follow_fails_and_costs_nothing(studio: StudioClient) -> None:
    for _ in range(2):
        submitted = await studio.submit(
            "submit_edit_image_task", encoded(photo(SIZE), "PNG"), prompt="给这只猫戴上一顶帽子"
        )
        assert submitted["remaining_count"] == 4
        assert (await studio.finished(submitted["task_id"]))["status"] == "Failed"
