"""The studio contract (`/api/submit_*task`, `/api/check_task_status`, `/api/images/…`): forms in, `err_code` out."""

import functools
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge import files
from edge.answers import job_failure, studio_error
from edge.backend import CALL_TIMEOUT_S, SUBMIT_TIMEOUT_S, Backend, Metadata, caller
from edge.links import Links
from edge.replies import json_reply
from edge.studio_fields import ENDPOINTS, Endpoint, read_parameters
from kit.errors import AppError, CredentialMissing, ErrorReason, InvalidArgument, http_status

CONTRACT: Final = "studio"
FILE_BYTES_MAX: Final = 16 * 1024 * 1024  # 16MB, where the document says so.
FILE_TOO_LARGE: Final = "文件大小不能超过16MB"
UNKNOWN_TASK: Final = "任务未找到或状态未知"
STATUS_CACHE_S: Final = 3.0
STATUS_CACHE_MAX: Final = 20_000
FEN_A_YUAN: Final = 100

STATUSES: Final = {
    job_pb2.JOB_STATE_QUEUED: "Pending",
    job_pb2.JOB_STATE_RUNNING: "Processing",
    job_pb2.JOB_STATE_SUCCEEDED: "Completed",
    job_pb2.JOB_STATE_FAILED: "Failed",
    job_pb2.JOB_STATE_EXPIRED: "Failed",
    job_pb2.JOB_STATE_CANCELLED: "Failed",
}
#: What comes after the task id in an image link → role and index of the output.
VARIANTS: Final[Mapping[str, tuple[str, int]]] = {
    "": ("image", 0),
    "vector": ("vector", 0),
    "grid": ("grid", 0),
    "1m": ("tile", 0),
}
ALTERNATIVE: Final = re.compile(r"alternative/([1-9][0-9]?)", re.ASCII)


@dataclass(frozen=True)
class _Cached:
    body: dict[str, Any]
    until: float


