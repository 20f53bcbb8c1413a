"""The classes of trouble that providers make, and how each ends an attempt.

Adapters translate a provider's codes to a class; what a class means for the job is decided here, once. The provider's
own words go to the log, never into the `Failed`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from kit.errors import ErrorReason
from provider_adapter.domain import Failed, Outcome


class Trouble(Enum):
    """What went wrong."""

    UNREACHABLE = "unreachable"  #: Surely not sent: no connection, no credential.
    NO_ANSWER = "no_answer"  #: Sent, and nobody knows whether it was taken.
    THROTTLED = "throttled"  #: Refused for the moment: rate, concurrency, a full queue.
    UNAVAILABLE = "unavailable"  #: Refused because of a fault on their side, before any work.
    BROKEN = "broken"  #: Taken, and failed on their side.
    TIMED_OUT = "timed_out"  #: Taken, and given up by them for taking too long.
    INVALID = "invalid"  #: They do not take these parameters or inputs; another provider may.
    UNSUPPORTED = "unsupported"  #: Known here, before anything is sent, that they do not offer it.
    INPUT_MODERATED = "input_moderated"  #: The prompt or a picture was refused; it will be refused again.
    OUTPUT_MODERATED = "output_moderated"  #: What they made was refused; another try may pass.
    ACCOUNT = "account"  #: Our credential, permission, quota or balance there: the operator has to act.
    GONE = "gone"  #: They know no such task (any more).
    CANCELLED = "cancelled"  #: The task was cancelled there.
    UNUSABLE = "unusable"  #: What they answered is not a result: not readable, not a picture, nothing.


@dataclass(frozen=True)
class _Ending:
    outcome: Outcome
    reason: ErrorReason
    message: str


_R = ErrorReason
_ENDINGS: Final = {
    Trouble.UNREACHABLE: _Ending(Outcome.UNSENT, _R.PROVIDER_UNAVAILABLE, "The provider could not be reached."),
    Trouble.NO_ANSWER: _Ending(Outcome.UNKNOWN, _R.PROVIDER_FAILED, "The provider may have taken it."),
    Trouble.THROTTLED: _Ending(Outcome.DEFERRED, _R.PROVIDER_UNAVAILABLE, "The provider has no room just now."),
    Trouble.UNAVAILABLE: _Ending(Outcome.RETRYABLE, _R.PROVIDER_UNAVAILABLE, "The provider is not available."),
    Trouble.BROKEN: _Ending(Outcome.RETRYABLE, _R.PROVIDER_FAILED, "The provider failed."),
    Trouble.TIMED_OUT: _Ending(Outcome.RETRYABLE, _R.PROVIDER_TIMEOUT, "The provider did not finish in time."),
    Trouble.INVALID: _Ending(Outcome.ROUTE_FAILED, _R.PROVIDER_REJECTED, "The provider does not take this."),
    Trouble.UNSUPPORTED: _Ending(Outcome.ROUTE_FAILED, _R.PROVIDER_REJECTED, "The provider does not offer this."),
    Trouble.INPUT_MODERATED: _Ending(Outcome.FAILED, _R.PROVIDER_MODERATED, "The provider refused the content."),
    Trouble.OUTPUT_MODERATED: _Ending(Outcome.RETRYABLE, _R.PROVIDER_MODERATED, "The provider refused its own result."),
    Trouble.ACCOUNT: _Ending(Outcome.ROUTE_FAILED, _R.PROVIDER_UNAVAILABLE, "The provider does not serve us."),
    Trouble.GONE: _Ending(Outcome.RETRYABLE, _R.PROVIDER_FAILED, "The provider lost the task."),
    Trouble.CANCELLED: _Ending(Outcome.RETRYABLE, _R.PROVIDER_FAILED, "The task was ended at the provider."),
    Trouble.UNUSABLE: _Ending(Outcome.RETRYABLE, _R.PROVIDER_RESULT_INVALID, "The provider's result is not usable."),
}


def failed(
    trouble: Trouble,
    message: str | None = None,
    *,
    field: str = "",
    retry_after_s: float | None = None,
    cost_fen: int = 0,
) -> Failed:
    """Return how it ends the attempt. `message` replaces the class's own; it is shown to clients, so it is ours."""
    ending = _ENDINGS[trouble]
    return Failed.of(
        ending.outcome,
        ending.reason,
        message or ending.message,
        field=field,
        retry_after_s=retry_after_s,
        cost_fen=cost_fen,
    )
