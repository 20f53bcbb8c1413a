"""Our parameters in Ark's requests, and Ark's replies in our words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from provider_adapter.ports import Finished, OutputFile, Pending, Task, Unreadable
from provider_adapter.providers.ark.errors import Complaint, trouble_of_task
from provider_adapter.providers.ark.media import addresses, cast, check_pictures, film_content, unsupported
from provider_adapter.providers.ark.models import RATIOS, FilmModel, PictureModel
from provider_adapter.providers.remote.http import NotReadable
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.shapes import size, text, whole
from provider_adapter.providers.remote.trouble import Trouble, failed

SEED_END: Final = 2**32
EXPIRES_S_MIN: Final = 3600  # Ark's own bounds.
EXPIRES_S_MAX: Final = 259_200
SIDES_RATIO_MAX: Final = 16  # Of a picture, both ways.
GROUP_MAX: Final = 15  # Pictures of an order, those sent along included.


async def film_request(task: Task, model: FilmModel) -> dict[str, Any]:
    """The body for a film. Raises Refused for what the model does not offer."""
    given = task.parameters
    shown = cast(task.inputs, model)
    body: dict[str, Any] = {
        "model": task.upstream_model,
        "watermark": False,
        # Once our deadline is over nobody wants the film any more; a task that Ark never began is not paid for then.
        "execution_expires_after": min(max(math.ceil(task.timeout_s), EXPIRES_S_MIN), EXPIRES_S_MAX),
    }
    if (resolution := given.get("resolution")) is not None:
        if model.resolutions is not None and resolution not in model.resolutions:
            raise unsupported("The model does not film in this resolution.", "resolution")
        body["resolution"] = resolution
    if (ratio := given.get("ratio")) is not None:
        if ratio not in RATIOS:
            raise unsupported("The model does not film in this ratio.", "ratio")
        # What adapts to nothing is wide, here as in the house's own engine.
        body["ratio"] = "16:9" if ratio == "adaptive" and not shown and not model.adapts_to_nothing else ratio
    if (duration := whole(given, "duration")) is not None:
        if duration < (model.seconds_min or 1) or duration > (model.seconds_max or duration):
            raise unsupported("The model does not make films of this length.", "duration")
        body["duration"] = duration
    if model.seeded:
        body["seed"] = task.seed % SEED_END
    if task.callback_url:
        body["callback_url"] = task.callback_url
    body["content"] = await film_content(text(given, "prompt"), shown)
    return body | _extra(given)


async def picture_request(task: Task, model: PictureModel) -> dict[str, Any]:
    """The body for pictures. Raises Refused for what the model does not offer."""
    given, extra = task.parameters, _extra(task.parameters)
    check_pictures(task.inputs, model)
    body: dict[str, Any] = {
        "model": task.upstream_model,
        "prompt": text(given, "prompt"),
        "response_format": "url",
        "watermark": False,  # Ark's default is a mark.
    }
    if "size" not in extra and (named := _size(given, model)):
        body["size"] = named
    if model.groups:
        single = given.get("force_single", True) is not False
        body["sequential_image_generation"] = "disabled" if single else "auto"
        if not single:
            body["sequential_image_generation_options"] = {"max_images": GROUP_MAX - len(task.inputs)}
    if model.seeded:
        body["seed"] = task.seed % SEED_END
    pictures = await addresses(task.inputs)
    if pictures:
        body["image"] = pictures[0] if len(pictures) == 1 else pictures
    return body | extra


def _size(given: Mapping[str, Any], model: PictureModel) -> str:
    ordered = size(given)
    if ordered is None:
        return ""
    width, height = ordered
    for name, side in (("width", width), ("height", height)):
        if side % model.side_px_step:
            raise unsupported(f"The model draws multiples of {model.side_px_step} pixels.", name)
    if max(width, height) > min(width, height) * SIDES_RATIO_MAX:
        raise unsupported("The model does not draw this ratio.", "width")
    if width * height < (model.area_px_min or 0) or width * height > (model.area_px_max or width * height):
        raise unsupported("The model does not draw this size.", "width")
    return f"{width}x{height}"


def _extra(given: Mapping[str, Any]) -> dict[str, Any]:
    extra = given.get("extra") or {}
    if not isinstance(extra, dict):
        raise unsupported("The route's extra must be an object.", "extra")
    return extra


def film_state(answer: Mapping[str, Any], results: Results, *, cost_fen: int) -> Pending | Finished:
    """What a task's record says. Raises Refused for one that ended without a film, NotReadable for an unknown word,
    after which the task may well go on."""
    match answer.get("status"):
        case "queued" | "running":
            return Pending()
        case "succeeded":
            return _film(answer, results, cost_fen)
        case "failed":
            raise Refused(trouble_of_task(Complaint.find(answer)))
        case "expired":
            raise Refused(Trouble.TIMED_OUT)
        case "cancelled":
            raise Refused(Trouble.CANCELLED)
        case other:
            raise NotReadable(f"a task's status is {str(other)[:40]!r}")


def _film(answer: Mapping[str, Any], results: Results, cost_fen: int) -> Finished:
    content = answer.get("content")
    content = content if isinstance(content, dict) else {}
    files = [results.at(content.get("video_url"), role="video", cost_fen=cost_fen)]
    if last := content.get("last_frame_url"):  # Only where the route's extra asks for it.
        files.append(replace(results.at(last, cost_fen=cost_fen), extra=True))
    return Finished(files=files, cost_fen=cost_fen)


def pictures(answer: Mapping[str, Any], results: Results, *, cost_fen: int) -> Finished:
    """The pictures of an answer; those that failed do not spoil the others. `cost_fen` is of one.

    Raises Refused when all failed, Unreadable when there is nothing, NotReadable for what is no answer of this call.
    """
    items = answer.get("data")
    if not isinstance(items, list):
        raise NotReadable("the answer has no data")
    complaints = [complaint for item in items if (complaint := Complaint.find(item))]
    urls = [item["url"] for item in items if isinstance(item, dict) and item.get("url")]
    if not urls and complaints:
        raise Refused(trouble_of_task(complaints[0]))
    if not urls:
        raise Unreadable(failed(Trouble.UNUSABLE))
    return Finished(files=_files(urls, results, cost_fen * len(urls)), cost_fen=cost_fen * len(urls))


def _files(urls: Sequence[object], results: Results, cost_fen: int) -> list[OutputFile]:
    return [results.at(url, cost_fen=cost_fen) for url in urls]
