"""The signed contract (`/ai/draw/*`) in OpenAPI: whatever happens, the HTTP status is 200 and `code` tells."""

from typing import Final

from edge.openapi.parts import NOT_BLANK, Json, Part, body, constant, json_answer, object_of, text
from edge.signed import RESOLUTIONS, STYLES, TEXT_CHARS_MAX

#: The document's table without 200 and 404, which is for paths that are not described here.
REFUSALS: Final = (201, 202, 400, 500, 601, 602, 604, 606, 607, 609, 610, 999)
TASK_NO: Final[Json] = {"type": "string", "pattern": "^[0-9]{24}$"}
#: Printable ASCII without spaces around it; texts are trimmed.
WORD: Final[Json] = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
PROOF: Final[Json] = {
    "appId": WORD,
    "timestamp": {"type": "string", "pattern": "^[0-9]{13}$", "description": "Milliseconds; five minutes off at most."},
    "sign": {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$", "description": "sha256(appId + appSecret + timestamp)"},
}


def part() -> Part:
    """The whole contract."""
    return Part(
        name="signed",
        description="Pictures from a text, by signed forms. The HTTP status is 200 and `code` tells how it went; every "
        "other path below `/ai/draw/` is code 404.",
        paths={
            "/ai/draw/submit": {"post": _submit()},
            "/ai/draw/query": {"post": _query()},
        },
        schemas={"SignedRefusal": _refusal()},
    )


def _answer(data: Json, *, charge: Json) -> Json:
    success = object_of(
        {"code": constant(200), "msg": constant("成功"), "taskNo": TASK_NO, "charge": charge, "data": data}
    )
    either: Json = {"oneOf": [success, {"$ref": "#/components/schemas/SignedRefusal"}]}
    return json_answer(either, "`code` is 200, or why not.", Retry_After={"type": "integer", "minimum": 1})


def _refusal() -> Json:
    message = {"type": "string", "minLength": 1}
    return object_of({"code": {"enum": list(REFUSALS)}, "msg": message, "taskNo": TASK_NO, "charge": constant(False)})


def _operation(name: str, summary: str, form: Json, data: Json, *, charge: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],  # The proof is in the form.
        "requestBody": body(multipart={"schema": form}, form={"schema": form}),
        "responses": {"200": _answer(data, charge=charge)},
    }


def _submit() -> Json:
    # Numbers arrive as text.
    numbers: Json = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 6}, constant("")]}
    form = object_of(
        {
            **PROOF,
            "text": text(chars_min=1, chars_max=TEXT_CHARS_MAX, pattern=NOT_BLANK),
            "resolution": {"enum": list(RESOLUTIONS)},
            "style": {"enum": list(STYLES)},
            "num": {**numbers, "description": "Pictures, one charge each; 1 when it is absent or empty."},
            "idempotencyKey": {
                "type": "string",
                "pattern": "^[ -~]{0,255}$",
                "description": "Ours: the same key and form return the first task.",
            },
        },
        required=[*PROOF, "text", "resolution", "style"],
        more=True,
    )
    data = object_of({"taskId": {"type": "string", "minLength": 1}})
    return _operation("submitDrawing", "提交请求", form, data, charge={"type": "boolean"})


def _query() -> Json:
    url: Json = {"type": "string", "format": "uri"}
    data = object_of(
        {
            "img": {"anyOf": [url, constant("")]},
            "imgUrls": {"type": "array", "maxItems": 6, "items": object_of({"image": url})},
            "createTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
            "status": {"enum": [0, 1]},
        }
    )
    form = object_of({**PROOF, "taskId": {"type": "string", "pattern": NOT_BLANK}}, more=True)
    return _operation("queryDrawing", "查询结果", form, data, charge=constant(False))
