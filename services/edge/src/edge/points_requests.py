"""Requests of the points contract in the house's words, and the house's field names back in the contract's."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.body import Fields
from kit.errors import AppError, ErrorReason, InvalidArgument

CONTRACT: Final = "points"
TASK_TYPES: Final = ("text_to_image", "image_to_image")
MODELS: Final[Mapping[str, str]] = {
    f"sc_soraimg_{kind}_{ratio}": task_type
    for kind, task_type in (("text", "text_to_image"), ("img2img", "image_to_image"))
    for ratio in ("auto", "1x1", "2x3", "3x2")
}
PROMPT_CHARS_MAX: Final = 4000
IMAGES_MAX: Final = 10
URL_CHARS_MAX: Final = 2048
IMAGE_URL_CHARS_MAX: Final = 16 * URL_CHARS_MAX
PAGE_MAX: Final = 10_000
PAGE_SIZE: Final = 10
PAGE_SIZE_MAX: Final = 100

FILTERS: Final = {
    "created": (job_pb2.JOB_STATE_QUEUED,),
    "queued": (job_pb2.JOB_STATE_QUEUED,),
    "processing": (job_pb2.JOB_STATE_RUNNING,),
    "completed": (job_pb2.JOB_STATE_SUCCEEDED,),
    "failed": (job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_EXPIRED, job_pb2.JOB_STATE_CANCELLED),
}
#: What the gateway calls a field → what the partner calls it.
FIELDS: Final[Mapping[str, str]] = {
    "model": "modelName",
    "parameters.prompt": "prompt",
    "idempotency_key": "Idempotency-Key",
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which part of the list is wanted."""

    number: int  #: From 1.
    size: int
    request: pb2.ListJobsRequest


def task_no(now: datetime) -> str:
    """`TASK-yyyyMMddHHmmssSSS-NNNN`, local time."""
    return f"TASK-{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}-{secrets.randbelow(10_000):04d}"


def translate_submit(body: dict[str, Any]) -> pb2.SubmitJobRequest:
    """Translate a submit. Raises InvalidArgument and ModelUnknown naming the field in the contract's words."""
    fields = Fields(body)
    model = fields.take_text("modelName", chars_max=128, required=True)
    if model not in MODELS:
        raise AppError.of(ErrorReason.MODEL_UNKNOWN, field="modelName")
    prompt = fields.take_text("prompt", chars_max=PROMPT_CHARS_MAX, required=True)
    if not prompt.strip():
        raise InvalidArgument("prompt is required", field="prompt")
    raw = fields.take_text("imageUrl", chars_max=IMAGE_URL_CHARS_MAX)
    urls = image_urls(raw)
    if MODELS[model] == "image_to_image" and not urls:
        raise InvalidArgument("imageUrl is required", field="imageUrl")
    if MODELS[model] == "text_to_image" and urls:
        raise InvalidArgument("imageUrl is only for image_to_image", field="imageUrl")
    return pb2.SubmitJobRequest(
        model=model,
        parameters_json=orjson.dumps({"prompt": prompt}).decode(),
        inputs=[job_pb2.Input(role="reference", url=url) for url in urls],
        contract=CONTRACT,
        labels={"image_url": raw} if urls else {},
    )


def image_urls(raw: str) -> list[str]:
    """`imageUrl` is one URL, or a JSON array of URLs in a string. Raises InvalidArgument."""
    text = raw.strip()
    urls: Any = [text] if text else []
    if text.startswith("["):
        try:
            urls = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InvalidArgument("imageUrl is not a JSON array", field="imageUrl") from error
    if not all(isinstance(url, str) and 0 < len(url) <= URL_CHARS_MAX for url in urls):
        raise InvalidArgument("imageUrl must hold URLs", field="imageUrl")
    if len(urls) > IMAGES_MAX:
        raise InvalidArgument(f"imageUrl takes at most {IMAGES_MAX} URLs", field="imageUrl")
    found: list[str] = urls
    return found


def list_page(query: Mapping[str, str]) -> Page:
    """What a query asks for. Raises InvalidArgument."""
    number = _number(query.get("page"), "page", default=1, maximum=PAGE_MAX)
    size = _number(query.get("size"), "size", default=PAGE_SIZE, maximum=PAGE_SIZE_MAX)
    status, task_type = query.get("status", ""), query.get("taskType", "")
    if status and status not in FILTERS:
        raise InvalidArgument("status", field="status")
    if task_type and task_type not in TASK_TYPES:
        raise InvalidArgument("taskType", field="taskType")
    wanted = pb2.ListJobsRequest(
        states=FILTERS[status] if status else [],
        page_size=size,
        skip=(number - 1) * size,
        with_total=True,
    )
    if task_type:
        wanted.with_inputs = task_type == "image_to_image"
    return Page(number=number, size=size, request=wanted)


def field_in_contract(field: str) -> str:
    """Turn `model`, `parameters.prompt` and `inputs[2]` into the body's names."""
    return "imageUrl" if field.startswith("inputs") else FIELDS.get(field, field)


def _number(text: str | None, name: str, *, default: int, maximum: int) -> int:
    if text is None or text == "":
        return default
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or not 1 <= int(text) <= maximum:
        raise InvalidArgument(name, field=name)
    return int(text)
