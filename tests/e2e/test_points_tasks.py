"""The points contract's tasks: eight models, their prices and sizes, lists, links, failures, and repeats."""

import io
import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from PIL import Image

from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.pointsclient import PointsClient
from testkit.waiting import until
from testkit.web import Site, respond

SHANGHAI = ZoneInfo("Asia/Shanghai")
SIZES = {"auto": (1024, 1024), "1x1": (1024, 1024), "2x3": (1024, 1536), "3x2": (1536, 1024)}
FIELDS = {
    "taskNo",
    "modelName",
    "status",
    "taskType",
    "progress",
    "promptSnippet",
    "imageUrl",
    "resultUrl",
    "createTime",
    "completeTime",
    "errorMessage",
}
TEXT_MODEL = "sc_soraimg_text_1x1"


def client_of(house: Deployment, partner: OpenClient) -> PointsClient:
    return PointsClient(house.url, partner.key)


async def picture_behind(link: str) -> Image.Image:
    """What anybody gets who knows the link: no header, no cookie."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as stranger:
        answer = await stranger.get(link)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.parametrize(("kind", "price"), [("text", 30), ("img2img", 35)])
async def test_each_model_has_its_price_and_its_shape(
    house: Deployment, make_partner: NewPartner, site: Site, kind: str, price: int
) -> None:
    partner = await make_partner()
    site.reply("/photo.jpg", respond(encoded(photo((80, 60)), "JPEG"), headers={"Content-Type": "image/jpeg"}))
    picture = {"imageUrl": f"http://127.0.0.1:{site.port}/photo.jpg"} if kind == "img2img" else {}
    async with client_of(house, partner) as client:
        tasks = {}
        for number, ratio in enumerate(SIZES, start=1):
            tasks[ratio] = await client.submitted(
                f"sc_soraimg_{kind}_{ratio}", "一个可爱的橘猫在窗台上晒太阳,温馨", **picture
            )
            assert await client.balance() == 1000 - number * price
        for ratio, size in SIZES.items():
            done = await client.finished(tasks[ratio]["taskNo"])
            assert set(done) == FIELDS
            assert (done["status"], done["progress"], done["errorMessage"]) == ("completed", 100, None)
            assert done["taskType"] == ("image_to_image" if picture else "text_to_image")
            assert (done["promptSnippet"], done["imageUrl"]) == (
                "一个可爱的橘猫在窗台上晒太阳...",
                picture.get("imageUrl"),
            )
            assert (await picture_behind(done["resultUrl"])).size == size
        assert await client.balance() == 1000 - 4 * price


async def test_new_task_is_named_and_timed_as_the_document_shows(house: Deployment, partner: OpenClient) -> None:
    async with client_of(house, partner) as client:
        before = datetime.now(SHANGHAI).replace(tzinfo=None, microsecond=0)
        task = await client.submitted(TEXT_MODEL, "猫")
        assert re.fullmatch(r"TASK-[0-9]{17}-[0-9]{4}", task["taskNo"])
        assert (task["status"], task["progress"], task["resultUrl"], task["completeTime"]) == ("created", 0, None, None)
        created = datetime.fromisoformat(task["createTime"])
        named = datetime.strptime(task["taskNo"][5:19], "%Y%m%d%H%M%S")  # noqa: DTZ007 - local, as the contract says
        for moment in (created, named):
            assert moment.tzinfo is None
            assert abs(moment - before) < timedelta(seconds=60)
        done = await client.finished(task["taskNo"])
        again = await client.task(task["taskNo"])
        assert datetime.fromisoformat(done["completeTime"]) >= created
        assert again == done  # The link, too, is the same for ever.


async def test_lists_are_newest_first_in_pages_and_by_kind(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner()
    (record,) = await partner.upload(("mine.png", encoded(photo((32, 32)), "PNG")))
    async with client_of(house, partner) as client:
        empty = await client.list()
        assert empty == {"records": [], "total": 0, "page": 1, "size": 10, "pages": 0}
        texts = [(await client.submitted(TEXT_MODEL, "山"))["taskNo"] for _ in range(3)]
        images = [
            (await client.submitted("sc_soraimg_img2img_1x1", "山", imageUrl=record["url"]))["taskNo"] for _ in range(2)
        ]
        newest_first = [*images[::-1], *texts[::-1]]

        async def numbers(**query: Any) -> tuple[list[str], int, int]:
            page = await client.list(**query)
            return [one["taskNo"] for one in page["records"]], page["total"], page["pages"]

        assert await numbers(page=1, size=2) == (newest_first[:2], 5, 3)
        assert await numbers(page=3, size=2) == (newest_first[4:], 5, 3)
        assert await numbers(page=4, size=2) == ([], 5, 3)
        assert await numbers(taskType="text_to_image") == (texts[::-1], 3, 1)
        assert await numbers(taskType="image_to_image") == (images[::-1], 2, 1)
        for name in newest_first:
            await client.finished(name)
        assert await numbers(status="completed", page=1, size=10) == (newest_first, 5, 1)
        assert await numbers(status="completed", taskType="image_to_image") == (images[::-1], 2, 1)
        assert await numbers(status="failed") == ([], 0, 0)
        for query in ({"page": "0"}, {"size": "1000"}, {"status": "done"}, {"taskType": "video"}):
            refused = await client.http.get("/user/ai/tasks/list", params=query)
            expected = {"code": 400, "message": f"参数错误:{next(iter(query))}", "data": None}
            assert (refused.status_code, refused.json()) == (400, expected)


async def test_failed_and_cancelled_tasks_say_why_in_chinese_and_cost_nothing(
    house: Deployment, make_partner: NewPartner, site: Site
) -> None:
    partner = await make_partner()
    site.reply("/not-a-picture", respond(b"<html>", headers={"Content-Type": "image/png"}))
    async with client_of(house, partner) as client:
        task = await client.submitted(
            "sc_soraimg_img2img_1x1", "水彩", imageUrl=f"http://127.0.0.1:{site.port}/not-a-picture"
        )
        failed = await client.finished(task["taskNo"])
        assert (failed["status"], failed["resultUrl"]) == ("failed", None)
        assert failed["errorMessage"] == "输入图片无法使用,积分已退还"
        await until(client.balance, lambda balance: balance == 1000)  # The money follows within moments.

        waiting = [await client.submitted("sc_soraimg_text_3x2", "海") for _ in range(6)]
        ours = {job["id"] for job in await partner.jobs(limit=6)}
        for job_id in ours:
            await partner.post(f"/jobs/{job_id}/cancel")
        ends = [await client.finished(one["taskNo"]) for one in waiting]
        cancelled = [one for one in ends if one["status"] == "failed"]
        assert {one["errorMessage"] for one in cancelled} == {"任务已取消,积分已退还"}
        assert cancelled
        expected = 1000 - 30 * (len(ends) - len(cancelled))
        await until(client.balance, lambda balance: balance == expected)


async def test_result_is_the_reference_of_the_next_task(house: Deployment, make_partner: NewPartner) -> None:
    partner, stranger = await make_partner(), await make_partner()
    async with client_of(house, partner) as client, client_of(house, stranger) as other:
        first = await client.finished((await client.submitted(TEXT_MODEL, "樱花"))["taskNo"])
        body = {"imageUrl": first["resultUrl"]}
        second = await client.finished((await client.submitted("sc_soraimg_img2img_auto", "水彩", **body))["taskNo"])
        assert second["status"] == "completed"
        foreign = await other.submit("sc_soraimg_img2img_auto", "水彩", **body)
        nothing = await other.submit("sc_soraimg_img2img_auto", "水彩", imageUrl=f"{house.url}/results/nothing.png")
        assert (foreign.status_code, foreign.json()) == (nothing.status_code, nothing.json())
        assert foreign.json() == {"code": 404, "message": "图片不存在:imageUrl", "data": None}


async def test_repeat_with_the_same_key_is_the_same_task_and_costs_once(house: Deployment, partner: OpenClient) -> None:
    async with client_of(house, partner) as client:
        client.http.headers["idempotency-key"] = "order-7"
        first = await client.submitted(TEXT_MODEL, "猫")
        second = await client.submitted(TEXT_MODEL, "猫")
        other = await client.submit(TEXT_MODEL, "狗")
        assert first["taskNo"] == second["taskNo"]
        assert (other.status_code, other.json()["code"]) == (409, 409)
        assert await client.balance() == 970
