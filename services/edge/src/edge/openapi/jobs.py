"""The open contract's job request, a schema a capability: which parameters each takes, and how many inputs.

The ranges are those of the catalogue that is delivered with the house; a unit test keeps the two equal. An operator's
own catalogue may be narrower: `GET /api/v1/capabilities` tells.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

from edge.open.requests import (
    AMOUNT_MAX,
    LABEL_CHARS_MAX,
    PROMPT_CHARS_MAX,
    QUOTE_CHARS_MAX,
    SETTINGS,
    UNITS,
    URL_CHARS_MAX,
)
from edge.openapi.parts import Json, constant, nullable, object_of, text

URL: Final[Json] = {
    "type": "string",
    "format": "uri",
    "pattern": "^https?://",
    "maxLength": URL_CHARS_MAX,
}
ASSET_ID: Final[Json] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
LISTS: Final = ("inputAssetIds", "inputUrls", "imageUrls", "materials")

QUOTED: Final = "Quoted"  # Ends the name of a body that is only priced.

_AMOUNT: Final[Json] = {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX}
#: What a job may say about its price.
_PAID: Final[Json] = {
    "quoteId": {
        "type": "string",
        "maxLength": QUOTE_CHARS_MAX,
        "description": "From `POST /api/v1/quotes`; empty means today's price.",
    },
    "maxCost": {
        **object_of(dict.fromkeys(UNITS, _AMOUNT), required=[]),
        "maxProperties": 1,
        "description": "Only ways to pay in this unit and not above it, for all outputs, are taken; without one 402.",
    },
}
_PROMPT: Final = text(chars_min=1, chars_max=PROMPT_CHARS_MAX)
_SEED: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 4_294_967_295}
_PERCENT: Final[Json] = {"type": "number", "minimum": 0, "maximum": 100}
_SIDE: Final[Json] = {"type": "integer", "minimum": 64, "maximum": 4096}
_QUALITY: Final[Json] = {"enum": ["low", "medium", "high"]}
_VIDEO_RESOLUTION: Final[Json] = {"enum": ["480p", "720p", "1080p"]}
_PICTURE_RESOLUTION: Final[Json] = {"enum": ["2k", "4k", "8k"]}


@dataclass(frozen=True, kw_only=True)
class Capability:
    """What one capability takes."""

    name: str
    schema: str  #: Its name among the components.
    parameters: Json
    settings: Json  #: What it takes in `settings`.
    inputs_min: int = 0
    inputs_max: int  #: In all lists together.
    prompted: bool = True  #: Whether its prompt, if it has one, must be there.


CAPABILITIES: Final = (
    Capability(
        name="image.generate",
        schema="ImageGenerate",
        parameters={
            "prompt": _PROMPT,
            "negativePrompt": text(chars_max=PROMPT_CHARS_MAX),
            "width": _SIDE,
            "height": _SIDE,
            "scale": _PERCENT,
            "quality": _QUALITY,
            "force_single": {"type": "boolean"},
            "seed": _SEED,
        },
        settings={"seed": _SEED},
        inputs_max=10,
    ),
    Capability(
        name="image.inpaint",
        schema="ImageInpaint",
        parameters={"prompt": _PROMPT, "scale": _PERCENT, "quality": _QUALITY, "seed": _SEED},
        settings={"seed": _SEED},
        inputs_min=2,
        inputs_max=2,
    ),
    Capability(
        name="image.upscale",
        schema="ImageUpscale",
        parameters={
            "resolution": _PICTURE_RESOLUTION,
            "scale": {"type": "number", "minimum": 1, "maximum": 8},
            "prompt": text(chars_max=PROMPT_CHARS_MAX),
            "negativePrompt": text(chars_max=PROMPT_CHARS_MAX),
            "sNoise": {"type": "number", "minimum": 1, "maximum": 1.1},
            "steps": {"type": "number", "minimum": 20, "maximum": 40},
            "highFidelity": {"type": "boolean"},
            "strongInpaint": {"type": "boolean"},
            "strongInpaintIntensity": {"type": "number", "minimum": 0, "maximum": 1},
            "seed": _SEED,
        },
        settings={"resolution": _PICTURE_RESOLUTION, "seed": _SEED},
        inputs_min=1,
        inputs_max=1,
        prompted=False,
    ),
    Capability(
        name="video.generate",
        schema="VideoGenerate",
        parameters={"prompt": _PROMPT, "resolution": _VIDEO_RESOLUTION, "seed": _SEED},
        settings={
            "ratio": {"enum": ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"]},
            "duration": {"type": "integer", "minimum": 4, "maximum": 15},
            "resolution": _VIDEO_RESOLUTION,
            "seed": _SEED,
        },
        inputs_max=10,
    ),
)


def schemas() -> Json:
    """The requests by the names of their schemas, and what they are made of."""
    bodies = {f"{one.schema}{QUOTED}": _request(one) for one in CAPABILITIES}
    return {"Material": _material(), **{one.schema: _request(one, more=_PAID) for one in CAPABILITIES}, **bodies}


def _request(one: Capability, *, more: Json | None = None) -> Json:
    inputs: Json = {
        "inputAssetIds": {"type": "array", "items": ASSET_ID},
        "inputUrls": {"type": "array", "items": URL},
        "imageUrls": {"type": "array", "items": URL},
        "materials": {"type": "array", "items": {"$ref": "#/components/schemas/Material"}},
    }
    settings: Json = {name: nullable(one.settings[name]) for name in SETTINGS if name in one.settings}
    optional: Json = {
        **one.parameters,
        **{name: {**schema, "maxItems": one.inputs_max} for name, schema in inputs.items()},
        "settings": object_of(settings, required=[]),
        "webhookUrl": {"anyOf": [URL, constant("")]},
        **(more or {}),
    }
    required = ["capability", *(name for name in optional if name == "prompt" and one.prompted)]
    properties = {
        "capability": constant(one.name),
        **{name: schema if name in required else nullable(schema) for name, schema in optional.items()},
    }
    schema = {**object_of(properties, required=required), "description": _description(one)}
    return {**schema, "oneOf": _exactly(one.inputs_min)} if one.inputs_min else schema


def _description(one: Capability) -> str:
    few = "" if one.inputs_min == one.inputs_max else "at most "
    return f"Takes {few}{one.inputs_max} input(s) in all lists together, in the order of the lists."


def _exactly(count: int) -> list[Json]:
    """Every way to spread so many inputs over the lists."""
    ways = []
    for way in combinations_with_replacement(LISTS, count):
        held = {name: way.count(name) for name in LISTS}
        ways.append(
            {
                "required": [name for name in LISTS if held[name]],
                "properties": {
                    name: {"type": "array", "minItems": number, "maxItems": number} if number else {"maxItems": 0}
                    for name, number in held.items()
                },
            }
        )
    return ways


def _material() -> Json:
    """A picture by its URL or by the id of an asset."""
    label = nullable(text(chars_max=LABEL_CHARS_MAX))
    kind = constant("image")
    absent: Json = {"enum": ["", None]}
    return {
        "oneOf": [
            object_of({"type": kind, "label": label, "url": URL, "assetId": absent}, required=["type", "url"]),
            object_of({"type": kind, "label": label, "url": absent, "assetId": ASSET_ID}, required=["type", "assetId"]),
        ]
    }
