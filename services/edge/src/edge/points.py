"""The points contract (`/user/*`): JSON, `{code, message, data}` with the HTTP status as code, Chinese messages."""

import asyncio
import functools
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.answers import points_error, points_job_failure
from edge.backend import CALL_TIMEOUT_S, SUBMIT_TIMEOUT_S, WATCH_TIMEOUT_S, Backend, Metadata, caller
from edge.body import Fields, read_json_object
from edge.links import Links
from edge.open.requests import own_asset_id, read_idempotency_key
from edge.replies import json_reply
from kit.errors import AppError, ErrorReason, InvalidArgument, JobNotFound, NotFound, RequestIdReused

CONTRACT: Final = "points"
MODELS: Final[Mapping[str, str]] = {
    f"sc_soraimg_{kind}_{ratio}": task_type
    for kind, task_type in (("text", "text_to_image"), ("img2img", "image_to_image"))
    for ratio in ("auto", "1x1", "2x3", "3x2")
}
TASK_TYPES: Final = ("text_to_image", "image_to_image")
PROMPT_CHARS_MAX: Final = 4000
IMAGES_MAX: Final = 10
IMAGE_URL_CHARS_MAX: Final = 16 * 2048
SNIPPET_CHARS: Final = 14  # As long as the one in the contract's example.
PAGE_SIZE: Final = 10
PAGE_SIZE_MAX: Final = 100
TASK_NO_TRIES: Final = 3  # Two submits in one millisecond drawing the same four digits is rare; thrice is not chance.
WS_UNAUTHORISED: Final = 4401  # Close codes 4000–4999 are the application's.
WS_WRONG_REQUEST: Final = 4400
WS_AGAIN: Final = 1013

STATUSES: Final = {
    job_pb2.JOB_STATE_QUEUED: "queued",
    job_pb2.JOB_STATE_RUNNING: "processing",
    job_pb2.JOB_STATE_SUCCEEDED: "completed",
    job_pb2.JOB_STATE_FAILED: "failed",
    job_pb2.JOB_STATE_EXPIRED: "failed",
    job_pb2.JOB_STATE_CANCELLED: "failed",
}
FILTERS: Final = {
    "created": (job_pb2.JOB_STATE_QUEUED,),
    "queued": (job_pb2.JOB_STATE_QUEUED,),
    "processing": (job_pb2.JOB_STATE_RUNNING,),
    "completed": (job_pb2.JOB_STATE_SUCCEEDED,),
    "failed": (job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_EXPIRED, job_pb2.JOB_STATE_CANCELLED),
}

Endpoint = Callable[[Request], Awaitable[Response]]


