"""Our parameters → the body of a submit. What the vendor would do differently from the order is refused here."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from kit.media import Media
from provider_adapter.ports import Source, Task
from provider_adapter.providers.jimeng import models
from provider_adapter.providers.jimeng.inputs import carry, carry_with_mask, check
from provider_adapter.providers.jimeng.models import Drawing
from provider_adapter.providers.remote.pictures import Aside
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.shapes import nearest_ratio, only_roles, size, text, whole
from provider_adapter.providers.remote.trouble import Trouble

#: Their whole numbers have no published range; one of 31 bits is one in any language. -1 means random.
_SEED_MAX: Final = 2**31 - 1
_RATIO_STEP: Final = 1000  # `min_ratio` and `max_ratio` are rounded away from the picture, to three places.
_ANY_RATIO: Final = ("", "adaptive")


async def body_of(task: Task, aside: Aside) -> dict[str, Any]:
    """Return the whole body. Raises Refused naming the parameter or input, and Unreadable of an input."""
    body = await _BODIES[task.capability](task, aside)
    extra = task.parameters.get("extra")
    return {**body, **extra} if isinstance(extra, Mapping) else body


async def _generate(task: Task, _: Aside) -> dict[str, Any]:
    model = models.GENERATE.get(task.upstream_model)
    if model is None:
        raise _unknown_model()
    only_roles(task.inputs, "reference", "image")
    parameters = task.parameters
    body: dict[str, Any] = {
        "req_key": task.upstream_model,
        "prompt": text(parameters, "prompt", chars_max=model.prompt_chars_max, needed=True),
        **_size(parameters, model),
    }
    scale = parameters.get("scale")
    if model.scale and scale is not None:
        body["scale"] = round(_percent("scale", scale) / 100, 2)
    if model.force_single:
        body["force_single"] = parameters.get("force_single") is not False  # Otherwise up to 15, each to be paid.
    if model.seed:
        body["seed"] = _seed(task)
    await check(task.inputs, model.inputs)
    return body | await carry(task.inputs, model.inputs)


def _size(parameters: Mapping[str, Any], model: Drawing) -> dict[str, Any]:
    wanted = size(parameters)
    if wanted is None:
        return {}
    width, height = wanted
    if model.side_px is not None:
        least, most = model.side_px
        for name, side in (("width", width), ("height", height)):
            if not least <= side <= most:
                raise _refused(name, f"The provider makes sides of {least} to {most} pixels.")
    if model.area_px is None:
        return {"width": width, "height": height}
    if not model.area_px[0] <= width * height <= model.area_px[1]:
        least, most = (math.isqrt(area) for area in model.area_px)
        raise _refused("width", f"The provider makes pictures of {least} x {least} to {most} x {most} pixels in area.")
    shape, longest = width / height, models.SHAPE_OF_PICTURE
    if not 1 / longest <= shape < longest:
        raise _refused("width", "The provider makes no picture that is so long.")
    fields: dict[str, Any] = {"width": width, "height": height}
    if shape > models.SHAPE_BY_DEFAULT:
        fields["max_ratio"] = min(math.ceil(shape * _RATIO_STEP), longest * _RATIO_STEP - 1) / _RATIO_STEP
    elif shape < 1 / models.SHAPE_BY_DEFAULT:
        fields["min_ratio"] = max(math.floor(shape * _RATIO_STEP) / _RATIO_STEP, 1 / longest)
    return fields


async def _inpaint(task: Task, aside: Aside) -> dict[str, Any]:
    if task.upstream_model != models.INPAINT:
        raise _unknown_model()
    only_roles(task.inputs, "image", "mask")
    masks = [source for source in task.inputs if source.role == "mask"]
    pictures = [source for source in task.inputs if source.role == "image"]
    if len(masks) != 1 or len(pictures) != 1:
        raise _refused("inputs", "The provider repaints one picture by one mask.")
    if size(task.parameters) is not None:
        raise _refused("width", "The result has the picture's size.")
    prompt = text(task.parameters, "prompt", chars_max=models.INPAINT_PROMPT_CHARS_MAX, needed=True)
    await check(pictures, models.INPAINT_INPUT)
    files = await carry_with_mask(pictures[0], masks[0], models.INPAINT_INPUT, aside)
    return {"req_key": models.INPAINT, "prompt": prompt, "seed": _seed(task), **files}


async def _upscale(task: Task, _: Aside) -> dict[str, Any]:
    if task.upstream_model != models.UPSCALE:
        raise _unknown_model()
    only_roles(task.inputs, "image", "reference")
    resolution = text(task.parameters, "resolution")
    if resolution not in models.UPSCALE_RESOLUTIONS:  # None means a factor, which they do not know either.
        raise _refused("resolution", "The provider enlarges to 4k and 8k.")
    body: dict[str, Any] = {"req_key": models.UPSCALE, "resolution": resolution}
    detail = whole(task.parameters, "detail")  # Our `scale` is a factor here; theirs is the strength of details.
    if detail is not None:
        body["scale"] = _percent("detail", detail)
    await check(task.inputs, models.UPSCALE_INPUTS)
    return body | await carry(task.inputs, models.UPSCALE_INPUTS)


async def _film(task: Task, _: Aside) -> dict[str, Any]:
    model = models.FILMS.get(task.upstream_model)
    if model is None:
        raise _unknown_model()
    parameters, sources = task.parameters, _frames(task.inputs)
    req_key = model.req_keys[len(sources)]
    if req_key is None:
        raise _refused("inputs", "The model films another number of pictures.")
    if text(parameters, "resolution") not in {"", model.resolution}:
        raise _refused("resolution", f"The model films in {model.resolution}.")
    duration_s = whole(parameters, "duration")
    frames = models.FILM_FRAMES.get(models.FILM_S if duration_s is None else duration_s)
    if frames is None:
        raise _refused("duration", "The provider films 5 or 10 seconds.")
    body: dict[str, Any] = {"req_key": req_key, "seed": _seed(task), "frames": frames}
    prompt = text(parameters, "prompt", chars_max=models.FILM_PROMPT_CHARS_MAX, needed=not sources)
    if prompt:
        body["prompt"] = prompt
    body |= _ratio(parameters, await check(sources, models.FILM_INPUTS))
    return body | await carry(sources, models.FILM_INPUTS)


def _ratio(parameters: Mapping[str, Any], pictures: Sequence[Media]) -> dict[str, str]:
    """A film of pictures has the ratio of the first, and takes no other."""
    ratio = text(parameters, "ratio")
    if ratio in _ANY_RATIO:
        return {}
    if ratio not in models.FILM_RATIOS:
        raise _refused("ratio", "The provider films in other ratios.")
    if not pictures:
        return {"aspect_ratio": ratio}
    width, height = pictures[0].width, pictures[0].height
    if width is None or height is None or nearest_ratio(width, height, models.FILM_RATIOS) != ratio:
        raise _refused("ratio", "The film has the ratio of its first picture.")
    return {}


def _frames(inputs: Sequence[Source]) -> list[Source]:
    """The first picture and the last, or only the first, or none."""
    only_roles(inputs, "reference", "image", "first_frame", "last_frame")
    last = [source for source in inputs if source.role == "last_frame"]
    first = [source for source in inputs if source.role != "last_frame"]
    if len(inputs) > models.FILM_INPUTS.most:
        raise _refused(inputs[models.FILM_INPUTS.most].field, "The provider films two pictures at most.")
    if len(last) > len(first):
        raise _refused(last[-1].field, "A last picture needs a first one.")
    return [*first, *last]


def _percent(name: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise _refused(name, f"{name} is a percentage.")
    return value


def _seed(task: Task) -> int:
    return task.seed & _SEED_MAX


def _refused(field: str, message: str) -> Refused:
    return Refused(Trouble.UNSUPPORTED, message, field=field)


def _unknown_model() -> Refused:
    return Refused(Trouble.UNSUPPORTED, "The route names no model of this provider.")


_BODIES: Final[Mapping[str, Callable[[Task, Aside], Awaitable[dict[str, Any]]]]] = {
    "image.generate": _generate,
    "image.inpaint": _inpaint,
    "image.upscale": _upscale,
    "video.generate": _film,
}
