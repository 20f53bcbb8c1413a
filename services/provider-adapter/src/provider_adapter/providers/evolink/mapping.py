"""EvoLink's answers in our words: codes of refusals, codes of failed tasks, states, results."""

from collections.abc import Mapping
from typing import Any, Final

from provider_adapter.ports import Finished, Pending
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

ID_PREFIX: Final = "task-unified-"
ID_CHARS_MAX: Final = 256

#: Of a submit that is refused. `content_policy_violation` is documented for tasks; it means the same at once.
SUBMIT_CODES: Final[Mapping[str, Trouble]] = {
    "invalid_request": Trouble.INVALID,
    "unauthorized": Trouble.ACCOUNT,
    "insufficient_quota": Trouble.ACCOUNT,
    "quota_exceeded": Trouble.ACCOUNT,
    "model_access_denied": Trouble.ACCOUNT,
    "permission_denied": Trouble.ACCOUNT,
    "rate_limit_exceeded": Trouble.THROTTLED,
    "internal_error": Trouble.UNAVAILABLE,
    "service_unavailable": Trouble.UNAVAILABLE,
    "content_policy_violation": Trouble.INPUT_MODERATED,
}

#: Of a task that failed. The vendor says of each whether the same request may pass another time.
TASK_CODES: Final[Mapping[str, Trouble]] = {
    "content_policy_violation": Trouble.INPUT_MODERATED,
    "invalid_parameters": Trouble.INVALID,
    "image_processing_error": Trouble.INVALID,
    "image_dimension_mismatch": Trouble.INVALID,
    "request_cancelled": Trouble.CANCELLED,
    "resource_not_found": Trouble.INVALID,
    "generation_failed_no_content": Trouble.INVALID,  # It wants another prompt; another provider may not.
    "generation_timeout": Trouble.TIMED_OUT,
    "resource_exhausted": Trouble.UNAVAILABLE,
    "quota_exceeded": Trouble.UNAVAILABLE,  # Not ours: that of whom they buy from.
    "service_unavailable": Trouble.UNAVAILABLE,
    "service_error": Trouble.BROKEN,
    "unknown_error": Trouble.BROKEN,
}

#: Their parameter in our words.
FIELDS: Final[Mapping[str, str]] = {
    "prompt": "prompt",
    "size": "width",
    "duration": "duration",
    "aspect_ratio": "ratio",
}


def error_of(reply: Reply) -> Mapping[str, Any]:
    """The `error` object of an answer, empty when there is none."""
    try:
        body = reply.json()
    except NotReadable:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def refusal(reply: Reply) -> Refused:
    """Why a submit came to nothing, or may not have."""
    error = error_of(reply)
    trouble = SUBMIT_CODES.get(str(error.get("code"))) or trouble_of_status(reply.status)
    field = FIELDS.get(str(error.get("param")), "") if trouble in {Trouble.INVALID, Trouble.INPUT_MODERATED} else ""
    return Refused(trouble, field=field, retry_after_s=reply.retry_after_s)


def is_task_id(value: object) -> bool:
    """Whether it can be a task's id."""
    return isinstance(value, str) and value.startswith(ID_PREFIX) and len(value) <= ID_CHARS_MAX


def standing(task: Mapping[str, Any], results: Results, cost_fen_per_output: int) -> Pending | Finished:
    """What a task's record says. Raises Refused for one that failed, NotReadable for a state that is none of theirs:
    giving a paid task up for a word that is not understood would pay for it again."""
    match task.get("status"):
        case "pending" | "processing":
            return Pending(fraction=_fraction(task.get("progress")))
        case "completed":
            return _finished(task, results, cost_fen_per_output)
        case "failed":
            error = task.get("error")
            code = str(error.get("code")) if isinstance(error, dict) else ""
            raise Refused(TASK_CODES.get(code, Trouble.BROKEN))
        case "cancelled":
            raise Refused(Trouble.CANCELLED)
        case _:
            raise NotReadable("a state that is not known")


def _finished(task: Mapping[str, Any], results: Results, cost_fen_per_output: int) -> Finished:
    role = "video" if task.get("type") == "video" else "image"
    urls = task.get("results") or _urls_of_data(task.get("result_data"), role)
    if not isinstance(urls, list) or not urls:
        raise Refused(Trouble.UNUSABLE)
    cost_fen = cost_fen_per_output * len(urls)
    return Finished(files=[results.at(url, role=role, cost_fen=cost_fen) for url in urls], cost_fen=cost_fen)


def _urls_of_data(data: object, role: str) -> list[object]:
    """The same results as some answers carry them."""
    entries = data if isinstance(data, list) else []
    return [entry.get(f"{role}_url") for entry in entries if isinstance(entry, dict)]


def _fraction(progress: object) -> float | None:
    if not isinstance(progress, int | float) or isinstance(progress, bool):
        return None
    return min(max(progress / 100, 0.0), 1.0)