class PointsContract:
    """`/user/ai/tasks/*` and `/user/points/consumption/balance`."""

    def __init__(self, backend: Backend, links: Links, *, timezone: ZoneInfo) -> None:
        """`timezone` is that of the times shown, which carry no zone."""
        self._backend = backend
        self._links = links
        self._timezone = timezone

    def routes(self) -> list[BaseRoute]:
        """All endpoints; each turns a refusal into the contract's answer."""
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/user/ai/tasks/submit", self.submit),
            ("GET", "/user/ai/tasks/list", self.list),
            ("GET", "/user/ai/tasks/{task_no}", self.get),
            ("GET", "/user/points/consumption/balance", self.balance),
        ]
        return [
            WebSocketRoute("/user/ai/tasks/ws", self.watch),
            *(Route(path, answering(endpoint), methods=[method]) for method, path, endpoint in table),
        ]

    async def submit(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            key = read_idempotency_key(request.headers.get("idempotency-key"))
            wanted = translate_submit(await read_json_object(request), self._links.base(request))
        except AppError:
            # Whoever has no right to ask learns that first, and nothing about the request.
            await self._backend.prove(metadata)
            raise
        wanted.idempotency_key = key
        answer = await self._submit(wanted, metadata)
        data = await self._view(request, metadata, answer.job)
        return success({**data, "status": "created"} if answer.job.state == job_pb2.JOB_STATE_QUEUED else data)

    async def _submit(self, wanted: pb2.SubmitJobRequest, metadata: Metadata) -> pb2.SubmitJobResponse:
        for attempt in range(1, TASK_NO_TRIES + 1):
            wanted.external_id = task_no(datetime.now(self._timezone))
            try:
                return await self._backend.gateway.SubmitJob(wanted, timeout=SUBMIT_TIMEOUT_S, metadata=metadata)
            except RequestIdReused:
                if attempt == TASK_NO_TRIES:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def get(self, request: Request) -> Response:
        metadata = credential(request)
        name = request.path_params["task_no"]
        try:
            answer = await self._find(name, metadata)
        except InvalidArgument as error:
            raise JobNotFound from error
        return success(await self._view(request, metadata, answer.job))

    async def _find(self, name: str, metadata: Metadata) -> pb2.GetJobResponse:
        """By the contract's own number, or by the id of a job that came through another contract."""
        by_id = name.startswith("job_")
        wanted = pb2.GetJobRequest(job_id=name) if by_id else pb2.GetJobRequest(external_id=name)
        return await self._backend.gateway.GetJob(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)

    async def list(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            page, size, wanted = list_request(request.query_params)
        except AppError:
            await self._backend.prove(metadata)
            raise
        answer = await self._backend.gateway.ListJobs(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)
        records = [await self._view(request, metadata, job) for job in answer.jobs]
        pages = math.ceil(answer.total / size)
        return success({"records": records, "total": answer.total, "page": page, "size": size, "pages": pages})

    async def balance(self, request: Request) -> Response:
        answer = await self._backend.gateway.GetBalance(
            pb2.GetBalanceRequest(), timeout=CALL_TIMEOUT_S, metadata=credential(request)
        )
        lines = {line.unit: line for line in answer.balances}
        points = lines.get(money_pb2.UNIT_POINTS)
        expires = points is not None and points.HasField("expire_time")
        return success(
            {
                "userId": int(answer.user_id) if answer.user_id.isdecimal() else answer.user_id or answer.client_id,
                "balance": points.available if points else 0,
                "expireTime": self._time(points.expire_time) if points and expires else None,
            }
        )

    async def watch(self, socket: WebSocket) -> None:
        """Push a task's data at every change, each once and in order; `after` continues behind a position."""
        token = socket.query_params.get("token", "")
        header = socket.headers.get("authorization", "")
        metadata = caller(socket, _clean(f"Bearer {token}" if token else header))
        after = socket.query_params.get("after", "0")
        await socket.accept()
        if not re.fullmatch(r"[0-9]{1,18}", after, re.ASCII):
            await socket.close(WS_WRONG_REQUEST, "参数错误:after")
            return
        pushing = asyncio.create_task(self._push(socket, metadata, int(after)))
        leaving = asyncio.create_task(_until_gone(socket))
        try:
            await asyncio.wait({pushing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pushing, leaving):
                task.cancel()
            await asyncio.gather(pushing, leaving, return_exceptions=True)

    async def _push(self, socket: WebSocket, metadata: Metadata, after: int) -> None:
        wanted = pb2.WatchJobsRequest(after_position=after)
        try:
            await self._backend.prove(metadata)
            changes: Any = self._backend.gateway.WatchJobs(wanted, timeout=WATCH_TIMEOUT_S, metadata=metadata)
            async for change in changes:
                data = await self._view(socket, metadata, change.job)
                await socket.send_text(orjson.dumps({**data, "position": change.event.position}).decode())
        except AppError as error:
            unauthorised = error.reason.name.startswith("CREDENTIAL") or error.reason in _SHUT_OUT
            await socket.close(WS_UNAUTHORISED if unauthorised else WS_AGAIN, points_error_text(error))

    async def _view(self, request: HTTPConnection, metadata: Metadata, job: job_pb2.Job) -> dict[str, Any]:
        """A task as the contract shows it."""
        prompt = str(orjson.loads(job.parameters_json or "{}").get("prompt", ""))
        outputs = [output for output in job.outputs if not output.extra][:1]
        urls = await self._links.urls(request, metadata, outputs) if outputs else []
        references = any(one.role == "reference" for one in job.inputs)
        return {
            "taskNo": job.external_id or job.id,
            "modelName": job.model,
            "status": STATUSES[job.state],
            "taskType": MODELS.get(job.model) or TASK_TYPES[references],
            "progress": job.progress,
            "promptSnippet": prompt if len(prompt) <= SNIPPET_CHARS else f"{prompt[:SNIPPET_CHARS]}...",
            "imageUrl": job.labels.get("image_url") or None,
            "resultUrl": urls[0] if urls else None,
            "createTime": self._time(job.create_time),
            "completeTime": self._time(job.finish_time) if job.HasField("finish_time") else None,
            "errorMessage": points_job_failure(_reason(job)) if job.HasField("failure") else None,
        }

    def _time(self, moment: Timestamp) -> str:
        return datetime.fromtimestamp(moment.seconds, tz=self._timezone).strftime("%Y-%m-%dT%H:%M:%S")


_SHUT_OUT: Final = frozenset({ErrorReason.CLIENT_DISABLED, ErrorReason.IP_NOT_ALLOWED})


def success(data: Any) -> Response:
    """The contract's good answer."""
    return json_reply({"code": 200, "message": "success", "data": data})


def points_error_text(error: AppError) -> str:
    """A close reason: WebSocket allows 123 bytes."""
    body = orjson.loads(bytes(points_error(error).body))
    return str(body["message"]).encode()[:120].decode(errors="ignore")


def credential(request: HTTPConnection) -> Metadata:
    """A JWT or an API key, as the gateway wants it."""
    return caller(request, _clean(request.headers.get("authorization", "")))


def _clean(authorization: str) -> str:
    text = authorization.strip()
    return text if text.isascii() and text.isprintable() else "Bearer ?"  # gRPC metadata is ASCII.


def task_no(now: datetime) -> str:
    """`TASK-yyyyMMddHHmmssSSS-NNNN`, local time."""
    return f"TASK-{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}-{secrets.randbelow(10_000):04d}"


def translate_submit(body: dict[str, Any], public_url: str) -> pb2.SubmitJobRequest:
    """Translate a submit. Raises InvalidArgument naming the field in the contract's words."""
    fields = Fields(body)
    model = fields.take_text("modelName", chars_max=128, required=True)
    if model not in MODELS:
        raise AppError.of(ErrorReason.MODEL_UNKNOWN, field="modelName")
    prompt = fields.take_text("prompt", chars_max=PROMPT_CHARS_MAX, required=True)
    raw = fields.take_text("imageUrl", chars_max=IMAGE_URL_CHARS_MAX)
    urls = image_urls(raw)
    if MODELS[model] == "image_to_image" and not urls:
        raise InvalidArgument("imageUrl is required", field="imageUrl")
    if MODELS[model] == "text_to_image" and urls:
        raise InvalidArgument("imageUrl is only for image_to_image", field="imageUrl")
    return pb2.SubmitJobRequest(
        model=model,
        parameters_json=orjson.dumps({"prompt": prompt}).decode(),
        inputs=[_input(url, public_url) for url in urls],
        contract=CONTRACT,
        labels={"image_url": raw} if urls else {},
    )


def image_urls(raw: str) -> list[str]:
    """`imageUrl` is one URL, or a JSON array of URLs in a string. Raises InvalidArgument."""
    text = raw.strip()
    if not text:
        return []
    if not text.startswith("["):
        return [text]
    try:
        urls = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument("imageUrl is not a JSON array", field="imageUrl") from error
    if not isinstance(urls, list) or not all(isinstance(url, str) and url for url in urls):
        raise InvalidArgument("imageUrl must hold URLs", field="imageUrl")
    if len(urls) > IMAGES_MAX:
        raise InvalidArgument(f"imageUrl takes at most {IMAGES_MAX} URLs", field="imageUrl")
    return urls


def _input(url: str, public_url: str) -> job_pb2.Input:
    if len(url) > 2048:
        raise InvalidArgument("imageUrl is too long", field="imageUrl")
    own = own_asset_id(url, public_url)
    return job_pb2.Input(role="reference", asset_id=own) if own else job_pb2.Input(role="reference", url=url)


def list_request(query: Mapping[str, str]) -> tuple[int, int, pb2.ListJobsRequest]:
    """page, size and the gateway's request. Raises InvalidArgument."""
    page = _number(query.get("page"), "page", default=1, maximum=10_000)
    size = _number(query.get("size"), "size", default=PAGE_SIZE, maximum=PAGE_SIZE_MAX)
    status, task_type = query.get("status", ""), query.get("taskType", "")
    if status and status not in FILTERS:
        raise InvalidArgument("status", field="status")
    if task_type and task_type not in TASK_TYPES:
        raise InvalidArgument("taskType", field="taskType")
    models = [name for name, kind in MODELS.items() if kind == task_type]
    return (
        page,
        size,
        pb2.ListJobsRequest(
            states=FILTERS[status] if status else [],
            models=models,
            page_size=size,
            skip=(page - 1) * size,
            with_total=True,
        ),
    )


def _number(text: str | None, name: str, *, default: int, maximum: int) -> int:
    if text is None or text == "":
        return default
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or not 1 <= int(text) <= maximum:
        raise InvalidArgument(name, field=name)
    return int(text)


def _reason(job: job_pb2.Job) -> ErrorReason:
    name = error_reason_pb2.ErrorReason.Name(job.failure.reason).removeprefix("ERROR_REASON_")
    return ErrorReason(name)


async def _until_gone(socket: WebSocket) -> None:
    """Return when the partner has closed; what it sends is not looked at."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return


def answering(endpoint: Endpoint) -> Endpoint:
    """Turn refusals into the contract's answers."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AppError as error:
            return points_error(error)

    return answer


async def not_found(request: Request) -> Response:
    """The contract's answer for a path that does not exist."""
    return points_error(NotFound())
