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
        files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
        texts = {name: value for name, value in fields.items() if not isinstance(value, tuple)}
        answer = await self._studio.post(path, data={"user_key": self._user_key, **texts}, files=files)
        body: dict[str, Any] = answer.json()
        assert body["err_code"] == 0, body
        return body

    async def aclose(self) -> None:
        for client in (self.points.http, self.signed.http, self._studio):
            await client.aclose()

    async def purses(self) -> list[dict[str, int]]:
        """What each contract says can be spent; None where it does not know the unit."""
        balance = (await self.open.get("/balance")).json()["balance"]
        return [
            {unit: line["available"] for unit, line in balance.items()},
            {"points": await self.points.balance()},
        ]


async def customer(house: Deployment, make_partner: NewPartner) -> Customer:
    user_id = str(secrets.randbelow(10**17) + 1)
    partner: OpenClient = await make_partner(points=500, user_id=user_id)
    operator = house.operator()
    app = await open_door(operator, partner.client_id, "app")
    key = await open_door(operator, partner.client_id, "user_key")
    await grant(operator, partner.client_id, "count", 50)
    await grant(operator, partner.client_id, "fen", 30_000)
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
