"""SuChuang as far as it is known: orders of its families, and the three addresses where tasks are asked after.

Its list of codes and the addresses of soraImg are not known. Those here are made up, and an adapter has to be told
them: `CODES`, `SORA_IMG_SUBMIT`.
"""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.faults import Fault
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

KEY: Final = "sim-suchuang-key"
SORA_IMG_SUBMIT: Final = "/made-up/soraImg/submit"
CODES: Final = {"key": 90001, "balance": 90002, "moderated": 90003, "parameters": 90004, "gone": 90005, "busy": 90006}
MODERATED_TEXT: Final = "内容违规"

Check = Callable[[object], bool]

_IMAGE_NUMBERS: Final = {"queued": 0, "running": 1, "succeeded": 2, "failed": 3, "moderated": 3}
_FILM_NUMBERS: Final = {"queued": 0, "succeeded": 1, "failed": 2, "moderated": 2, "running": 3}
_RATIOS: Final = "auto 1:1 3:2 2:3 16:9 9:16 4:3 3:4 21:9 9:21 1:3 3:1 2:1 1:2"


def build() -> Simulator:
    """One account with the key KEY."""
    return SuChuang()


class SuChuang(Simulator):
    """Refusals come with HTTP 200 and another code."""

    name = "suchuang"

    def __init__(self, *, pace: float = 1.0) -> None:
        """`pace`: how many times the usual 0.1 s a task takes."""
        super().__init__(pace=pace)
        self.keys_in_query: list[str] = []  #: Paths of calls that carried the key in their address.

    def routes(self) -> list[BaseRoute]:
        """The vendor's routes."""
        return [
            Route("/api/async/detail", self._async_detail, methods=["GET"]),
            Route("/api/img/drawDetail", self._draw_detail, methods=["GET"]),
            Route("/api/sora2/detail", self._film_detail, methods=["GET"]),
            *(Route(path, self._order, methods=["POST"]) for path in _FIELDS),
        ]

    def error(self, fault: Fault) -> Response:
        """The vendor's form of a fault."""
        match fault:
            case Fault.TOO_MANY:
                return JSONResponse({"code": 429, "msg": "请求过于频繁"}, 429, {"Retry-After": str(RETRY_AFTER_S)})
            case Fault.BROKEN | Fault.UNAVAILABLE:
                return Response("error", 500 if fault is Fault.BROKEN else 503)
            case Fault.MODERATED:
                return _refused("moderated", MODERATED_TEXT)
            case Fault.ACCOUNT:
                return _refused("balance", "余额不足")
            case _:
                return _refused("busy", "系统繁忙")

    async def _order(self, request: Request) -> Answer:
        if refused := self._unauthorized(request):
            return refused
        path = request.url.path
        encoding, fields = _FIELDS[path]
        body = await _body(request, encoding)
        if body is None or "prompt" not in body:
            return _refused("parameters", "参数错误")
        body.pop("key", None)
        for name, value in body.items():
            if name not in fields or not fields[name](value):
                return _refused("parameters", f"参数错误: {name}")
        film = "sora" in path and path != SORA_IMG_SUBMIT
        task = await self.take(
            path,
            body,
            prompt=str(body["prompt"]),
            files=self.film() if film else None,
            task_id=f"{'video' if film else 'image'}_{uuid.uuid4()}",
        )
        return _taken({"id": task.id, "count": 1}) if isinstance(task, SimTask) else task

    async def _async_detail(self, request: Request) -> Answer:
        return self._detail(request, self._async_record)

    async def _draw_detail(self, request: Request) -> Answer:
        return self._detail(request, self._draw_record)

    async def _film_detail(self, request: Request) -> Answer:
        return self._detail(request, self._film_record)

    def _detail(self, request: Request, record: Callable[[Request, SimTask], dict[str, Any]]) -> Answer:
        if refused := self._unauthorized(request):
            return refused
        task = self.ask(request.query_params.get("id", ""))
        if task is None or (isinstance(task, SimTask) and _detail_of(task.kind) != request.url.path):
            return _refused("gone", "任务不存在")
        return _taken(record(request, task)) if isinstance(task, SimTask) else task

    def _async_record(self, request: Request, task: SimTask) -> dict[str, Any]:
        state = self.state(task)
        record: dict[str, Any] = {"id": task.id, "status": _IMAGE_NUMBERS[state], "result": [], "message": ""}
        if state == "succeeded":
            record["result"] = [self.url(request, task)]
        return record | ({"message": _why(state)} if state in {"failed", "moderated"} else {})

    def _draw_record(self, request: Request, task: SimTask) -> dict[str, Any]:
        state = self.state(task)
        return {
            "id": task.id,
            "task_id": task.id,
            "status": _IMAGE_NUMBERS[state],
            "size": task.request.get("size", ""),
            "prompt": task.request["prompt"],
            "fail_reason": _why(state),
            "image_url": self.url(request, task) if state == "succeeded" else "",
            "remote_url": "",
            "created_at": _now(),
            "updated_at": _now(),
        }

    def _film_record(self, request: Request, task: SimTask) -> dict[str, Any]:
        state = self.state(task)
        return {
            "id": task.id,
            "content": task.request["prompt"],
            "status": _FILM_NUMBERS[state],
            "fail_reason": _why(state),
            "remote_url": self.url(request, task) if state == "succeeded" else "",
            "size": task.request.get("size", ""),
            "duration": task.request.get("duration", ""),
            "aspectRatio": task.request.get("aspectRatio", ""),
            "url": task.request.get("url", ""),
            "pid": 0,
            "created_at": _now(),
            "updated_at": _now(),
        }

    def _unauthorized(self, request: Request) -> Response | None:
        """The key is taken from the header or the address."""
        keys = (request.headers.get("authorization"), request.query_params.get("key"))
        if keys[1] is not None:
            self.keys_in_query.append(request.url.path)
        given = [key for key in keys if key is not None]
        return None if given and all(key == KEY for key in given) else _refused("key", "密钥无效")


