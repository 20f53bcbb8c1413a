"""Reason → words: one table with a column for each contract. The HTTP status comes from `kit.errors`.

Every dialect words a failure in its own way, and only here. A test shows that every reason is in every column.
"""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from edge.replies import json_reply
from kit.errors import AppError, ErrorReason, http_status


@dataclass(frozen=True)
class Words:
    """How one reason is said."""

    english: str  #: Open contract; "" means the error's own message.
    chinese: str  #: Points, signed and studio contracts.
    signed_code: int  #: The signed contract's return code.


_R = ErrorReason
_BUSY: Final = "系统维护,请稍候再试"
_BAD: Final = "参数错误"
_INPUT: Final = "输入图片无法使用"

WORDS: Final[Mapping[ErrorReason, Words]] = {
    _R.INTERNAL: Words("Internal server error.", "服务器错误", 500),
    _R.UNIMPLEMENTED: Words("This is not built yet.", "功能暂未开放", 604),
    _R.DEPENDENCY_UNAVAILABLE: Words("The service is temporarily unavailable.", _BUSY, 500),
    _R.DEADLINE_EXCEEDED: Words("The service did not answer in time.", "请求超时", 610),
    _R.NOT_SERVING: Words("The service is temporarily unavailable.", _BUSY, 500),
    _R.CANCELLED: Words("The request was cancelled.", "请求已取消", 610),
    _R.CONFLICT: Words("A concurrent change won; try again.", "操作冲突,请重试", 999),
    _R.INVALID_ARGUMENT: Words("", _BAD, 400),
    _R.BODY_TOO_LARGE: Words("", "请求内容过大", 400),
    _R.INPUT_UNSUPPORTED: Words("", _INPUT, 400),
    _R.INPUT_TOO_LARGE: Words("", "输入图片尺寸过大", 400),
    _R.INPUT_FETCH_REFUSED: Words("The URL cannot be fetched.", "图片链接无法访问", 400),
    _R.MODEL_UNKNOWN: Words("", "模型不存在", 604),
    _R.CONTENT_MODERATED: Words("The text was refused by moderation.", "文本黄反拦截", 202),
    _R.COST_ABOVE_MAX: Words("", "价格超出上限", 999),
    _R.QUOTE_INVALID: Words("", "报价无效或已过期", 999),
    _R.PAGE_TOKEN_INVALID: Words("pageToken is not one of ours.", "分页参数错误", 400),
    _R.CREDENTIAL_MISSING: Words("Missing API key.", "未登录", 400),
    _R.CREDENTIAL_INVALID: Words("Invalid API key.", "未登录或Token无效", 400),
    _R.CREDENTIAL_EXPIRED: Words("The credential has expired.", "未登录或Token过期", 400),
    _R.CLIENT_DISABLED: Words("This API client is disabled.", "账号停用", 602),
    _R.IP_NOT_ALLOWED: Words("This address is not on the API client's allow-list.", "ip不在白名单", 607),
    _R.MODEL_NOT_GRANTED: Words("This capability is not granted to the API client.", "接口未开通", 601),
    _R.MODEL_DISABLED: Words("This capability is not available.", "接口停用", 604),
    _R.PERMISSION_DENIED: Words("This is not allowed.", "没有权限", 999),
    _R.TICKET_INVALID: Words("The permission has expired; try again.", "授权已失效,请重试", 999),
    _R.INSUFFICIENT_FUNDS: Words("Insufficient balance.", "余额不足", 999),
    _R.RATE_LIMITED: Words("Too many requests.", "请求过于频繁,请稍候再试", 609),
    _R.TOO_MANY_JOBS: Words("Too many unfinished jobs.", "未完成的任务过多,请稍候再试", 609),
    _R.DAILY_QUOTA_EXCEEDED: Words("The quota of today is used up.", "调用超限,请稍候再试", 606),
    _R.QUEUE_FULL: Words("The queue is full; try again later.", _BUSY, 500),
    _R.STORAGE_FULL: Words("No storage is left; try again later.", _BUSY, 500),
    _R.JOB_NOT_FOUND: Words("Job not found.", "任务不存在", 201),
    _R.ASSET_NOT_FOUND: Words("Asset not found.", "图片不存在", 400),
    _R.CLIENT_NOT_FOUND: Words("Not found.", "账户不存在", 400),
    _R.HOLD_NOT_FOUND: Words("Not found.", "记录不存在", 999),
    _R.NOT_FOUND: Words("Not found.", "接口地址不正确", 404),
    _R.IDEMPOTENCY_KEY_REUSED: Words(
        "This Idempotency-Key was used with a different request body.", "幂等键已用于其他请求", 999
    ),
    _R.REQUEST_ID_REUSED: Words("", "请求编号重复", 999),
    _R.JOB_ALREADY_FINISHED: Words("The job has already finished.", "任务已结束", 999),
    _R.HOLD_ALREADY_RESOLVED: Words("", "费用已结算", 999),
    _R.LEASE_LOST: Words("", "任务已被接管", 999),
    _R.JOB_FENCED: Words("Try again.", "提交冲突,请重试", 999),
    _R.PROVIDER_FAILED: Words("", "生成失败", 999),
    _R.PROVIDER_MODERATED: Words("", "内容未通过审核", 999),
    _R.PROVIDER_TIMEOUT: Words("", "生成超时", 999),
    _R.PROVIDER_RESULT_INVALID: Words("", "生成结果无效", 999),
    _R.PROVIDER_UNAVAILABLE: Words("", "生成服务暂不可用", 999),
    _R.PROVIDER_REJECTED: Words("", "参数或图片不被支持", 999),
    _R.JOB_EXPIRED: Words("", "任务超时", 999),
    _R.JOB_CANCELLED: Words("", "任务已取消", 999),
}

