"""What the OpenAPI documents are made of: one part a contract, and short words for the JSON of the specification."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
NO_NUL: Final = r"^[^\x00]*$"  # Postgres stores every character but this one.
#: At least one character that Python's `strip` leaves.
NOT_BLANK: Final = r"^[^\x00]*[^\s\x00\x1c-\x1f\x85][^\x00]*$"
BODIES: Final = {
    "json": "application/json",
    "multipart": "multipart/form-data",
    "form": "application/x-www-form-urlencoded",
}
REQUEST_ID: Final = "X-Request-Id"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One contract in the document."""

    name: str
    description: str
    paths: Json  #: Path → method → operation.
    schemas: Json = field(default_factory=dict)
    security_schemes: Json = field(default_factory=dict)


def compose(parts: Iterable[Part], *, title: str, description: str) -> Json:
    """Return an OpenAPI 3.1 document of the parts, without servers. Two parts with one path or name are a mistake."""
    tags: list[Json] = []
    paths: Json = {}
    schemas: Json = {}
    security_schemes: Json = {}
    for part in parts:
        tags.append({"name": part.name, "description": part.description})
        for path, methods in part.paths.items():
            _put(paths, path, {method: _finished(operation, part.name) for method, operation in methods.items()})
        for name, schema in part.schemas.items():
            _put(schemas, name, schema)
        for name, scheme in part.security_schemes.items():
            _put(security_schemes, name, scheme)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1.0.0", "description": description},
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": security_schemes,
            "headers": {
                "RequestId": {
                    "description": "Names this request in our log.",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^req_[0-9a-f]{16}$"},
                }
            },
        },
    }


def _put(into: Json, name: str, value: Json) -> None:
    assert name not in into, f"two contracts document {name}"
    into[name] = value


def _finished(operation: Json, tag: str) -> Json:
    """The operation with its tag and with what every answer carries."""
    request_id = {REQUEST_ID: {"$ref": "#/components/headers/RequestId"}}
    responses = {
        status: {**response, "headers": {**request_id, **response.get("headers", {})}}
        for status, response in operation["responses"].items()
    }
    return {**operation, "tags": [tag], "responses": responses}


# Schemas


def object_of(properties: Json, *, required: Iterable[str] | None = None, more: bool = False) -> Json:
    """An object; every property is required unless `required` says which are, and with `more` there may be others."""
    schema: Json = {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
    }
    return schema if more else {**schema, "additionalProperties": False}


def ref(name: str) -> Json:
    """A schema of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Json) -> Json:
    """The schema, or null: how a request says that a member is absent."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def text(*, chars_max: int, chars_min: int = 0, pattern: str = NO_NUL) -> Json:
    """A text of so many characters."""
    limits = {"minLength": chars_min} if chars_min else {}
    return {"type": "string", **limits, "maxLength": chars_max, "pattern": pattern}


def constant(value: object) -> Json:
    """Exactly this."""
    return {"const": value}


# Operations


def parameter(name: str, where: str, schema: Json, description: str) -> Json:
    """A parameter in "path", "query" or "header"; only those in the path are required."""
    return {"name": name, "in": where, "required": where == "path", "schema": schema, "description": description}


def json_answer(schema: Json, description: str, **headers: Json) -> Json:
    """A response with a JSON body; `headers` by name, underscores for hyphens."""
    return answer({BODIES["json"]: {"schema": schema}}, description, **headers)


def text_answer(words: str, description: str) -> Json:
    """A response that is always the same plain text."""
    return answer({"text/plain": {"schema": constant(words)}}, description)


def answer(content: Json | None, description: str, **headers: Json) -> Json:
    """A response with this content by media type, or none."""
    response: Json = {"description": description}
    if content is not None:
        response["content"] = content
    if headers:
        response["headers"] = {name.replace("_", "-"): {"schema": schema} for name, schema in headers.items()}
    return response


def body(**content: Json) -> Json:
    """A required request body: `form`, `multipart` or `json` with their media type objects."""
    return {"required": True, "content": {BODIES[name]: media for name, media in content.items()}}
