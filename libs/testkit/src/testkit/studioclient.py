"""A partner's program for the studio contract, as tests need it: forms out, `err_code` in.

studio = await new_studio_client(house.operator(), partner, count=5)
task_id = (await studio.submit("submit_vector_task", picture, color_count="4"))["task_id"]
done = await studio.finished(task_id)
picture = (await studio.open(done["images_url"])).content
"""

import asyncio
import time
from typing import Any, Final

import httpx

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_pb2
from kit.ids import new_id
from testkit.deployments import Operator
from testkit.openclient import OpenClient

CALL_TIMEOUT_S: Final = 60.0
TASK_TIMEOUT_S: Final = 180.0
POLL_INTERVAL_S: Final = 0.5  # Statuses change every three seconds at most: the contract's cache.
OVER: Final = frozenset({"Completed", "Failed"})


class StudioClient:
    """One partner with a user_key, over the HTTP client of another contract's program."""

    def __init__(self, http: httpx.AsyncClient, user_key: str, *, credential_id: str = "") -> None:
        """`credential_id` is only for whoever wants to revoke the key."""
        self.http = http
        self.user_key = user_key
        self.credential_id = credential_id

    async def post(self, path: str, *, picture: bytes | None = None, **fields: str) -> dict[str, Any]:
        """The body of an answer; the HTTP status is 200 whatever it says. Empty `user_key` sends none."""
        form = {"user_key": self.user_key, **fields}
        files = None if picture is None else {"input_image": ("picture.png", picture)}
        sent = {name: value for name, value in form.items() if name != "user_key" or value}
        answer = await self.http.post(f"/api/{path}", data=sent, files=files)
        assert answer.status_code == httpx.codes.OK, answer.text
        assert answer.headers["content-type"] == "application/json"
        body: dict[str, Any] = answer.json()
        return body

    async def submit(self, endpoint: str, picture: bytes, **fields: str) -> dict[str, Any]:
        """The answer of a submit endpoint."""
        return await self.post(endpoint, picture=picture, **fields)

    async def status(self, task_id: str) -> dict[str, Any]:
        """The answer about a task."""
        return await self.post("check_task_status", task_id=task_id)

    async def finished(self, task_id: str, *, timeout_s: float = TASK_TIMEOUT_S) -> dict[str, Any]:
        """Poll until the task is over, well or not. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = await self.status(task_id)
            assert answer["err_code"] == 0, answer
            if answer["status"] in OVER:
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s:.0f} s the task is {answer}")
            await asyncio.sleep(POLL_INTERVAL_S)

    async def open(self, url: str) -> httpx.Response:
        """What a link answers to somebody without any key."""
        async with httpx.AsyncClient(timeout=CALL_TIMEOUT_S, trust_env=False) as stranger:
            return await stranger.get(url)


async def new_studio_client(
    operator: Operator, partner: OpenClient, *, count: int = 0, fen: int = 0, user_key: str = ""
) -> StudioClient:
    """Give a partner a user_key (made, when empty) and grants of package uses and money."""
    made = await operator.clients.AddCredential(
        admin_pb2.AddCredentialRequest(
            client_id=partner.client_id, kind=client_pb2.CREDENTIAL_KIND_USER_KEY, secret=user_key
        ),
        timeout=CALL_TIMEOUT_S,
    )
    for unit, value in ((money_pb2.UNIT_COUNT, count), (money_pb2.UNIT_FEN, fen)):
        if value:
            await operator.wallets.Grant(
                wallet_pb2.GrantRequest(
                    grant_id=new_id("grant"),
                    client_id=partner.client_id,
                    amount=money_pb2.Amount(unit=unit, value=value),
                ),
                timeout=CALL_TIMEOUT_S,
            )
    return StudioClient(partner.http, user_key or made.secret, credential_id=made.credential.id)
