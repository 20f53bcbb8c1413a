"""One client, several contracts: the same jobs and the same money through each."""

import secrets
from typing import Any

import httpx

from testkit.deployments import Deployment, NewPartner
from testkit.doors import grant, open_door, token
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.pointsclient import PointsClient, received
from testkit.signedclient import SignedClient
from testkit.waiting import until

CALL_TIMEOUT_S = 60.0
STUDIO_DEFAULTS = {
    "sdxl_model_dropdown": "通用模型",
    "style_dropdown": "通用风格",
    "upscale": "1.0",
    "s_noise": "1.003",
    "steps": "30",
    "high_fidelity": "False",
    "strong_inpaint": "False",
}


class Customer:
    """One client with a way in through every contract."""

    def __init__(self, open_client: OpenClient, points: PointsClient, signed: SignedClient, user_key: str) -> None:
        self.open, self.points, self.signed = open_client, points, signed
        self._user_key = user_key
        self._studio = httpx.AsyncClient(base_url=open_client.url, trust_env=False, timeout=CALL_TIMEOUT_S)

    async def studio(self, path: str, **fields: Any) -> dict[str, Any]:
        """Ask the studio contract and return its good answer."""
        body = await self.ask_studio(path, **fields)
        assert body["err_code"] == 0, body
        return body

    async def ask_studio(self, path: str, **fields: Any) -> dict[str, Any]:
        """Ask the studio contract and return its answer."""
        files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
        texts = {name: value for name, value in fields.items() if not isinstance(value, tuple)}
        answer = await self._studio.post(path, data={"user_key": self._user_key, **texts}, files=files)
        body: dict[str, Any] = answer.json()
        return body

    async def aclose(self) -> None:
        for client in (self.points.http, self.signed.http, self._studio):
            await client.aclose()

    async def balance(self) -> dict[str, dict[str, int]]:
        """The whole wallet, by unit."""
        lines: dict[str, dict[str, int]] = (await self.open.get("/balance")).json()["balance"]
        return lines

    async def purses(self) -> list[dict[str, int]]:
        """What each contract says can be spent; None where it does not know the unit."""
        return [
            {unit: line["available"] for unit, line in (await self.balance()).items()},
            {"points": await self.points.balance()},
        ]


async def customer(
    house: Deployment, make_partner: NewPartner, *, points: int = 500, count: int = 50, fen: int = 30_000
) -> Customer:
    user_id = str(secrets.randbelow(10**17) + 1)
    partner: OpenClient = await make_partner(points=points, user_id=user_id)
    operator = house.operator()
    app = await open_door(operator, partner.client_id, "app")
    key = await open_door(operator, partner.client_id, "user_key")
    await grant(operator, partner.client_id, "count", count)
    await grant(operator, partner.client_id, "fen", fen)
    return Customer(
        partner,
        PointsClient(house.url, token(house.jwt_secret, user_id)),
        SignedClient(house.url, app.name, app.secret),
        key.secret,
    )


async def test_jobs_of_all_contracts_are_seen_and_paid_through_each(
    house: Deployment, make_partner: NewPartner
) -> None:
    one = await customer(house, make_partner)
    try:
        async with one.points.pushes() as socket:
            opened = (await one.open.create_job(capability="image.generate", prompt="山", width=64, height=64))["id"]
            task_no = (await one.points.submitted("sc_soraimg_text_1x1", "海"))["taskNo"]
            drawn = await one.signed.submitted(num="2")
            picture = ("a.png", encoded(photo((64, 48)), "PNG"), "image/png")
            submitted = await one.studio("/api/submit_task", input_image=picture, **STUDIO_DEFAULTS)
            studio = submitted["task_id"]
            assert await one.purses() == [{"points": 440, "count": 47, "fen": 30_000}, {"points": 440}]
            assert (submitted["remaining_count"], submitted["remaining_money"]) == (47, 300)

            by_id = {job["id"]: job for job in await one.open.jobs()}
            assert set(by_id) > {opened, drawn, studio}
            assert len(by_id) == 4
            (pointed,) = set(by_id) - {opened, drawn, studio}
            for job_id in by_id:
                await one.open.finished_job(job_id)

            # The open contract's job, read by every other one.
            assert (await one.points.task(opened))["status"] == "completed"
            assert (await one.signed.query(opened))["data"]["status"] == 1
            assert (await one.studio("/api/check_task_status", task_id=opened))["status"] == "Completed"
            # And the others', by either name.
            assert (await one.points.task(pointed))["taskNo"] == task_no
            assert (await one.signed.query(task_no))["data"] == (await one.signed.query(pointed))["data"]
            assert (await one.points.task(drawn))["resultUrl"] == (await one.signed.query(drawn))["data"]["img"]
            assert (await one.points.task(studio))["taskType"] == "image_to_image"

            listed = {task["taskNo"]: task["status"] for task in (await one.points.list())["records"]}
            assert listed == dict.fromkeys([opened, task_no, drawn, studio], "completed")
            with_pictures = await one.points.list(taskType="image_to_image")
            assert [task["taskNo"] for task in with_pictures["records"]] == [studio]
            heard: set[str] = set()
            while heard != set(listed):
                pushed = await received(socket)
                heard |= {pushed["taskNo"]} if pushed["status"] == "completed" else set()

        # What a contract made is an asset of the same client.
        links = {job["id"]: job["outputAssetIds"] for job in await one.open.jobs()}
        assert [len(links[name]) for name in (opened, pointed, drawn)] == [1, 1, 2]
        for asset_id in links[drawn]:
            assert len(await one.open.download(asset_id)) > 0
        assert await one.purses() == [{"points": 440, "count": 47, "fen": 30_000}, {"points": 440}]
    finally:
        await one.aclose()


