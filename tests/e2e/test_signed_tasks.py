"""The signed contract's tasks: one count a picture, both kinds of form, links for three months, a task for one."""

import io
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from PIL import Image

from testkit.deployments import Deployment, StandaloneDeployment
from testkit.doors import grant, open_door
from testkit.openclient import OpenClient
from testkit.signedclient import SignedClient
from testkit.waiting import until

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_MS = 24 * 3600 * 1000
STYLES = (
    *("探索无限", "古风", "二次元", "写实风格", "浮世绘", "low poly", "未来主义", "像素风格", "概念艺术", "赛博朋克"),
    *("洛丽塔风格", "巴洛克风格", "超现实主义", "水彩画", "蒸汽波艺术", "油画", "卡通画"),
)
ON_STANDALONE = pytest.mark.parametrize(
    "deployment", [pytest.param("standalone", marks=pytest.mark.xdist_group("e2e-standalone"))], indirect=True
)


async def app_of(house: Deployment, partner: OpenClient, *, counts: int = 20) -> SignedClient:
    """A signed app of the partner's, with counts to spend."""
    door = await open_door(house.operator(), partner.client_id, "app")
    if counts:
        await grant(house.operator(), partner.client_id, "count", counts)
    return SignedClient(house.url, door.name, door.secret)


async def counts_left(partner: OpenClient) -> int:
    balance = (await partner.get("/balance")).json()["balance"]
    return int(balance["count"]["available"])


async def picture_behind(link: str) -> Image.Image:
    """What anybody gets who knows the link."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as stranger:
        answer = await stranger.get(link)
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.parametrize(
    ("multipart", "resolution", "num"),
    [(True, "1024*1536", "2"), (False, "1536*1024", None), (False, "1024*1024", "1")],
)
async def test_pictures_come_as_asked_for_and_cost_one_count_each(
    house: Deployment, partner: OpenClient, multipart: bool, resolution: str, num: str | None
) -> None:
    size = tuple(int(side) for side in resolution.split("*"))
    fields = {"resolution": resolution, "style": "水彩画", "multipart": multipart} | ({"num": num} if num else {})
    async with await app_of(house, partner) as app:
        task_id = await app.submitted(**fields)
        assert await counts_left(partner) == 20 - int(num or 1)
        pending = await app.query(task_id, multipart=multipart)
        if pending["data"]["status"] == 0:
            assert (pending["data"]["img"], pending["data"]["imgUrls"]) == ("", [])
        done = await app.finished(task_id)

    assert (done["code"], done["msg"], done["charge"]) == (200, "成功", False)
    data = done["data"]
    assert set(data) == {"img", "imgUrls", "createTime", "status"}
    assert data["status"] == 1
    assert len(data["imgUrls"]) == int(num or 1)
    assert data["img"] == data["imgUrls"][0]["image"]
    assert len({one["image"] for one in data["imgUrls"]}) == int(num or 1)
    for one in data["imgUrls"]:
        assert (await picture_behind(one["image"])).size == size
    created = datetime.strptime(data["createTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    assert abs(datetime.now(SHANGHAI) - created) < timedelta(seconds=300)
    assert await counts_left(partner) == 20 - int(num or 1)


async def test_every_style_of_the_document_is_taken_and_given_back_when_cancelled(
    house: Deployment, partner: OpenClient
) -> None:
    async with await app_of(house, partner, counts=17 * 6) as app:
        tasks = [await app.submitted(style=style, num="6") for style in STYLES]
        assert await counts_left(partner) == 0
        for task_id in tasks:
            await partner.post(f"/jobs/{task_id}/cancel")
        ends = [await app.finished(task_id) for task_id in tasks]
        cancelled = [end for end in ends if end["code"] == 999]
        assert {(end["msg"], end["charge"]) for end in cancelled} == {("任务已取消", False)}
        assert cancelled
        # The money follows the end of a task within moments.
        await until(lambda: counts_left(partner), lambda left: left == 6 * len(cancelled))


async def test_repeat_with_the_same_key_is_the_same_task_and_costs_once(house: Deployment, partner: OpenClient) -> None:
    async with await app_of(house, partner) as app:
        first = await app.submit(idempotencyKey="order-7", num="3")
        second = await app.submit(idempotencyKey="order-7", num="3")
        other = await app.submit(idempotencyKey="order-7", num="4")
        assert (first["charge"], second["charge"]) == (True, False)
        assert first["data"] == second["data"]
        assert (other["code"], other["charge"]) == (999, False)
        assert await counts_left(partner) == 17
        await partner.post(f"/jobs/{first['data']['taskId']}/cancel")


@ON_STANDALONE
async def test_task_is_kept_for_a_month_and_its_pictures_for_three(house: Deployment, partner: OpenClient) -> None:
    """What the databases say; that such rows and files are then really deleted is shown with a clock moved by hand."""
    assert isinstance(house, StandaloneDeployment)
    async with await app_of(house, partner) as app:
        task_id = await app.submitted()
        link = (await app.finished(task_id))["data"]["img"]
    with closing(sqlite3.connect(house.data / "jobs.db", timeout=10)) as jobs:
        row = jobs.execute("SELECT forget_ms - create_ms FROM jobs WHERE id = ?", (task_id,)).fetchone()
    assert row == (31 * DAY_MS,)
    with closing(sqlite3.connect(house.data / "assets.db", timeout=10)) as assets:
        kept = assets.execute(
            "SELECT expire_ms - create_ms FROM assets WHERE job_id = ? AND expire_ms IS NOT NULL", (task_id,)
        ).fetchall()
        assert kept == [(92 * DAY_MS,)]
        # Three months later.
        assets.execute("UPDATE assets SET expire_ms = create_ms WHERE job_id = ?", (task_id,))
        assets.commit()
    with closing(sqlite3.connect(house.data / "jobs.db", timeout=10)) as jobs:
        jobs.execute("UPDATE jobs SET forget_ms = create_ms WHERE id = ?", (task_id,))
        jobs.commit()

        async def events_left() -> int:
            found = jobs.execute("SELECT count(*) FROM job_events WHERE job_id = ?", (task_id,)).fetchone()
            return int(found[0])

        await until(events_left, lambda left: left == 0)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as stranger:
        assert (await stranger.get(link)).status_code == 404
