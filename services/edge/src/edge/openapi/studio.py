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

TASK_ID: Final[Json] = {"type": "string", "minLength": 1, "description": "提交任务的唯一标识符"}
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
    "": "任务的主图片",
    "/vector": "任务的矢量图(EPS格式)",
    "/grid": "无缝拼图任务的网格图",
    "/1m": "无缝拼图任务的1倍图",
    "/alternative/{number}": "多图任务的其他图片",
}
_EXPAND: Final = "扩图比例,占原图相应边长的比例(0.0-0.3,默认:0.0)"
#: The document's words; for a field that two endpoints have differently, `endpoint.field`.
FIELDS: Final = {
    "sdxl_model_dropdown": "处理模型选择(例如:通用模型)",
    "style_dropdown": "处理风格选择(例如:通用风格)",
    "upscale": "图像放大倍数(1-8)",
    "s_noise": "噪声强度参数(1-1.1)",
    "steps": "采样步数(20-40,值越大越慢)",
    "high_fidelity": "开启/关闭高保真度处理",
    "strong_inpaint": "开启/关闭强力修复功能",
    "strong_inpaint_intensity": "强力修复的强度(0-1,默认0.5)",
    "prompt": "图像生成的正面提示",
    "neg_prompt": "图像生成的负面提示",
    "vector_switch": "是否生成矢量图(默认:false)",
    "color_count": "矢量图颜色数量(2-16,默认:5)",
    "auto_generate_prompt": "是否自动生成提示词(默认:false)",
    "fit": "接缝拼合度(0.1-0.9,默认:0.5)",
    "direction": "无缝拼接方向(默认:0):0=四周无缝,1=仅上下无缝,2=仅左右无缝",
    "expand_top": f"向上{_EXPAND}",
    "expand_bottom": f"向下{_EXPAND}",
    "expand_left": f"向左{_EXPAND}",
    "expand_right": f"向右{_EXPAND}",
    "submit_edit_image_task.prompt": "AI编辑指令(例如:将这张图片转换为水彩画风格)",
    "submit_expand_image_task.prompt": "AI生成扩展部分的提示词",
    "model_version": "模型版本(v1或v2,默认:v1)",
    "aspect_ratio": "出图比例(例如:1:1、4:3、16:9,默认:1:1),长边不超过短边的4倍",
}
KEY: Final = "API 用户认证密钥"


def part() -> Part:
    """The whole contract."""
    return Part(
        name="studio",
        description="图片处理。请求为表单,数字与布尔值可用文本;HTTP状态码始终为200,由err_code说明结果"
        "(0 = 成功, 1 = 错误),错误时err_msg为原因。结果链接无需密钥。",
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
    answer = json_answer(either, "err_code为0表示成功;为1时err_msg为原因", Retry_After={"type": "integer"})
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
        "user_key": {**USER_KEY, "description": KEY},
        **{field.name: _described(endpoint, field) for field in endpoint.fields},
        PICTURE: {"type": "string", "format": "binary", "description": _picture_words(endpoint)},
    }
    media = {
        "schema": object_of(properties, required=required, more=True),
        "encoding": {PICTURE: {"contentType": pictures.UPLOADS}},
    }
    name = "".join(word.capitalize() for word in endpoint.name.split("_"))
    return _operation(
        name[0].lower() + name[1:], SUMMARIES[endpoint.name], body(multipart=media), ref("StudioSubmitted")
    )


def _described(endpoint: Endpoint, field: Field) -> Json:
    words = FIELDS.get(f"{endpoint.name}.{field.name}") or FIELDS[field.name]
    return {**form_field(field), "description": words}


def _picture_words(endpoint: Endpoint) -> str:
    limit = ",不超过16MB" if endpoint.limited else ""
    return f"要处理的图像文件(PNG、JPEG或WebP{limit})"


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
    form: Json = {"schema": object_of({"user_key": {**USER_KEY, "description": KEY}, "task_id": TASK_ID}, more=True)}
    return _operation(
        "checkTaskStatus",
        "检查任务状态,结果缓存3秒",
        body(multipart=form, form=form),
        object_of({"err_code": constant(0), "status": pending}),
        object_of(
            {"err_code": constant(0), "status": constant("Failed"), "fail_reason": {"type": "string", "minLength": 1}}
        ),
        object_of(done | finished, required=[*done, "images_url", "vector_url", "grid_url"]),
    )


def _picture(end: str) -> Json:
    token = parameter("opaque", "path", {"type": "string", "minLength": 1}, "链接的随机部分")
    task = parameter("task_id", "path", TASK_ID, "提交时返回的task_id")
    number = parameter("number", "path", {"type": "integer", "minimum": 1, "maximum": 99}, "从1开始")
    parameters = [token, task, *([number] if "{number}" in end else [])]
    name = "".join(word.capitalize() for word in end.partition("{")[0].split("/")) or "First"
    return pictures.link(f"get{name}Picture", VARIANTS[end], parameters)
