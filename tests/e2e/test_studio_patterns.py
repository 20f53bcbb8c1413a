"""Patterns over the studio contract: what a partner downloads really repeats, and every link shows what it should."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from PIL import Image

from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.studioclient import StudioClient, new_studio_client
from testkit.studiopictures import garment

SIZE = (240, 180)
WALL = (214, 216, 220)  # Behind the garment,
INKS = ((186, 40, 60), (36, 92, 70), (40, 60, 140))  # and what it is printed with.

Levels = npt.NDArray[np.float64]


@pytest_asyncio.fixture(loop_scope="session")
async def studio(house: Deployment, partner: OpenClient) -> StudioClient:
    return await new_studio_client(house.operator(), partner, count=5, fen=199)


async def _levels(studio: StudioClient, url: str) -> Levels:
    """A picture behind a link, height x width x 3."""
    answer = await studio.open(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.float64)


async def _finished(studio: StudioClient, endpoint: str, picture: Image.Image, **fields: str) -> dict[str, Any]:
    submitted = await studio.submit(endpoint, encoded(picture, "PNG"), **fields)
    assert submitted["err_code"] == 0, submitted
    done = await studio.finished(submitted["task_id"])
    assert done["status"] == "Completed", done
    return done


def _seam(tile: Levels, axis: int) -> float:
    """The step from the last row (axis 0) or column (1) to the first, over the 95th percentile of those inside."""
    lines = np.moveaxis(tile, axis, 0)
    inside = np.abs(np.diff(lines, axis=0)).mean(axis=(1, 2))
    return float(np.abs(lines[0] - lines[-1]).mean() / np.quantile(inside, 0.95))


async def test_tile_repeats_and_is_shown_in_three_ways(studio: StudioClient) -> None:
    picture = photo(SIZE, seed=4)
    before = np.asarray(picture, np.float64)
    assert max(_seam(before, 0), _seam(before, 1)) > 3

    done = await _finished(studio, "submit_seamless_task", picture, fit="0.5")

    assert done["grid_url"] == f"{done['images_url']}/grid"
    assert done["images_url_1m"] == f"{done['images_url']}/1m"
    assert "images_urls" not in done
    tile = await _levels(studio, done["images_url"])
    assert max(_seam(tile, 0), _seam(tile, 1)) <= 1.15
    assert tile.size >= 0.4 * before.size
    assert (await _levels(studio, done["grid_url"]) == np.tile(tile, (2, 2, 1))).all()
    sized = await _levels(studio, done["images_url_1m"])
    assert sized.shape == before.shape
    assert max(_seam(sized, 0), _seam(sized, 1)) <= 1.15


@pytest.mark.parametrize(("direction", "axis", "copies"), [("1", 0, (2, 1, 1)), ("2", 1, (1, 2, 1))])
async def test_tile_repeats_in_the_one_direction_asked_for(
    studio: StudioClient, direction: str, axis: int, copies: tuple[int, int, int]
) -> None:
    picture = photo(SIZE, seed=4)

    done = await _finished(studio, "submit_seamless_task", picture, direction=direction)

    tile = await _levels(studio, done["images_url"])
    assert tile.shape[1 - axis] == np.asarray(picture).shape[1 - axis]
    assert _seam(tile, axis) <= 1.15
    assert (await _levels(studio, done["grid_url"]) == np.tile(tile, copies)).all()


async def test_expanded_tile_keeps_its_width(studio: StudioClient) -> None:
    done = await _finished(
        studio, "submit_seamless_task", photo(SIZE), direction="1", expand_left="0.1", expand_right="0.2"
    )

    assert (await _levels(studio, done["images_url"])).shape[1] == round(SIZE[0] * 1.3)


async def test_picture_too_small_for_a_tile_fails_and_costs_nothing(studio: StudioClient) -> None:
    for _ in range(2):
        submitted = await studio.submit("submit_seamless_task", encoded(photo((12, 12)), "PNG"))
        assert submitted["remaining_count"] == 4
        assert (await studio.finished(submitted["task_id"]))["status"] == "Failed"


async def test_print_comes_off_a_garment_as_two_tiles(studio: StudioClient) -> None:
    done = await _finished(studio, "submit_extract_pattern_task", garment())

    main = done["images_url"]
    assert done["images_urls"] == [main, f"{main}/alternative/1"]
    assert (done["grid_url"], done["vector_url"]) == ("", "")
    repeat, piece = [await _levels(studio, url) for url in done["images_urls"]]
    for tile in (repeat, piece):
        assert tile.shape == (1024, 1024, 3)
        assert max(_seam(tile, 0), _seam(tile, 1)) <= 1.15
        assert (np.abs(tile - WALL).max(axis=2) < 12).mean() < 0.005  # Nothing of the wall behind it.
        assert sum(bool((np.abs(tile - ink).max(axis=2) < 40).mean() > 0.02) for ink in INKS) == len(INKS)
    assert np.sqrt(np.mean((repeat - piece) ** 2)) > 15
    assert (await studio.open(f"{main}/alternative/2")).status_code == 404


async def test_print_without_a_repeat_is_one_tile_of_the_ratio_asked_for(studio: StudioClient) -> None:
    done = await _finished(studio, "submit_extract_pattern_task", photo(SIZE, seed=4), aspect_ratio="16:9")

    assert "images_urls" not in done
    tile = await _levels(studio, done["images_url"])
    assert tile.shape == (576, 1024, 3)
    assert max(_seam(tile, 0), _seam(tile, 1)) <= 1.15


async def test_picture_with_too_little_cloth_fails_and_costs_nothing(studio: StudioClient) -> None:
    for _ in range(2):
        submitted = await studio.submit("submit_extract_pattern_task", encoded(photo((40, 40)), "PNG"))
        assert submitted["remaining_count"] == 4
        assert (await studio.finished(submitted["task_id"]))["status"] == "Failed"
