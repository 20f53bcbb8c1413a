"""Whoever is not let in over the studio contract reads the document's sentences, and learns nothing else."""

import asyncio
from typing import Any

import pytest

from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_pb2
from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.studioclient import REDRAW, StudioClient, new_studio_client

TIMEOUT_S = 10.0
PICTURE = encoded(photo((48, 40)), "PNG")
ENDPOINTS = [
    "submit_task",
    "submit_vector_task",
    "submit_face_enhance_task",
    "submit_seamless_task",
    "submit_remove_fabric_task",
    "submit_edit_image_task",
    "submit_extract_pattern_task",
    "submit_remove_diamonds_task",
    "submit_expand_image_task",
    "submit_remove_watermark_task",
    "check_task_status",
]
NO_ACCOUNT = {"err_code": 1, "err_msg": "账户不存在"}
NO_TASK = {"err_code": 1, "err_msg": "任务未找到或状态未知"}


async def _everywhere(studio: StudioClient) -> list[dict[str, Any]]:
    """What each endpoint answers to a request that is good but for the key."""
    fields = REDRAW | {"prompt": "水彩画", "task_id": "job_" + "0" * 26}
    return list(await asyncio.gather(*(studio.post(name, picture=PICTURE, **fields) for name in ENDPOINTS)))


@pytest.mark.parametrize("key", ["", "wrong", "ключ", "a b", "x" * 400], ids=["none", "wrong", "odd", "two", "long"])
async def test_unknown_key_is_no_account_at_every_endpoint(partner: OpenClient, key: str) -> None:
    for answer in await _everywhere(StudioClient(partner.http, key)):
        assert answer == NO_ACCOUNT
    assert await partner.assets() == []


async def test_api_key_is_no_user_key(partner: OpenClient) -> None:
    assert await StudioClient(partner.http, partner.key).status("x") == NO_ACCOUNT


async def test_revoked_key_is_no_account(house: Deployment, partner: OpenClient) -> None:
    clients = house.operator().clients
    added = await clients.AddCredential(
        admin_pb2.AddCredentialRequest(client_id=partner.client_id, kind=client_pb2.CREDENTIAL_KIND_USER_KEY),
        timeout=TIMEOUT_S,
    )
    studio = StudioClient(partner.http, added.secret)
    assert await studio.status("x") == NO_TASK

    revoked = admin_pb2.RevokeCredentialRequest(credential_id=added.credential.id)
    await clients.RevokeCredential(revoked, timeout=TIMEOUT_S)

    for answer in await _everywhere(studio):
        assert answer == NO_ACCOUNT


async def test_expired_key_is_no_account(house: Deployment, partner: OpenClient) -> None:
    studio = await new_studio_client(house.operator(), partner, life_s=-1)

    for answer in await _everywhere(studio):
        assert answer == NO_ACCOUNT


async def test_disabled_client_is_no_account(house: Deployment, partner: OpenClient) -> None:
    studio = await new_studio_client(house.operator(), partner, count=5)
    record = client_pb2.Client(id=partner.client_id, disabled=True)
    await house.operator().clients.PutClient(admin_pb2.PutClientRequest(client=record), timeout=TIMEOUT_S)

    for answer in await _everywhere(studio):
        assert answer == NO_ACCOUNT


async def test_address_outside_of_the_list_is_told_so(house: Deployment, partner: OpenClient) -> None:
    studio = await new_studio_client(house.operator(), partner, count=5)
    record = client_pb2.Client(id=partner.client_id, ip_allow=["192.0.2.0/24"])
    await house.operator().clients.PutClient(admin_pb2.PutClientRequest(client=record), timeout=TIMEOUT_S)

    assert await studio.submit("submit_vector_task", PICTURE) == {
        "err_code": 1,
        "err_msg": "任务提交失败:ip不在白名单",
    }
    assert await studio.status("x") == {"err_code": 1, "err_msg": "ip不在白名单"}


async def test_one_submit_and_one_status_are_one_request_each(house: Deployment, make_partner: NewPartner) -> None:
    limits = client_pb2.Limits(requests_per_second=1, burst=2)
    slow = await new_studio_client(house.operator(), await make_partner(limits=limits), count=5)

    submitted = await slow.submit("submit_task", PICTURE, **REDRAW)
    known = await slow.status(submitted["task_id"])
    refused = await slow.status("job_" + "0" * 26)

    assert (submitted["err_code"], known["err_code"]) == (0, 0)
    assert refused == {"err_code": 1, "err_msg": "请求过于频繁,请稍候再试"}


async def test_foreign_task_looks_like_a_missing_one(house: Deployment, make_partner: NewPartner) -> None:
    owner = await new_studio_client(house.operator(), await make_partner(), count=5)
    stranger = await new_studio_client(house.operator(), await make_partner(), count=5)
    task_id = (await owner.submit("submit_task", PICTURE, **REDRAW))["task_id"]

    assert (await owner.status(task_id))["err_code"] == 0
    for absent in (task_id, "job_" + "0" * 26, "nonsense", "", "x" * 300, "山"):
        assert await stranger.status(absent) == NO_TASK
    await owner.finished(task_id)
    assert await stranger.status(task_id) == NO_TASK
