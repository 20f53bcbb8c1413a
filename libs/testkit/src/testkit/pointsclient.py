"""A partner's program for the points contract, as tests need it: plain HTTP, WebSocket, and waiting made short."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect

CALL_TIMEOUT_S: Final = 60.0  # Generous: a machine that runs all tests at once is not quick.
TASK_TIMEOUT_S: Final = 180.0  # As the document advises.
POLL_INTERVAL_S: Final = 0.1


class PointsClient:
    """One user with a JWT or an API key."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=CALL_TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def submit(self, model: str, prompt: str, **body: Any) -> httpx.Response:
        """The raw answer."""
        return await self.http.post("/user/ai/tasks/submit", json={"modelName": model, "prompt": prompt, **body})

    async def submitted(self, model: str, prompt: str, **body: Any) -> dict[str, Any]:
        """Submit a task and return its data."""
        return _data(await self.submit(model, prompt, **body))

    async def task(self, task_no: str) -> dict[str, Any]:
        return _data(await self.http.get(f"/user/ai/tasks/{task_no}"))

    async def finished(self, task_no: str, *, timeout_s: float = TASK_TIMEOUT_S) -> dict[str, Any]:
        """Poll until it is completed or failed. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while (task := await self.task(task_no))["status"] not in {"completed", "failed"}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s:.0f} s the task is {task}")
            await asyncio.sleep(POLL_INTERVAL_S)
        return task

    async def list(self, **query: Any) -> dict[str, Any]:
        """One page."""
        return _data(await self.http.get("/user/ai/tasks/list", params=query))

    async def balance(self) -> int:
        return int(_data(await self.http.get("/user/points/consumption/balance"))["balance"])

    @asynccontextmanager
    async def pushes(self, *, after: int | None = None, token: str | None = None) -> AsyncIterator[ClientConnection]:
        """A WebSocket connection; `received` reads from it."""
        query = f"?token={self.token if token is None else token}" + ("" if after is None else f"&after={after}")
        url = self.url.replace("http", "ws", 1) + "/user/ai/tasks/ws" + query
        async with connect(url, proxy=None, open_timeout=CALL_TIMEOUT_S) as socket:
            yield socket


async def received(socket: ClientConnection, *, timeout_s: float = TASK_TIMEOUT_S) -> dict[str, Any]:
    """The next push. Raises TimeoutError, websockets.ConnectionClosed."""
    async with asyncio.timeout(timeout_s):
        pushed: dict[str, Any] = json.loads(await socket.recv())
    return pushed


def _data(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"], body["message"]) == (200, 200, "success"), response.text
    data: dict[str, Any] = body["data"]
    return data
