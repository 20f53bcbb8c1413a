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
NUMBER: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
TEXT_CHARS_MAX: Final = 4000


@dataclass(frozen=True, kw_only=True)
class Field:
    """One form field."""

    name: str
    kind: str  #: "float", "int", "bool", "text".
    default: Any = None
    required: bool = False
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One submit endpoint: its path's last part, its model, its fields, whether the document limits files to 16MB."""

    name: str
    model: str
    fields: tuple[Field, ...] = ()
    limited: bool = False


def _share(name: str) -> Field:
    return Field(name=name, kind="float", default=0.0, minimum=0.0, maximum=0.3)


_EXPAND: Final = tuple(_share(f"expand_{side}") for side in ("top", "bottom", "left", "right"))
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
            *_EXPAND,
        ),
    ),
    Endpoint(name="submit_remove_fabric_task", model="studio.remove_fabric", limited=True),
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
        fields=(Field(name="aspect_ratio", kind="text", default="1:1"),),
    ),
    Endpoint(name="submit_remove_diamonds_task", model="studio.remove_diamonds"),
    Endpoint(
        name="submit_expand_image_task",
        model="studio.expand",
        fields=(*_EXPAND, Field(name="prompt", kind="text", default="")),
        limited=True,
    ),
    Endpoint(name="submit_remove_watermark_task", model="studio.remove_watermark", limited=True),
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
    if field.choices and value not in field.choices:
        raise InvalidArgument("参数取值错误", field=field.name)
    return value


def _bool(field: Field, value: str) -> bool:
    if value not in TRUE | FALSE:
        raise InvalidArgument("参数类型错误", field=field.name)
    return value in TRUE


def _float(field: Field, value: str) -> float:
    if not NUMBER.fullmatch(value):
        raise InvalidArgument("参数类型错误", field=field.name)
    return _within(field, float(value))


def _int(field: Field, value: str) -> int:
    number = _float(field, value)
    if not number.is_integer():
        raise InvalidArgument("参数类型错误", field=field.name)
    return int(number)


def _within(field: Field, number: float) -> float:
    if not field.minimum <= number <= field.maximum:
        raise OutOfRange(field)
    return number


class OutOfRange(InvalidArgument):
    """A number is outside of its range; for the expand parameters the document has its own sentence."""

    def __init__(self, field: Field) -> None:
        limits = f"{_plain(field.minimum)}-{_plain(field.maximum)}"
        super().__init__(f"{field.name}必须在{limits}之间", field=field.name)


def _plain(number: float) -> str:
    """0.0 and 0.3 as the document writes them, whole limits above 1 without a point."""
    return str(number) if number < 1 else f"{number:g}"


_READERS: Final[Mapping[str, Any]] = {"text": _text, "bool": _bool, "float": _float, "int": _int}
