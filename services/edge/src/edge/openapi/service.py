"""What belongs to no contract in OpenAPI: health, the document itself, links to results, and what providers call."""

from typing import Final

from edge.openapi import pictures
from edge.openapi.parts import Json, Part, answer, json_answer, parameter, text_answer


def part() -> Part:
    """Health, the document, results, the providers' side."""
    name = parameter("name", "path", {"type": "string", "minLength": 1}, "任务中resultUrl的最后一段")
    return Part(
        name="service",
        description="Health, this document, links to results of two contracts, and what providers call.",
        paths={
            "/healthz": {"get": _operation("isAlive", "The process answers.", {"200": text_answer("ok", "Alive.")})},
            "/readyz": {"get": _operation("isReady", "The services behind answer too.", _readiness())},
            "/openapi.json": {"get": _operation("getOpenApi", "This document.", _document())},
            "/results/{name}": {"get": pictures.link("getResult", "任务结果,链接永久有效", [name])},
            "/callbacks/{provider}/{token}": {"post": _callback()},
            "/provider-inputs/{ticket}/{name}": {"get": _input()},
        },
    )


def _callback() -> Json:
    text: Json = {"type": "string", "minLength": 1}
    return {
        **_operation("callBack", "A remote provider tells of its task. Only the URL we gave it is known.", _told()),
        "parameters": [
            parameter("provider", "path", text, "As the providers' file names it."),
            parameter("token", "path", text, "Attempt and code."),
        ],
        "requestBody": {"content": {"*/*": {"schema": {}}}, "description": "As the provider sends it; at most 1 MiB."},
    }


def _told() -> Json:
    refused = {status: text_answer("Refused.", why) for status, why in _REFUSED.items()}
    return {"204": answer(None, "Heard.")} | refused | _away()


def _input() -> Json:
    text: Json = {"type": "string", "minLength": 1}
    picture = answer({"*/*": {"schema": {"type": "string", "format": "binary"}}}, "The bytes.")
    missing = text_answer("Not found.", "There is no such link, or it is over.")
    return {
        **_operation(
            "readInput", "A remote provider reads an input of its task.", {"200": picture, "404": missing} | _away()
        ),
        "parameters": [
            parameter("ticket", "path", text, "Names the input and proves the right, for an hour."),
            parameter("name", "path", text, "For those who look at it."),
        ],
    }


def _away() -> Json:
    return {status: text_answer("Unavailable.", "A part is away; try again.") for status in ("500", "503", "504")}


_REFUSED: Final = {
    "400": "The request cannot be read.",
    "403": "The provider signs, and this is not signed by it.",
    "404": "There is no such URL.",
    "413": "The body is too large.",
}


def _operation(name: str, summary: str, responses: Json) -> Json:
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _readiness() -> Json:
    return {"200": text_answer("ready", "Ready."), "503": text_answer("not ready", "A part is away.")}


def _document() -> Json:
    return {"200": json_answer({"type": "object"}, "OpenAPI 3.1.")}
