"""The signed contract (`/ai/draw/*`) in OpenAPI: whatever happens, the HTTP status is 200 and `code` tells."""

from typing import Final

from edge.openapi.parts import NOT_BLANK, Json, Part, body, constant, json_answer, object_of, text
from edge.signed import RESOLUTIONS, STYLES, TEXT_CHARS_MAX

#: The document's table without 200 and 404, which is for paths that are not described here.
REFUSALS: Final = {
    201: "taskId不存在",
    202: "文本黄反拦截",
    400: "参数错误",
    500: "系统维护,请稍候再试",
    601: "接口未开通",
    602: "账号停用",
    604: "接口停用",
    606: "调用超限,请稍候再试",
    607: "ip不在白名单",
    609: "请求过于频繁,请稍候再试",
    610: "请求超时",
    999: "其他,以实际返回为准",
}
TASK_NO: Final[Json] = {"type": "string", "pattern": "^[0-9]{24}$"}
#: Printable ASCII without spaces around it; texts are trimmed.
WORD: Final[Json] = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
PROOF: Final[Json] = {
    "appId": WORD,
    "timestamp": {"type": "string", "pattern": "^[0-9]{13}$", "description": "当前时间戳(毫秒),误差不超过5分钟"},
    "sign": {
        "type": "string",
        "pattern": "^[0-9A-Fa-f]{64}$",
        "description": "sha256(appId + appSecret + timestamp),十六进制",
    },
}


def part() -> Part:
    """The whole contract."""
    return Part(
        name="signed",
        description="AI绘画。请求为表单(multipart或urlencoded),均需签名;HTTP状态码始终为200,由code说明结果。"
        "/ai/draw/下的其他地址返回code 404。",
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
    return json_answer(either, "code为200表示成功", Retry_After={"type": "integer", "minimum": 1})


def _refusal() -> Json:
    message = {"type": "string", "minLength": 1}
    code = {"enum": list(REFUSALS), "description": ";".join(f"{code} {words}" for code, words in REFUSALS.items())}
    charge = {"type": "boolean", "description": "仅当任务失败仍按约定扣费时为true"}
    return object_of({"code": code, "msg": message, "taskNo": TASK_NO, "charge": charge})


def _operation(name: str, summary: str, form: Json, data: Json, *, charge: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],  # The proof is in the form.
        "requestBody": body(multipart={"schema": form}, form={"schema": form}),
        "responses": {"200": _answer(data, charge=charge)},
    }


def _submit() -> Json:
    words = text(chars_min=1, chars_max=TEXT_CHARS_MAX, pattern=NOT_BLANK)
    # Numbers arrive as text.
    numbers: Json = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 6}, constant("")]}
    form = object_of(
        {
            **PROOF,
            "text": {**words, "description": f"输入内容,长度不超过{TEXT_CHARS_MAX}个字"},
            "resolution": {"enum": list(RESOLUTIONS), "description": "图片分辨率"},
            "style": {"enum": list(STYLES), "description": "风格"},
            "num": {**numbers, "description": "图片生成数量,默认1张,计费按图片生成数量来计费"},
            "idempotencyKey": {
                "type": "string",
                "pattern": "^[ -~]{0,255}$",
                "description": "可选:相同的键与参数返回首次提交的任务",
            },
        },
        required=[*PROOF, "text", "resolution", "style"],
        more=True,
    )
    data = object_of({"taskId": {"type": "string", "minLength": 1, "description": "有效期一个月"}})
    return _operation("submitDrawing", "提交请求", form, data, charge={"type": "boolean"})


def _query() -> Json:
    url: Json = {"type": "string", "format": "uri"}
    data = object_of(
        {
            "img": {"anyOf": [url, constant("")], "description": "第一张图的地址(有效期三个月)"},
            "imgUrls": {"type": "array", "maxItems": 6, "items": object_of({"image": url})},
            "createTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
            "status": {"enum": [0, 1], "description": "1表示已生成完成,0表示任务排队中或正在处理"},
        }
    )
    form = object_of({**PROOF, "taskId": {"type": "string", "pattern": NOT_BLANK}}, more=True)
    return _operation("queryDrawing", "查询结果", form, data, charge=constant(False))
