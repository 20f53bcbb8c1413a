"""What a client asks for, read against the catalogue."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from catalog import Catalog, Model, ParametersInvalid
from gateway.domain import Client
from gateway.usecases.price import Cost
from kit.errors import InvalidArgument, ModelDisabled, ModelNotGranted, ModelUnknown
from kit.ids import new_id


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """One input: exactly one of `asset_id` and `url`."""

    role: str
    asset_id: str = ""
    url: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a client asks for."""

    model: str
    parameters_json: str = ""
    inputs: Sequence[JobInput] = ()
    idempotency_key: str = ""
    webhook_url: str = ""
    max_cost: Cost | None = None
    quote_id: str = ""
    contract: str = "grpc"
    external_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)


def read(request: JobRequest, client: Client, catalog: Catalog) -> tuple[Model, dict[str, Any]]:
    """Return the model asked for and its validated parameters. Raises what the functions below raise."""
    model = find_model(catalog, request.model, client)
    return model, validated(model, parse_parameters(request.parameters_json))


def find_model(catalog: Catalog, name: str, client: Client) -> Model:
    """Return a model the client may use now. Raises ModelUnknown, ModelNotGranted, ModelDisabled."""
    model = catalog.get(name)
    if model is None:
        raise ModelUnknown(field="model")
    if not client.may_use(name):
        raise ModelNotGranted(field="model")
    if not model.enabled:
        raise ModelDisabled(field="model")
    return model


def parse_parameters(text: str) -> dict[str, Any]:
    """Parse the parameters' JSON. orjson refuses NaN, infinities, and nesting deeper than 1,024 on its own."""
    if not text:
        return {}
    try:
        parameters = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument("parameters_json is not JSON", field="parameters_json") from error
    if not isinstance(parameters, dict):
        raise InvalidArgument("parameters_json must be a JSON object", field="parameters_json")
    return parameters


def validated(model: Model, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with defaults. Raises InvalidArgument naming the parameter as `parameters.<name>`."""
    try:
        return model.validate(parameters)
    except ParametersInvalid as error:
        name = f"parameters.{error.field}" if error.field else "parameters"
        raise InvalidArgument(error.message, field=name) from error


def check_roles(model: Model, inputs: Sequence[JobInput]) -> None:
    """Raise InvalidArgument unless the inputs are as many of each role as the model takes."""
    try:
        model.check_inputs(one.role for one in inputs)
    except ParametersInvalid as error:
        raise InvalidArgument(error.message, field=f"inputs.{error.field}") from error


def job_id_of(client_id: str, key: str, attempt: int) -> str:
    """A random id, or with an idempotency key always the same one, so that two racing submits share job and hold."""
    if not key:
        return new_id("job")
    digest = hashlib.sha256(f"{client_id}\n{key}\n{attempt}".encode()).digest()
    return "job_" + base64.b32hexencode(digest[:17]).decode().lower()[:26]


def fingerprint_of(request: JobRequest, parameters: dict[str, Any]) -> str:
    """SHA-256 over what the client asked for: the same request written in another way has the same one."""
    facts = {
        "contract": request.contract,
        "inputs": [[one.role, one.asset_id, one.url, one.label] for one in request.inputs],
        "model": request.model,
        "parameters": parameters,
        "webhook_url": request.webhook_url,
    }
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()
