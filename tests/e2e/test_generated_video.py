"""A partner asks for a film of two pictures or of a prompt, waits, downloads it, and every frame plays."""

import io
from pathlib import Path
from typing import Any

import av
import pytest

from testkit.deployments import Deployment, new_partner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.waiting import until

SHORT = {"ratio": "9:16", "duration": 4, "resolution": "480p"}
PROMPT = "生成一条 9:16 品牌短视频,雪山日出"
FIRST_BYTES = 100


def played(content: bytes) -> tuple[str, str, tuple[int, int], int, float]:
    """Codec, pixel format, size, frames and seconds of a file, after decoding all of it."""
    with av.open(io.BytesIO(content), "r") as film:
        (stream,) = film.streams.video
        frames = list(film.decode(stream))
        assert film.duration is not None
        context = stream.codec_context
        assert {(frame.width, frame.height) for frame in frames} == {(context.width, context.height)}
        size = (context.width, context.height)
        return context.name, str(context.pix_fmt), size, len(frames), film.duration / 1_000_000


async def test_two_pictures_become_a_film_that_can_be_downloaded(partner: OpenClient) -> None:
    pictures = [encoded(photo((640, 480), seed=seed), "JPEG") for seed in (1, 2)]
    first, second = await partner.upload(("a.jpg", pictures[0]), ("b.jpg", pictures[1]))
    materials = [
        {"type": "image", "assetId": each["id"], "label": f"@图片{n}"} for n, each in enumerate((first, second))
    ]

    job = await partner.create_job(capability="video.generate", prompt=PROMPT, settings=SHORT, materials=materials)
    assert job["cost"] == {"unit": "points", "amount": 160, "charged": False, "refunded": False}
    done = await partner.finished_job(job["id"])

    assert done["status"] == "succeeded", done["error"]
    (asset_id,) = done["outputAssetIds"]
    asset, content = await partner.asset(asset_id), await partner.download(asset_id)
    assert (asset["kind"], asset["mimeType"]) == ("video", "video/mp4")
    assert (asset["width"], asset["height"], asset["bytes"]) == (480, 854, len(content))
    assert played(content) == ("h264", "yuv420p", (480, 854), 96, 4.0)
    assert [each["id"] for each in await partner.assets(kind="video")] == [asset_id]
    part = await partner.get(f"/assets/{asset_id}/download", headers={"range": f"bytes=0-{FIRST_BYTES - 1}"})
    while part.status_code in (302, 307):
        part = await partner.http.get(part.headers["location"], headers={"range": f"bytes=0-{FIRST_BYTES - 1}"})
    assert (part.status_code, part.headers["content-type"]) == (206, "video/mp4")
    assert part.content == content[:FIRST_BYTES]
    settled = await until(partner.points, lambda points: points["held"] == 0)
    assert settled == {"available": 840, "held": 0, "spent": 160}


async def test_a_prompt_becomes_a_film_and_the_same_seed_the_same_bytes(partner: OpenClient) -> None:
    films = []
    for seed in (7, 7, 8):
        body: dict[str, Any] = {"capability": "video.generate", "prompt": PROMPT, "seed": seed}
        job = await partner.create_job(**body, settings={"duration": 4, "resolution": "480p"})
        done = await partner.finished_job(job["id"])
        assert done["status"] == "succeeded", done["error"]
        films.append(await partner.download(done["outputAssetIds"][0]))

    assert played(films[0]) == ("h264", "yuv420p", (854, 480), 96, 4.0)
    assert films[0] == films[1]
    assert films[0] != films[2]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"duration": 3}, "settings.duration"),
        ({"duration": 16}, "settings.duration"),
        ({"ratio": "2:1"}, "settings.ratio"),
        ({"resolution": "4k"}, "settings.resolution"),
        ({"fps": 60}, "settings.fps"),
    ],
)
async def test_wrong_settings_are_refused_by_name(partner: OpenClient, settings: dict[str, Any], field: str) -> None:
    refused = await partner.submit({"capability": "video.generate", "prompt": PROMPT, "settings": settings})
    assert refused.status_code == 400
    assert field in refused.json()["error"]
    assert await partner.points() == {"available": 1000, "held": 0, "spent": 0}


async def test_a_long_film_is_cancelled_between_frames_and_costs_nothing(partner: OpenClient) -> None:
    settings = {"duration": 15, "resolution": "1080p", "ratio": "21:9"}
    job = await partner.create_job(capability="video.generate", prompt=PROMPT, settings=settings)
    assert job["cost"]["amount"] == 600
    await until(lambda: partner.job(job["id"]), lambda seen: 0 < seen["progress"] < 100)

    await partner.cancel(job["id"])

    ended = await partner.finished_job(job["id"])
    assert (ended["status"], ended["outputAssetIds"]) == ("cancelled", [])
    settled = await until(partner.points, lambda points: points["held"] == 0)
    assert settled == {"available": 1000, "held": 0, "spent": 0}


async def test_a_capability_that_is_switched_off_is_listed_and_refused(own_house: Deployment, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    ours = Path(__file__).parents[2] / "deploy" / "catalog" / "open.yaml"
    catalogue = ours.read_text(encoding="utf-8").replace(
        "\n    deadline_s: 1800", "\n    enabled: false\n    deadline_s: 1800"
    )
    (folder / "models.yaml").write_text(catalogue, encoding="utf-8")
    own_house.configure(ATELIER_CATALOG_DIR=str(folder), GATEWAY_CATALOG_DIR=str(folder))
    await own_house.restart()

    async with await new_partner(own_house.operator(), own_house.url) as partner:
        offered = {one["capability"]: one for one in (await partner.get("/capabilities")).json()["capabilities"]}
        assert [name for name, one in offered.items() if not one["available"]] == ["video.generate"]
        refused = await partner.submit({"capability": "video.generate", "prompt": PROMPT})
        assert refused.status_code == 403
        assert "capability" in refused.json()["error"]
