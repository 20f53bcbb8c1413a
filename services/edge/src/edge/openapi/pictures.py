"""Answers that are bytes (downloads and public links), and the types of pictures that may be sent."""

from typing import Final

from edge.openapi.parts import Json, answer, parameter, text_answer

UPLOADS: Final = "image/png, image/jpeg, image/webp"
TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif", "application/postscript", "video/mp4")
RANGE: Final[Json] = {"type": "string", "pattern": "^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$"}
ETAG: Final[Json] = {"type": "string", "pattern": '^"[0-9a-f]{64}"$'}
PARAMETERS: Final = [
    parameter("Range", "header", {"type": "string"}, "`bytes=first-last`; a malformed one, or a list, is ignored."),
    parameter("If-Range", "header", {"type": "string"}, "The range only if this is still the ETag; else all."),
    parameter(
        "If-None-Match", "header", {"type": "string"}, "Nothing but 304 if one of these is the ETag, or for `*`."
    ),
]


def answers(description: str) -> dict[int, Json]:
    """What a request for bytes is answered with when they exist."""
    content: Json = {mime_type: {"schema": {"type": "string", "format": "binary"}} for mime_type in TYPES}
    return {
        200: answer(content, f"All bytes. {description}", ETag=ETAG),
        206: answer(content, "The range asked for.", ETag=ETAG, Content_Range=RANGE),
        304: answer(None, "The ETag of If-None-Match still stands.", ETag=ETAG),
        416: answer(None, "The range lies outside of the file.", Content_Range=RANGE),
    }


def link(name: str, summary: str, parameters: list[Json], description: str) -> Json:
    """A public link: whoever knows it may have the bytes."""
    away = {
        status: text_answer("Unavailable.", "The pictures cannot be had now; try again.") for status in (500, 503, 504)
    }
    missing = text_answer("Not found.", "No such link. Whatever is wrong with it, the answer is the same.")
    responses = answers(description) | {404: missing} | away
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": [*parameters, *PARAMETERS],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }
