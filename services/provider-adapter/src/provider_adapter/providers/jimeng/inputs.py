"""Input pictures as Jimeng takes them: checked against its limits, then by URL or inside the request."""

from collections.abc import Sequence
from typing import Any

from kit import media
from kit.media import Media
from provider_adapter.ports import Source
from provider_adapter.providers.jimeng.models import SIDE_PX_MAX, Inputs
from provider_adapter.providers.remote.inline import encoded
from provider_adapter.providers.remote.pictures import Aside, NotUsable, upright, white_where_marked
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble

_TYPES = frozenset({media.JPEG, media.PNG})


async def check(sources: Sequence[Source], limits: Inputs) -> list[Media]:
    """Return what each picture is. Raises Refused naming the first that is not taken."""
    if len(sources) > limits.most:
        raise _refused(sources[limits.most], f"The provider takes {limits.most} pictures at most.")
    if len(sources) < limits.least:
        raise Refused(Trouble.UNSUPPORTED, "The provider needs a picture.", field="inputs")
    return [await _check(source, limits) for source in sources]


async def _check(source: Source, limits: Inputs) -> Media:
    if source.mime_type not in _TYPES:
        raise _refused(source, "The provider takes JPEG and PNG pictures only.")
    if source.size_bytes > limits.bytes_max:
        raise _refused(source, f"The provider takes pictures of {limits.bytes_max / 1e6:g} MB at most.")
    facts = await _facts_of(source)
    if facts.width is None or facts.height is None:
        return facts  # The provider will say.
    short, long = sorted((facts.width, facts.height))
    if long > SIDE_PX_MAX or short < limits.side_px_min:
        raise _refused(source, f"The provider takes sides of {limits.side_px_min} to {SIDE_PX_MAX} pixels.")
    if long > limits.shape_max * short:
        raise _refused(source, f"The provider takes no picture longer than {limits.shape_max:g}:1.")
    return facts


async def _facts_of(source: Source) -> Media:
    """What the file's first bytes say; sizes are None where they do not tell."""
    head = bytearray()
    async for chunk in source.chunks():
        head += chunk
        if len(head) >= media.PROBE_BYTES:
            break
    return media.probe(bytes(head)) or Media(mime_type=source.mime_type)


async def carry(sources: Sequence[Source], limits: Inputs) -> dict[str, Any]:
    """Return the field with the pictures: their URLs where the house has public ones, else the bytes."""
    links = [source.link() for source in sources]
    if all(links):
        return {"image_urls": links} if links else {}
    if not limits.base64:
        raise _refused(sources[0], "Inputs need a public address of this house.")
    return {"binary_data_base64": [await encoded(await source.read()) for source in sources]}


async def carry_with_mask(picture: Source, mask: Source, limits: Inputs, aside: Aside) -> dict[str, Any]:
    """Return the field with a picture and its mask. The mask has to be gray, so it goes as bytes, and the picture with
    it: one request cannot have both URLs and bytes."""
    files = []
    try:
        source = picture
        shown, size = await aside.do(upright, await picture.read())
        source = mask
        gray = await aside.do(white_where_marked, await mask.read(), size)
    except NotUsable as error:
        raise _refused(source, str(error)) from error
    for source, data in ((picture, shown), (mask, gray)):
        if len(data) > limits.bytes_max:
            raise _refused(source, f"The provider takes pictures of {limits.bytes_max / 1e6:g} MB at most.")
        files.append(await encoded(data))
    return {"binary_data_base64": files}


def _refused(source: Source, message: str) -> Refused:
    return Refused(Trouble.UNSUPPORTED, message, field=source.field)
