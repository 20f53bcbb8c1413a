"""Drawings, redraws and expanded pictures of the studio contract, from the submit to the files behind the links."""

import io

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.postscript import render
from testkit.studioclient import REDRAW, StudioClient, new_studio_client

SIZE = (96, 72)
PICTURE = encoded(photo(SIZE), "PNG")


@pytest_asyncio.fixture(loop_scope="session")
async def studio(house: Deployment, partner: OpenClient) -> StudioClient:
    return await new_studio_client(house.operator(), partner, count=5)


async def picture_of(studio: StudioClient, url: str) -> Image.Image:
    answer = await studio.open(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    picture = Image.open(io.BytesIO(answer.content))
    picture.load()
    return picture.convert("RGB")


async def drawing_of(studio: StudioClient, url: str) -> tuple[Image.Image, int]:
    """What the EPS file behind a link shows, and in how many colours."""
    answer = await studio.open(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/postscript"), answer.text
    drawn = render(answer.content)
    return Image.fromarray(drawn), len(np.unique(drawn.reshape(-1, 3), axis=0))


@pytest.mark.parametrize(("fields", "colours"), [({}, 5), ({"color_count": "2"}, 2), ({"color_count": "16"}, 16)])
async def test_picture_becomes_a_drawing_in_as_many_colours_as_asked_for(
    studio: StudioClient, fields: dict[str, str], colours: int
) -> None:
    submitted = await studio.submit("submit_vector_task", PICTURE, **fields)
    done = await studio.finished(submitted["task_id"])

    assert done["status"] == "Completed", done
    assert (done["vector_url"], done["grid_url"]) == (done["images_url"] + "/vector", "")
    assert "images_urls" not in done  # A drawing and its preview are one result.
    assert done["remaining_count"] == 4
    preview = await picture_of(studio, done["images_url"])
    drawn, found = await drawing_of(studio, done["vector_url"])
    assert preview.size == drawn.size == SIZE
    assert found == colours
    assert np.abs(np.asarray(preview, int) - np.asarray(drawn, int)).mean() < 4
    assert np.abs(np.asarray(drawn, int) - np.asarray(photo(SIZE), int)).mean() < (30 if colours == 2 else 14)


async def test_redraw_comes_with_a_drawing_and_a_description_when_asked(studio: StudioClient) -> None:
    wanted = {"upscale": "2", "vector_switch": "True", "color_count": "3", "auto_generate_prompt": "True"}
    submitted = await studio.submit("submit_task", PICTURE, **REDRAW | wanted)
    done = await studio.finished(submitted["task_id"])

    assert done["status"] == "Completed", done
    picture = await picture_of(studio, done["images_url"])
    drawn, found = await drawing_of(studio, done["vector_url"])
    assert picture.size == drawn.size == (2 * SIZE[0], 2 * SIZE[1])
    assert found == 3
    assert done["generated_prompt"].startswith("wide picture, ")
    assert "images_urls" not in done


@pytest.mark.parametrize(
    "changes",
    [
        {"s_noise": "1.1"},
        {"steps": "40"},
        {"high_fidelity": "True"},
        {"strong_inpaint": "True"},
        {"strong_inpaint": "True", "strong_inpaint_intensity": "1"},
        {"prompt": "明亮"},
        {"neg_prompt": "blurry"},
    ],
)
async def test_every_setting_of_a_redraw_reaches_the_picture(studio: StudioClient, changes: dict[str, str]) -> None:
    pictures = []
    for fields in ({}, changes):
        grainy = encoded(_grainy(), "PNG")
        submitted = await studio.submit("submit_task", grainy, **REDRAW | {"upscale": "2", "s_noise": "1"} | fields)
        done = await studio.finished(submitted["task_id"])
        pictures.append(np.asarray(await picture_of(studio, done["images_url"]), int))
    assert 0.002 < np.abs(pictures[0] - pictures[1]).mean() < 40


def _grainy() -> Image.Image:
    grain = np.random.default_rng(2).normal(0, 6, (SIZE[1], SIZE[0], 3))
    return Image.fromarray(np.clip(np.asarray(photo(SIZE)) + grain, 0, 255).astype(np.uint8))


async def test_picture_goes_on_beyond_its_sides(studio: StudioClient) -> None:
    shares = {"expand_top": "0.25", "expand_left": "0.125"}
    submitted = await studio.submit("submit_expand_image_task", PICTURE, prompt="延续原图的风格和内容", **shares)
    done = await studio.finished(submitted["task_id"])

    assert (done["status"], done["vector_url"], done["grid_url"]) == ("Completed", "", ""), done
    result = await picture_of(studio, done["images_url"])
    assert result.size == (108, 90)
    assert result.crop((12, 18, 108, 90)).tobytes() == photo(SIZE).tobytes()
    sky = np.asarray(result, int)[:17, 12:]
    assert sky.std() > 2  # Something is there,
    assert np.abs(sky[-1] - np.asarray(photo(SIZE), int)[0]).mean() < 15  # and it meets the border.
