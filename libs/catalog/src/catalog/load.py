"""Reads the catalogue's YAML files and refuses a wrong one with every fault named."""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from catalog.model import Catalog, InputRule, Model, RouteRule
from catalog.price import OUTCOMES, UNITS, Measure, Pixels, PriceRule

FILE_BYTES_MAX = 1_000_000  # A catalogue file is written by people; a larger one is a mistake.

JOB_RETENTION_S_MIN = 31 * 24 * 3600  # As long as idempotency keys are remembered: a repeat must find its job.

#: The form of a file; what needs arithmetic is checked by the dataclasses.
FILE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["models"],
    "properties": {
        "models": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "capability", "title", "price", "routes"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
                    "capability": {"type": "string", "pattern": "^(image|video)\\.[a-z_]+$"},
                    "title": {"type": "string", "minLength": 1},
                    "contracts": {
                        "type": "array",
                        "items": {"enum": ["open", "points", "signed", "studio", "grpc"]},
                    },
                    "enabled": {"type": "boolean"},
                    "pool": {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"},
                    "deadline_s": {"type": "integer", "minimum": 1, "maximum": 604_800},
                    "retention_s": {"type": "integer", "minimum": 0},
                    "job_retention_s": {"type": "integer", "minimum": JOB_RETENTION_S_MIN},
                    "outputs_parameter": {"type": "string"},
                    "moderated_parameters": {"type": "array", "items": {"type": "string"}},
                    "required": {"type": "array", "items": {"type": "string"}},
                    "parameters": {"type": "object", "additionalProperties": {"type": "object"}},
                    "inputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["role"],
                            "properties": {
                                "role": {"type": "string", "pattern": "^[a-z_]{1,32}$"},
                                "min": {"type": "integer", "minimum": 0},
                                "max": {"type": "integer", "minimum": 1, "maximum": 16},
                                "kind": {"enum": ["image", "video"]},
                            },
                        },
                    },
                    "price": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 8,
                        "items": {"type": "object"},  # `_read_price` tells better what is wrong.
                    },
                    "measure": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "second": {"type": "string", "minLength": 1},
                            "megapixel": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {
                                    **{
                                        name: {"type": "string", "minLength": 1}
                                        for name in ("width", "height", "input", "longer_side", "scale")
                                    },
                                    "longer_side_pixels": {
                                        "type": "object",
                                        "additionalProperties": {"type": "integer"},
                                    },
                                    "scale_default": {"type": "number"},
                                },
                            },
                        },
                    },
                    "charges": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            outcome: {"type": "integer", "minimum": 0, "maximum": 100} for outcome in OUTCOMES
                        },
                    },
                    "routes": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 16,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["provider", "upstream_model"],
                            "properties": {
                                "provider": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
                                "upstream_model": {"type": "string"},
                                "priority": {"type": "integer", "minimum": 0, "maximum": 1000},
                                "weight": {"type": "integer", "minimum": 0, "maximum": 1000},
                                "equivalence": {"type": "string", "maxLength": 64},
                                "cost": {"type": "object"},
                                "parameters": {"type": "object"},
                            },
                        },
                    },
                },
            },
        }
    },
}


#: Fields of a model that are taken as they are.
OPTIONAL = ("enabled", "pool", "deadline_s", "retention_s", "job_retention_s", "outputs_parameter")
OPTIONAL_LISTS = ("contracts", "moderated_parameters")


class CatalogInvalid(ValueError):
    """The catalogue cannot be used. `faults` has one line each: file, model, what is wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("the model catalogue is invalid:\n" + "\n".join(faults))
        self.faults = list(faults)


def load(folder: Path) -> Catalog:
    """Read every `*.yaml` in `folder`, in name order. Raises CatalogInvalid listing all faults, not only the first."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise CatalogInvalid([f"{folder}: no *.yaml file"])
    models: dict[str, Model] = {}
    faults: list[str] = []
    digest = hashlib.sha256()
    for path in paths:
        text = path.read_bytes()
        digest.update(text)
        for model in _load_file(path, text, faults):
            if model.name in models:
                faults.append(f"{path.name}: {model.name}: defined twice")
            models[model.name] = model
    if faults:
        raise CatalogInvalid(faults)
    return Catalog(models=models, version=digest.hexdigest()[:16])


def _load_file(path: Path, text: bytes, faults: list[str]) -> list[Model]:
    if len(text) > FILE_BYTES_MAX:
        faults.append(f"{path.name}: larger than {FILE_BYTES_MAX} bytes")
        return []
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        faults.append(f"{path.name}: not YAML: {error}")
        return []
    form_faults = [
        f"{path.name}: {'.'.join(str(part) for part in error.instance_path)}: {error.message}"
        for error in jsonschema_rs.Draft202012Validator(dict(FILE_SCHEMA)).iter_errors(document)
    ]
    if form_faults:
        faults.extend(form_faults)
        return []
    models = []
    for entry in document["models"]:
        try:
            models.append(_read_model(entry))
        except ValueError as error:
            faults.append(f"{path.name}: {entry['name']}: {error}")
    return models


