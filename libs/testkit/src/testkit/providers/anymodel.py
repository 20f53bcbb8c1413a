"""Models as vendors run them that run any: each with its own inputs, and its own form of output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class AnyModel:
    """Inputs by name: a type, a list of one type, choices, or a nested object."""

    inputs: Mapping[str, Any]
    required: frozenset[str]
    film: bool = False


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one input."""

    place: tuple[str, ...]
    message: str
    kind: str


_SIZE: Final = {"width": int, "height": int}
MODELS: Final = {
    "sim/draw": AnyModel(
        {
            "prompt": str,
            "image_size": _SIZE,
            "width": int,
            "height": int,
            "seed": int,
            "image_urls": [str],
            "guidance": float,
        },
        frozenset({"prompt"}),
    ),
    "sim/fill": AnyModel(
        {"prompt": str, "image_url": str, "mask_url": str, "seed": int},
        frozenset({"prompt", "image_url", "mask_url"}),
    ),
    "sim/enlarge": AnyModel({"image_url": str, "factor": (2, 4)}, frozenset({"image_url", "factor"})),
    "sim/film": AnyModel(
        {"prompt": str, "duration": ("5", "10"), "aspect_ratio": str, "seed": int}, frozenset({"prompt"}), film=True
    ),
}


def wrong_in(model: AnyModel, given: Any) -> list[Wrong]:
    """All that is wrong with an input; what the model does not know is wrong too."""
    if not isinstance(given, dict):
        return [Wrong((), "Input should be an object", "type_error")]
    return [
        *(Wrong((name,), "Field required", "missing") for name in sorted(model.required - given.keys())),
        *(fault for name, value in given.items() for fault in _wrong((name,), value, model.inputs.get(name))),
    ]


def _wrong(place: tuple[str, ...], value: Any, wanted: Any) -> list[Wrong]:
    if isinstance(wanted, dict) and isinstance(value, dict):
        return [fault for name, each in value.items() for fault in _wrong((*place, name), each, wanted.get(name))]
    kind = _fault(value, wanted)
    return [Wrong(place, "Input should be another one", kind)] if kind else []


def _fault(value: Any, wanted: Any) -> str:
    match wanted:
        case None:
            return "extra_forbidden"
        case tuple():
            return "" if value in wanted and not isinstance(value, float) else "enum"
        case dict():
            fits = False
        case list():
            fits = isinstance(value, list) and all(isinstance(each, wanted[0]) for each in value)
        case _:
            fits = isinstance(value, int | float if wanted is float else wanted) and not isinstance(value, bool)
    return "" if fits else "type_error"
