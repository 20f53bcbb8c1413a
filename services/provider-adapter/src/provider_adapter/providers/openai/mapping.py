"""Our words to the vendor's and back: the request's fields, the pictures in an answer, what an error means."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from provider_adapter.ports import OutputFile, Task, Unreadable
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.inline import decode
from provider_adapter.providers.remote.pictures import Size, cut_to
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble, failed

PROMPT_CHARS_MAX: Final = 32_000

#: By the error's `code`, else by its `type`. The codes of refused content and of unknown models are not in the vendor's
#: specification; programs that use it agree on them.
TROUBLES: Final = {
    "moderation_blocked": Trouble.INPUT_MODERATED,
    "content_policy_violation": Trouble.INPUT_MODERATED,
    "insufficient_quota": Trouble.ACCOUNT,
    "invalid_api_key": Trouble.ACCOUNT,
    "model_not_found": Trouble.UNSUPPORTED,
    "rate_limit_exceeded": Trouble.THROTTLED,
    "server_error": Trouble.UNAVAILABLE,
    "overloaded": Trouble.UNAVAILABLE,
}
#: Of answers in the vendor's own form; others are judged by `trouble_of_status`.
_STATUSES: Final = {
    408: Trouble.TIMED_OUT,
    409: Trouble.UNAVAILABLE,
    502: Trouble.UNAVAILABLE,
}
_QUALITIES: Final = frozenset({"low", "medium", "high"})
_FIELDS: Final = {"prompt": "prompt", "size": "width", "quality": "quality", "mask": "inputs", "image": "inputs"}


def fields_of(task: Task, size: Size | None) -> dict[str, Any]:
    """Return the fields of a request, the operator's `extra` last. Raises Refused."""
    fields: dict[str, Any] = {"model": task.upstream_model, "prompt": _prompt(task.parameters), "n": 1}
    if size is not None:
        fields["size"] = f"{size[0]}x{size[1]}"
    if task.parameters.get("quality") in _QUALITIES:
        fields["quality"] = task.parameters["quality"]
    return {**fields, **(task.parameters.get("extra") or {})}


def form_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """The same as texts of a form."""
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in fields.items()}


def ordered_size(parameters: Mapping[str, Any]) -> Size | None:
    """The width and height of the order, when it has both."""
    width, height = parameters.get("width"), parameters.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _prompt(parameters: Mapping[str, Any]) -> str:
    prompt = parameters.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise Refused(Trouble.UNSUPPORTED, "The provider needs a prompt.", field="prompt")
    if len(prompt) > PROMPT_CHARS_MAX:
        message = f"The provider takes a prompt of at most {PROMPT_CHARS_MAX} characters."
        raise Refused(Trouble.UNSUPPORTED, message, field="prompt")
    return prompt


def files_of(reply: Reply, results: Results, cut: Size | None, cost_fen: int) -> list[OutputFile]:
    """Return the pictures of an answer of 200, each cut to `cut` where it is larger. It decodes: not for the loop.

    Raises NotReadable (no JSON), Refused (an error after all), Unreadable (no pictures).
    """
    answer = reply.object()
    if "error" in answer and not answer.get("data"):
        raise refused(reply)
    data = answer.get("data")
    if not isinstance(data, list) or not data:
        raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen))
    return [_file(each, results, cut, cost_fen) for each in data]


def _file(item: object, results: Results, cut: Size | None, cost_fen: int) -> OutputFile:
    if not isinstance(item, dict):
        raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen))
    if not item.get("b64_json") and item.get("url"):
        return results.at(item["url"], cost_fen=cost_fen)  # So do some that speak like it; it is not cut.
    picture = decode(item.get("b64_json"), cost_fen=cost_fen)
    return OutputFile.of_bytes(picture if cut is None else cut_to(picture, cut))


def refused(reply: Reply, *, prompt_alone: bool = False) -> Refused:
    """Return what an error means; with `prompt_alone` refused content can only be the prompt's.

    Its message may quote our key and the prompt, so it goes to the log alone.
    """
    error = error_in(reply)
    trouble = _trouble(reply, error)
    field = _FIELDS.get(str(error.get("param") or "").partition("[")[0], "")  # "image[1]" is about the images.
    if trouble is Trouble.INPUT_MODERATED and prompt_alone:
        field = "prompt"
    waits = trouble in {Trouble.THROTTLED, Trouble.UNAVAILABLE}
    return Refused(trouble, field=field, retry_after_s=reply.retry_after_s if waits else None)


def error_in(reply: Reply) -> dict[str, Any]:
    """The error of an answer in the vendor's form; empty for any other."""
    try:
        error = reply.object().get("error")
    except NotReadable:
        return {}
    return error if isinstance(error, dict) else {}


def _trouble(reply: Reply, error: Mapping[str, Any]) -> Trouble:
    known = TROUBLES.get(str(error.get("code"))) or TROUBLES.get(str(error.get("type")))
    if known is Trouble.INPUT_MODERATED and _stage(error) == "output":
        return Trouble.OUTPUT_MODERATED
    if known is not None:
        return known
    if error and reply.status in _STATUSES:
        return _STATUSES[reply.status]
    if error and reply.ok:
        return Trouble.BROKEN  # It says that it failed, and not why.
    return trouble_of_status(reply.status)


def _stage(error: Mapping[str, Any]) -> object:
    details = error.get("moderation_details")
    return details.get("moderation_stage") if isinstance(details, dict) else None
