"""The studio contract's form fields: numbers and booleans arrive as text, ranges and defaults are the document's."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData

from kit.errors import InvalidArgument

TRUE: Final = frozenset({"true", "True", "1"})
FALSE: Final = frozenset({"false", "False", "0"})
#: Whatever a language's `str(number)` writes: 2, 1.0, .5, 0.30000000000000004, 1e-05.
NUMBER: Final = re.compile(r"[+-]?([0-9]{1,32}(\.[0-9]{0,64})?|\.[0-9]{1,64})([eE][+-]?[0-9]{1,3})?", re.ASCII)
TEXT_CHARS_MAX: Final = 4000
RATIO_MAX: Final = 4  # Of the longer side to the shorter: no engine takes a longer strip.
RATIO_NUMBER_MAX: Final = 99
FILE_TOO_LARGE: Final = "文件大小不能超过16MB"
EXPAND_WRONG: Final = "扩展参数错误:"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One form field."""

    name: str
    kind: str  #: "float", "int", "bool", "text".
    default: Any = None
    required: bool = False
    minimum: float = -math.inf  #: As the document writes it: 0 or 0.0.
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    form: str = ".*"  #: What a text looks like, as a regular expression.


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One submit endpoint: its path's last part, its model, its fields."""

    name: str
    model: str
    fields: tuple[Field, ...] = ()
    #: Beginnings of sentences that the document lists for this endpoint as they are, without 任务提交失败 before them.
    sentences: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether the document limits this endpoint's files to 16MB."""
        return FILE_TOO_LARGE in self.sentences


def _digit(low: int, high: int) -> str:
    return f"[{low}-{high}]" if low < high else str(low)


def _between(low: int, high: int) -> str:
    """Whole numbers of one or two digits, as a regular expression."""
    tens = {ten: [one for one in range(10) if low <= 10 * ten + one <= high] for ten in range(10)}
    forms = [f"{ten or ''}{_digit(ones[0], ones[-1])}" for ten, ones in tens.items() if 0 < len(ones) < 10]
    full = [ten for ten, ones in tens.items() if len(ones) == 10]
    forms += [f"{_digit(full[0], full[-1])}[0-9]"] if full else []
    return f"({'|'.join(forms)})"


