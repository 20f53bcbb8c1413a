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

from testkit.deployments import Operator
from testkit.doors import grant, open_door
from testkit.openclient import OpenClient

CALL_TIMEOUT_S: Final = 60.0
TASK_TIMEOUT_S: Final = 180.0
POLL_INTERVAL_S: Final = 0.5  # Statuses change every three seconds at most: the contract's cache.
#: The fields that a redraw must have, with the document's example values.
REDRAW: Final = {
    "sdxl_model_dropdown": "通用模型",
    "style_dropdown": "通用风格",
    "upscale": "1.0",
    "s_noise": "1.003",
    "steps": "30",
    "high_fidelity": "False",
    "strong_inpaint": "False",
}
OVER: Final = frozenset({"Completed", "Failed"})


class StudioClient:
    """One partner with a user_key, over the HTTP client of another contract's program."""

    def __init__(self, http: httpx.AsyncClient, user_key: str) -> None:
        self.http = http
        self.user_key = user_key

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
    operator: Operator, partner: OpenClient, *, count: int = 0, fen: int = 0, life_s: float | None = None
) -> StudioClient:
    """Give a partner a user_key, good for so long, and grants of package uses and money."""
    door = await open_door(operator, partner.client_id, "user_key", life_s=life_s)
    for unit, value in (("count", count), ("fen", fen)):
        if value:
            await grant(operator, partner.client_id, unit, value)
    return StudioClient(partner.http, door.secret)
