"""The studio contract's answers about a task (`/api/check_task_status`) and its pictures (`/api/images/…`)."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from atelier.common.v1 import error_reason_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge import files
from edge.answers import job_failure, studio_error
from edge.backend import CALL_TIMEOUT_S, Backend, Metadata
from edge.links import Links
from edge.replies import json_reply
from edge.studio_account import credential, follow_up, remaining
from kit.errors import AppError, ErrorReason, InvalidArgument, JobNotFound, http_status

STATUS_CACHE_S: Final = 3.0  # The document's own number.
STATUS_CACHE_MAX: Final = 20_000  # Answers of a kilobyte; forgetting them all costs one look each.
ID_CHARS_MAX: Final = 64
TOKEN_CHARS_MAX: Final = 64

STATUSES: Final = {
    job_pb2.JOB_STATE_QUEUED: "Pending",
    job_pb2.JOB_STATE_RUNNING: "Processing",
    job_pb2.JOB_STATE_SUCCEEDED: "Completed",
    job_pb2.JOB_STATE_FAILED: "Failed",
    job_pb2.JOB_STATE_EXPIRED: "Failed",
    job_pb2.JOB_STATE_CANCELLED: "Failed",
}
#: What comes after the task id in an image link → role of the output.
VARIANTS: Final[Mapping[str, str]] = {"vector": "vector", "grid": "grid", "1m": "tile"}
ALTERNATIVE: Final = re.compile(r"alternative/([1-9][0-9]?)", re.ASCII)


@dataclass(frozen=True)
class _Cached:
    body: dict[str, Any]
    until: float


class StudioResults:
    """Status with its three-second cache, and the links that need no key."""

    def __init__(self, backend: Backend, links: Links, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._links = links
        self._monotonic = monotonic
        self._statuses: dict[tuple[str, str, str], _Cached] = {}

    async def check_task_status(self, request: Request) -> Response:
        """Answer how a task stands; with its links once it is completed."""
        try:
            async with files.form_of(request) as form:
                metadata = credential(request, form)
                given = form.get("task_id")
            task_id = given.strip() if isinstance(given, str) else ""
            key = (dict(metadata)["authorization"], task_id, self._links.base(request))
            cached = self._statuses.get(key)
            if cached is None or self._monotonic() >= cached.until:
                job = await self._job(task_id, metadata)
                cached = self._remember(key, await self._body(key[2], job, metadata))
            return json_reply(cached.body)
        except AppError as error:
            return studio_error(error, submitting=False)

    def _remember(self, key: tuple[str, str, str], body: dict[str, Any]) -> _Cached:
        if len(self._statuses) >= STATUS_CACHE_MAX:
            self._statuses.clear()
        cached = self._statuses[key] = _Cached(body, self._monotonic() + STATUS_CACHE_S)
        return cached

    async def _job(self, task_id: str, metadata: Metadata) -> job_pb2.Job:
        """The caller's task. Raises JobNotFound for another's, for none and for what is no id alike."""
        if not (0 < len(task_id) <= ID_CHARS_MAX and task_id.isascii() and task_id.isprintable()):
            await self._backend.prove(metadata)
            raise JobNotFound
        wanted = pb2.GetJobRequest(job_id=task_id)
        try:
            return (await self._backend.gateway.GetJob(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)).job
        except InvalidArgument as error:
            raise JobNotFound from error

    async def _body(self, base: str, job: job_pb2.Job, metadata: Metadata) -> dict[str, Any]:
        body: dict[str, Any] = {"err_code": 0, "status": STATUSES[job.state]}
        if job.HasField("failure"):
            # The document keeps err_msg for err_code 1, and a failed task is a status that was told successfully.
            name = error_reason_pb2.ErrorReason.Name(job.failure.reason).removeprefix("ERROR_REASON_")
            body["fail_reason"] = job_failure(ErrorReason(name))
        if job.state == job_pb2.JOB_STATE_SUCCEEDED:
            linked = await self._backend.gateway.LinkJob(
                pb2.LinkJobRequest(job_id=job.id), timeout=CALL_TIMEOUT_S, metadata=follow_up(metadata)
            )
            body |= results(f"{base}/api/images/{linked.token}/{job.id}", job)
            body |= await remaining(self._backend, metadata)
        return body

    async def image(self, request: Request) -> Response:
        """Answer with a result's bytes; the link is the right, and every wrong one looks the same."""
        opaque, task_id = request.path_params["opaque"], request.path_params["task_id"]
        place = read_variant(request.path_params.get("variant"))
        if place is None or not (len(opaque) <= TOKEN_CHARS_MAX and len(task_id) <= ID_CHARS_MAX):
            return PlainTextResponse("Not found.", 404)
        wanted = pb2.OpenJobOutputRequest(job_id=task_id, token=opaque, role=place[0], index=place[1])
        try:
            opened = await self._backend.gateway.OpenJobOutput(wanted, timeout=CALL_TIMEOUT_S)
            return await files.download(self._backend, request, opened.asset, opened.ticket, inline=True)
        except AppError as error:
            status = http_status(error.reason)
            return PlainTextResponse("Not found." if status < 500 else "Unavailable.", 404 if status < 500 else status)


def results(main: str, job: job_pb2.Job) -> dict[str, Any]:
    """What a completed task has to show; `main` is the link to its first picture."""
    roles = [output.role for output in job.outputs]
    body: dict[str, Any] = {
        "images_url": main if "image" in roles else "",
        "vector_url": f"{main}/vector" if "vector" in roles else "",
        "grid_url": f"{main}/grid" if "grid" in roles else "",
    }
    if "tile" in roles:
        body["images_url_1m"] = f"{main}/1m"
    if (pictures := roles.count("image")) > 1:
        body["images_urls"] = [main, *(f"{main}/alternative/{number}" for number in range(1, pictures))]
    if prompt := job.notes.get("generated_prompt"):
        body["generated_prompt"] = prompt
    return body


def read_variant(variant: str | None) -> tuple[str, int] | None:
    """Role and index of the output that the end of a link means; None for no end that we make."""
    if variant is None:
        return "image", 0
    if match := ALTERNATIVE.fullmatch(variant):
        return "image", int(match[1])
    return (VARIANTS[variant], 0) if variant in VARIANTS else None