def _ratio_form() -> str:
    """Two numbers of which neither is more than RATIO_MAX times the other: numbers with the same partners together."""
    partners: dict[tuple[int, int], list[int]] = {}
    for number in range(1, RATIO_NUMBER_MAX + 1):
        least, most = -(-number // RATIO_MAX), min(RATIO_NUMBER_MAX, number * RATIO_MAX)
        partners.setdefault((least, most), []).append(number)
    return "|".join(f"{_between(each[0], each[-1])}:{_between(*ends)}" for ends, each in partners.items())


def _share(name: str) -> Field:
    return Field(name=name, kind="float", default=0.0, minimum=0.0, maximum=0.3)


EXPAND: Final = tuple(_share(f"expand_{side}") for side in ("top", "bottom", "left", "right"))
_COLORS: Final = Field(name="color_count", kind="int", default=5, minimum=2, maximum=16)

ENDPOINTS: Final = (
    Endpoint(
        name="submit_task",
        model="studio.redraw",
        fields=(
            Field(name="sdxl_model_dropdown", kind="text", required=True),
            Field(name="style_dropdown", kind="text", required=True),
            Field(name="upscale", kind="float", required=True, minimum=1, maximum=8),
            Field(name="s_noise", kind="float", required=True, minimum=1, maximum=1.1),
            Field(name="steps", kind="float", required=True, minimum=20, maximum=40),
            Field(name="high_fidelity", kind="bool", required=True),
            Field(name="strong_inpaint", kind="bool", required=True),
            Field(name="strong_inpaint_intensity", kind="float", default=0.5, minimum=0, maximum=1),
            Field(name="prompt", kind="text", default=""),
            Field(name="neg_prompt", kind="text", default=""),
            Field(name="vector_switch", kind="bool", default=False),
            _COLORS,
            Field(name="auto_generate_prompt", kind="bool", default=False),
        ),
    ),
    Endpoint(name="submit_vector_task", model="studio.vector", fields=(_COLORS,)),
    Endpoint(name="submit_face_enhance_task", model="studio.face_enhance"),
    Endpoint(
        name="submit_seamless_task",
        model="studio.seamless",
        fields=(
            Field(name="fit", kind="float", default=0.5, minimum=0.1, maximum=0.9),
            Field(name="direction", kind="int", default=0, minimum=0, maximum=2),
            *EXPAND,
        ),
    ),
    Endpoint(name="submit_remove_fabric_task", model="studio.remove_fabric", sentences=(FILE_TOO_LARGE,)),
    Endpoint(
        name="submit_edit_image_task",
        model="studio.edit",
        fields=(
            Field(name="prompt", kind="text", required=True),
            Field(name="model_version", kind="text", default="v1", choices=("v1", "v2")),
        ),
    ),
    Endpoint(
        name="submit_extract_pattern_task",
        model="studio.extract_pattern",
        fields=(Field(name="aspect_ratio", kind="text", default="1:1", form=_ratio_form()),),
    ),
    Endpoint(name="submit_remove_diamonds_task", model="studio.remove_diamonds"),
    Endpoint(
        name="submit_expand_image_task",
        model="studio.expand",
        fields=(*EXPAND, Field(name="prompt", kind="text", default="")),
        sentences=(FILE_TOO_LARGE, EXPAND_WRONG),
    ),
    Endpoint(name="submit_remove_watermark_task", model="studio.remove_watermark", sentences=(FILE_TOO_LARGE,)),
)


def read_parameters(endpoint: Endpoint, form: FormData) -> dict[str, Any]:
    """The endpoint's parameters, defaults filled in. Raises InvalidArgument naming the field, in Chinese."""
    return {field.name: _read(field, form) for field in endpoint.fields}


def _read(field: Field, form: FormData) -> Any:
    value = form.get(field.name)
    if value is None or (value == "" and not field.required):
        if field.required:
            raise InvalidArgument("缺少参数", field=field.name)
        return field.default
    if not isinstance(value, str):
        raise InvalidArgument("参数类型错误", field=field.name)
    return _READERS[field.kind](field, value.strip())


def _text(field: Field, value: str) -> str:
    if field.required and not value:
        raise InvalidArgument("缺少参数", field=field.name)
    if len(value) > TEXT_CHARS_MAX:
        raise InvalidArgument("参数过长", field=field.name)
    known = not field.choices or value in field.choices
    if "\x00" in value or not known or not re.fullmatch(field.form, value, re.ASCII | re.DOTALL):
        raise InvalidArgument("参数取值错误", field=field.name)
    return value


def _bool(field: Field, value: str) -> bool:
    if value not in TRUE | FALSE:
        raise InvalidArgument("参数类型错误", field=field.name)
    return value in TRUE


def _float(field: Field, value: str) -> float:
    number = float(value) if NUMBER.fullmatch(value) else math.nan
    if not field.minimum <= number <= field.maximum:
        raise _out_of_range(field)
    return number


def _int(field: Field, value: str) -> int:
    number = _float(field, value)
    if not number.is_integer():
        raise InvalidArgument("参数必须是整数", field=field.name)
    return int(number)


def _out_of_range(field: Field) -> InvalidArgument:
    """The document has a sentence for the expand parameters; the others have one of the same kind."""
    sentence = f"{field.name}必须在{field.minimum}-{field.maximum}之间"
    return InvalidArgument(f"{EXPAND_WRONG if field in EXPAND else ''}{sentence}", field=field.name)


_READERS: Final[Mapping[str, Any]] = {"text": _text, "bool": _bool, "float": _float, "int": _int}
