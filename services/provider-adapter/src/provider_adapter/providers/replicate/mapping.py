"""Our tasks to Replicate's predictions, and its words to ours."""

import re
from collections.abc import Mapping
from typing import Any, Final

from provider_adapter.ports import Pending
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.permodel import PerModelOptions, moderated
from provider_adapter.providers.remote.provider import Refused, trouble_of_status
from provider_adapter.providers.remote.trouble import Trouble

ID_CHARS_MAX: Final = 200  # Theirs have 26.

_MODEL: Final = re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::(?P<version>[0-9a-zA-Z]{1,128}))?")
_VERSION: Final = re.compile(r"[0-9a-f]{64}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]+")


def address(upstream_model: str) -> tuple[str, dict[str, str]]:
    """Path and model part of the body for "owner/name", "owner/name:version" or a version. Raises Refused."""
    if _VERSION.fullmatch(upstream_model):
        return "/v1/predictions", {"version": upstream_model}
    found = _MODEL.fullmatch(upstream_model)
    if found is None:
        raise Refused(Trouble.UNSUPPORTED, "The route's model is not one of Replicate's.")
    if found["version"]:
        return "/v1/predictions", {"version": found["version"]}
    return f"/v1/models/{found['model']}/predictions", {}


def refusal(reply: Reply, options: PerModelOptions) -> Refused:
    """What an answer to a submit says that is no prediction."""
    trouble = trouble_of_status(reply.status)
    if trouble is Trouble.INVALID:
        trouble = moderated(reply.body.decode(errors="replace"), options) or trouble
    return Refused(trouble, retry_after_s=reply.retry_after_s)


def id_of(prediction: Mapping[str, Any]) -> str | None:
    """The prediction's id, None where there is none that could be asked for."""
    value = prediction.get("id")
    return value if isinstance(value, str) and len(value) <= ID_CHARS_MAX and _ID.fullmatch(value) else None


def is_task_id(upstream_task_id: str) -> bool:
    """Whether it can be a prediction's id."""
    return _ID.fullmatch(upstream_task_id) is not None


def standing(prediction: Mapping[str, Any], options: PerModelOptions) -> Pending | None:
    """Pending while it goes on, None when there is an output. Raises Refused for one that failed, NotReadable for a
    state that is not known: it may well be at work."""
    match prediction.get("status"):
        case "succeeded":
            return None
        case "starting" | "processing":
            return Pending()
        case "failed":
            raise Refused(moderated(str(prediction.get("error")), options) or Trouble.BROKEN)
        case "canceled":
            raise Refused(Trouble.CANCELLED)
    raise NotReadable("unknown status")
