"""Pictures and masks as files of a form, within the vendor's limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from provider_adapter.ports import Source, Task
from provider_adapter.providers.remote.pictures import Aside, NotUsable, Size, clear_where_white, upright
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble

IMAGES_MAX: Final = 16
IMAGE_BYTES_MAX: Final = 50_000_000 - 1  # "Less than 50 MB".
MASK_BYTES_MAX: Final = 4_000_000 - 1
ALL_BYTES_MAX: Final = 100_000_000  # Ours: they are in memory until they are sent.

_SUFFIXES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
_PICTURES: Final = frozenset({"image", "reference"})

Part = tuple[str, tuple[str, bytes, str]]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Files to send."""

    parts: list[Part]
    source_size: Size | None = None  #: Of the picture that a mask belongs to.


async def form_of_inputs(task: Task, aside: Aside) -> Form:
    """Read and check a task's inputs; no parts for a task that has none. Raises Refused, Unreadable."""
    pictures = [source for source in task.inputs if source.role in _PICTURES]
    masks = [source for source in task.inputs if source.role == "mask"]
    _check(task, pictures, masks)
    name = "image" if len(pictures) == 1 else "image[]"
    parts: list[Part] = []
    size: Size | None = None
    for number, source in enumerate(pictures):
        data, mime_type = await source.read(), source.mime_type
        if number == 0 and masks:
            data, mime_type, size = await _upright(data, source, aside)
        parts.append((name, (f"image-{number}.{_SUFFIXES[mime_type]}", data, mime_type)))
    if masks and size is not None:
        parts.append(("mask", ("mask.png", await _mask(masks[0], size, aside), "image/png")))
    return Form(parts=parts, source_size=size)


def _check(task: Task, pictures: Sequence[Source], masks: Sequence[Source]) -> None:
    for source in task.inputs:
        if source.role not in _PICTURES | {"mask"}:
            raise _unsupported("The provider does not take this kind of input.", source.field)
    if task.capability == "image.inpaint":
        if len(masks) != 1 or not pictures:
            raise _unsupported("Repainting needs a picture and one mask.", "inputs")
    elif masks:
        raise _unsupported("The provider takes a mask for repainting alone.", masks[0].field)
    if len(pictures) > IMAGES_MAX:
        raise _unsupported(f"The provider takes at most {IMAGES_MAX} pictures.", pictures[IMAGES_MAX].field)
    for source in (*pictures, *masks):
        if source.mime_type not in _SUFFIXES:
            raise _unsupported("The provider takes PNG, JPEG and WebP pictures.", source.field)
        if source.size_bytes > IMAGE_BYTES_MAX:
            raise _unsupported("The provider takes pictures of less than 50 MB.", source.field)
    if sum(source.size_bytes for source in task.inputs) > ALL_BYTES_MAX:
        raise _unsupported("The pictures together are more than 100 MB.", "inputs")


async def _upright(data: bytes, source: Source, aside: Aside) -> tuple[bytes, str, Size]:
    """The picture as it is shown, because its mask was drawn on what was seen."""
    try:
        shown, size = await aside.do(upright, data)
    except NotUsable as error:
        raise _unsupported(str(error), source.field) from error
    if len(shown) > IMAGE_BYTES_MAX:
        raise _unsupported("The provider takes pictures of less than 50 MB.", source.field)
    return shown, source.mime_type if shown is data else "image/png", size


async def _mask(source: Source, size: Size, aside: Aside) -> bytes:
    try:
        mask = await aside.do(clear_where_white, await source.read(), size)
    except NotUsable as error:
        raise _unsupported(str(error), source.field) from error
    if len(mask) > MASK_BYTES_MAX:
        raise _unsupported("The provider takes masks of less than 4 MB.", source.field)
    return mask


def _unsupported(message: str, field: str) -> Refused:
    return Refused(Trouble.UNSUPPORTED, message, field=field)
