"""A partner names the address of a picture instead of sending it."""

import hashlib

from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.web import Site, redirect, respond


async def test_picture_behind_a_url_becomes_an_asset(partner: OpenClient, site: Site) -> None:
    content = encoded(photo((80, 60)), "PNG")
    site.reply("/reference.png", respond(content))
    url = f"http://127.0.0.1:{site.port}/reference.png"

    record = await partner.register(url, name="figure.png", kind="image")

    assert record["origin"] == "url"
    assert record["sourceUrl"] == url
    assert record["name"] == "figure.png"
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert await partner.download(record["id"]) == content


async def test_registered_picture_is_an_input(partner: OpenClient, site: Site) -> None:
    site.reply("/reference.png", respond(encoded(photo((80, 60)), "PNG")))
    record = await partner.register(f"http://127.0.0.1:{site.port}/reference.png")

    job = await partner.create_job(capability="image.upscale", inputAssetIds=[record["id"]], scale=2)

    done = await partner.finished_job(job["id"])
    output = await partner.asset(done["outputAssetIds"][0])
    assert (output["width"], output["height"]) == (160, 120)


async def test_job_fetches_its_input_url(partner: OpenClient, site: Site) -> None:
    site.reply("/reference.png", respond(encoded(photo((80, 60)), "PNG")))

    job = await partner.create_job(
        capability="image.upscale", imageUrls=[f"http://127.0.0.1:{site.port}/reference.png"], scale=2
    )

    done = await partner.finished_job(job["id"])
    assert done["status"] == "succeeded", done["error"]
    assert len(site.requests) == 1


async def test_url_that_leads_to_a_forbidden_address_is_refused(partner: OpenClient, site: Site) -> None:
    site.reply("/moved.png", redirect("http://169.254.169.254/latest/meta-data/"))
    (before, _) = await partner.assets(), site.requests

    refusal = await partner.post("/assets", json={"url": f"http://127.0.0.1:{site.port}/moved.png"})

    assert refusal.status_code == 400
    assert refusal.json()["error"].startswith("url: ")
    assert await partner.assets() == before == []


async def test_url_without_a_picture_is_refused(partner: OpenClient, site: Site) -> None:
    site.reply("/page.png", respond(b"<!doctype html><html></html>", headers={"Content-Type": "image/png"}))
    site.reply("/missing.png", respond(b"", status=404))

    for path in ("/page.png", "/missing.png"):
        refusal = await partner.post("/assets", json={"url": f"http://127.0.0.1:{site.port}{path}"})
        assert refusal.status_code == 400, path
        assert "url" in refusal.json()["error"]
    assert await partner.assets() == []
