"""What each `req_key` of Jimeng takes, as the vendor's pages say; anything else is refused."""

import base64
import binascii
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

PICTURE_BYTES_MAX: Final = 4_700_000 * 1.05  # Whether a megabyte is 10^6 or 2^20 bytes is not published.


class Invalid(Exception):
    """A field is not what it should be; the text names it."""


Check = Callable[[Any], bool]


def _whole(least: int, most: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(least: float, most: float) -> Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _words(most: int) -> Check:
    return lambda value: isinstance(value, str) and 0 < len(value) <= most


def _one_of(*values: Any) -> Check:
    return lambda value: any(value == each and type(value) is type(each) for each in values)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One model."""

    fields: Mapping[str, Check]
    needed: frozenset[str] = frozenset()
    pictures: tuple[int, int] = (0, 0)  #: How many, least and most.
    inside: bool = True  #: Whether pictures may be in the request itself.
    mask: bool = False  #: Whether the second picture is a mask.
    film: bool = False
    groups: bool = False  #: Whether it makes several pictures unless `force_single` is true.

    def check(self, body: Mapping[str, Any]) -> None:
        """Raise Invalid for the first field that is wrong."""
        for name in sorted(self.needed):
            if name not in body:
                raise Invalid(name)
        for name, value in body.items():
            if name in {"req_key", "image_urls", "binary_data_base64"}:
                continue
            if name not in self.fields or not self.fields[name](value):
                raise Invalid(name)
        self._check_size(body)
        self._check_pictures(body)
        if self.film and "prompt" not in body and not _count(body):
            raise Invalid("prompt")
        if "aspect_ratio" in body and _count(body):
            raise Invalid("aspect_ratio")

    def _check_size(self, body: Mapping[str, Any]) -> None:
        if self.groups and "width" in body and "height" in body:
            width, height = body["width"], body["height"]
            if not 1024**2 <= width * height <= 4096**2:
                raise Invalid("width")
            if not body.get("min_ratio", 1 / 3) <= width / height <= body.get("max_ratio", 3):
                raise Invalid("width")

    def _check_pictures(self, body: Mapping[str, Any]) -> None:
        urls, inside = body.get("image_urls", []), body.get("binary_data_base64", [])
        if not isinstance(urls, list) or any(not isinstance(url, str) or "://" not in url for url in urls):
            raise Invalid("image_urls")
        if not isinstance(inside, list) or (inside and (urls or not self.inside)):
            raise Invalid("binary_data_base64")
        if not self.pictures[0] <= len(urls) + len(inside) <= self.pictures[1]:
            raise Invalid("image_urls")
        opened = [_open(each) for each in inside]
        if self.mask and opened and (opened[1].mode != "L" or opened[0].size != opened[1].size):
            raise Invalid("binary_data_base64")


def _count(body: Mapping[str, Any]) -> int:
    return len(body.get("image_urls", [])) + len(body.get("binary_data_base64", []))


def _open(text: Any) -> Image.Image:
    try:
        data = base64.b64decode(text, validate=True)
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except (TypeError, binascii.Error, OSError) as error:
        raise Invalid("binary_data_base64") from error
    if len(data) > PICTURE_BYTES_MAX or max(image.size) > 4096:
        raise Invalid("binary_data_base64")
    return image


_SEED: Final = _whole(-1, 2**63 - 1)  # The range is not published.
_FRAMES: Final = _one_of(121, 241)
_FILM: Final[Mapping[str, Check]] = {"prompt": _words(800), "seed": _SEED, "frames": _FRAMES}
_TEXT_FILM: Final[Mapping[str, Check]] = {
    **_FILM,
    "aspect_ratio": _one_of("16:9", "4:3", "1:1", "3:4", "9:16", "21:9"),
}

RULES: Final[Mapping[str, Rule]] = {
    "jimeng_t2i_v40": Rule(
        fields={
            "prompt": _words(800),
            "size": _whole(1048576, 16777216),
            "width": _whole(1, 16384),
            "height": _whole(1, 16384),
            "scale": _number(0, 1),
            "force_single": _flag,
            "min_ratio": _number(1 / 16, 15.9999),
            "max_ratio": _number(1 / 16, 15.9999),
        },
        needed=frozenset({"prompt"}),
        pictures=(0, 10),
        inside=False,
        groups=True,
    ),
    "jimeng_image2image_dream_inpaint": Rule(
        fields={"prompt": _words(120), "seed": _SEED}, needed=frozenset({"prompt"}), pictures=(2, 2), mask=True
    ),
    "jimeng_i2i_seed3_tilesr_cvtob": Rule(
        fields={"resolution": _one_of("4k", "8k"), "scale": _whole(0, 100)}, pictures=(1, 1)
    ),
    "jimeng_ti2v_v30_pro": Rule(fields=_TEXT_FILM, pictures=(0, 1), film=True),
    "jimeng_t2v_v30": Rule(fields=_TEXT_FILM, needed=frozenset({"prompt"}), film=True),
    "jimeng_t2v_v30_1080p": Rule(fields=_TEXT_FILM, needed=frozenset({"prompt"}), film=True),
    "jimeng_i2v_first_v30": Rule(fields=_FILM, pictures=(1, 1), film=True),
    "jimeng_i2v_first_v30_1080": Rule(fields=_FILM, pictures=(1, 1), film=True),
    "jimeng_i2v_first_tail_v30": Rule(fields=_FILM, pictures=(2, 2), film=True),
    "jimeng_i2v_first_tail_v30_1080": Rule(fields=_FILM, pictures=(2, 2), film=True),
}