async def test_cancel_through_one_contract_gives_back_what_another_took(
    house: Deployment, make_partner: NewPartner
) -> None:
    one = await customer(house, make_partner)
    try:
        tasks = [await one.signed.submitted(num="6") for _ in range(4)]
        assert (await one.purses())[0]["count"] == 50 - 24
        last = tasks[-1]
        assert (await one.open.post(f"/jobs/{last}/cancel")).status_code == 200
        assert await one.signed.finished(last) == {"code": 999, "msg": "任务已取消", "charge": False}
        assert (await one.points.task(last))["errorMessage"] == "任务已取消,积分已退还"
        for task_id in tasks[:-1]:
            await one.open.post(f"/jobs/{task_id}/cancel")
            await one.signed.finished(task_id)
        delivered = [job for job in await one.open.jobs() if job["status"] == "succeeded"]
        # The money follows the end of a job within moments.
        await until(one.purses, lambda purses: purses[0]["count"] == 50 - 6 * len(delivered))
    finally:
        await one.aclose()


async def test_money_spent_through_one_contract_is_missing_in_the_others(
    house: Deployment, make_partner: NewPartner
) -> None:
    """60 points are two pictures, 2 uses are two, 30 fen are one; whoever asks for one more hears its own words."""
    one = await customer(house, make_partner, points=60, count=2, fen=30)
    picture = ("a.png", encoded(photo((48, 40)), "PNG"), "image/png")
    scene = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}
    try:
        await one.open.create_job(**scene)
        await one.points.submitted("sc_soraimg_text_1x1", "海")
        refused = await one.points.submit("sc_soraimg_text_1x1", "海")
        assert (refused.status_code, refused.json()["message"]) == (402, "积分不足")
        assert (await one.open.submit(scene)).status_code == 402

        await one.signed.submitted(num="1")
        submitted = await one.studio("/api/submit_task", input_image=picture, **STUDIO_DEFAULTS)
        assert (submitted["remaining_count"], submitted["remaining_money"]) == (0, 0)
        assert await one.signed.submit() == {"code": 999, "msg": "余额不足", "charge": False}
        # No use is left, but the studio contract's price has an alternative.
        await one.studio("/api/submit_task", input_image=picture, **STUDIO_DEFAULTS)
        assert await one.purses() == [{"points": 0, "count": 0, "fen": 0}, {"points": 0}]
        last = await one.ask_studio("/api/submit_task", input_image=picture, **STUDIO_DEFAULTS)
        assert last == {"err_code": 1, "err_msg": "账户剩余次数不足"}

        # Refused ones are nobody's jobs, in either list.
        jobs = await one.open.jobs()
        listed = await one.points.list()
        assert len(jobs) == listed["total"] == len(listed["records"]) == 5
        for job in jobs:
            assert (await one.open.finished_job(job["id"]))["status"] == "succeeded"
        balance = await until(one.balance, lambda lines: not any(line["held"] for line in lines.values()))
        assert {unit: line["spent"] for unit, line in balance.items()} == {"points": 60, "count": 2, "fen": 30}
    finally:
        await one.aclose()
