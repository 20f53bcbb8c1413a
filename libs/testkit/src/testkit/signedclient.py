"""A partner's program for the signed contract: forms out, and waiting made short."""

import asyncio
import hashlib
import re
import time
from types import TracebackType
from typing import Any, Final, Self

import httpx

CALL_TIMEOUT_S: Final = 60.0
TASK_TIMEOUT_S: Final = 180.0
POLL_INTERVAL_S: Final = 0.1


class SignedClient:
    """One app. Every answer is checked for what all have in common."""

    def __init__(self, url: str, app_id: str, secret: str) -> None:
        self.app_id, self.secret = app_id, secret
        self.http = httpx.AsyncClient(base_url=url, timeout=CALL_TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    def proof(self, *, skew_s: float = 0.0) -> dict[str, str]:
        """The three common parameters, by a clock that is `skew_s` ahead."""
        return proof(self.app_id, self.secret, skew_s=skew_s)

    async def call(self, path: str, fields: dict[str, Any], *, multipart: bool = True) -> dict[str, Any]:
        """The body of an answer, without its number."""
        if multipart:
            answer = await self.http.post(path, files={name: (None, str(value)) for name, value in fields.items()})
        else:
            answer = await self.http.post(path, data=fields)
        assert answer.status_code == httpx.codes.OK
        body: dict[str, Any] = answer.json()
        assert re.fullmatch(r"[0-9]{24}", body.pop("taskNo"))
        return body

    async def submit(self, *, multipart: bool = True, **fields: Any) -> dict[str, Any]:
        """Submit a task; `fields` beat those of a good one."""
        good = {**self.proof(), "text": "一只猫", "resolution": "1024*1024", "style": "油画"}
        return await self.call("/ai/draw/submit", {**good, **fields}, multipart=multipart)

    async def query(self, task_id: str, *, multipart: bool = True, **fields: Any) -> dict[str, Any]:
        """Ask for a task; `fields` beat those of a good question."""
        return await self.call("/ai/draw/query", {**self.proof(), "taskId": task_id, **fields}, multipart=multipart)

    async def submitted(self, **fields: Any) -> str:
        """Submit a task and return its id."""
        body = await self.submit(**fields)
        assert (body["code"], body["msg"], body["charge"]) == (200, "成功", True), body
        return str(body["data"]["taskId"])

    async def finished(self, task_id: str, *, timeout_s: float = TASK_TIMEOUT_S) -> dict[str, Any]:
        """Poll until it is not queued or running any more; return the whole answer. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while (body := await self.query(task_id))["code"] == httpx.codes.OK and body["data"]["status"] == 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s:.0f} s the task is {body}")
            await asyncio.sleep(POLL_INTERVAL_S)
        return body


def proof(app_id: str, secret: str, *, skew_s: float = 0.0) -> dict[str, str]:
    """The three common parameters of an app, by a clock that is `skew_s` ahead."""
    stamp = str(int((time.time() + skew_s) * 1000))
    sign = hashlib.sha256(f"{app_id}{secret}{stamp}".encode()).hexdigest()
    return {"appId": app_id, "timestamp": stamp, "sign": sign}
