"""Every endpoint of the points contract and every credential that is not good; and what belongs to somebody else."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed

from testkit.deployments import Deployment, NewPartner
from testkit.doors import change_client, open_door, token
from testkit.openclient import OpenClient
from testkit.pointsclient import PointsClient, received

ENDPOINTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/user/ai/tasks/submit", {"json": {"modelName": "sc_soraimg_text_1x1", "prompt": "猫"}}),
    ("POST", "/user/ai/tasks/submit", {"json": {"modelName": "nonsense"}}),
    ("POST", "/user/ai/tasks/submit", {"content": b"not json"}),
    ("GET", "/user/ai/tasks/list", {}),
    ("GET", "/user/ai/tasks/list?page=nonsense", {}),
    ("GET", "/user/ai/tasks/TASK-20251026153045123-4567", {}),
    ("GET", "/user/points/consumption/balance", {}),
]
MISSING, INVALID, EXPIRED, DISABLED = "未登录", "未登录或Token无效", "未登录或Token过期", "账号停用"
CACHE_S = 5.5  # A gateway remembers a credential for five seconds.
NOBODYS_TASK = "TASK-20251026153045123-4567"


@pytest_asyncio.fixture(loop_scope="session")
async def bad_credentials(
    house: Deployment, make_partner: NewPartner
) -> AsyncIterator[dict[str, tuple[str, int, str]]]:
    """What is wrong → header, status, and message."""
    user_id = str(secrets.randbelow(10**17) + 1)
    partner = await make_partner(user_id=user_id)
    disabled = await make_partner()
    await change_client(house.operator(), disabled.client_id, disabled=True)
    old = await open_door(house.operator(), partner.client_id, "api_key", life_s=-1)
    user_key = await open_door(house.operator(), partner.client_id, "user_key")
    secret = house.jwt_secret
    now_s = int(time.time())
    yield {
        "none": ("", 401, MISSING),
        "empty": ("Bearer", 401, MISSING),
        "wrong key": ("Bearer sk-wrong", 401, INVALID),
        "another scheme": (f"Basic {partner.key}", 401, INVALID),
        "not ASCII": ("Bearer 钥匙", 401, INVALID),
        "key of another contract": (f"Bearer {user_key.secret}", 401, INVALID),
        "expired key": (f"Bearer {old.secret}", 401, EXPIRED),
        "expired token": (f"Bearer {token(secret, user_id, exp=now_s - 60)}", 401, EXPIRED),
        "token without an end": (f"Bearer {token(secret, user_id, exp=None)}", 401, INVALID),
        "token not valid yet": (f"Bearer {token(secret, user_id, nbf=now_s + 600)}", 401, INVALID),
        "token of nobody": (f"Bearer {token(secret, '1')}", 401, INVALID),
        "token signed by another": (f"Bearer {token(SecretStr('x' * 40), user_id)}", 401, INVALID),
        "disabled client": (f"Bearer {disabled.key}", 403, DISABLED),
    }


async def test_every_endpoint_refuses_every_bad_credential_in_the_same_words(
    house: Deployment, bad_credentials: dict[str, tuple[str, int, str]]
) -> None:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False, timeout=60) as client:
        for what, (header, status, message) in bad_credentials.items():
            headers = {"authorization": header.encode()} if header else {}
            for method, path, options in ENDPOINTS:
                answer = await client.request(method, path, headers=headers, **options)
                expected = {"code": status, "message": message, "data": None}
                assert (answer.status_code, answer.json()) == (status, expected), (what, method, path)


async def test_sockets_are_closed_for_every_bad_credential(
    house: Deployment, bad_credentials: dict[str, tuple[str, int, str]]
) -> None:
    for what, (header, status, message) in bad_credentials.items():
        if not header.startswith("Bearer ") and header:
            continue  # The query carries the token alone.
        query = header.removeprefix("Bearer ")
        async with PointsClient(house.url, "") as client, client.pushes(token=query) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await received(socket, timeout_s=30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000 + status, message), what


async def test_token_and_key_lead_to_the_same_purse(house: Deployment, make_partner: NewPartner) -> None:
    user_id = str(secrets.randbelow(10**17) + 1)
    partner = await make_partner(points=77, user_id=user_id)
    for credential in (partner.key, token(house.jwt_secret, user_id), token(house.jwt_secret, user_id, aud="any")):
        async with PointsClient(house.url, credential) as client:
            answer = await client.http.get("/user/points/consumption/balance")
            assert answer.json()["data"] == {"userId": int(user_id), "balance": 77, "expireTime": None}


async def test_client_that_is_disabled_or_loses_its_key_is_out_within_seconds(
    house: Deployment, make_partner: NewPartner
) -> None:
    disabled, revoked = await make_partner(), await make_partner()
    async with PointsClient(house.url, disabled.key) as one, PointsClient(house.url, revoked.key) as other:
        assert await one.balance() == await other.balance() == 1000
        await change_client(house.operator(), disabled.client_id, disabled=True)
        await _revoke_all(house, revoked)
        await asyncio.sleep(CACHE_S)
        first = await one.http.get("/user/points/consumption/balance")
        second = await other.http.get("/user/points/consumption/balance")
    assert (first.status_code, first.json()["message"]) == (403, DISABLED)
    assert (second.status_code, second.json()["message"]) == (401, INVALID)


async def test_foreign_task_looks_like_a_missing_one(
    house: Deployment, partner: OpenClient, make_partner: NewPartner
) -> None:
    stranger = await make_partner()
    async with PointsClient(house.url, partner.key) as mine, PointsClient(house.url, stranger.key) as other:
        task = await mine.submitted("sc_soraimg_text_1x1", "猫")
        job_id = (await partner.jobs())[0]["id"]
        answers = [
            await other.http.get(f"/user/ai/tasks/{name}")
            for name in (task["taskNo"], job_id, NOBODYS_TASK, "job_" + "0" * 26, "x" * 500, "%00")
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()) == (404, {"code": 404, "message": "任务不存在", "data": None})
        assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
        assert (await other.list())["total"] == 0
        # Its owner finds it by either name.
        assert (await mine.task(job_id))["taskNo"] == task["taskNo"]


async def _revoke_all(house: Deployment, partner: OpenClient) -> None:
    from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2

    clients = house.operator().clients
    listed = await clients.ListCredentials(admin_pb2.ListCredentialsRequest(client_id=partner.client_id), timeout=30)
    for one in listed.credentials:
        await clients.RevokeCredential(admin_pb2.RevokeCredentialRequest(credential_id=one.id), timeout=30)
