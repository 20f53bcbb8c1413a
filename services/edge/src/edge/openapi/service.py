"""What belongs to no contract in OpenAPI: health, the document itself, and links to results."""

from edge.openapi import pictures
from edge.openapi.parts import Json, Part, json_answer, parameter, text_answer


def part() -> Part:
    """Health, the document, results."""
    name = parameter("name", "path", {"type": "string", "minLength": 1}, "任务中resultUrl的最后一段")
    return Part(
        name="service",
        description="Health, this document, and links to the results of the points and signed contracts.",
        paths={
            "/healthz": {"get": _operation("isAlive", "The process answers.", {"200": text_answer("ok", "Alive.")})},
            "/readyz": {"get": _operation("isReady", "The services behind answer too.", _readiness())},
            "/openapi.json": {"get": _operation("getOpenApi", "This document.", _document())},
            "/results/{name}": {"get": pictures.link("getResult", "任务结果,链接永久有效", [name])},
        },
    )


def _operation(name: str, summary: str, responses: Json) -> Json:
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _readiness() -> Json:
    return {"200": text_answer("ready", "Ready."), "503": text_answer("not ready", "A part is away.")}


def _document() -> Json:
    return {"200": json_answer({"type": "object"}, "OpenAPI 3.1.")}
