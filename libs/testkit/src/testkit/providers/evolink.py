"""EvoLink as far as its documents go: `/v1/images/generations`, `/v1/videos/generations`, `/v1/tasks/{id}`.

What they do not say is marked "assumed" here. A prompt that is refused at once is assumed, too: the documented code
for it is a task's.
"""

import asyncio
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.faults import Fault
from testkit.providers.files import picture
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

KEY: Final = "sk-evo-simulated"
CALLBACK_S: Final = 10.0
CALLBACK_PAUSES_S: Final = (1.0, 2.0, 4.0)

Check = Callable[[object], bool]

_ERRORS: Final = {
    Fault.TOO_MANY: (429, "rate_limit_exceeded"),
    Fault.BROKEN: (500, "internal_error"),
    Fault.UNAVAILABLE: (503, "service_unavailable"),
    Fault.ERROR_BODY: (200, "service_unavailable"),  # Assumed: that there is a 200 with an error.
    Fault.MODERATED: (400, "content_policy_violation"),
    Fault.ACCOUNT: (402, "insufficient_quota"),
}
_RATIOS: Final = [
    "1:1",
    "1:2",
    "2:1",
    "1:3",
    "3:1",
    "2:3",
    "3:2",
    "3:4",
    "4:3",
    "4:5",
    "5:4",
    "9:16",
    "16:9",
    "9:21",
    "21:9",
]
_STATUS: Final = {
    "queued": ("pending", 0),
    "running": ("processing", 50),
    "succeeded": ("completed", 100),
    "failed": ("failed", 50),
    "moderated": ("failed", 50),
}


def build() -> Simulator:
    """One account with the key KEY."""
    return EvoLink()


class Bad(Exception):
    """The vendor's 400, with the parameter at fault."""


class EvoLink(Simulator):
    """Pictures and films are tasks alike."""

    name = "evolink"

    def __init__(self, *, pace: float = 1.0) -> None:
        """`pace`: how many times the usual 0.1 s a task takes."""
        super().__init__(pace=pace)
        self.fail_with = "service_error"  #: The code of tasks that fail.
        self.origin = ""  #: Our address, as the last caller wrote it.

    def routes(self) -> list[BaseRoute]:
        """The vendor's routes."""
        return [
            Route("/v1/images/generations", self._draw, methods=["POST"]),
            Route("/v1/videos/generations", self._film, methods=["POST"]),
            Route("/v1/tasks/{task_id}", self._get, methods=["GET"]),
        ]

    def error(self, fault: Fault) -> Response:
        """The vendor's form of a fault."""
        status, code = _ERRORS[fault]
        return _error(status, code)

    async def _draw(self, request: Request) -> Answer:
        return await self._create(request, "image", check_image)

    async def _film(self, request: Request) -> Answer:
        return await self._create(request, "video", check_video)

    async def _create(self, request: Request, kind: str, check: Callable[[Mapping[str, Any]], None]) -> Answer:
        if refused := _unauthorized(request):
            return refused
        try:
            body = await _object(request)
            check(body)
        except Bad as bad:
            return _error(400, "invalid_request", param=str(bad))
        self.origin = str(request.base_url).rstrip("/")
        count = body.get("n", 1)
        files = (
            self.film()
            if kind == "video"
            else [(picture(seed=len(self.tasks) + number + 1), "image/png") for number in range(count)]
        )
        task = await self.take(
            body["model"],
            body,
            prompt=body.get("prompt", ""),
            files=files,
            task_id=f"task-unified-{int(time.time())}-{secrets.token_hex(4)}",
            callback_url=body.get("callback_url", ""),
        )
        if not isinstance(task, SimTask):
            return task
        record = {**self._record(task), "progress": 0, "status": "pending"}
        del record["results"]
        return JSONResponse(record)

    async def _get(self, request: Request) -> Answer:
        if refused := _unauthorized(request):
            return refused
        task_id = request.path_params["task_id"]
        if not task_id.startswith("task-unified-"):
            return _error(400, "invalid_task_id", "The task id must start with task-unified-.")
        task = self.ask(task_id)
        if task is None:
            return _error(404, "task_not_found")
        return JSONResponse(self._record(task)) if isinstance(task, SimTask) else task

    def _record(self, task: SimTask) -> dict[str, Any]:
        kind = "video" if task.kind.startswith("seedance-") else "image"
        state = self.state(task)
        status, progress = _STATUS[state]
        record: dict[str, Any] = {
            "created": int(time.time()),
            "id": task.id,
            "model": task.kind,
            "object": f"{kind}.generation.task",
            "progress": progress,
            "status": status,
            "type": kind,
            "results": [],
            "task_info": {"can_cancel": False, "estimated_time": 60},
            "usage": {"billing_rule": "per_call", "credits_reserved": 5, "user_group": "default"},
        }
        if kind == "video":
            record["task_info"]["video_duration"] = task.request.get("duration", 5)
            record["usage"]["billing_rule"] = "per_second"
        if status == "completed":
            record["results"] = [f"{self.origin}/_files/{task.id}/{number}" for number in range(len(task.files))]
        if status == "failed":
            code = "content_policy_violation" if state == "moderated" else self.fail_with
            record["error"] = {"code": code, "message": "It did not work out.", "type": "task_error"}
        return record

    async def post_callback(self, task: SimTask) -> tuple[bytes, Mapping[str, str]] | None:
        """The task's record, unsigned."""
        return orjson.dumps(self._record(task)), {"content-type": "application/json"}

    async def _call_back(self, task: SimTask) -> None:
        """As the vendor: up to three more tries, until one is answered with 2xx."""
        while self.state(task) in {"queued", "running"}:  # noqa: ASYNC110  States follow from time; nothing tells.
            await asyncio.sleep(0.02 * self.pace)
        body = orjson.dumps(self._record(task))
        async with httpx.AsyncClient(timeout=CALLBACK_S) as client:
            for pause_s in (*CALLBACK_PAUSES_S, None):
                try:
                    answer = await client.post(
                        task.callback_url, content=body, headers={"content-type": "application/json"}
                    )
                    self.callbacks.append(answer.status_code)
                except httpx.HTTPError:
                    self.callbacks.append(0)
                if pause_s is None or 200 <= self.callbacks[-1] < 300:
                    return
                await asyncio.sleep(pause_s * self.pace)


