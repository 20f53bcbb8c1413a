"""A partner asks for a picture, waits, and downloads it."""

import hashlib
import io

from PIL import Image

from testkit.deployments import NewPartner
from testkit.openclient import OpenClient
from testkit.waiting import until

SMALL = {"capability": "image.generate", "prompt": "雪山日出,金色阳光洒满湖面", "width": 320, "height": 192}


async def test_job_makes_a_picture_of_the_size_asked_for(partner: OpenClient) -> None:
    accepted = await partner.create_job(**SMALL, seed=7)
    assert accepted["status"] == "queued"
    assert accepted["outputAssetIds"] == []
    assert accepted["capability"] == "image.generate"

    done = await partner.finished_job(accepted["id"])

    assert done["status"] == "succeeded"
    assert done["progress"] == 100
    assert done["error"] is None
    assert done["createdAt"] <= done["startedAt"] <= done["finishedAt"] < done["deadline"]
    (asset_id,) = done["outputAssetIds"]
    asset, content = await partner.asset(asset_id), await partner.download(asset_id)
    assert asset["jobId"] == done["id"]
    assert asset["origin"] == "output"
    assert asset["bytes"] == len(content)
    assert asset["sha256"] == hashlib.sha256(content).hexdigest()
    assert (asset["width"], asset["height"]) == (320, 192)
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert picture.size == (320, 192)
    assert len(picture.convert("RGB").resize((16, 16)).getcolors(256) or []) > 16  # Not one flat colour.


async def test_same_seed_makes_the_same_bytes_and_another_seed_others(partner: OpenClient) -> None:
    pictures = []
    for seed in (7, 7, 8):
        job = await partner.create_job(**SMALL, seed=seed)
        done = await partner.finished_job(job["id"])
        pictures.append(await partner.download(done["outputAssetIds"][0]))

    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


async def test_price_is_held_at_once_and_spent_when_the_job_succeeds(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)
    assert (await partner.points())["available"] == 970
    assert job["cost"] == {"unit": "points", "amount": 30, "charged": False, "refunded": False}

    done = await partner.finished_job(job["id"])

    settled = await until(partner.points, lambda points: points["held"] == 0)
    assert settled == {"available": 970, "held": 0, "spent": 30}
    assert done["cost"] == {"unit": "points", "amount": 30, "charged": True, "refunded": False}


async def test_output_of_one_job_is_the_input_of_the_next(partner: OpenClient) -> None:
    first = await partner.finished_job((await partner.create_job(**SMALL))["id"])

    second = await partner.create_job(
        capability="image.upscale", inputAssetIds=first["outputAssetIds"], scale=2, idempotency_key="next"
    )

    done = await partner.finished_job(second["id"])
    asset = await partner.asset(done["outputAssetIds"][0])
    assert (asset["width"], asset["height"]) == (640, 384)


async def test_own_download_link_works_as_an_input_url(partner: OpenClient) -> None:
    first = await partner.finished_job((await partner.create_job(**SMALL))["id"])
    link = (await partner.asset(first["outputAssetIds"][0]))["url"]

    second = await partner.create_job(capability="image.upscale", imageUrls=[link], scale=2)

    done = await partner.finished_job(second["id"])
    assert done["status"] == "succeeded"
    assert done["inputAssetIds"] == first["outputAssetIds"]  # Resolved inside; nobody called us over HTTP.


async def test_poor_client_is_refused_and_gets_no_job(make_partner: NewPartner) -> None:
    poor = await make_partner(points=29)

    refusal = await poor.submit(SMALL)

    assert refusal.status_code == 402
    assert refusal.json() == {"error": "Insufficient balance."}
    assert await poor.jobs() == []
    assert await poor.points() == {"available": 29, "held": 0, "spent": 0}
