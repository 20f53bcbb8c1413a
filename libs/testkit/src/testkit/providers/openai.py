"""OpenAI Images as it is documented: slow synchronous answers with base64, one form of error, masks by transparency.

The key is `sk-simulated`. The address of the API is the server's plus `/v1`.
"""

import asyncio
import base64
import io
import math
import re
import time
from collections.abc import Mapping
from email import message_from_bytes
from email.message import Message
from typing import Any, Final

from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.faults import Body, Fault
from testkit.providers.files import blocks
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

KEY: Final = "sk-simulated"
FIXED: Final = ("1024x1024", "1536x1024", "1024x1536")
FREE_MODELS: Final = ("gpt-image-2", "gpt-image-2-2026-04-21")
MODELS: Final = ("gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "chatgpt-image-latest", *FREE_MODELS)
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "quality": ("auto", "low", "medium", "high"),
    "background": ("auto", "transparent", "opaque"),
    "output_format": ("png", "jpeg", "webp"),
    "moderation": ("auto", "low"),
}
WHOLE: Final[Mapping[str, tuple[int, int]]] = {"n": (1, 10), "output_compression": (0, 100), "partial_images": (0, 3)}
KNOWN: Final = frozenset({"model", "prompt", "size", "user", "stream", *CHOICES, *WHOLE})
OF_EDITS: Final = frozenset({"input_fidelity"})
IMAGES_MAX: Final = 16
IMAGE_BYTES_MAX: Final = 50_000_000
MASK_BYTES_MAX: Final = 4_000_000
DIALECTS: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


class _Invalid(Exception):
    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.answer = error(status, "invalid_request_error", message, code=code, param=param)