#: Where the points and studio documents have their own sentences for the same reason.
POINTS_WORDS: Final[Mapping[ErrorReason, str]] = {
    _R.INSUFFICIENT_FUNDS: "积分不足",
    _R.NOT_FOUND: "接口不存在",
}
SIGNED_WORDS: Final[Mapping[ErrorReason, str]] = {
    _R.JOB_NOT_FOUND: "taskId不存在",
    _R.CREDENTIAL_MISSING: "appId、timestamp、sign不能为空",
    _R.CREDENTIAL_INVALID: "sign不正确",
    _R.CREDENTIAL_EXPIRED: "appId已过期",
    _R.INTERNAL: _BUSY,
    _R.MODEL_UNKNOWN: "接口停用",
}
STUDIO_WORDS: Final[Mapping[ErrorReason, str]] = {
    _R.CREDENTIAL_MISSING: "账户不存在",
    _R.CREDENTIAL_INVALID: "账户不存在",
    _R.CREDENTIAL_EXPIRED: "账户不存在",
    _R.CLIENT_DISABLED: "账户不存在",
    _R.JOB_NOT_FOUND: "任务未找到或状态未知",
    _R.INSUFFICIENT_FUNDS: "账户剩余次数不足",
}


def open_error(error: AppError) -> Response:
    """The open contract's answer to a refusal: the sentence names the field where there is one."""
    message = WORDS[error.reason].english or error.message
    if error.field and error.field not in message:
        message = f"{error.field}: {message}"
    headers = _headers(error)
    if http_status(error.reason) == 401:
        headers["www-authenticate"] = "Bearer"
    return json_reply({"error": message}, status=http_status(error.reason), headers=headers)


def points_error(error: AppError) -> Response:
    """The points contract's answer: the HTTP status is also the code."""
    return points_refusal(http_status(error.reason), points_message(error), headers=_headers(error))


def points_message(error: AppError) -> str:
    """What the points contract says of a refusal."""
    return _chinese(error.reason, error.field, POINTS_WORDS)


def points_refusal(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of the points contract without data."""
    return json_reply({"code": status, "message": message, "data": None}, status=status, headers=headers)


def points_job_failure(reason: ErrorReason, *, charged: int = 0, refunded: bool = True) -> str:
    """Why a task has no result, and what became of its points: `charged` of them are spent."""
    if not charged:
        end = "积分已退还"
    elif refunded:
        end = f"已扣除{charged}积分,其余积分已退还"
    else:
        end = f"已扣除{charged}积分"
    return f"{WORDS[reason].chinese},{end}"


def signed_error(error: AppError, *, field_words: Mapping[str, str] | None = None) -> Response:
    """The signed contract's answer: HTTP 200, the code in the body; `field_words` are sentences for wrong fields.

    Only 400 is about a field; every other code has the sentence of the document's table.
    """
    code = WORDS[error.reason].signed_code
    message = SIGNED_WORDS.get(error.reason) or WORDS[error.reason].chinese
    if code == 400:
        message = (field_words or {}).get(error.field or "") or _chinese(error.reason, error.field, SIGNED_WORDS)
    return signed_reply(code, message, charge=False, headers=_headers(error))


def signed_reply(
    code: int, message: str, *, charge: bool, data: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of the signed contract: every one has a 24-digit number of its own."""
    body = {"code": code, "msg": message, "taskNo": f"{secrets.randbelow(10**24):024d}", "charge": charge}
    return json_reply(body if data is None else {**body, "data": data}, headers=headers)


def studio_error(error: AppError, *, submitting: bool, sentences: tuple[str, ...] = ()) -> Response:
    """The studio contract's answer: HTTP 200, `err_code` 1, the document's sentences to the letter.

    `sentences` are beginnings of those that the document lists for an endpoint without 任务提交失败 before them.
    """
    message = STUDIO_WORDS.get(error.reason)
    if message is None:
        # A sentence of our own in Chinese says more than the reason's general one.
        own = "" if error.message.isascii() else error.message
        message = _chinese(error.reason, error.field, {error.reason: own})
        if submitting and not message.startswith(sentences):
            message = f"任务提交失败:{message}"
    return json_reply({"err_code": 1, "err_msg": message}, headers=_headers(error))


def job_failure(reason: ErrorReason) -> str:
    """Why a job has no result, in Chinese."""
    return WORDS[reason].chinese


def _chinese(reason: ErrorReason, field: str | None, own: Mapping[ErrorReason, str]) -> str:
    message = own.get(reason) or WORDS[reason].chinese
    return f"{message}:{field}" if field and field not in message else message


def _headers(error: AppError) -> dict[str, str]:
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if incident := error.metadata.get("incident_id"):
        headers["x-incident-id"] = incident
    return headers
