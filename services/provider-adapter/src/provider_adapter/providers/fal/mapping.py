"""fal's words to ours: tasks' ids, states, errors."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from provider_adapter.ports import Pending
from provider_adapter.providers.fal.options import MODEL_PATTERN, Options
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.permodel import field_of, moderated
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.trouble import Trouble

ANY_APP: Final = "*"  #: In place of an app, when a webhook alone told of the task.

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_APP: Final = re.compile(MODEL_PATTERN)
_WAITS: Final = frozenset({429, 502, 503, 504})  # Statuses after which the vendor's own client asks again.


def app_of(model: str) -> str:
    """Owner and alias of a model: its tasks are asked after without the rest of its path. Raises Refused."""
    if not _APP.fullmatch(model):
        raise Refused(Trouble.UNSUPPORTED, "The route's model is not one of fal's.")
    return "/".join(model.split("/")[:2])


def task_id(app: str, request_id: str) -> str:
    """What names a task for every process."""
    return f"{app}/requests/{request_id}"


def taken(answer: Mapping[str, Any], model: str) -> str | None:
    """The task's id in the answer to a submit, None where there is none. The answer's own URL says where to ask."""
    request_id = answer.get("request_id")
    if not is_request_id(request_id):
        return None
    app, response_url = app_of(model), answer.get("response_url")
    if isinstance(response_url, str):
        path = urlsplit(response_url).path.strip("/")
        told = path.removesuffix(f"/requests/{request_id}")
        if told != path and _APP.fullmatch(told) and f"{model}/".startswith(f"{told}/"):
            app = told
    return task_id(app, str(request_id))


def is_request_id(value: object) -> bool:
    """Whether it can be a request's id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def parts(upstream_task_id: str) -> tuple[str, str]:
    """App and request's id. Raises Refused for what is no id of ours."""
    app, separator, request_id = upstream_task_id.rpartition("/requests/")
    if not separator or not is_request_id(request_id) or not (app == ANY_APP or _APP.fullmatch(app)):
        raise Refused(Trouble.GONE)
    return app, request_id


def standing(status: Mapping[str, Any]) -> Pending | None:
    """Pending while it goes on, None when there is a result or an error to fetch. Raises Refused for a cancelled one,
    NotReadable for a state that is not known: it may well be at work."""
    match status.get("status"):
        case "COMPLETED":
            return None
        case "IN_QUEUE" | "IN_PROGRESS":
            return Pending()
        case "CANCELLATION_REQUESTED":
            raise Refused(Trouble.CANCELLED)
    raise NotReadable("unknown status")


def refusal(reply: Reply, options: Options) -> Refused:
    """What an answer to a submit says that is no task."""
    trouble = trouble_of_status(reply.status)
    if trouble is Trouble.INVALID or reply.ok:
        return Refused(_of_details(reply, options), field=_field(reply), retry_after_s=reply.retry_after_s)
    return Refused(trouble, retry_after_s=reply.retry_after_s)


def failure(reply: Reply, options: Options) -> Pending | Refused:
    """What a task has come to whose result is an error; Pending when the error is the queue's own."""
    if reply.headers.get("x-fal-request-timeout-type", "").lower() == "user":
        return Refused(Trouble.TIMED_OUT)
    if reply.status in _WAITS:
        return Pending(poll_after_s=reply.retry_after_s)
    if reply.status in {401, 402, 403}:
        raise NotReadable(f"status {reply.status}")  # Our credential now, not the task.
    if reply.status == 404:
        return Refused(Trouble.GONE)
    if reply.status < 400 or reply.status >= 500:
        return Refused(moderated(_text(reply), options) or Trouble.BROKEN)
    return Refused(_of_details(reply, options), field=_field(reply))


def _of_details(reply: Reply, options: Options) -> Trouble:
    return moderated(_text(reply), options) or Trouble.INVALID


def _text(reply: Reply) -> str:
    """What is wrong, by type and message; not the input, which some details repeat."""
    details = _details(reply)
    if not details:
        return reply.body[:2000].decode(errors="replace")
    return " ".join(f"{detail.get('type')} {detail.get('msg')}" for detail in details)


def _field(reply: Reply) -> str:
    """Our name of the first input that is wrong, where it has one."""
    for detail in _details(reply):
        match detail.get("loc"):
            case ["body", *_, str(name)]:
                return field_of(name)
    return ""


def _details(reply: Reply) -> list[dict[str, Any]]:
    try:
        body = reply.json()
    except NotReadable:
        return []
    details = body.get("detail") if isinstance(body, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
