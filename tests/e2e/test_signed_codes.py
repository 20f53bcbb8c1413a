"""Every return code of the signed contract, each brought about as a partner would meet it."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from atelier.gateway.v1 import client_pb2
from testkit.deployments import Deployment, NewPartner, StackDeployment, StandaloneDeployment
from testkit.doors import change_client, grant, open_door
from testkit.openclient import OpenClient
from testkit.signedclient import SignedClient
from testkit.waiting import until

CATALOG: Final = Path(__file__).resolve().parents[2] / "deploy" / "catalog"
CACHE_S = 5.5  # A gateway remembers a credential for five seconds.
MISSING = "job_" + "0" * 26


def refusal(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "msg": message, "charge": False}


@asynccontextmanager
async def app_of(
    house: Deployment, partner: OpenClient, *, counts: int = 20, life_s: float | None = None
) -> AsyncIterator[SignedClient]:
    """A signed app of the partner's, with counts to spend."""
    door = await open_door(house.operator(), partner.client_id, "app", life_s=life_s)
    if counts:
        await grant(house.operator(), partner.client_id, "count", counts)
    async with SignedClient(house.url, door.name, door.secret) as app:
        yield app


async def test_200_201_and_400_for_the_partner_itself(house: Deployment, partner: OpenClient) -> None:
    async with app_of(house, partner) as app:
        task_id = await app.submitted()
        assert (await app.query(task_id))["code"] == 200
        for name in (MISSING, "x", "任务", "x" * 300, "job_\x00"):
            assert await app.query(name) == refusal(201, "taskId不存在")
        assert await app.query("") == refusal(400, "taskId不能为空")
        assert await app.submit(style="梵高") == refusal(400, "风格值不正确")
        assert await app.submit(resolution="1024x1024") == refusal(400, "分辨率值不正确")
        assert await app.submit(text="") == refusal(400, "text不能为空")
        assert await app.submit(text="字" * 101) == refusal(400, "text长度不能超过100个字")
        assert await app.submit(num="7") == refusal(400, "图片数量值不正确")
        assert (await app.submit(text="字" * 100))["code"] == 200
        await app.finished(task_id)


async def test_foreign_task_looks_like_a_missing_one(
    house: Deployment, partner: OpenClient, make_partner: NewPartner
) -> None:
    stranger = await make_partner()
    async with app_of(house, partner) as app, app_of(house, stranger, counts=0) as other:
        task_id = await app.submitted()
        await app.finished(task_id)
        assert await other.query(task_id) == await other.query(MISSING) == refusal(201, "taskId不存在")


@pytest.mark.parametrize("multipart", [True, False])
async def test_400_for_every_bad_proof(house: Deployment, make_partner: NewPartner, multipart: bool) -> None:
    partner = await make_partner()
    async with app_of(house, partner) as app, app_of(house, partner, counts=0, life_s=-1) as over:
        wrong = refusal(400, "sign不正确")
        bad: list[tuple[dict[str, str], dict[str, Any]]] = [
            ({"sign": "0" * 64}, wrong),
            ({"sign": app.proof()["sign"].upper()}, wrong),
            ({"sign": "x"}, wrong),
            ({"sign": "签名"}, wrong),
            ({"appId": "nobody"}, wrong),
            ({"appId": over.app_id}, wrong),
            ({"appId": ""}, refusal(400, "appId不能为空")),
            ({"timestamp": ""}, refusal(400, "timestamp不能为空")),
            ({"sign": ""}, refusal(400, "sign不能为空")),
            ({"timestamp": str(int(time.time()))}, refusal(400, "timestamp格式不正确")),
            (app.proof(skew_s=-310), refusal(400, "timestamp已过期")),
            (app.proof(skew_s=310), refusal(400, "timestamp已过期")),
            (over.proof(), refusal(400, "appId已过期")),
        ]
        for fields, expected in bad:
            assert await app.submit(multipart=multipart, **fields) == expected, fields
            assert await app.query(MISSING, multipart=multipart, **fields) == expected, fields
        for skew_s in (-290, 290):
            proof = app.proof(skew_s=skew_s)
            assert await app.query(MISSING, multipart=multipart, **proof) == refusal(201, "taskId不存在")


async def test_202_when_moderation_refuses_the_text(house: Deployment, partner: OpenClient) -> None:
    async with app_of(house, partner) as app:
        assert await app.submit(text="一张色 情图片") == refusal(202, "文本黄反拦截")
        assert (await partner.get("/balance")).json()["balance"]["count"]["available"] == 20


