"""The studio contract (`/api/submit_*task`, `/api/check_task_status`, `/api/images/…`) in OpenAPI.

The forms are made from the table that the endpoints read themselves.
"""

import math
from typing import Final

from edge.openapi import pictures
from edge.openapi.parts import NO_NUL, NOT_BLANK, Json, Part, body, constant, json_answer, object_of, parameter, ref
from edge.studio import PICTURE
from edge.studio_account import KEY_CHARS_MAX
from edge.studio_fields import ENDPOINTS, TEXT_CHARS_MAX, Endpoint, Field
from edge.studio_results import STATUSES

TASK_ID: Final[Json] = {"type": "string", "minLength": 1}
TEXT: Final[Json] = {"type": "string"}
URL: Final[Json] = {"type": "string", "format": "uri"}
USER_KEY: Final[Json] = {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": "^[!-~]+$"}
LEFT: Final[Json] = {
    "remaining_count": {"type": "integer", "minimum": 0, "description": "剩余的套餐次数"},
    "remaining_money": {"type": "integer", "minimum": 0, "description": "剩余的金额,单位:元"},
}
SUMMARIES: Final = {
    "submit_task": "提交高清重绘任务",
    "submit_vector_task": "提交矢量图转换任务",
    "submit_face_enhance_task": "提交人脸修复任务",
    "submit_seamless_task": "提交无缝拼图任务",
    "submit_remove_fabric_task": "提交移除布纹任务",
    "submit_edit_image_task": "提交改图任务",
    "submit_extract_pattern_task": "提交提取印花任务",
    "submit_remove_diamonds_task": "提交移除烫钻任务",
    "submit_expand_image_task": "提交扩图任务",
    "submit_remove_watermark_task": "提交去水印任务",
}
#: The end of a picture's path → what it is.
VARIANTS: Final = {
    "": "The first picture",
    "/vector": "The vector drawing (EPS)",
    "/grid": "The tile repeated",
    "/1m": "The tile itself",
    "/alternative/{number}": "One of the other pictures",
}


def part() -> Part:
    """The whole contract."""
    return Part(
        name="studio",
        description="Pictures changed, by forms. The HTTP status is 200 and `err_code` tells how it went; links to "
        "the results need no key.",
        paths={
            **{f"/api/{endpoint.name}": {"post": _submit(endpoint)} for endpoint in ENDPOINTS},
            "/api/check_task_status": {"post": _status()},
            **{f"/api/images/{{opaque}}/{{task_id}}{end}": {"get": _picture(end)} for end in VARIANTS},
        },
        schemas={
            "StudioRefusal": object_of({"err_code": constant(1), "err_msg": {"type": "string", "minLength": 1}}),
            "StudioSubmitted": object_of(
                {"err_code": constant(0), "task_id": TASK_ID, **LEFT}, required=["err_code", "task_id"]
            ),
        },
    )


def _operation(name: str, summary: str, request: Json, *answers: Json) -> Json:
    either: Json = {"oneOf": [*answers, ref("StudioRefusal")]}
    answer = json_answer(either, "`err_code` is 0, or 1 and `err_msg` says why.", Retry_After={"type": "integer"})
    return {
        "operationId": name,
        "summary": summary,
        "security": [],  # The key is in the form.
        "requestBody": request,
        "responses": {"200": answer},
    }


def _submit(endpoint: Endpoint) -> Json:
    required = ["user_key", PICTURE, *(field.name for field in endpoint.fields if field.required)]
    properties = {
        "user_key": USER_KEY,
        **{field.name: form_field(field) for field in endpoint.fields},
        PICTURE: {"type": "string", "format": "binary"},
    }
    media = {
        "schema": object_of(properties, required=required, more=True),
        "encoding": {PICTURE: {"contentType": pictures.UPLOADS}},
    }
    name = "".join(word.capitalize() for word in endpoint.name.split("_"))
    return _operation(
        name[0].lower() + name[1:], SUMMARIES[endpoint.name], body(multipart=media), ref("StudioSubmitted")
    )


def form_field(field: Field) -> Json:
    """What a form field may be. Everything in a form is text; an optional field may be there and empty."""
    schema = _SCHEMAS[field.kind](field)
    if field.required:
        return schema
    schema["default"] = field.default
    empty_is_text = field.kind == "text" and not field.choices and field.form == Field.form
    return schema if empty_is_text else {"anyOf": [schema, constant("")]}


def _number(field: Field) -> Json:
    schema: Json = {"type": "integer" if field.kind == "int" else "number"}
    limits = {"minimum": field.minimum, "maximum": field.maximum}
    return schema | {name: limit for name, limit in limits.items() if math.isfinite(limit)}


def _bool(field: Field) -> Json:
    return {"anyOf": [{"type": "boolean"}, {"enum": ["True", "False", "1", "0"]}]}


def _text(field: Field) -> Json:
    if field.choices:
        return {"enum": list(field.choices)}
    if field.form != Field.form:
        return {"type": "string", "pattern": f"^(?:{field.form})$"}
    limits = {"minLength": 1} if field.required else {}
    return {"type": "string", "maxLength": TEXT_CHARS_MAX, "pattern": NOT_BLANK if field.required else NO_NUL, **limits}


_SCHEMAS: Final = {"float": _number, "int": _number, "bool": _bool, "text": _text}


def _status() -> Json:
    finished = {
        **{name: {"anyOf": [URL, constant("")]} for name in ("images_url", "vector_url", "grid_url")},
        "images_url_1m": URL,
        "images_urls": {"type": "array", "items": URL, "minItems": 2},
        "generated_prompt": TEXT,
        **LEFT,
    }
    done = {"err_code": constant(0), "status": constant("Completed")}
    pending = {"enum": sorted(set(STATUSES.values()) - {"Completed", "Failed"})}
    form: Json = {"schema": object_of({"user_key": USER_KEY, "task_id": {"type": "string", "minLength": 1}}, more=True)}
    return _operation(
        "checkTaskStatus",
        "检查任务状态",
        body(multipart=form, form=form),
        object_of({"err_code": constant(0), "status": pending}),
        object_of(
            {"err_code": constant(0), "status": constant("Failed"), "fail_reason": {"type": "string", "minLength": 1}}
        ),
        object_of(done | finished, required=[*done, "images_url", "vector_url", "grid_url"]),
    )


def _picture(end: str) -> Json:
    token = parameter("opaque", "path", {"type": "string", "minLength": 1}, "The link's secret.")
    task = parameter("task_id", "path", TASK_ID, "Of the submit's answer.")
    number = parameter("number", "path", {"type": "integer", "minimum": 1, "maximum": 99}, "From 1.")
    parameters = [token, task, *([number] if "{number}" in end else [])]
    name = "".join(word.capitalize() for word in end.partition("{")[0].split("/")) or "First"
    return pictures.link(f"get{name}Picture", f"{VARIANTS[end]} of a task", parameters, "Shown in the browser.")
