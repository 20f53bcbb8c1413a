"""Tasks as the points contract shows them: the same object in every answer and every push."""

import re
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import HTTPConnection

from atelier.common.v1 import error_reason_pb2
from atelier.jobs.v1 import job_pb2
from edge.answers import points_job_failure
from edge.backend import Metadata
from edge.links import Links
from kit.errors import ErrorReason

SNIPPET_CHARS: Final = 14  # As long as the one in the contract's example.
USER_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)  # What a JSON number carries everywhere but in JavaScript.
STATUSES: Final = {
    job_pb2.JOB_STATE_QUEUED: "queued",
    job_pb2.JOB_STATE_RUNNING: "processing",
    job_pb2.JOB_STATE_SUCCEEDED: "completed",
    job_pb2.JOB_STATE_FAILED: "failed",
    job_pb2.JOB_STATE_EXPIRED: "failed",
    job_pb2.JOB_STATE_CANCELLED: "failed",
}


class TaskViews:
    """Shows jobs of every contract as tasks of this one."""

    def __init__(self, links: Links, *, timezone: ZoneInfo) -> None:
        """`timezone` is that of the times shown, which carry no zone."""
        self._links = links
        self._timezone = timezone

    async def task(self, request: HTTPConnection, metadata: Metadata, job: job_pb2.Job) -> dict[str, Any]:
        """A task."""
        prompt = str(orjson.loads(job.parameters_json or "{}").get("prompt", ""))
        outputs = [output for output in job.outputs if not output.extra][:1]
        urls = await self._links.urls(request, metadata, outputs) if outputs else []
        return {
            "taskNo": job.external_id or job.id,
            "modelName": job.model,
            "status": STATUSES[job.state],
            "taskType": "image_to_image" if job.inputs else "text_to_image",
            "progress": job.progress,
            "promptSnippet": prompt if len(prompt) <= SNIPPET_CHARS else f"{prompt[:SNIPPET_CHARS]}...",
            "imageUrl": job.labels.get("image_url") or None,
            "resultUrl": urls[0] if urls else None,
            "createTime": self.time(job.create_time),
            "completeTime": self.time(job.finish_time) if job.HasField("finish_time") else None,
            "errorMessage": _error_message(job) if job.HasField("failure") else None,
        }

    def time(self, moment: Timestamp) -> str:
        """`2025-10-26T15:30:45`, local and without a zone."""
        return datetime.fromtimestamp(moment.seconds, tz=self._timezone).strftime("%Y-%m-%dT%H:%M:%S")

    def now(self) -> datetime:
        """The local time."""
        return datetime.now(self._timezone)


def user_id(text: str, *, client_id: str) -> int | str:
    """The user id as the number it is in the contract's example, or as text where it is none."""
    return int(text) if USER_ID.fullmatch(text) else text or client_id


def _error_message(job: job_pb2.Job) -> str:
    return points_job_failure(_reason(job), charged=job.charged.value, refunded=bool(job.refund_id))


def _reason(job: job_pb2.Job) -> ErrorReason:
    name = error_reason_pb2.ErrorReason.Name(job.failure.reason).removeprefix("ERROR_REASON_")
    return ErrorReason(name)
