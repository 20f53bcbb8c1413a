"""The points contract (`/user/*`) in OpenAPI."""

from typing import Final

from edge.openapi.jobs import URL
from edge.openapi.parts import (
    NOT_BLANK,
    Json,
    Part,
    answer,
    body,
    constant,
    json_answer,
    nullable,
    object_of,
    parameter,
    ref,
    text,
)
from edge.points_requests import (
    FILTERS,
    IMAGE_URL_CHARS_MAX,
    IMAGES_MAX,
    MODELS,
    PAGE_MAX,
    PAGE_SIZE,
    PAGE_SIZE_MAX,
    PROMPT_CHARS_MAX,
    TASK_TYPES,
)

TEXT: Final[Json] = {"type": "string"}
NULLABLE_TEXT: Final = nullable(TEXT)
LOCAL_TIME: Final[Json] = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$"}
NULLABLE_URL: Final[Json] = nullable({"type": "string", "format": "uri"})
POSITION: Final[Json] = {"type": "integer", "minimum": 1, "description": "重连时作为after参数"}
STATUSES: Final = ("created", "queued", "processing", "completed", "failed")
ERRORS: Final = {
    400: "参数错误",
    401: "未登录或Token过期",
    402: "积分不足",
    403: "账号停用、ip不在白名单或接口未开通",
    404: "任务不存在",
    409: "幂等键已用于其他请求",
    413: "请求内容过大",
    429: "请求过于频繁",
    500: "服务器错误",
    503: "系统维护,请稍候再试",
    504: "请求超时",
}
COMMON: Final = (401, 403, 429, 500, 503, 504)
TASK_NO: Final = parameter("task_no", "path", {"type": "string", "minLength": 1}, "提交时返回的taskNo")


def part() -> Part:
    """The whole contract."""
    return Part(
        name="points",
        description="按积分计费的生图任务。返回均为{code, message, data},code与HTTP状态码相同。",
        paths={
            "/user/ai/tasks/submit": {"post": _submit()},
            "/user/ai/tasks/list": {"get": _list()},
            "/user/ai/tasks/ws": {"get": _push()},
            "/user/ai/tasks/{task_no}": {"get": _get()},
            "/user/points/consumption/balance": {"get": _balance()},
        },
        schemas={
            "Task": _task(),
            "TaskPush": _task({"position": POSITION}),
            "TextToImage": _text_to_image(),
            "ImageToImage": _image_to_image(),
        },
        security_schemes={
            "token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "JWT(sub为用户ID)或API Key",
            },
            "tokenInQuery": {
                "type": "apiKey",
                "in": "query",
                "name": "token",
                "description": "同上,用于浏览器无法设置请求头的WebSocket",
            },
        },
    )


def _success(data: Json) -> Json:
    return json_answer(object_of({"code": constant(200), "message": constant("success"), "data": data}), "成功")


def _refusal(status: int) -> Json:
    schema = object_of(
        {"code": constant(status), "message": {"type": "string", "minLength": 1}, "data": {"type": "null"}}
    )
    headers: Json = {"Retry_After": {"type": "integer", "minimum": 1}} if status in {429, 503} else {}
    return json_answer(schema, ERRORS[status], **headers)


def _operation(
    name: str,
    summary: str,
    success: Json,
    *errors: int,
    parameters: list[Json] | None = None,
    request: Json | None = None,
) -> Json:
    responses = {200: success} | {status: _refusal(status) for status in (*COMMON, *errors)}
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "security": [{"token": []}],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }
    if parameters:
        operation["parameters"] = parameters
    if request:
        operation["requestBody"] = request
    return operation


def _task(more: Json | None = None) -> Json:
    return object_of(
        {
            **(more or {}),
            "taskNo": {"type": "string", "pattern": "^(TASK-[0-9]{17}-[0-9]{4}|job_[0-9a-z]{26})$"},
            "modelName": TEXT,
            "status": {"enum": list(STATUSES), "description": "提交的返回为created;过期与取消的任务为failed"},
            "taskType": {"enum": list(TASK_TYPES)},
            "progress": {"type": "integer", "minimum": 0, "maximum": 100},
            "promptSnippet": {**TEXT, "description": "提示词的开头"},
            "imageUrl": NULLABLE_TEXT,
            "resultUrl": {**NULLABLE_URL, "description": "永久有效的链接,无需请求头"},
            "createTime": LOCAL_TIME,
            "completeTime": nullable(LOCAL_TIME),
            "errorMessage": {**NULLABLE_TEXT, "description": "失败原因"},
        }
    )


