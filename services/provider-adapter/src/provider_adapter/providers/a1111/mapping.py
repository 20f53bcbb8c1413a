"""Our words to the server's and back: requests for each capability, the pictures in an answer, what an error means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from provider_adapter.ports import OutputFile, Task, Unreadable
from provider_adapter.providers.a1111.options import Options
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.inline import decode
from provider_adapter.providers.remote.pictures import Size, cut_to
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.trouble import Trouble, failed

STEP_PX: Final = 8  # What it draws are multiples; the order's size is cut out.
LOADED: Final = "loaded"  #: As `upstream_model`: whatever checkpoint is loaded just now.
RESOLUTIONS: Final = {"2k": 2048, "4k": 4096, "8k": 8192}  # The longer side.
SCALE_DEFAULT: Final = 2.0
SCALE_MAX: Final = 8.0
ENLARGED_PIXELS_MAX: Final = 8192 * 8192  # Ours, for the memory of both: it arrives as base64.
AROUND: Final = 1  # `resize_mode`: scaled to cover, and cut.
ORIGINAL: Final = 1  # `inpainting_fill`: drawing begins with what is there.


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An input: the file as base64, and its size as it is shown."""

    base64: str
    size: Size
    field: str


def drawn(task: Task, options: Options) -> tuple[dict[str, Any], Size | None]:
    """Return the body of txt2img, and the size that was ordered. Raises Refused."""
    ordered = ordered_size(task.parameters)
    body = _common(task, options)
    if ordered is not None:
        body |= _sides(ordered, options, field="width")
    return _extended(body, task), ordered


def redrawn(task: Task, options: Options, picture: Picture) -> tuple[dict[str, Any], Size]:
    """Return the body of img2img after a picture, in its size when none is ordered. Raises Refused."""
    ordered = ordered_size(task.parameters)
    size, field = (ordered, "width") if ordered else (picture.size, picture.field)
    body = _common(task, options) | _sides(size, options, field=field)
    body |= {"init_images": [picture.base64], "resize_mode": AROUND}
    return _extended(body, task), size


def repainted(task: Task, options: Options, picture: Picture, mask: str) -> tuple[dict[str, Any], Size]:
    """Return the body of img2img within a mask. What is kept is not touched: the result has the picture's size."""
    factor = options.repaint_px / max(picture.size)
    width, height = (max(STEP_PX, round(side * factor / STEP_PX) * STEP_PX) for side in picture.size)
    body = _common(task, options) | {
        "width": width,
        "height": height,
        "init_images": [picture.base64],
        "mask": mask,
        "inpainting_mask_invert": 0,
        "inpainting_fill": ORIGINAL,
        "inpaint_full_res": True,
    }
    return _extended(body, task), picture.size


def enlarged(task: Task, picture: Picture) -> tuple[dict[str, Any], Size]:
    """Return the body of extra-single-image. Raises Refused."""
    size = enlarged_size(task.parameters, picture.size)
    body = {
        "image": picture.base64,
        "upscaler_1": task.upstream_model,
        "resize_mode": 1,  # To a size; 0 would be by a factor, and rounds down.
        "upscaling_resize_w": size[0],
        "upscaling_resize_h": size[1],
        "upscaling_crop": True,
    }
    return _extended(body, task), size


def enlarged_size(parameters: Mapping[str, Any], size: Size) -> Size:
    """Return what an enlarged picture measures, as the built-in engine has it. Raises Refused."""
    resolution, scale = parameters.get("resolution"), parameters.get("scale")
    if resolution is not None:
        if resolution not in RESOLUTIONS or RESOLUTIONS[resolution] < max(size):
            message = f"The picture is {size[0]} x {size[1]}; it cannot be enlarged to {resolution}."
            raise Refused(Trouble.UNSUPPORTED, message, field="resolution")
        factor, field = RESOLUTIONS[resolution] / max(size), "resolution"
    else:
        factor, field = SCALE_DEFAULT if scale is None else float(scale), "scale"
        if not 1.0 <= factor <= SCALE_MAX:
            raise Refused(Trouble.UNSUPPORTED, f"The provider enlarges 1 to {SCALE_MAX:g} times.", field="scale")
    width, height = (max(1, math.floor(side * factor + 0.5)) for side in size)
    if width * height > ENLARGED_PIXELS_MAX:
        raise Refused(Trouble.UNSUPPORTED, f"The result would be {width} x {height}: too large.", field=field)
    return width, height