class StudioContract:
    """All endpoints of the studio contract."""

    def __init__(self, backend: Backend, links: Links, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._links = links
        self._monotonic = monotonic
        self._statuses: dict[tuple[str, str], _Cached] = {}

    def routes(self) -> list[Route]:
        submits = [
            Route(f"/api/{endpoint.name}", self._submitting(endpoint), methods=["POST"]) for endpoint in ENDPOINTS
        ]
        return [
            *submits,
            Route("/api/check_task_status", self.check_task_status, methods=["POST"]),
            Route("/api/images/{opaque}/{task_id}", self.image, methods=["GET"]),
            Route("/api/images/{opaque}/{task_id}/{variant:path}", self.image, methods=["GET"]),
        ]

    def _submitting(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(self._submit)
        async def answer(request: Request) -> Response:
            try:
                async with files.form_of(request) as form:
                    return await self._submit(request, endpoint, form)
            except AppError as error:
                return studio_error(error, submitting=True)

        return answer

    async def _submit(self, request: Request, endpoint: Endpoint, form: FormData) -> Response:
        metadata = _credential(request, form)
        await self._backend.prove(metadata)
        parameters = read_parameters(endpoint, form)
        picture = form.get("input_image")
        if not isinstance(picture, UploadFile):
            raise InvalidArgument("缺少参数", field="input_image")
        if endpoint.limited and (picture.size or 0) > FILE_BYTES_MAX:
            return json_reply({"err_code": 1, "err_msg": FILE_TOO_LARGE})
        asset_id = await self._store(picture, metadata)
        wanted = pb2.SubmitJobRequest(
            model=endpoint.model,
            parameters_json=orjson.dumps(parameters).decode(),
            inputs=[job_pb2.Input(role="image", asset_id=asset_id)],
            contract=CONTRACT,
        )
        try:
            answer = await self._backend.gateway.SubmitJob(wanted, timeout=SUBMIT_TIMEOUT_S, metadata=metadata)
        except AppError:
            # Nothing of a refused task remains.
            await self._backend.gateway.DeleteAsset(
                pb2.DeleteAssetRequest(asset_id=asset_id), timeout=CALL_TIMEOUT_S, metadata=metadata
            )
            raise
        return json_reply({"err_code": 0, "task_id": answer.job.id, **await self._remaining(metadata)})

    async def _store(self, picture: UploadFile, metadata: Metadata) -> str:
        allowed = await self._backend.gateway.AuthorizeUpload(
            pb2.AuthorizeUploadRequest(kind="image"), timeout=CALL_TIMEOUT_S, metadata=metadata
        )
        asset = await files.upload(self._backend, picture, ticket=allowed.tickets[0], kind="image", field="input_image")
        return asset.id

    async def check_task_status(self, request: Request) -> Response:
        try:
            async with files.form_of(request) as form:
                metadata = _credential(request, form)
                task_id = form.get("task_id", "")
            user_key = dict(metadata).get("authorization", "")
            name = task_id.strip() if isinstance(task_id, str) else ""
            cached = self._statuses.get((user_key, name))
            if cached is None or self._monotonic() >= cached.until:
                body = await self._status(request, name, metadata)
                cached = self._remember((user_key, name), body)
            return json_reply(cached.body)
        except AppError as error:
            lost = error.reason in {ErrorReason.JOB_NOT_FOUND, ErrorReason.INVALID_ARGUMENT}
            return (
                json_reply({"err_code": 1, "err_msg": UNKNOWN_TASK}) if lost else studio_error(error, submitting=False)
            )

    def _remember(self, key: tuple[str, str], body: dict[str, Any]) -> _Cached:
        if len(self._statuses) >= STATUS_CACHE_MAX:
            self._statuses.clear()
        cached = self._statuses[key] = _Cached(body, self._monotonic() + STATUS_CACHE_S)
        return cached

    async def _status(self, request: Request, task_id: str, metadata: Metadata) -> dict[str, Any]:
        if not 0 < len(task_id) <= 64:
            await self._backend.prove(metadata)
            raise InvalidArgument(field="task_id")
        answer = await self._backend.gateway.GetJob(
            pb2.GetJobRequest(job_id=task_id), timeout=CALL_TIMEOUT_S, metadata=metadata
        )
        job = answer.job
        body: dict[str, Any] = {"err_code": 0, "status": STATUSES[job.state]}
        if job.HasField("failure"):
            name = error_reason_pb2.ErrorReason.Name(job.failure.reason).removeprefix("ERROR_REASON_")
            body["err_msg"] = job_failure(ErrorReason(name))
        if job.state == job_pb2.JOB_STATE_SUCCEEDED:
            body |= await self._results(request, job, metadata)
            body |= await self._remaining(metadata)
        return body

    async def _results(self, request: Request, job: job_pb2.Job, metadata: Metadata) -> dict[str, Any]:
        """Links to whatever the task made."""
        linked = await self._backend.gateway.LinkJob(
            pb2.LinkJobRequest(job_id=job.id), timeout=CALL_TIMEOUT_S, metadata=metadata
        )
        main = f"{self._links.base(request)}/api/images/{linked.token}/{job.id}"
        roles = [output.role for output in job.outputs]
        results: dict[str, Any] = {
            "images_url": main,
            "vector_url": f"{main}/vector" if "vector" in roles else "",
            "grid_url": f"{main}/grid" if "grid" in roles else "",
        }
        if "tile" in roles:
            results["images_url_1m"] = f"{main}/1m"
        if (pictures := roles.count("image")) > 1:
            results["images_urls"] = [main, *(f"{main}/alternative/{number}" for number in range(1, pictures))]
        if prompt := job.notes.get("generated_prompt"):
            results["generated_prompt"] = prompt
        return results

    async def _remaining(self, metadata: Metadata) -> dict[str, int]:
        answer = await self._backend.gateway.GetBalance(
            pb2.GetBalanceRequest(), timeout=CALL_TIMEOUT_S, metadata=metadata
        )
        available = {line.unit: line.available for line in answer.balances}
        return {
            "remaining_count": available.get(money_pb2.UNIT_COUNT, 0),
            "remaining_money": available.get(money_pb2.UNIT_FEN, 0) // FEN_A_YUAN,
        }

    async def image(self, request: Request) -> Response:
        """Answer with a result's bytes; the link is the right, and every wrong one looks the same."""
        variant = request.path_params.get("variant", "")
        place = VARIANTS.get(variant)
        if match := ALTERNATIVE.fullmatch(variant):
            place = ("image", int(match[1]))
        opaque, task_id = request.path_params["opaque"], request.path_params["task_id"]
        if place is None or not (0 < len(opaque) <= 64 and 0 < len(task_id) <= 64):
            return PlainTextResponse("Not found.", 404)
        wanted = pb2.OpenJobOutputRequest(job_id=task_id, token=opaque, role=place[0], index=place[1])
        try:
            opened = await self._backend.gateway.OpenJobOutput(wanted, timeout=CALL_TIMEOUT_S)
            return await files.download(self._backend, request, opened.asset, opened.ticket, inline=True)
        except AppError as error:
            status = http_status(error.reason)
            return PlainTextResponse("Not found." if status < 500 else "Unavailable.", 404 if status < 500 else status)


def _credential(request: Request, form: FormData) -> Metadata:
    """The user_key as the gateway wants it. Raises CredentialMissing."""
    key = form.get("user_key")
    if not isinstance(key, str) or not key.strip():
        raise CredentialMissing
    text = key.strip()
    usable = text.isascii() and text.isprintable() and " " not in text and len(text) <= 256
    return caller(request, f"UserKey {text if usable else '?'}")
