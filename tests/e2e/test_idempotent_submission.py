"""A partner that does not know whether its request arrived sends it again."""

import asyncio

from testkit.deployments import NewPartner
from testkit.openclient import OpenClient

SMALL = {"capability": "image.generate", "prompt": "一只猫", "width": 128, "height": 128}


async def test_same_key_and_body_returns_the_first_job(partner: OpenClient) -> None:
    first = await partner.submit(SMALL, idempotency_key="order-1")
    again = await partner.submit(SMALL, idempotency_key="order-1")

    assert first.status_code == 201
    assert first.json()["reused"] is False
    assert again.status_code == 200
    assert again.json()["reused"] is True
    assert again.json()["job"]["id"] == first.json()["job"]["id"]
    assert (await partner.points())["available"] == 970


async def test_same_key_returns_the_job_after_it_has_finished(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL, idempotency_key="order-1")
    done = await partner.finished_job(job["id"])

    again = await partner.submit(SMALL, idempotency_key="order-1")

    assert again.json() == {"job": done, "reused": True}


async def test_same_body_written_in_another_way_is_the_same_request(partner: OpenClient) -> None:
    first = await partner.create_job(**SMALL, idempotency_key="order-1")
    backwards = dict(reversed(SMALL.items()))

    again = await partner.submit({**backwards, "force_single": True}, idempotency_key="order-1")

    assert again.status_code == 200
    assert again.json()["job"]["id"] == first["id"]


async def test_same_key_with_another_body_is_refused(partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL, idempotency_key="order-1")

    refusal = await partner.submit({**SMALL, "prompt": "一只狗"}, idempotency_key="order-1")

    assert refusal.status_code == 409
    assert "Idempotency-Key" in refusal.json()["error"]
    assert [one["id"] for one in await partner.jobs()] == [job["id"]]
    assert (await partner.points())["available"] == 970


async def test_twenty_at_once_make_one_job_and_one_hold(partner: OpenClient) -> None:
    answers = await asyncio.gather(*(partner.submit(SMALL, idempotency_key="order-1") for _ in range(20)))

    assert {answer.status_code for answer in answers} <= {200, 201}
    assert [answer.status_code for answer in answers].count(201) == 1
    assert len({answer.json()["job"]["id"] for answer in answers}) == 1
    assert (await partner.points())["available"] == 970
    assert len(await partner.jobs()) == 1


async def test_twenty_at_once_with_other_bodies_make_one_job(partner: OpenClient) -> None:
    bodies = [{**SMALL, "prompt": f"第{number}只猫"} for number in range(20)]

    answers = await asyncio.gather(*(partner.submit(body, idempotency_key="order-1") for body in bodies))

    statuses = [answer.status_code for answer in answers]
    assert sorted(set(statuses)) == [201, 409]
    assert statuses.count(201) == 1
    assert (await partner.points())["available"] == 970
    assert len(await partner.jobs()) == 1


async def test_key_belongs_to_one_client(partner: OpenClient, make_partner: NewPartner) -> None:
    other = await make_partner()
    mine = await partner.create_job(**SMALL, idempotency_key="order-1")

    theirs = await other.submit(SMALL, idempotency_key="order-1")

    assert theirs.status_code == 201
    assert theirs.json()["job"]["id"] != mine["id"]


async def test_requests_without_a_key_are_separate_jobs(partner: OpenClient) -> None:
    jobs = [await partner.create_job(**SMALL) for _ in range(2)]

    assert jobs[0]["id"] != jobs[1]["id"]
    assert (await partner.points())["available"] == 940
