"""AUTOMATIC1111's server as its source has it: one picture at a time, synchronous, one progress for all, Basic auth.

The login is `atelier:simulated`. Work goes on when its caller has gone, as there.
"""

import asyncio
import base64
import binascii
import io
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from PIL import Image, ImageOps
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.faults import Body, Fault
from testkit.providers.files import blocks
from testkit.providers.simulator import QUEUED_S, RUNNING_S, Answer, SimTask, Simulator

LOGIN: Final = "atelier:simulated"
UPSCALERS: Final = ("None", "Lanczos", "R-ESRGAN 4x+")
SAMPLERS: Final = ("Euler", "Euler a", "DPM++ 2M")
STEPS: Final = 20

_NUMBER: Final = (int, float)
_MAYBE_TEXT: Final = (str, type(None))
OF_BOTH: Final[Mapping[str, Any]] = {
    "prompt": str,
    "negative_prompt": str,
    "width": int,
    "height": int,
    "steps": int,
    "cfg_scale": _NUMBER,
    "seed": int,
    "subseed": int,
    "subseed_strength": _NUMBER,
    "sampler_name": _MAYBE_TEXT,
    "sampler_index": _MAYBE_TEXT,
    "scheduler": _MAYBE_TEXT,
    "batch_size": int,
    "n_iter": int,
    "restore_faces": bool,
    "tiling": bool,
    "denoising_strength": _NUMBER,
    "override_settings": dict,
    "override_settings_restore_afterwards": bool,
    "script_name": _MAYBE_TEXT,
    "script_args": list,
    "alwayson_scripts": dict,
    "send_images": bool,
    "save_images": bool,
    "force_task_id": _MAYBE_TEXT,
    "infotext": _MAYBE_TEXT,
}
OF_TXT2IMG: Final[Mapping[str, Any]] = {
    **OF_BOTH,
    "enable_hr": bool,
    "hr_scale": _NUMBER,
    "hr_upscaler": _MAYBE_TEXT,
    "hr_second_pass_steps": int,
    "hr_resize_x": int,
    "hr_resize_y": int,
}
OF_IMG2IMG: Final[Mapping[str, Any]] = {
    **OF_BOTH,
    "init_images": list,
    "resize_mode": int,
    "mask": _MAYBE_TEXT,
    "mask_blur": int,
    "inpainting_fill": int,
    "inpaint_full_res": bool,
    "inpaint_full_res_padding": int,
    "inpainting_mask_invert": int,
    "image_cfg_scale": _NUMBER,
    "include_init_images": bool,
}
OF_EXTRAS: Final[Mapping[str, Any]] = {
    "image": str,
    "resize_mode": int,
    "upscaling_resize": _NUMBER,
    "upscaling_resize_w": int,
    "upscaling_resize_h": int,
    "upscaling_crop": bool,
    "upscaler_1": str,
    "upscaler_2": str,
    "extras_upscaler_2_visibility": _NUMBER,
    "gfpgan_visibility": _NUMBER,
    "codeformer_visibility": _NUMBER,
    "codeformer_weight": _NUMBER,
    "upscale_first": bool,
    "show_extras_results": bool,
}


@dataclass
class _State:
    job: str = ""
    job_count: int = 0
    job_no: int = 0
    job_timestamp: str = "0"
    sampling_step: int = 0
    sampling_steps: int = 0
    interrupted: bool = False
    skipped: bool = False


class _Refused(Exception):
    def __init__(self, status: int, detail: str, *, error: str = "HTTPException", errors: str = "") -> None:
        super().__init__(detail)
        self.answer = trouble(status, detail, error=error, errors=errors)


def trouble(status: int, detail: str, *, error: str = "HTTPException", errors: str = "") -> Response:
    """An error in the server's form."""
    return JSONResponse({"error": error, "detail": detail, "body": "", "errors": errors}, status)


