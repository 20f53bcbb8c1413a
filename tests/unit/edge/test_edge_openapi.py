"""The OpenAPI document says what the application serves: paths, methods, references, ranges."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jsonschema_rs
import pytest
from pydantic import SecretStr
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute

from catalog import load
from edge import studio_fields
from edge.answers import SIGNED_WORDS, WORDS
from edge.app import routes
from edge.config import EdgeSettings
from edge.open.requests import INPUT_ROLES, PARAMETERS
from edge.openapi import document, jobs, open_document, signed
from edge.openapi.studio import form_field

CATALOG = Path(__file__).parents[3] / "deploy" / "catalog"
URL = "https://aigc.example.com"


def every_route() -> list[BaseRoute]:
    return routes(EdgeSettings(internal_secret=SecretStr("i" * 32)), Mock())


def operations(whole: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def answered_by(kind: str, method: str, path: str) -> BaseRoute | None:
    """The route that takes a request to a documented path, its parameters filled in."""
    filled = re.sub(r"\{[a-z_]+\}", "1", path)
    scope = {"type": kind, "method": method, "path": filled, "root_path": "", "headers": []}
    return next((route for route in every_route() if route.matches(scope)[0] is Match.FULL), None)


def test_every_documented_operation_is_served() -> None:
    for method, path, _ in operations(document(URL)):
        kind = "websocket" if path == "/user/ai/tasks/ws" else "http"
        assert answered_by(kind, method, path) is not None, (method, path)


def test_every_route_is_documented() -> None:
    documented = {(method, path) for method, path, _ in operations(document(URL))}
    missing = []
    for route in every_route():
        if isinstance(route, WebSocketRoute):
            wanted = {("GET", route.path)}
        else:
            assert isinstance(route, Route)
            # HEAD goes with GET, and the ends of pictures' links are documented one by one.
            path = route.path.replace("/{variant:path}", "/grid")
            wanted = {(method, path) for method in (route.methods or set()) - {"HEAD"}}
        missing += sorted(wanted - documented)
    assert missing == []


def test_open_contract_stands_alone_and_is_the_same_in_the_whole() -> None:
    alone, whole = open_document(URL), document(URL)
    assert set(alone["paths"]) == {path for path in whole["paths"] if path.startswith("/api/v1/")}
    assert alone["paths"].items() <= whole["paths"].items()
    assert alone["servers"] == [{"url": URL}]


@pytest.mark.parametrize("made", [document, open_document])
def test_every_reference_leads_somewhere(made: Any) -> None:
    whole = made(URL)
    for target in references(whole):
        found = whole
        for part in target.removeprefix("#/").split("/"):
            assert part in found, target
            found = found[part]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            elif name == "mapping":
                yield from value.values()
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_schema_is_one_and_its_operation_is_named_once() -> None:
    whole = document(URL)
    for schema in whole["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    names = [operation["operationId"] for _, _, operation in operations(whole)]
    assert len(set(names)) == len(names)


def test_job_requests_have_the_ranges_of_the_catalogue() -> None:
    offered = {model.name: model for model in load(CATALOG).offered("open")}
    assert set(offered) == {one.name for one in jobs.CAPABILITIES} == set(INPUT_ROLES)
    for one in jobs.CAPABILITIES:
        model = offered[one.name]
        assert (sum(rule.minimum for rule in model.inputs), sum(rule.maximum for rule in model.inputs)) == (
            one.inputs_min,
            one.inputs_max,
        )
        taken = {PARAMETERS.get(name, name): schema for name, schema in (one.settings | one.parameters).items()}
        limits = {name: bare(schema) for name, schema in model.schema["properties"].items()}
        assert {name: bare(schema) for name, schema in taken.items()} == limits


def bare(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what limits nothing, and without the characters that no request may hold."""
    return {name: value for name, value in schema.items() if name not in {"description", "default", "pattern"}}


def test_codes_of_the_signed_contract_are_those_that_reasons_lead_to() -> None:
    assert {words.signed_code for words in WORDS.values()} == {*signed.REFUSALS, 404}
    assert SIGNED_WORDS.keys() <= WORDS.keys()


FIELDS = [(end.name, field) for end in studio_fields.ENDPOINTS for field in end.fields]
TEXTS = ["", " ", "0", "1", "1.0", "0.5", "0.1", "0.31", "17", "2.5", "True", "false", "yes", "v1", "v3", "4:3", "0:1"]


@pytest.mark.parametrize(("endpoint", "field"), FIELDS, ids=[f"{end}-{field.name}" for end, field in FIELDS])
def test_studio_fields_take_what_their_schemas_say(endpoint: str, field: studio_fields.Field) -> None:
    validator = jsonschema_rs.Draft202012Validator(form_field(field))
    for text in itertools.chain(TEXTS, [str(field.minimum), str(field.maximum)]):
        readings: list[Any] = [text]
        if re.fullmatch(r"-?[0-9.]+", text):
            readings.append(float(text))
        if text in {"true", "false"}:
            readings.append(text == "true")
        assert any(validator.is_valid(reading) for reading in readings) == taken(field, text), text


def taken(field: studio_fields.Field, text: str) -> bool:
    from starlette.datastructures import FormData

    endpoint = studio_fields.Endpoint(name="x", model="x", fields=(field,))
    try:
        studio_fields.read_parameters(endpoint, FormData([(field.name, text)]))
    except studio_fields.InvalidArgument:
        return False
    return True


async def test_both_documents_are_served(front: Any) -> None:
    whole, alone = await front.http.get("/openapi.json"), await front.http.get("/api/v1/openapi.json")
    assert whole.json() == document("http://edge.test")
    assert alone.json() == open_document("http://edge.test")