def _read_model(entry: Mapping[str, Any]) -> Model:
    parameters = entry.get("parameters", {})
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": list(entry.get("required", [])),
        "properties": dict(parameters),
    }
    optional: dict[str, Any] = {name: entry[name] for name in OPTIONAL if name in entry}
    optional |= {name: tuple(entry[name]) for name in OPTIONAL_LISTS if name in entry}
    model = Model(
        name=entry["name"],
        capability=entry["capability"],
        title=entry["title"],
        schema=schema,
        inputs=tuple(
            InputRule(
                role=rule["role"],
                minimum=rule.get("min", 0),
                maximum=rule.get("max", 1),
                kind=rule.get("kind", "image"),
            )
            for rule in entry.get("inputs", [])
        ),
        price=tuple(_read_price(option) for option in entry["price"]),
        measure=_read_measure(entry.get("measure", {})),
        charges=dict(entry.get("charges", {})),
        routes=tuple(
            RouteRule(
                provider=route["provider"],
                upstream_model=route["upstream_model"],
                priority=route.get("priority", number),
                weight=route.get("weight", 1),
                equivalence=route.get("equivalence", ""),
                cost=_read_price(route["cost"]) if "cost" in route else None,
                parameters=route.get("parameters"),
            )
            for number, route in enumerate(entry["routes"])
        ),
        **optional,
    )
    _check_references(model)
    return model


def _read_price(option: Mapping[str, Any]) -> PriceRule:
    rest = dict(option)
    extras = {name: rest.pop(name) for name in ("per", "minimum") if name in rest}
    if len(rest) != 1:
        raise ValueError(f"a price names exactly one unit, besides per and minimum: {', '.join(UNITS)}")
    [(unit, amount)] = rest.items()
    return PriceRule(unit=unit, amount=amount, **extras)


def _read_measure(measure: Mapping[str, Any]) -> Measure:
    pixels = dict(measure["megapixel"]) if "megapixel" in measure else None
    if pixels is not None and "scale_default" in pixels:
        pixels["scale_default"] = Fraction(str(pixels["scale_default"]))
    return Measure(second=measure.get("second", ""), megapixel=None if pixels is None else Pixels(**pixels))


def _check_references(model: Model) -> None:
    """Names that point at parameters must point at one, and defaults must satisfy their own rules."""
    try:
        jsonschema_rs.meta.validate(model.schema)
        jsonschema_rs.Draft202012Validator(model.schema)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise ValueError(f"parameters are not a JSON Schema: {error}") from error
    properties = model.schema["properties"]
    named = [*model.schema["required"]]
    if model.outputs_parameter:
        named.append(model.outputs_parameter)
    for route in model.routes:
        values = (route.parameters or {}).values()
        named += [value[1:] for value in values if isinstance(value, str) and value.startswith("$")]
    for name in named:
        if name not in properties:
            raise ValueError(f"{name!r} is not one of the parameters")
    for name, rule in properties.items():
        if "default" in rule and not jsonschema_rs.Draft202012Validator(rule).is_valid(rule["default"]):
            raise ValueError(f"the default of {name!r} does not fit its own rule")
    _check_measure(model)


def _check_measure(model: Model) -> None:
    """What a price is measured by must be in every request, and within limits."""
    properties, measure = model.schema["properties"], model.measure
    pixels = measure.megapixel or Pixels(input="none")
    for name in measure.parameters:
        rule = properties.get(name)
        if rule is None:
            raise ValueError(f"measure: {name!r} is not one of the parameters")
        if name == pixels.longer_side and pixels.longer_side_pixels:
            if set(rule.get("enum", [])) != set(pixels.longer_side_pixels):
                raise ValueError(f"measure: longer_side_pixels must name exactly the words of {name!r}")
            continue
        limits = rule.get("minimum", 0), rule.get("maximum", 0)
        if rule.get("type") not in ("integer", "number") or not 0 < limits[0] <= limits[1]:
            raise ValueError(f"measure: {name!r} must be a number with a minimum above 0 and a maximum")
        optional = name in (pixels.longer_side, pixels.scale)  # `scale_default` stands in for both.
        if not optional and name not in model.schema["required"] and "default" not in rule:
            raise ValueError(f"measure: {name!r} must be required or have a default")
    if measure.input and not any(rule.role == measure.input and rule.minimum for rule in model.inputs):
        raise ValueError(f"measure: no input of role {measure.input!r} is required")