def _detail_of(path: str) -> str:
    if path.startswith("/api/async/"):
        return "/api/async/detail"
    return "/api/sora2/detail" if "sora2" in path else "/api/img/drawDetail"


def _why(state: str) -> str:
    return {"failed": "生成失败", "moderated": MODERATED_TEXT}.get(state, "")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_link(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"https://[^,\s]+", value) is not None


def _links(most: int) -> Check:
    return lambda value: isinstance(value, list) and 1 <= len(value) <= most and all(map(_is_link, value))


def _is_joined(value: object) -> bool:
    return isinstance(value, str) and all(map(_is_link, value.split(",")))


def _one_of(words: str) -> Check:
    return lambda value: value in words.split()


def _is_pixels(value: object) -> bool:
    return re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}", str(value)) is not None


_TIER: Final = _one_of("1K 2K 4K")
#: Limits that are not known are set wide here.
_BANANA: Final[Mapping[str, Check]] = {"prompt": _is_text, "aspectRatio": _is_text, "urls": _links(100), "size": _TIER}
_SORA: Final[Mapping[str, Check]] = {
    "prompt": _is_text,
    "url": _is_link,
    "aspectRatio": _one_of("9:16 16:9"),
    "duration": _one_of("10 15"),
    "size": _one_of("small large"),
}
_FIELDS: Final[Mapping[str, tuple[str, Mapping[str, Check]]]] = {
    "/api/async/image_gpt": ("json", {"prompt": _is_text, "size": _one_of(_RATIOS), "urls": _links(10)}),
    "/api/async/image_gpt_2.5": ("json", {"prompt": _is_text, "aspectRatio": _is_pixels, "urls": _is_joined}),
    "/api/async/image_nanoBanana": (
        "json",
        {"prompt": _is_text, "aspectRatio": _is_text, "urls": _links(100), "imageSize": _is_text},
    ),
    "/api/async/image_nanoBanana_pro": ("json", _BANANA),
    "/api/async/image_nanoBanana2": ("json", _BANANA),
    "/api/img/nanoBanana": (
        "json",
        {
            "model": _one_of("nano-banana"),
            "prompt": _is_text,
            "aspectRatio": _is_text,
            "img_url": lambda value: _is_link(value) or _links(100)(value),
        },
    ),
    "/api/img/nanoBanana-pro": (
        "json",
        {"prompt": _is_text, "aspectRatio": _is_text, "img_url": _links(100), "imageSize": _TIER},
    ),
    SORA_IMG_SUBMIT: ("form", {"prompt": _is_text, "url": _is_link, "size": _one_of("auto 1:1 2:3 3:2")}),
    "/api/sora2/submit": ("form", _SORA),
    "/api/sora2-new/submit": ("form", _SORA),
    "/api/sora2pro/submit": (
        "form",
        {name: check for name, check in _SORA.items() if name != "size"} | {"duration": _one_of("15 25")},
    ),
}


async def _body(request: Request, encoding: str) -> dict[str, Any] | None:
    """The fields, None for a body in another form than the family takes."""
    content_type = request.headers.get("content-type", "").partition(";")[0]
    if encoding == "form":
        if content_type != "application/x-www-form-urlencoded":
            return None
        fields = parse_qs((await request.body()).decode(), keep_blank_values=True)
        return {name: values[-1] for name, values in fields.items()}
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and content_type == "application/json" else None


def _taken(data: Mapping[str, Any]) -> Response:
    return JSONResponse({"code": 200, "msg": "成功", "data": data, "exec_time": 0.05, "ip": "127.0.0.1"})


def _refused(code: str, message: str) -> Response:
    return JSONResponse({"code": CODES[code], "msg": message, "data": None, "exec_time": 0.01, "ip": "127.0.0.1"})
