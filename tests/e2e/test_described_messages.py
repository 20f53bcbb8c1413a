"""What the house sends by itself is as the OpenAPI document says: webhooks, server-sent events, pushes."""

import json
from typing import Any

import jsonschema_rs
import pytest

from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.pointsclient import PointsClient, received
from testkit.waiting import until
from testkit.web import SeenRequest, Site, respond

SMALL = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}
HOOK = "/hook"


async def validators(partner: OpenClient) -> dict[str, jsonschema_rs.Draft202012Validator]:
    """A validator for each schema that a message has."""
    document = (await partner.http.get("/openapi.json")).json()
    return {
        name: jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]}, validate_formats=True
        )
        for name in ("Job", "JobEnded", "TaskPush")
    }


async def hooks(site: Site) -> list[SeenRequest]:
    return [request for request in site.requests if request.path == HOOK]


@pytest.mark.parametrize("ends_well", [True, False])
async def test_messages_are_as_described(house: Deployment, partner: OpenClient, site: Site, ends_well: bool) -> None:
    site.reply(HOOK, respond(b""))
    here = f"http://127.0.0.1:{site.port}"
    wanted = SMALL if ends_well else {"capability": "image.upscale", "imageUrls": [f"{here}/missing.png"]}
    described = await validators(partner)

    async with PointsClient(house.url, partner.key) as points, points.pushes() as socket:
        job: dict[str, Any] = await partner.create_job(**wanted, webhookUrl=here + HOOK)
        async for event in partner.events(job["id"]):
            described["Job"].validate(event.data["job"])
        ended = {"completed"} if ends_well else {"failed"}
        while (pushed := await received(socket))["status"] not in ended:
            described["TaskPush"].validate(pushed)
        described["TaskPush"].validate(pushed)

    (request,) = await until(lambda: hooks(site), lambda seen: len(seen) == 1)
    told = json.loads(request.body)
    described["JobEnded"].validate(told)
    assert ("error" in told["job"]) is not ends_well
    document = (await partner.http.get("/openapi.json")).json()
    callback = document["paths"]["/api/v1/jobs"]["post"]["callbacks"]["jobEnded"]["{$request.body#/webhookUrl}"]["post"]
    assert {one["name"].lower() for one in callback["parameters"]} <= set(request.headers)
