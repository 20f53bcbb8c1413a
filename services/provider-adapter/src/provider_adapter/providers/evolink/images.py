"""An order for a picture as EvoLink's request; every model family has its own fields and limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provider_adapter.ports import Source, Task
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.shapes import nearest_ratio, only_roles, public_link, size, text
from provider_adapter.providers.remote.trouble import Trouble

SIDE_STEP: Final = 16  # gpt-image-2 takes multiples of it only.
SIDE_MAX: Final = 3840
AREA_MIN, AREA_MAX = 655_360, 8_294_400
SHAPE_MAX: Final = 3.0  # The longer side by the shorter one.
IMAGE_BYTES_MAX: Final = 50 * 1000 * 1000  # "50 MB"; the smaller reading of it.
IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/webp"})
RATIOS_2: Final = (
    *("1:1", "1:2", "2:1", "1:3", "3:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4"),
    *("9:16", "16:9", "9:21", "21:9"),
)
RATIOS_OLDER: Final = ("1:1", "2:3", "3:2")
SIZES_15: Final = ("1024x1024", "1024x1536", "1536x1024")


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family of models takes. None: the vendor names no limit."""

    size: Callable[[int, int], str]
    ratios: Sequence[str]
    prompt_chars_max: int | None = None
    qualities: frozenset[str] = frozenset()
    counted: bool = False  #: Whether it knows `n`.
    images_max: int | None = None
    image_bytes_max: int | None = None
    image_types: frozenset[str] | None = None
    masked: bool = False


def _free_size(width: int, height: int) -> str:
    """To the nearest multiple of 16, within the limits."""
    sides = {"width": _stepped(width), "height": _stepped(height)}
    for name, side in sides.items():
        if side > SIDE_MAX:
            raise Refused(Trouble.UNSUPPORTED, f"The provider makes at most {SIDE_MAX} pixels a side.", field=name)
    across, down = sides["width"], sides["height"]
    shorter = "width" if across < down else "height"
    if max(across, down) > SHAPE_MAX * min(across, down):
        raise Refused(Trouble.UNSUPPORTED, "The provider makes no picture longer than 3:1.", field=shorter)
    if not AREA_MIN <= across * down <= AREA_MAX:
        message = f"The provider makes pictures of {AREA_MIN} to {AREA_MAX} pixels."
        raise Refused(Trouble.UNSUPPORTED, message, field="width")
    return f"{across}x{down}"


def _stepped(side: int) -> int:
    return max(SIDE_STEP, (side + SIDE_STEP // 2) // SIDE_STEP * SIDE_STEP)


def _known_size_or_ratio(width: int, height: int) -> str:
    exact = f"{width}x{height}"
    return exact if exact in SIZES_15 else nearest_ratio(width, height, RATIOS_OLDER)


def _older_ratio(width: int, height: int) -> str:
    return nearest_ratio(width, height, RATIOS_OLDER)


FAMILIES: Final[Mapping[str, Family]] = {
    "gpt-image-2": Family(
        size=_free_size,
        ratios=RATIOS_2,
        prompt_chars_max=32_000,
        qualities=frozenset({"low", "medium", "high"}),
        counted=True,
        images_max=16,
        image_bytes_max=IMAGE_BYTES_MAX,
        image_types=IMAGE_TYPES,
    ),
    "gpt-image-1.5": Family(
        size=_known_size_or_ratio,
        ratios=RATIOS_OLDER,
        prompt_chars_max=2000,
        qualities=frozenset({"low", "medium", "high"}),
    ),
    "gpt-4o-image": Family(size=_older_ratio, ratios=RATIOS_OLDER, masked=True),
}
ALSO: Final[Mapping[str, str]] = {"gpt-image-1.5-lite": "gpt-image-1.5"}


def image_body(task: Task, more: Mapping[str, str]) -> dict[str, Any]:
    """The body of `/v1/images/generations`, without a callback. `more`: models of the operator's, by family.

    Raises Refused.
    """
    family = FAMILIES.get({**ALSO, **more}.get(task.upstream_model, task.upstream_model))
    if family is None:
        raise Refused(Trouble.UNSUPPORTED, "The route names a model whose fields are not known.")
    body: dict[str, Any] = {
        "model": task.upstream_model,
        "prompt": text(task.parameters, "prompt", chars_max=family.prompt_chars_max, needed=True),
    }
    if wanted := _size(task, family):
        body["size"] = wanted
    if task.parameters.get("quality") in family.qualities:
        body["quality"] = task.parameters["quality"]
    if family.counted:
        body["n"] = 1
    if task.capability == "image.inpaint":
        original, mask = _original_and_mask(task, family)
        body |= {"image_urls": [original], "mask_url": mask}
    else:
        only_roles(task.inputs, "image", "reference")
        if task.inputs:
            body["image_urls"] = _images(task.inputs, family)
    return body


def _size(task: Task, family: Family) -> str:
    ratio = text(task.parameters, "ratio")
    if ratio:
        if ratio not in family.ratios:
            raise Refused(Trouble.UNSUPPORTED, "The provider does not offer this ratio.", field="ratio")
        return ratio
    pixels = size(task.parameters)
    return family.size(*pixels) if pixels else ""


def _images(inputs: Sequence[Source], family: Family) -> list[str]:
    for number, source in enumerate(inputs):
        if family.images_max is not None and number >= family.images_max:
            raise Refused(Trouble.UNSUPPORTED, f"The provider takes {family.images_max} pictures.", field=source.field)
        if family.image_types is not None and source.mime_type not in family.image_types:
            raise Refused(Trouble.UNSUPPORTED, "The provider takes JPEG, PNG and WebP.", field=source.field)
        if family.image_bytes_max is not None and source.size_bytes > family.image_bytes_max:
            raise Refused(Trouble.UNSUPPORTED, "The picture is too large for the provider.", field=source.field)
    return [public_link(source) for source in inputs]


def _original_and_mask(task: Task, family: Family) -> tuple[str, str]:
    """Both links. The vendor's mask is ours: a PNG, white where it paints."""
    only_roles(task.inputs, "image", "mask")
    images = [source for source in task.inputs if source.role == "image"]
    masks = [source for source in task.inputs if source.role == "mask"]
    if len(images) != 1 or len(masks) != 1:
        raise Refused(Trouble.UNSUPPORTED, "One picture and one mask are needed.", field="inputs")
    [mask] = masks
    if not family.masked:
        raise Refused(Trouble.UNSUPPORTED, "The provider's model takes no mask.", field=mask.field)
    if mask.mime_type != "image/png":
        raise Refused(Trouble.UNSUPPORTED, "The provider takes a mask as PNG only.", field=mask.field)
    return _images(images, family)[0], public_link(mask)