async def test_404_for_any_other_path(house: Deployment) -> None:
    async with SignedClient(house.url, "nobody", "none") as app:
        for path in ("/ai/draw/video", "/ai/draw/", "/ai/draw/submit/x"):
            assert await app.call(path, app.proof()) == refusal(404, "接口地址不正确")
        got = await app.http.get("/ai/draw/submit")
        assert (got.status_code, got.json()["code"]) == (405, 404)  # A wrong method is HTTP's own to tell.


async def test_601_when_the_product_is_not_granted(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(models=["image.generate"])
    async with app_of(house, partner) as app:
        assert await app.submit() == refusal(601, "接口未开通")
        assert await app.query(MISSING) == refusal(201, "taskId不存在")


async def test_602_when_the_client_is_disabled(house: Deployment, partner: OpenClient) -> None:
    async with app_of(house, partner) as app:
        task_id = await app.submitted()
        await app.finished(task_id)
        await change_client(house.operator(), partner.client_id, disabled=True)
        await asyncio.sleep(CACHE_S)
        assert await app.submit() == refusal(602, "账号停用")
        assert await app.query(task_id) == refusal(602, "账号停用")


async def test_606_when_the_quota_of_the_day_is_used_up(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(limits=client_pb2.Limits(jobs_per_day=2))
    async with app_of(house, partner) as app:
        for _ in range(2):
            await app.submitted()
        assert await app.submit() == refusal(606, "调用超限,请稍候再试")
        # The quota is the client's, whichever contract it uses, and HTTP says when a new day begins.
        refused = await partner.submit({"capability": "image.generate", "prompt": "山", "width": 64, "height": 64})
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 24 * 3600
        assert (await partner.get("/balance")).json()["balance"]["count"]["available"] == 18


async def test_607_when_the_address_is_not_on_the_list(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(ip_allow=["192.0.2.0/24"])
    async with app_of(house, partner) as app:
        assert await app.submit() == refusal(607, "ip不在白名单")
        assert await app.query(MISSING) == refusal(607, "ip不在白名单")
    home = await make_partner(ip_allow=["127.0.0.1"])
    async with app_of(house, home) as app:
        assert (await app.query(MISSING))["code"] == 201


async def test_609_when_requests_come_too_fast(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(limits=client_pb2.Limits(requests_per_second=1, burst=2))
    async with app_of(house, partner) as app:
        answers = await asyncio.gather(*(app.query(MISSING) for _ in range(6)))
        assert refusal(609, "请求过于频繁,请稍候再试") in answers
        assert refusal(201, "taskId不存在") in answers


async def test_999_when_the_balance_runs_out(house: Deployment, partner: OpenClient) -> None:
    async with app_of(house, partner, counts=3) as app:
        assert await app.submit(num="4") == refusal(999, "余额不足")
        task_id = await app.submitted(num="3")
        assert await app.submit() == refusal(999, "余额不足")
        await partner.post(f"/jobs/{task_id}/cancel")
        await app.finished(task_id)


async def test_604_when_the_operator_switched_the_product_off(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    shutil.copytree(CATALOG, catalog)
    text = (catalog / "signed.yaml").read_text()
    (catalog / "signed.yaml").write_text(text.replace("    capability:", "    enabled: false\n    capability:", 1))
    bootstrap = tmp_path / "clients.yaml"
    bootstrap.write_text("clients: [{id: a, app: {id: demo-app, secret: demo-secret}, grants: {count: 5}}]")
    off = StandaloneDeployment(
        tmp_path / "house", environment={"ATELIER_CATALOG_DIR": str(catalog)}, bootstrap=bootstrap
    )
    async with off as house, SignedClient(house.url, "demo-app", "demo-secret") as app:
        assert await app.submit() == refusal(604, "接口停用")
        (catalog / "signed.yaml").unlink()
        await house.restart()
        assert await app.submit() == refusal(604, "接口停用")


@pytest.mark.servers
@pytest.mark.slow
async def test_500_and_610_when_a_part_of_the_house_is_away_or_asleep(tmp_path: Path) -> None:
    async with StackDeployment(tmp_path / "house") as house:
        partner = await _partner_of(house)
        async with partner, app_of(house, partner) as app:
            billing = house.services["billing"]
            os.kill(billing.pid, signal.SIGSTOP)
            try:
                assert await app.submit() == refusal(610, "请求超时")
            finally:
                os.kill(billing.pid, signal.SIGCONT)
            await house.kill_hard("billing")
            assert await app.submit() == refusal(500, "系统维护,请稍候再试")
            await house.start("billing")
            # The orchestrator's channel notices within a few seconds that billing is back.
            answer = await until(app.submit, lambda seen: seen["code"] == 200, timeout_s=60)
            await app.finished(answer["data"]["taskId"])


async def _partner_of(house: Deployment) -> OpenClient:
    from testkit.deployments import new_partner

    return await new_partner(house.operator(), house.url)