def ordered_size(parameters: Mapping[str, Any]) -> Size | None:
    """The width and height of the order, when it has both."""
    width, height = parameters.get("width"), parameters.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _common(task: Task, options: Options) -> dict[str, Any]:
    parameters = task.parameters
    body: dict[str, Any] = {
        "prompt": parameters.get("prompt") or "",
        "negative_prompt": parameters.get("negative_prompt") or "",
        "seed": task.seed,
        "batch_size": 1,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
    }
    scale = parameters.get("scale")
    if options.cfg_scale is not None and isinstance(scale, int | float):
        least, most = options.cfg_scale
        body["cfg_scale"] = round(least + (most - least) * scale / 100, 2)
    if task.upstream_model != LOADED:
        body["override_settings"] = {"sd_model_checkpoint": task.upstream_model}
    return body


def _sides(size: Size, options: Options, *, field: str) -> dict[str, int]:
    width, height = (-(-side // STEP_PX) * STEP_PX for side in size)
    if options.pixels_max is not None and width * height > options.pixels_max:
        raise Refused(Trouble.UNSUPPORTED, "The provider makes no pictures as large as this.", field=field)
    return {"width": width, "height": height}


def _extended(body: dict[str, Any], task: Task) -> dict[str, Any]:
    return {**body, **(task.parameters.get("extra") or {})}


def files_of(reply: Reply, cut: Size | None, cost_fen: int) -> list[OutputFile]:
    """Return the pictures of an answer of 200; grids and what extensions add are by-products. Not for the loop.

    Raises NotReadable, Unreadable.
    """
    answer = reply.object()
    if "image" in answer:
        return [_file(answer["image"], cut, cost_fen)]
    images = answer.get("images")
    if not isinstance(images, list) or not images:
        raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen))
    first, count = _where(answer.get("info"), len(images))
    return [
        _file(text, cut, cost_fen)
        if first <= number < first + count
        else _file(text, None, cost_fen, role="grid" if number < first else "image", extra=True)
        for number, text in enumerate(images)
    ]


def _where(info: object, images: int) -> tuple[int, int]:
    """Which image is the first of the pictures, and how many there are: one for each seed."""
    try:
        facts = orjson.loads(info) if isinstance(info, str) else {}
    except orjson.JSONDecodeError:
        facts = {}
    seeds = facts.get("all_seeds") if isinstance(facts, dict) else None
    if not isinstance(seeds, list) or not 0 < len(seeds) < images:
        return 0, images
    first = facts.get("index_of_first_image", images - len(seeds))  # The grid comes first.
    return (first, len(seeds)) if isinstance(first, int) and 0 <= first <= images - len(seeds) else (0, images)


def _file(text: object, cut: Size | None, cost_fen: int, *, role: str = "image", extra: bool = False) -> OutputFile:
    picture = decode(text, cost_fen=cost_fen)
    return OutputFile.of_bytes(picture if cut is None else cut_to(picture, cut), role=role, extra=extra)


def refused(reply: Reply) -> Refused:
    """Return what an error means; its texts are for the log."""
    error = error_in(reply)
    if reply.status == 500 and str(error.get("detail")).startswith("Invalid encoded image"):
        return Refused(Trouble.INVALID, field="inputs")
    if reply.status == 500 and _memory_ran_out(error):
        return Refused(Trouble.BROKEN)
    return Refused(trouble_of_status(reply.status), retry_after_s=reply.retry_after_s)


def error_in(reply: Reply) -> dict[str, Any]:
    """The error of an answer in the server's form; empty for any other."""
    try:
        return reply.object()
    except NotReadable:
        return {}


def _memory_ran_out(error: Mapping[str, Any]) -> bool:
    return error.get("error") == "OutOfMemoryError" or "out of memory" in str(error.get("errors")).lower()