class A1111Simulator(Simulator):
    """One server. `interrupts` counts what was asked to stop, `finished` the work that came to its end."""

    name = "a1111"

    def __init__(self, *, pace: float = 1.0) -> None:
        super().__init__(pace=pace)
        self.interrupts = 0
        self.finished = 0
        self._lock = asyncio.Lock()
        self._now = _State()
        self._at_work: set[asyncio.Task[bool]] = set()

    def routes(self) -> list[BaseRoute]:
        """What the API has of its many routes for making pictures."""
        api = "/sdapi/v1"
        return [
            Route(f"{api}/txt2img", self._txt2img, methods=["POST"]),
            Route(f"{api}/img2img", self._img2img, methods=["POST"]),
            Route(f"{api}/extra-single-image", self._extras, methods=["POST"]),
            Route(f"{api}/progress", self._progress),
            Route(f"{api}/interrupt", self._interrupt, methods=["POST"]),
            Route(f"{api}/skip", self._skip, methods=["POST"]),
            Route(f"{api}/upscalers", self._upscalers),
        ]

    def error(self, fault: Fault) -> Response:
        """A submit that is refused: by the server, or by the proxy in front of it while it starts."""
        match fault:
            case Fault.UNAVAILABLE:
                return PlainTextResponse("Service Unavailable", 503)
            case Fault.ACCOUNT:
                return _unauthorized()
            case Fault.FAILED:
                errors = "CUDA out of memory. Tried to allocate 20.00 MiB"
                return trouble(500, "", error="OutOfMemoryError", errors=errors)
            case _:
                return trouble(500, "", error="RuntimeError", errors="mat1 and mat2 shapes cannot be multiplied")

    async def _txt2img(self, request: Request) -> Answer:
        try:
            body = await self._read(request, OF_TXT2IMG)
            _check_sampler(body)
            size = _floored(body)
        except _Refused as refused:
            return refused.answer
        return await self._draw("txt2img", body, size)

    async def _img2img(self, request: Request) -> Answer:
        try:
            body = await self._read(request, OF_IMG2IMG)
            _check_sampler(body)
            if not body.get("init_images"):
                raise _Refused(404, "Init image not found")
            first = _decoded(body["init_images"][0])
            size = _floored(body)
            if body.get("mask") and _decoded(body["mask"]) and body.get("inpaint_full_res", True):
                size = first.size  # What is drawn is laid into the picture.
        except _Refused as refused:
            return refused.answer
        return await self._draw("img2img", body, size)

    async def _extras(self, request: Request) -> Answer:
        try:
            body = await self._read(request, OF_EXTRAS)
            image = _decoded(body.get("image", ""))
            if body.get("upscaler_1", "None") not in UPSCALERS:
                raise _Refused(500, "", error="AssertionError", errors="could not find upscaler named")
        except _Refused as refused:
            return refused.answer
        if body.get("resize_mode", 0) == 1:
            size = (body.get("upscaling_resize_w", 512), body.get("upscaling_resize_h", 512))
        else:
            factor = body.get("upscaling_resize", 2)
            size = (int(image.width * factor), int(image.height * factor))
        task = await self._work("extras", body, [size])
        if not isinstance(task, SimTask):
            return task
        return self._sent(task, {"html_info": "", "image": self._text(task, 0)})

    async def _draw(self, kind: str, body: Mapping[str, Any], size: tuple[int, int]) -> Answer:
        count = body.get("batch_size", 1) * body.get("n_iter", 1)
        grid = [size] if count > 1 else []  # It comes first.
        task = await self._work(kind, body, [*grid, *[size] * count])
        if not isinstance(task, SimTask):
            return task
        seed = body.get("seed", -1)
        info = {"seed": seed, "all_seeds": [seed + each for each in range(count)], "infotexts": [""] * count}
        images = [self._text(task, number) for number in range(len(task.files))]
        return self._sent(task, {"images": images, "parameters": dict(body), "info": json.dumps(info)})

    def _sent(self, task: SimTask, answer: Mapping[str, Any]) -> Answer:
        if task.fault in {Fault.DRIP, Fault.ENDLESS}:
            return Body(json.dumps(answer).encode(), "application/json", fault=task.fault)
        return JSONResponse(answer)

    def _text(self, task: SimTask, number: int) -> str:
        return base64.b64encode(self.file_bytes(task, number)).decode()

    async def _work(self, kind: str, body: Mapping[str, Any], sizes: list[tuple[int, int]]) -> SimTask | Answer:
        number = len(self.tasks) * 100
        files = [(blocks(seed=number + each, size=size), "image/png") for each, size in enumerate(sizes)]
        task = await self.take(kind, body, prompt=body.get("prompt", ""), files=files)
        if not isinstance(task, SimTask):
            return task
        working = asyncio.create_task(self._take_turn(task))
        self._at_work.add(working)
        working.add_done_callback(self._at_work.discard)
        done = await asyncio.shield(working)
        return task if done else self.error(Fault.FAILED)

    async def _take_turn(self, task: SimTask) -> bool:
        """Work on it once all others before it are done; tells whether that went well."""
        async with self._lock:
            stamp = datetime.now().astimezone().strftime("%Y%m%d%H%M%S")
            self._now = _State(job=f"scripts_{task.kind}", job_count=1, job_timestamp=stamp, sampling_steps=STEPS)
            began = time.monotonic()
            while not (self._now.interrupted or self._now.skipped):
                share = (time.monotonic() - began) / self.pace / (QUEUED_S + RUNNING_S)
                self._now.sampling_step = min(STEPS - 1, int(share * STEPS))
                if share >= 1 and task.fault is not Fault.STUCK:
                    break
                await asyncio.sleep(0.005)
            task.cancelled = self._now.interrupted
            self.finished += not task.cancelled
            self._now.job, self._now.job_count = "", 0
            return task.fault is not Fault.FAILED

    async def _progress(self, request: Request) -> Response:
        if not self._may(request):
            return _unauthorized()
        self.questions += 1
        now, progress = self._now, 0.0
        if now.job_count:
            progress = min(1.0, 0.01 + now.job_no / now.job_count + now.sampling_step / now.sampling_steps)
        state = {name: getattr(now, name) for name in _State.__dataclass_fields__}
        whole = {"progress": progress, "eta_relative": 0.0, "state": state, "current_image": None, "textinfo": None}
        return JSONResponse(whole)

    async def _interrupt(self, request: Request) -> Response:
        if not self._may(request):
            return _unauthorized()
        self.interrupts += 1
        self._now.interrupted = True
        return JSONResponse({})

    async def _skip(self, request: Request) -> Response:
        if not self._may(request):
            return _unauthorized()
        self._now.skipped = True
        return JSONResponse({})

    async def _upscalers(self, request: Request) -> Response:
        if not self._may(request):
            return _unauthorized()
        return JSONResponse(
            [{"name": n, "model_name": None, "model_path": None, "model_url": None, "scale": 4} for n in UPSCALERS]
        )

    async def _read(self, request: Request, kinds: Mapping[str, Any]) -> dict[str, Any]:
        if not self._may(request):
            refused = _Refused(401, "")
            refused.answer = _unauthorized()
            raise refused
        try:
            body = await request.json()
        except ValueError:
            raise _Refused(422, "json_invalid", error="RequestValidationError") from None
        for name, value in body.items():
            if name not in kinds or not isinstance(value, kinds[name]):
                raise _Refused(422, f"body.{name}", error="RequestValidationError")
        return dict(body)

    def _may(self, request: Request) -> bool:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            login = base64.b64decode(text, validate=True)
        except binascii.Error:
            return False
        return scheme == "Basic" and secrets.compare_digest(login, LOGIN.encode())

    async def aclose(self) -> None:
        """End the work too."""
        for working in list(self._at_work):
            working.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        await super().aclose()


def _unauthorized() -> Response:
    answer = trouble(401, "Incorrect username or password")
    answer.headers["WWW-Authenticate"] = "Basic"
    return answer


def _check_sampler(body: Mapping[str, Any]) -> None:
    name = body.get("sampler_name") or body.get("sampler_index") or SAMPLERS[0]
    if name not in SAMPLERS:
        raise _Refused(404, "Sampler not found")


def _floored(body: Mapping[str, Any]) -> tuple[int, int]:
    width, height = (body.get(side, 512) // 8 * 8 for side in ("width", "height"))
    if width < 8 or height < 8:
        raise _Refused(500, "", error="RuntimeError", errors="no pixels")
    return width, height


def _decoded(text: object) -> Image.Image:
    if not isinstance(text, str) or text.startswith(("http://", "https://")):
        raise _Refused(500, "Requests not allowed")
    raw = text.partition(",")[2] if text.startswith("data:image/") else text
    try:
        image = Image.open(io.BytesIO(base64.b64decode(raw, validate=True)))
        return ImageOps.exif_transpose(image)
    except (binascii.Error, OSError):
        raise _Refused(500, "Invalid encoded image") from None


def build() -> Simulator:
    """Build it."""
    return A1111Simulator()
