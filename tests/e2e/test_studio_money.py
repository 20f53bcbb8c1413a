"""A package use pays first, then money; what fails is not paid for, and both contracts tell the same."""

from typing import Any

from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.studioclient import REDRAW, new_studio_client
from testkit.waiting import until

PICTURE = encoded(photo((48, 40)), "PNG")


def _left(answer: dict[str, Any]) -> tuple[int, int]:
    return answer["remaining_count"], answer["remaining_money"]


async def _balance(partner: OpenClient) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = (await partner.get("/balance")).json()["balance"]
    return found


async def test_package_uses_pay_first_then_money_then_nothing(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(points=0)
    studio = await new_studio_client(house.operator(), partner, count=1, fen=145)

    answers = [await studio.submit("submit_task", PICTURE, **REDRAW) for _ in range(6)]

    assert [answer["err_code"] for answer in answers] == [0, 0, 0, 0, 0, 1]
    assert [_left(answer) for answer in answers[:5]] == [(0, 1), (0, 1), (0, 0), (0, 0), (0, 0)]
    assert answers[5] == {"err_code": 1, "err_msg": "账户剩余次数不足"}
    done = [await studio.finished(answer["task_id"]) for answer in answers[:5]]
    assert {one["status"] for one in done} == {"Completed"}
    assert len(await partner.jobs()) == 5
    uploads = [asset for asset in await partner.assets() if asset["origin"] == "upload"]
    assert len(uploads) == 5  # Nothing of the sixth.

    settled = await until(lambda: _balance(partner), lambda units: units["fen"]["held"] == 0)
    assert settled["count"] == {"available": 0, "held": 0, "spent": 1}
    assert settled["fen"] == {"available": 25, "held": 0, "spent": 120}


async def test_failed_task_costs_nothing(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(points=0)
    studio = await new_studio_client(house.operator(), partner, count=1, fen=250)
    wide = encoded(photo((2100, 20)), "PNG")  # Eight times as wide is wider than pictures may be.

    submitted = await studio.submit("submit_task", wide, **REDRAW | {"upscale": "8"})
    assert _left(submitted) == (0, 2)
    failed = await studio.finished(submitted["task_id"])

    assert failed == {"err_code": 0, "status": "Failed", "fail_reason": "参数或图片不被支持"}
    settled = await until(lambda: _balance(partner), lambda units: units["count"]["held"] == 0)
    assert settled["count"] == {"available": 1, "held": 0, "spent": 0}
    again = await studio.submit("submit_task", PICTURE, **REDRAW)
    assert _left(again) == (0, 2)
    assert _left(await studio.finished(again["task_id"])) == (0, 2)


async def test_task_is_the_same_job_over_the_open_contract(house: Deployment, make_partner: NewPartner) -> None:
    partner = await make_partner(points=0)
    studio = await new_studio_client(house.operator(), partner, count=2)

    task_id = (await studio.submit("submit_task", PICTURE, **REDRAW))["task_id"]
    done = await studio.finished(task_id)

    job = await partner.job(task_id)
    assert job["status"] == "succeeded"
    assert (job["cost"]["unit"], job["cost"]["amount"]) == ("count", 1)
    assert [one["id"] for one in await partner.jobs()] == [task_id]
    assert (await studio.open(done["images_url"])).content == await partner.download(job["outputAssetIds"][0])
    assert (await _balance(partner))["count"]["available"] == done["remaining_count"] == 1