def check_image(body: Mapping[str, Any]) -> None:
    """The fields of each picture model. Raises Bad."""
    common: dict[str, Check] = {"prompt": _is_text, "image_urls": _urls(16), "callback_url": _is_callback_url}
    match body.get("model"):
        case "gpt-image-2":
            fields = {
                **common,
                "prompt": lambda value: _is_text(value) and len(str(value)) <= 32_000,
                "size": _is_size_2,
                "quality": _one_of("low", "medium", "high"),
                "n": lambda value: type(value) is int and 1 <= value <= 10,
                "resolution": _one_of("1K", "2K", "4K"),
            }
        case "gpt-image-1.5" | "gpt-image-1.5-lite":
            fields = {
                **common,
                "prompt": lambda value: _is_text(value) and len(str(value)) <= 2000,
                "size": _one_of("1:1", "2:3", "3:2", "1024x1024", "1024x1536", "1536x1024", "auto"),
                "quality": _one_of("low", "medium", "high", "auto"),
            }
        case "gpt-4o-image":
            fields = {**common, "size": _one_of("1:1", "2:3", "3:2"), "mask_url": _is_url}
        case _:
            raise Bad("model")
    _check(body, fields, needed=("prompt",))
    if "resolution" in body and ":" not in body.get("size", ""):
        raise Bad("resolution")
    if "mask_url" in body and len(body.get("image_urls", ())) != 1:
        raise Bad("image_urls")


def check_video(body: Mapping[str, Any]) -> None:
    """The fields of each variant of Seedance. Raises Bad."""
    model = str(body.get("model"))
    found = re.fullmatch(r"seedance-2\.([05])(-fast|-mini)?-(text|image|reference)-to-video", model)
    if found is None:
        raise Bad("model")
    newer, standard, variant = found[1] == "5", not found[2], found[3]
    heights = ("480p", "720p", "1080p") if standard and not newer else ("480p", "720p")
    fields: dict[str, Check] = {
        "prompt": _is_text,
        "duration": lambda value: type(value) is int and 4 <= value <= (30 if newer else 15),
        "quality": _one_of(*heights),
        "aspect_ratio": _one_of("16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "adaptive"),
        "generate_audio": _is_flag,
        "content_filter": _is_flag,
        "callback_url": _is_callback_url,
    }
    if variant == "image":
        fields["image_urls"] = _urls(2)
    if variant == "reference":
        fields |= {"image_urls": _urls(9), "video_urls": _urls(3), "audio_urls": _urls(3)}
    if variant == "text":
        fields["model_params"] = lambda value: isinstance(value, dict)
    _check(body, fields, needed={"text": ("prompt",), "image": ("image_urls",)}.get(variant, ()))
    if variant == "reference" and not body.get("image_urls") and not body.get("video_urls"):
        raise Bad("image_urls")


def _check(body: Mapping[str, Any], fields: Mapping[str, Check], *, needed: tuple[str, ...]) -> None:
    for name in needed:
        if name not in body:
            raise Bad(name)
    for name, value in body.items():
        if name != "model" and (name not in fields or not fields[name](value)):
            raise Bad(name)


def _is_size_2(value: object) -> bool:
    if value == "auto" or value in _RATIOS:
        return True
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", str(value))
    if found is None:
        return False
    sides = (int(found[1]), int(found[2]))
    return (
        all(side % 16 == 0 and 16 <= side <= 3840 for side in sides)
        and 655_360 <= math.prod(sides) <= 8_294_400
        and max(sides) <= 3 * min(sides)
    )


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))


def _urls(most: int) -> Check:
    return lambda value: isinstance(value, list) and 1 <= len(value) <= most and all(map(_is_url, value))


def _is_callback_url(value: object) -> bool:
    """HTTPS only. That the address is public is not checked: here none is."""
    return isinstance(value, str) and value.startswith("https://") and len(value) <= 2048


async def _object(request: Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise Bad("body") from error
    if not isinstance(body, dict) or request.headers.get("content-type") != "application/json":
        raise Bad("body")
    return body


def _unauthorized(request: Request) -> Response | None:
    if request.headers.get("authorization") == f"Bearer {KEY}":
        return None
    return _error(401, "unauthorized")


def _error(status: int, code: str, message: str = "It is refused.", *, param: str = "") -> Response:
    error = {"code": code, "message": message, "type": "api_error"}  # The types are assumed.
    if param:
        error["param"] = param
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 429 else {}
    return JSONResponse({"error": error}, status, headers)
