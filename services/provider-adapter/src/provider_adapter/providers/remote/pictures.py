"""Pictures on their way to and from a provider: their size, masks in its form, a cut to the size that was ordered.

What comes in was made by strangers: three formats are known, and the header is looked at before a pixel is decoded.
Decoding takes time and memory, so an adapter calls these functions through its `Aside`.
"""

import asyncio
import io
from collections.abc import Callable
from typing import Any, Final, TypeVar

from PIL import Image, ImageOps

PIXELS_MAX: Final = 40_000_000  # As the built-in engine: the largest cameras in common use; 160 MB as RGBA.
SIDE_PX_MAX: Final = 16_384
AT_ONCE: Final = 1  # Decoded pictures are large, and one core is enough to wait for a provider.
MARKED: Final = 128  # Levels of a mask from which a pixel is repainted, as in the built-in engine.
TRIM_PX: Final = 16  # Fewer surplus pixels than this are cut off; a picture is not resampled for them.
QUALITY: Final = 95  # Of JPEG and WebP written again: nothing more is to be lost.

_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_ORIENTATION: Final = 0x0112
_DECODE_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    ArithmeticError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

Size = tuple[int, int]
_T = TypeVar("_T")


class NotUsable(Exception):
    """A picture cannot be used; the text may be shown to clients."""


class Aside:
    """Does work on pictures in a thread, in turn with the other work of its owner."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def do(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Return what `work` returns. When the call is cancelled, the work goes on to its end unheard."""
        async with self._turn:
            return await asyncio.to_thread(work, *arguments)


def upright(data: bytes) -> tuple[bytes, Size]:
    """Return a picture as it is shown, and its size: only one that is stored turned is written again, as PNG.

    Raises NotUsable.
    """
    image = _open(data)
    if image.getexif().get(_ORIENTATION, 1) == 1:
        return data, image.size
    try:
        turned = ImageOps.exif_transpose(image)
    except _DECODE_ERRORS as error:
        raise NotUsable("The picture is damaged.") from error
    return _png(turned), turned.size


def clear_where_white(mask: bytes, size: Size) -> bytes:
    """Return a mask whose white means "repaint" as a PNG whose transparency does. Raises NotUsable."""
    alpha = _marked(mask, size).point(lambda level: 255 - level)
    picture = Image.new("RGBA", size, "black")
    picture.putalpha(alpha)
    return _png(picture)


def white_where_marked(mask: bytes, size: Size) -> bytes:
    """Return a mask as a grey PNG without transparency: white is repainted, black is kept. Raises NotUsable."""
    return _png(_marked(mask, size))


def cut_to(data: bytes, size: Size) -> bytes:
    """Return a picture in exactly this size, in its own format: what is too much of its width or height is cut off on
    both sides, and what is larger still is made smaller.

    One that is smaller than that, or no picture, comes back as it is: who stores it says what it is.
    """
    try:
        image = _open(data)
        surplus = (image.width - size[0], image.height - size[1])
        if min(surplus) < 0 or surplus == (0, 0):
            return data
        name, icc_profile = image.format or "PNG", image.info.get("icc_profile")
        plain = image if image.mode in {"L", "RGB", "RGBA"} else image.convert("RGBA" if name == "PNG" else "RGB")
        if max(surplus) < TRIM_PX:
            left, top = surplus[0] // 2, surplus[1] // 2
            cut = plain.crop((left, top, left + size[0], top + size[1]))
        else:
            cut = ImageOps.fit(plain, size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        cut.save(buffer, name, icc_profile=icc_profile, **({} if name == "PNG" else {"quality": QUALITY}))
        return buffer.getvalue()
    except (NotUsable, *_DECODE_ERRORS):
        return data


def _marked(mask: bytes, size: Size) -> Image.Image:
    """A mask in two levels, 255 where it is white; what is transparent counts as black."""
    image = _open(mask)
    if image.size != size:
        raise NotUsable(f"The mask is {image.width} x {image.height}, the picture {size[0]} x {size[1]}.")
    try:
        image.load()
    except _DECODE_ERRORS as error:
        raise NotUsable("The mask is damaged.") from error
    if image.has_transparency_data:
        black = Image.new("RGBA", size, "black")
        image = Image.alpha_composite(black, image.convert("RGBA"))
    marked = image.convert("L").point(lambda level: 255 if level >= MARKED else 0)
    if marked.getbbox() is None:
        raise NotUsable("The mask marks no pixel.")
    return marked


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except _DECODE_ERRORS as error:
        raise NotUsable("The input is not a PNG, JPEG or WebP picture, or too large.") from error
    if max(image.size) > SIDE_PX_MAX or image.width * image.height > PIXELS_MAX:
        raise NotUsable(f"The picture is larger than {PIXELS_MAX // 1_000_000} megapixels.")
    return image


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
