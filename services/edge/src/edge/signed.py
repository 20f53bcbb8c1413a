"""The signed contract (`/ai/draw/*`): forms in, HTTP 200 out with the return code in the body."""

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from atelier.common.v1 import error_reason_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge import files
from edge.answers import job_failure, signed_error, signed_reply
from edge.backend import SUBMIT_TIMEOUT_S, Backend, Metadata, caller
from edge.body import read_bytes
from edge.jobs import find_job
from edge.links import Links
from kit.errors import AppError, CredentialInvalid, CredentialMissing, ErrorReason, InvalidArgument

CONTRACT: Final = "signed"
MODEL: Final = "draw"
OK: Final = 200
OTHER: Final = 999
TEXT_CHARS_MAX: Final = 100
TIMESTAMP: Final = re.compile(r"[0-9]{13}", re.ASCII)
FORM_BYTES_MAX: Final = 64 * 1024  # A hundred characters and a signature, however they are encoded.
RESOLUTIONS: Final = ("1024*1024", "1024*1536", "1536*1024")
STYLES: Final = (
    "探索无限",
    "古风",
    "二次元",
    "写实风格",
    "浮世绘",
    "low poly",
    "未来主义",
    "像素风格",
    "概念艺术",
    "赛博朋克",
    "洛丽塔风格",
    "巴洛克风格",
    "超现实主义",
    "水彩画",
    "蒸汽波艺术",
    "油画",
    "卡通画",
)
#: What is said of a wrong field, in the document's own way.
FIELD_WORDS: Final[Mapping[str, str]] = {
    "text": "text参数错误",
    "resolution": "分辨率值不正确",
    "style": "风格值不正确",
    "num": "图片数量值不正确",
    "taskId": "taskId不能为空",
    "timestamp": "timestamp已过期",
}
PARAMETERS: Final[Mapping[str, str]] = {
    "parameters.prompt": "text",
    "parameters.width": "resolution",
    "parameters.height": "resolution",
    "idempotency_key": "idempotencyKey",
    "parameters.style": "style",
    "parameters.num": "num",
}
GONE: Final = frozenset({job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_EXPIRED, job_pb2.JOB_STATE_CANCELLED})

Endpoint = Callable[[Request], Awaitable[Response]]


class SignedContract:
    """`/ai/draw/submit` and `/ai/draw/query`."""

    def __init__(self, backend: Backend, links: Links, *, timezone: ZoneInfo) -> None:
        """`timezone` is that of the times shown, which carry no zone."""
        self._backend = backend
        self._links = links
        self._timezone = timezone

    def routes(self) -> list[Route]:
        """Both endpoints; the application answers code 404 for every other path below `/ai/draw/`."""
        return [
            Route("/ai/draw/submit", _answering(self.submit), methods=["POST"]),
            Route("/ai/draw/query", _answering(self.query), methods=["POST"]),
        ]

    async def submit(self, request: Request) -> Response:
        form = await _form(request)
        metadata = _credential(request, form)
        try:
            wanted = translate_submit(form)
        except AppError:
            await self._backend.prove(metadata)
            raise
        answer = await self._backend.gateway.SubmitJob(wanted, timeout=SUBMIT_TIMEOUT_S, metadata=metadata)
        return signed_reply(OK, "成功", charge=not answer.reused, data={"taskId": answer.job.id})

    async def query(self, request: Request) -> Response:
        form = await _form(request)
        metadata = _credential(request, form)
        task_id = form.get("taskId", "").strip()
        if not task_id:
            await self._backend.prove(metadata)
            raise InvalidArgument(field="taskId")
        job = await find_job(self._backend, task_id, metadata)
        if job.state in GONE:
            name = error_reason_pb2.ErrorReason.Name(job.failure.reason).removeprefix("ERROR_REASON_")
            # A rule of the operator may have kept a part of the price: then it must not read as free.
            return signed_reply(OTHER, job_failure(ErrorReason(name)), charge=job.charged.value > 0)
        outputs = [output for output in job.outputs if not output.extra]
        urls = await self._links.urls(request, metadata, outputs) if outputs else []
        moment = datetime.fromtimestamp(job.create_time.seconds, tz=self._timezone)
        return signed_reply(
            OK,
            "成功",
            charge=False,
            data={
                "img": urls[0] if urls else "",
                "imgUrls": [{"image": url} for url in urls],
                "createTime": moment.strftime("%Y-%m-%d %H:%M:%S"),
                "status": int(job.state == job_pb2.JOB_STATE_SUCCEEDED),
            },
        )


def translate_submit(form: Mapping[str, str]) -> pb2.SubmitJobRequest:
    """Translate a submit. Raises InvalidArgument naming the field."""
    text = form.get("text", "").strip()
    if not text:
        raise InvalidArgument("text不能为空", field="text")
    if "\x00" in text:
        raise InvalidArgument(field="text")
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidArgument("text长度不能超过100个字", field="text")
    resolution = form.get("resolution", "").strip()
    if resolution not in RESOLUTIONS:
        raise InvalidArgument(field="resolution")
    style = form.get("style", "").strip()
    if style not in STYLES:
        raise InvalidArgument(field="style")
    num = form.get("num", "").strip() or "1"
    if not re.fullmatch(r"[1-6]", num, re.ASCII):
        raise InvalidArgument(field="num")
    width, _, height = resolution.partition("*")
    parameters = {"prompt": text, "width": int(width), "height": int(height), "style": style, "num": int(num)}
    return pb2.SubmitJobRequest(
        model=MODEL,
        parameters_json=orjson.dumps(parameters).decode(),
        contract=CONTRACT,
        idempotency_key=form.get("idempotencyKey", "")[:255],
    )


async def _form(request: Request) -> dict[str, str]:
    """The form's text fields, multipart or urlencoded. Raises InvalidArgument, BodyTooLarge."""
    body = await read_bytes(request, FORM_BYTES_MAX)

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async with files.form_of(Request(request.scope, again)) as form:
        return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _credential(request: Request, form: Mapping[str, str]) -> Metadata:
    """appId, timestamp and sign as the gateway wants them.

    Raises CredentialMissing naming one that is absent, CredentialInvalid for a timestamp that is not in milliseconds.
    """
    parts = {name: form.get(name, "").strip() for name in ("appId", "timestamp", "sign")}
    for name, value in parts.items():
        if not value:
            raise CredentialMissing(f"{name}不能为空", field=name)
    if not TIMESTAMP.fullmatch(parts["timestamp"]):
        raise CredentialInvalid("timestamp格式不正确", field="timestamp")
    proof = ":".join(parts.values())
    if not proof.isascii() or not proof.isprintable() or len(proof) > 512:
        proof = "?:?:?"  # gRPC metadata is ASCII; no app of ours has such characters.
    return caller(request, f"App {proof}")


def _answering(endpoint: Endpoint) -> Endpoint:
    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AppError as error:
            field = error.field = PARAMETERS.get(error.field or "", error.field)
            # A sentence of our own (in Chinese) says more than the field's general one.
            own = {field: error.message} if field is not None and not error.message.isascii() else {}
            return signed_error(error, field_words={**FIELD_WORDS, **own})

    return answer
