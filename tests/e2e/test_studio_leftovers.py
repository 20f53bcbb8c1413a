"""A submit that the studio contract refuses says why in the document's words and leaves no asset, job or hold."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from testkit.deployments import Deployment, NewPartner
from testkit.photos import encoded, photo
from testkit.studioclient import REDRAW, new_studio_client

MEBIBYTE = 1024 * 1024
QUIET_S = 1.5  # Longer than any relay waits.
QUIET_TIMEOUT_S = 10.0
PICTURE = encoded(photo((48, 40)), "PNG")


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A submit and the sentence it deserves."""

    endpoint: str
    fields: Mapping[str, str] = field(default_factory=dict)
    picture: bytes = PICTURE
    count: int = 1
    says: str


BAD = [
    Bad(endpoint="submit_task", fields=REDRAW, count=0, says="账户剩余次数不足"),
    Bad(endpoint="submit_remove_fabric_task", count=0, says="账户剩余次数不足"),
    Bad(endpoint="submit_task", says="任务提交失败:缺少参数:sdxl_model_dropdown"),
    Bad(endpoint="submit_task", fields=REDRAW | {"upscale": "9"}, says="任务提交失败:upscale必须在1-8之间"),
    Bad(endpoint="submit_task", fields=REDRAW | {"s_noise": "1.11"}, says="任务提交失败:s_noise必须在1-1.1之间"),
    Bad(endpoint="submit_task", fields=REDRAW | {"steps": "19"}, says="任务提交失败:steps必须在20-40之间"),
    Bad(endpoint="submit_task", fields=REDRAW | {"high_fidelity": "?"}, says="任务提交失败:参数类型错误:high_fidelity"),
    Bad(endpoint="submit_vector_task", fields={"color_count": "17"}, says="任务提交失败:color_count必须在2-16之间"),
    Bad(endpoint="submit_seamless_task", fields={"direction": "3"}, says="任务提交失败:direction必须在0-2之间"),
    Bad(endpoint="submit_edit_image_task", says="任务提交失败:缺少参数:prompt"),
    Bad(
        endpoint="submit_extract_pattern_task",
        fields={"aspect_ratio": "wide"},
        says="任务提交失败:参数取值错误:aspect_ratio",
    ),
    Bad(
        endpoint="submit_expand_image_task",
        fields={"expand_right": "0.5"},
        says="扩展参数错误:expand_right必须在0.0-0.3之间",
    ),
    Bad(endpoint="submit_remove_fabric_task", picture=bytes(16 * MEBIBYTE + 1), says="文件大小不能超过16MB"),
    Bad(endpoint="submit_expand_image_task", picture=bytes(16 * MEBIBYTE + 1), says="文件大小不能超过16MB"),
    Bad(endpoint="submit_remove_watermark_task", picture=bytes(16 * MEBIBYTE + 1), says="文件大小不能超过16MB"),
    Bad(endpoint="submit_vector_task", picture=b"", says="任务提交失败:输入图片无法使用:input_image"),
    Bad(endpoint="submit_face_enhance_task", picture=b"<html>", says="任务提交失败:输入图片无法使用:input_image"),
    Bad(
        endpoint="submit_remove_diamonds_task", picture=PICTURE[:400], says="任务提交失败:输入图片无法使用:input_image"
    ),
]


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def _quiet(deployment: Deployment) -> None:
    """Earlier stories have ended: no row comes from their jobs any more."""
    look = None

    async def rows() -> dict[str, int]:
        stats = await deployment.operator().jobs.GetQueueStats(jobs_pb2.GetQueueStatsRequest(), timeout=QUIET_TIMEOUT_S)
        assert sum(pool.queued + pool.running for pool in stats.pools) == 0
        return await deployment.census()

    while (now := await rows()) != look:
        look = now
        await asyncio.sleep(QUIET_S)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.endpoint}: {bad.says}")
async def test_refused_submit_leaves_nothing(house: Deployment, make_partner: NewPartner, bad: Bad) -> None:
    partner = await make_partner()
    studio = await new_studio_client(house.operator(), partner, count=bad.count)
    await studio.status("x")
    before, files = await house.census(), await house.stored_files()

    answer = await studio.submit(bad.endpoint, bad.picture, **bad.fields)

    assert answer == {"err_code": 1, "err_msg": bad.says}
    more = {table: rows for table, rows in (await house.census()).items() if rows > before[table]}
    assert not more
    assert not await house.stored_files() - files
    assert await partner.jobs() == []
    assert await partner.assets() == []
    assert await partner.points() == {"available": 1000, "held": 0, "spent": 0}
