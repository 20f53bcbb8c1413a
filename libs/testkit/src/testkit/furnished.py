"""A deployment furnished for tests that ask everything of it: a client with a key to each contract, things to ask for.

Its jobs stay queued afterwards, so that thousands of accepted ones cost nothing.
"""

import re
from dataclasses import dataclass
from typing import Final

from testkit.deployments import StandaloneDeployment, new_partner
from testkit.doors import grant, open_door
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.pointsclient import PointsClient
from testkit.signedclient import SignedClient
from testkit.studioclient import StudioClient

PLENTY: Final = 1_000_000_000  # Of every unit: more than any test spends.
USER_ID: Final = "90563793187762127"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a partner knows."""

    url: str
    client_id: str
    api_key: str
    user_key: str
    app_id: str
    app_secret: str
    job_id: str  #: Succeeded.
    queued_id: str  #: Never begins.
    asset_id: str  #: The job's output.
    result: str  #: The last part of its link, as the points contract gives it.
    opaque: str  #: The secret part of its link, as the studio contract gives it.
    several_id: str  #: A succeeded job with two pictures.
    several_opaque: str
    tiled_id: str  #: A seamless tile with its grid.
    tiled_opaque: str

    def linked(self, path: str) -> tuple[str, str]:
        """The secret and the task of a studio link, by its documented path."""
        if path.endswith("/alternative/{number}"):
            return self.several_opaque, self.several_id
        if path.endswith(("/grid", "/1m")):
            return self.tiled_opaque, self.tiled_id
        return self.opaque, self.job_id


async def furnish(deployment: StandaloneDeployment) -> Facts:
    """Make the client, let it have finished jobs of every shape, and start the deployment anew without workers."""
    operator = deployment.operator()
    partner = await new_partner(operator, deployment.url, points=PLENTY, user_id=USER_ID)
    for unit in ("count", "fen"):
        await grant(operator, partner.client_id, unit, PLENTY)
    app = await open_door(operator, partner.client_id, "app")
    user_key = (await open_door(operator, partner.client_id, "user_key")).secret
    async with partner, PointsClient(deployment.url, partner.key) as points:
        content = encoded(photo((48, 40)), "PNG")
        (picture,) = await partner.upload(("picture.png", content))
        job = await partner.create_job(capability="image.upscale", inputAssetIds=[picture["id"]], scale=2)
        done = await partner.finished_job(job["id"])
        assert done["status"] == "succeeded", done
        task = await points.task(job["id"])
        studio = StudioClient(partner.http, user_key)
        async with SignedClient(deployment.url, app.name, app.secret) as signed:
            several_id = await signed.submitted(num="2")
        tiled_id = (await studio.submit("submit_seamless_task", content))["task_id"]
        opaque, several_opaque, tiled_opaque = [
            await _opaque(studio, task_id) for task_id in (job["id"], several_id, tiled_id)
        ]
    deployment.configure(PROVIDERS_POOL="nobodys", PROVIDERS_ENGINE_WORKERS="0")  # Works, but for a queue of no model.
    await deployment.restart()
    async with OpenClient(deployment.url, partner.key) as partner_again:
        queued = await partner_again.create_job(capability="image.generate", prompt="山")
    return Facts(
        url=deployment.url,
        client_id=partner.client_id,
        api_key=partner.key,
        user_key=user_key,
        app_id=app.name,
        app_secret=app.secret,
        job_id=job["id"],
        queued_id=queued["id"],
        asset_id=done["outputAssetIds"][0],
        result=task["resultUrl"].rpartition("/")[2],
        opaque=opaque,
        several_id=several_id,
        several_opaque=several_opaque,
        tiled_id=tiled_id,
        tiled_opaque=tiled_opaque,
    )


async def _opaque(studio: StudioClient, task_id: str) -> str:
    """The secret of a finished task's links."""
    status = await studio.finished(task_id)
    assert status["status"] == "Completed", status
    found = re.search(r"/api/images/([^/]+)/", status["images_url"])
    assert found is not None, status
    return found[1]
