"""Volcengine Ark as far as its documents go: `/contents/generations/tasks` (Seedance) and `/images/generations`.

What they do not say is marked "assumed" here.
"""

import asyncio
import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers import ark_rules as rules
from testkit.providers.ark_rules import Bad
from testkit.providers.faults import Fault, Hang
from testkit.providers.files import picture
from testkit.providers.simulator import CALLBACK_S, RETRY_AFTER_S, Answer, SimTask, Simulator

KEY: Final = "sim-ark-key"
CALLBACK_TRIES: Final = 4  # One, and up to three more.
BASE: Final = "/api/v3"
_ENDED: Final = frozenset({"succeeded", "failed", "expired"})

_FAULTS: Final = {
    Fault.TOO_MANY: (429, "RateLimitExceeded.EndpointRPMExceeded", "TooManyRequests"),
    Fault.BROKEN: (500, "InternalServiceError", "InternalServerError"),
    Fault.ERROR_BODY: (200, "InternalServiceError", "InternalServerError"),
    Fault.MODERATED: (400, "InputTextSensitiveContentDetected", "BadRequest"),
    Fault.ACCOUNT: (403, "AccountOverdueError", "Forbidden"),
}


def build() -> Simulator:
    """One account with the key KEY."""
    return Ark()


class Ark(Simulator):
    """Films are tasks; pictures come with the answer."""

    name = "ark"

    def __init__(self, *, pace: float = 1.0) -> None:
        """`pace`: how many times the usual 0.1 s a task takes."""
        super().__init__(pace=pace)
        self.expired: set[str] = set()  #: Tasks that a test lets expire.
        self.deleted: set[str] = set()  #: Tasks whose record was deleted.
        self.request_ids: list[str] = []  #: The clients' own, of all submits.
        self.bad_pictures: set[int] = set()  #: Places in a group that fail.
        self.told: list[tuple[str, str]] = []  #: Task and state of each callback that was sent.
        self.refuse_next: tuple[int, str] | None = None  #: Status and code for the next submit that is valid.
        self.fail_with = "InternalServiceError"  #: The code of tasks that fail; "" for none.
        self._origins: dict[str, Request] = {}  #: By task, to make addresses of results.

    def routes(self) -> list[BaseRoute]:
        """The vendor's routes."""
        films = f"{BASE}/contents/generations/tasks"
        return [
            Route(films, self._create, methods=["POST"]),
            Route(f"{films}/{{task_id}}", self._get, methods=["GET"]),
            Route(f"{films}/{{task_id}}", self._delete, methods=["DELETE"]),
            Route(f"{BASE}/images/generations", self._draw, methods=["POST"]),
        ]

    def error(self, fault: Fault) -> Response:
        """The vendor's form of a fault."""
        if fault is Fault.UNAVAILABLE:
            return PlainTextResponse("Service Unavailable", 503)  # Of a gateway: Ark documents no 503.
        status, code, kind = _FAULTS[fault]
        return _error(status, code, kind=kind)

    def state(self, task: SimTask) -> str:
        """As the base's; a task may have expired, too."""
        return "expired" if task.id in self.expired else super().state(task)

    async def _create(self, request: Request) -> Answer:
        if refused := _unauthorized(request):
            return refused
        body = await _object(request)
        try:
            rules.check_film(body)
        except Bad as bad:
            return _error(bad.status, bad.code, bad.param)
        if refused := self._refused():
            return refused
        task_id = f"cgt-{time.strftime('%Y%m%d%H%M%S')}-{secrets.token_hex(3)}"
        self._origins[task_id] = request
        self.request_ids.append(request.headers.get("x-client-request-id", ""))
        files = self.film()
        if body.get("return_last_frame"):
            files = [*files, (picture(seed=len(self.tasks) + 1), "image/png")]
        task = await self.take(
            body["model"],
            body,
            prompt=rules.prompt_of(body),
            files=files,
            task_id=task_id,
            callback_url=body.get("callback_url", ""),
        )
        return _ok({"id": task.id}) if isinstance(task, SimTask) else task

    async def _get(self, request: Request) -> Answer:
        if refused := _unauthorized(request):
            return refused
        task = self.ask(request.path_params["task_id"])
        if isinstance(task, SimTask) and task.id not in self.deleted:
            return _ok(self._record(task))
        if task is None or isinstance(task, SimTask):
            return _error(404, "NotFound.Task", kind="NotFound")  # The part after the dot is assumed.
        return task

    async def _delete(self, request: Request) -> Answer:
        if refused := _unauthorized(request):
            return refused
        task = self.tasks.get(request.path_params["task_id"])
        if task is None or task.id in self.deleted:
            return _error(404, "NotFound.Task", kind="NotFound")
        self.cancels.append(task.id)
        state = self.state(task)
        if state == "queued":
            task.cancelled = True
        elif _status(state) in _ENDED:
            self.deleted.add(task.id)
        else:
            return _error(409, "OperationDenied.TaskState")  # Status and code are assumed.
        return _ok({})

    def _record(self, task: SimTask) -> dict[str, Any]:
        state = self.state(task)
        asked = task.request
        record: dict[str, Any] = {
            "id": task.id,
            "model": task.kind,
            "status": _status(state),
            "error": None,
            "created_at": int(time.time() - (time.monotonic() - task.began)),
            "updated_at": int(time.time()),
            "seed": asked.get("seed", 11),
            "resolution": asked.get("resolution", "720p"),
            "ratio": asked.get("ratio", "16:9"),
            "duration": asked.get("duration", 5),
            "framespersecond": 24,
            "service_tier": asked.get("service_tier", "default"),
            "execution_expires_after": asked.get("execution_expires_after", 172_800),
        }
        if state == "succeeded":
            origin = self._origins[task.id]
            record["content"] = {"video_url": self.url(origin, task)}
            if len(task.files) > 1:
                record["content"]["last_frame_url"] = self.url(origin, task, 1)
            record["usage"] = {"completion_tokens": 108_900, "total_tokens": 108_900}
        elif state == "moderated":
            record["error"] = {"code": "OutputVideoSensitiveContentDetected", "message": "The output is sensitive."}
        elif state == "failed" and self.fail_with:
            record["error"] = {"code": self.fail_with, "message": "The service failed."}
        return record

    async def _draw(self, request: Request) -> Answer:
        if refused := _unauthorized(request):
            return refused
        body = await _object(request)
        try:
            rules.check_picture(body)
        except Bad as bad:
            return _error(bad.status, bad.code, bad.param)
        if refused := self._refused():
            return refused
        self.request_ids.append(request.headers.get("x-client-request-id", ""))
        form = body.get("output_format", "jpeg")
        count = rules.pictures_of(body)
        files = [(picture(seed=len(self.tasks) + n + 1, form=form.upper()), f"image/{form}") for n in range(count)]
        task = await self.take(body["model"], body, prompt=body["prompt"], files=files)
        if not isinstance(task, SimTask):
            return task
        if task.fault is Fault.STUCK:
            return Hang()
        await asyncio.sleep(0.05 * self.pace)
        return _ok(self._drawn(request, task))

    def _drawn(self, request: Request, task: SimTask) -> dict[str, Any]:
        size = rules.size_of(task.request)
        items: list[dict[str, Any]] = []
        for number in range(len(task.files)):
            if task.fault in {Fault.FAILED, Fault.OUTPUT_MODERATED} or number in self.bad_pictures:
                code = self.fail_with if task.fault is Fault.FAILED else "OutputImageSensitiveContentDetected"
                items.append({"error": {"code": code, "message": "It could not be drawn."}})
            elif task.request.get("response_format") == "b64_json":
                items.append({"b64_json": base64.b64encode(self.file_bytes(task, number)).decode(), "size": size})
            else:
                items.append({"url": self.url(request, task, number), "size": size})
        width, height = map(int, size.split("x"))
        good = sum("error" not in item for item in items)
        tokens = good * width * height // 256
        return {
            "model": task.kind,
            "created": int(time.time()),
            "data": items,
            "usage": {"generated_images": good, "output_tokens": tokens, "total_tokens": tokens},
        }

    def _refused(self) -> Response | None:
        if self.refuse_next is None:
            return None
        (status, code), self.refuse_next = self.refuse_next, None
        return _error(status, code)

    async def post_callback(self, task: SimTask) -> tuple[bytes, Mapping[str, str]] | None:
        """The record as it is; Ark signs nothing."""
        return bytes(JSONResponse(self._record(task)).body), {"Content-Type": "application/json"}

    async def _call_back(self, task: SimTask) -> None:
        """Tell each change of the state, until there will be none; a cancelled task is not told of."""
        last = ""
        while last not in _ENDED:
            state = _status(self.state(task))
            if state == "cancelled":
                return
            if state != last:
                last = state
                await self._tell(task, state)
            await asyncio.sleep(0.01 * self.pace)

    async def _tell(self, task: SimTask, state: str) -> None:
        message = await self.post_callback(task)
        assert message is not None
        body, headers = message
        self.told.append((task.id, state))
        async with httpx.AsyncClient(timeout=CALLBACK_S) as client:
            for _ in range(CALLBACK_TRIES):
                try:
                    status = (await client.post(task.callback_url, content=body, headers=dict(headers))).status_code
                except httpx.HTTPError:
                    status = 0
                self.callbacks.append(status)
                if 200 <= status < 300:
                    return
                await asyncio.sleep(0.05 * self.pace)


def _status(state: str) -> str:
    return "failed" if state == "moderated" else state


def _unauthorized(request: Request) -> Response | None:
    if request.headers.get("authorization") == f"Bearer {KEY}":
        return None
    return _error(401, "AuthenticationError", kind="Unauthorized")


async def _object(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        value = await request.json() if len(body) <= rules.BODY_BYTES_MAX else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _ok(value: Any) -> Response:
    return JSONResponse(value, headers={"X-Request-Id": secrets.token_hex(8)})


def _error(status: int, code: str, param: str = "", *, kind: str = "BadRequest") -> Response:
    message = f"The request failed. Request id: {secrets.token_hex(8)}"
    headers = {"X-Request-Id": secrets.token_hex(8)}
    if status == 429:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    error = {"code": code, "message": message, "param": param, "type": kind}
    return JSONResponse({"error": error}, status, headers=headers)
