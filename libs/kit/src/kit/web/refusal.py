"""Why the wall said no: for the operator's log only, never for the one who wrote the URL."""

from typing import Final, Self

from kit.errors import InputFetchRefused
from kit.logging import get_logger

_DETAIL_CHARS_MAX: Final = 200

#: What may be over a moment later. A body that is too slow is not among them: it has had its time.
_PASSING: Final = frozenset(
    {
        "resolve_timeout",
        "resolve_failed",
        "connect_timeout",
        "connect_failed",
        "head_timeout",
        "head_broken",
        "body_broken",
    }
)
_PASSING_STATUS: Final = frozenset({404, 408, 425, 429, 500, 502, 503, 504})  # 404: some tell a URL before it works.

_log = get_logger(__name__)


class Refusal(Exception):
    """The wall refuses a target, or could not get a usable reply from it. Stays inside `kit.web`.

    `cause` is a stable word that can be counted; `facts` are what the operator wants to see beside it.
    """

    def __init__(self, cause: str, **facts: str | int) -> None:
        super().__init__(cause)
        self.cause = cause
        self.facts = facts

    @classmethod
    def of(cls, cause: str, error: Exception, **facts: str | int) -> Self:
        """A refusal because of another error, whose text may quote what the other side sent and is cut short."""
        return cls(cause, detail=repr(error)[:_DETAIL_CHARS_MAX], **facts)


class Malformed(Refusal):
    """The URL's own text is wrong, which its writer may learn at once: no rule or network of ours was asked."""


class TargetUnreachable(Exception):
    """The target gave no HTTP reply: denied, unresolvable, closed, silent, or not speaking HTTP.

    Deliberately one text for every cause. `cause` is a stable word for logs and metrics; never show it to a client.
    """

    def __init__(self, cause: str) -> None:
        super().__init__("The target could not be reached.")
        self.cause = cause


def refused(refusal: Refusal, *, field_name: str | None = None, **facts: str | int) -> InputFetchRefused:
    """Tell the operator the cause, and return the public error, which is the same for every cause."""
    _log.warning("input_fetch_refused", cause=refusal.cause, **{**facts, **refusal.facts})
    return InputFetchRefused(field=field_name)


def may_pass(error: InputFetchRefused) -> bool:
    """Whether the same fetch may succeed in a moment. Not for the one who wrote the URL: it tells of our network."""
    refusal = error.__cause__
    if not isinstance(refusal, Refusal):
        return False
    return refusal.cause in _PASSING or (refusal.cause == "status" and refusal.facts.get("status") in _PASSING_STATUS)


def log_unreachable(refusal: Refusal, **facts: str | int) -> None:
    """Tell the operator why a webhook's target gave no reply."""
    _log.warning("target_unreachable", cause=refusal.cause, **{**facts, **refusal.facts})