def _prompt() -> Json:
    return text(chars_min=1, chars_max=PROMPT_CHARS_MAX, pattern=NOT_BLANK)


def _models(task_type: str) -> Json:
    return {"enum": [name for name, kind in MODELS.items() if kind == task_type]}


def _text_to_image() -> Json:
    none: Json = {"type": ["string", "null"], "pattern": "^ *$"}
    properties = {"modelName": _models("text_to_image"), "prompt": _prompt(), "imageUrl": none}
    return object_of(properties, required=["modelName", "prompt"], more=True)


def _image_to_image() -> Json:
    one = '"https?://[^"\\\\\\s]+"'
    several: Json = {
        "type": "string",
        "description": f"JSON数组形式的字符串,最多{IMAGES_MAX}个URL",
        "pattern": f"^\\[{one}(,{one}){{0,{IMAGES_MAX - 1}}}\\]$",
        "maxLength": IMAGE_URL_CHARS_MAX,
    }
    properties = {"modelName": _models("image_to_image"), "prompt": _prompt(), "imageUrl": {"anyOf": [URL, several]}}
    return object_of(properties, more=True)


def _submit() -> Json:
    key = parameter(
        "Idempotency-Key",
        "header",
        {"$ref": "#/components/schemas/IdempotencyKey"},
        "相同的键与内容返回首次提交的任务;内容不同返回409",
    )
    return _operation(
        "submitPointsTask",
        "提交任务",
        _success(ref("Task")),
        400,
        402,
        404,
        409,
        413,
        parameters=[key],
        request=body(json={"schema": {"oneOf": [ref("TextToImage"), ref("ImageToImage")]}}),
    )


def _get() -> Json:
    return _operation("getPointsTask", "查询单个任务", _success(ref("Task")), 404, parameters=[TASK_NO])


def _list() -> Json:
    count = {"type": "integer", "minimum": 0}
    page = object_of(
        {
            "records": {"type": "array", "items": ref("Task"), "maxItems": PAGE_SIZE_MAX},
            "total": count,
            "page": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX},
            "size": {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX},
            "pages": count,
        }
    )
    return _operation(
        "listPointsTasks",
        "查询任务列表,新的在前",
        _success(page),
        400,
        parameters=[
            parameter("page", "query", _number(1, PAGE_MAX), "页码,从1开始"),
            parameter("size", "query", _number(PAGE_SIZE, PAGE_SIZE_MAX), "每页条数"),
            parameter("status", "query", {"enum": ["", *FILTERS]}, "按状态筛选"),
            parameter("taskType", "query", {"enum": ["", *TASK_TYPES]}, "按类型筛选"),
        ],
    )


def _number(default: int, maximum: int) -> Json:
    """A number from 1; an empty text means the default."""
    return {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": maximum, "default": default}, constant("")],
    }


def _push() -> Json:
    operation = _operation(
        "watchPointsTasks",
        "WebSocket推送:任务的每次变化按顺序各推送一次,内容见TaskPush",
        answer(None, "不会返回:此地址仅支持WebSocket"),
        404,
        parameters=[
            parameter(
                "after",
                "query",
                {"type": "string", "pattern": "^[0-9]{1,18}$"},
                "最后收到的position;重连时从其后继续,0表示从头开始",
            ),
        ],
    )
    del operation["responses"]["200"]
    operation["responses"]["101"] = answer(None, "已建立WebSocket连接", X_Position={"type": "integer"})
    operation["responses"]["404"]["description"] = "请求不是WebSocket握手"
    operation["security"].append({"tokenInQuery": []})
    return operation


def _balance() -> Json:
    data = object_of(
        {
            "userId": {"type": ["integer", "string"]},
            "balance": {"type": "integer", "minimum": 0, "description": "可用积分"},
            "expireTime": {**nullable(LOCAL_TIME), "description": "最早到期的积分的到期时间,null为永久"},
        }
    )
    return _operation("getPointsBalance", "查询积分余额", _success(data))