def error(
    status: int,
    kind: str,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """An error in the vendor's form."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code, **more}}
    return JSONResponse(body, status, headers={"x-request-id": "req_simulated", **(headers or {})})


class OpenaiSimulator(Simulator):
    """Generations and edits. `forms` has what each edit brought: its texts, and its files by name."""

    name = "openai"

    def __init__(self, *, pace: float = 1.0) -> None:
        super().__init__(pace=pace)
        self.forms: list[tuple[dict[str, str], list[tuple[str, bytes]]]] = []
        self.headers: list[Mapping[str, str]] = []

    def routes(self) -> list[BaseRoute]:
        """The two calls that make pictures."""
        return [
            Route("/v1/images/generations", self._generations, methods=["POST"]),
            Route("/v1/images/edits", self._edits, methods=["POST"]),
        ]

    def error(self, fault: Fault) -> Response:
        """A submit that is refused."""
        match fault:
            case Fault.TOO_MANY:
                headers = {
                    "Retry-After": str(RETRY_AFTER_S),
                    "x-ratelimit-limit-requests": "5",
                    "x-ratelimit-remaining-requests": "0",
                    "x-ratelimit-reset-requests": "1s",
                }
                return error(429, "requests", "Rate limit reached.", code="rate_limit_exceeded", headers=headers)
            case Fault.ACCOUNT:
                message = "You exceeded your current quota, please check your plan and billing details."
                return error(429, "insufficient_quota", message, code="insufficient_quota")
            case Fault.UNAVAILABLE:
                return error(503, "server_error", "The server is overloaded.", code="overloaded")
            case Fault.ERROR_BODY:
                return error(200, "server_error", "The server had an error.")
            case Fault.MODERATED:
                return _blocked("input")
            case _:
                return error(500, "server_error", "The server had an error while processing your request.")

    async def _generations(self, request: Request) -> Answer:
        try:
            self._admit(request)
            fields = await _json(request)
            _check(fields, known=KNOWN)
        except _Invalid as invalid:
            return invalid.answer
        return await self._make("generation", fields)

    async def _edits(self, request: Request) -> Answer:
        try:
            self._admit(request)
            texts, files = _parts(request.headers.get("content-type", ""), await request.body())
            self.forms.append((texts, [(name, data) for name, _, data in files]))
            fields = _from_texts(texts)
            _check(fields, known=KNOWN | OF_EDITS)
            _check_files(files)
        except _Invalid as invalid:
            return invalid.answer
        return await self._make("edit", fields)

    def _admit(self, request: Request) -> None:
        self.headers.append(dict(request.headers))
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or key != KEY:
            raise _Invalid(f"Incorrect API key provided: {key}.", code="invalid_api_key", status=401)

    async def _make(self, kind: str, fields: Mapping[str, Any]) -> Answer:
        number, size = len(self.tasks) + 1, _size(fields)
        form = str(fields.get("output_format", "png"))
        files = [
            (blocks(seed=number * 100 + each, size=size, form=form.upper()), f"image/{form}")
            for each in range(fields.get("n", 1))
        ]
        task = await self.take(kind, fields, prompt=fields["prompt"], files=files)
        if not isinstance(task, SimTask):
            return task
        while (state := self.state(task)) in {"queued", "running"}:  # noqa: ASYNC110  States follow from time.
            await asyncio.sleep(0.01)
        if state == "failed":
            return self.error(Fault.BROKEN)
        if state == "moderated":
            return _blocked("output")
        answer = JSONResponse(self._answer(task, fields, size))
        if task.fault in {Fault.DRIP, Fault.ENDLESS}:
            return Body(bytes(answer.body), "application/json", fault=task.fault)
        return answer

    def _answer(self, task: SimTask, fields: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
        pictures = [base64.b64encode(self.file_bytes(task, each)).decode() for each in range(len(task.files))]
        return {
            "created": int(time.time()),
            "background": "opaque",
            "output_format": fields.get("output_format", "png"),
            "quality": "medium" if fields.get("quality", "auto") == "auto" else fields["quality"],
            "size": f"{size[0]}x{size[1]}",
            "data": [{"b64_json": text} for text in pictures],
            "usage": {
                "input_tokens": 10,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 10},
                "output_tokens": 1056,
                "total_tokens": 1066,
            },
        }


def _blocked(stage: str) -> Response:
    message = "Your request was rejected by the safety system."
    details = {"moderation_stage": stage, "categories": ["violence"]}
    return error(400, "image_generation_user_error", message, code="moderation_blocked", moderation_details=details)


async def _json(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type") != "application/json":
        raise _Invalid("Unsupported content type.")
    fields = await request.json()
    if not isinstance(fields, dict):
        raise _Invalid("The body is no object.")
    return fields


def _check(fields: Mapping[str, Any], *, known: frozenset[str]) -> None:
    for name in fields:
        if name not in known:
            raise _Invalid(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    prompt = fields.get("prompt")
    if not isinstance(prompt, str) or not 0 < len(prompt) <= 32_000:
        raise _Invalid("Invalid prompt.", param="prompt")
    if fields.get("model") not in MODELS:
        raise _Invalid("The model does not exist.", param="model", code="model_not_found", status=404)
    for name, choices in CHOICES.items():
        if fields.get(name, choices[0]) not in choices:
            raise _Invalid(f"Invalid value for {name}.", param=name)
    for name, (least, most) in WHOLE.items():
        value = fields.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _Invalid(f"Invalid value for {name}.", param=name)
    if fields.get("background") == "transparent" and fields.get("output_format", "png") == "jpeg":
        raise _Invalid("Transparency needs png or webp.", param="background")
    _size(fields)


def _size(fields: Mapping[str, Any]) -> tuple[int, int]:
    size = fields.get("size", "auto")
    if size == "auto":
        return 1024, 1024
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(size))
    if found is None or (fields["model"] not in FREE_MODELS and size not in FIXED):
        raise _Invalid(f"Invalid size '{size}'.", param="size", code="invalid_value")
    width, height = int(found[1]), int(found[2])
    shape = math.inf if 0 in {width, height} else max(width, height) / min(width, height)
    if width % 16 or height % 16 or shape > 3 or max(width, height) > 3840 or width * height > 3840 * 2160:
        raise _Invalid(f"Invalid size '{size}'.", param="size", code="invalid_value")
    return width, height


_Part = tuple[str, str, bytes]  # Name, media type, bytes.


def _parts(content_type: str, body: bytes) -> tuple[dict[str, str], list[_Part]]:
    if not content_type.startswith("multipart/form-data; boundary="):
        raise _Invalid("Unsupported content type.")
    whole = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    texts: dict[str, str] = {}
    files: list[_Part] = []
    for part in whole.get_payload():
        assert isinstance(part, Message)
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is None:
            texts[name] = data.decode()
        else:
            files.append((name, part.get_content_type(), data))
    return texts, files


def _from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: int(text) if name in WHOLE and text.isdecimal() else text for name, text in texts.items()}


def _check_files(files: list[_Part]) -> None:
    images = [each for each in files if each[0] in {"image", "image[]"}]
    masks = [each for each in files if each[0] == "mask"]
    if not 1 <= len(images) <= IMAGES_MAX or len(masks) > 1 or len(images) + len(masks) != len(files):
        raise _Invalid("Between 1 and 16 images, and one mask at most.", param="image")
    if len(images) > 1 and {name for name, _, _ in images} != {"image[]"}:
        raise _Invalid("Duplicate parameter: 'image'.", param="image")
    for _, mime_type, data in images:
        if len(data) >= IMAGE_BYTES_MAX or _opened(data).format != DIALECTS.get(mime_type):
            raise _Invalid("Invalid image file.", param="image", code="invalid_image_file")
    for _, mime_type, data in masks:
        mask = _opened(data)
        if mime_type != "image/png" or mask.format != "PNG" or len(data) >= MASK_BYTES_MAX:
            raise _Invalid("The mask must be a PNG of less than 4 MB.", param="mask")
        if mask.size != _opened(images[0][2]).size:
            raise _Invalid("The mask size does not match the image size.", param="mask")
        if "A" not in mask.getbands():
            raise _Invalid("The mask has no alpha channel.", param="mask")


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except OSError:
        raise _Invalid("Invalid image file.", param="image", code="invalid_image_file") from None


def build() -> Simulator:
    """Build it."""
    return OpenaiSimulator()
