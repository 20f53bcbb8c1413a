"""What an ended job costs: the one place that decides it.

A success costs what was delivered. Any other end has an outcome, and the rules frozen with the job say how many percent
of what was held that outcome still costs; what they do not name costs nothing.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from job_orchestrator.domain.order import Amount, Failure
from kit.errors import ErrorReason

PERCENT_MAX: Final = 100


class Outcome(IntEnum):
    """How a job ended, as far as money is concerned; the numbers are those of the proto and of the column."""

    NONE = 0  #: Not ended.
    SUCCEEDED = 1
    MODERATED_INPUT = 2
    MODERATED_OUTPUT = 3
    PROVIDER_FAULT = 4
    OUR_FAULT = 5
    EXPIRED = 6
    CANCELLED_QUEUED = 7
    CANCELLED_RUNNING = 8
    REJECTED = 9  #: It could not be carried out as it was asked for; no rule can charge it.


#: The outcomes that a rule may charge.
CHARGEABLE: Final = (
    Outcome.MODERATED_INPUT,
    Outcome.MODERATED_OUTPUT,
    Outcome.PROVIDER_FAULT,
    Outcome.OUR_FAULT,
    Outcome.EXPIRED,
    Outcome.CANCELLED_QUEUED,
    Outcome.CANCELLED_RUNNING,
)

#: Percent of what was held, by outcome's number; an outcome that is not there costs nothing.
Charges = Mapping[int, int]

_R = ErrorReason
_BY_OUTCOME: Final[Mapping[Outcome, frozenset[ErrorReason]]] = {
    Outcome.MODERATED_INPUT: frozenset({_R.CONTENT_MODERATED}),
    Outcome.MODERATED_OUTPUT: frozenset({_R.PROVIDER_MODERATED}),
    Outcome.PROVIDER_FAULT: frozenset(
        {_R.PROVIDER_FAILED, _R.PROVIDER_TIMEOUT, _R.PROVIDER_RESULT_INVALID, _R.PROVIDER_UNAVAILABLE}
    ),
    Outcome.REJECTED: frozenset(
        {
            _R.PROVIDER_REJECTED,
            _R.INVALID_ARGUMENT,
            _R.BODY_TOO_LARGE,
            _R.INPUT_UNSUPPORTED,
            _R.INPUT_TOO_LARGE,
            _R.INPUT_FETCH_REFUSED,
            _R.ASSET_NOT_FOUND,
        }
    ),
    Outcome.EXPIRED: frozenset({_R.JOB_EXPIRED}),
    Outcome.CANCELLED_RUNNING: frozenset({_R.JOB_CANCELLED}),
    # A worker reports such a reason only when the house could not do its own part.
    Outcome.OUR_FAULT: frozenset(
        {
            _R.INTERNAL,
            _R.UNIMPLEMENTED,
            _R.DEPENDENCY_UNAVAILABLE,
            _R.DEADLINE_EXCEEDED,
            _R.NOT_SERVING,
            _R.CANCELLED,
            _R.CONFLICT,
            _R.MODEL_UNKNOWN,
            _R.COST_ABOVE_MAX,
            _R.QUOTE_INVALID,
            _R.PAGE_TOKEN_INVALID,
            _R.CREDENTIAL_MISSING,
            _R.CREDENTIAL_INVALID,
            _R.CREDENTIAL_EXPIRED,
            _R.CLIENT_DISABLED,
            _R.IP_NOT_ALLOWED,
            _R.MODEL_NOT_GRANTED,
            _R.MODEL_DISABLED,
            _R.PERMISSION_DENIED,
            _R.TICKET_INVALID,
            _R.INSUFFICIENT_FUNDS,
            _R.RATE_LIMITED,
            _R.TOO_MANY_JOBS,
            _R.DAILY_QUOTA_EXCEEDED,
            _R.QUEUE_FULL,
            _R.STORAGE_FULL,
            _R.JOB_NOT_FOUND,
            _R.CLIENT_NOT_FOUND,
            _R.HOLD_NOT_FOUND,
            _R.NOT_FOUND,
            _R.IDEMPOTENCY_KEY_REUSED,
            _R.REQUEST_ID_REUSED,
            _R.JOB_ALREADY_FINISHED,
            _R.HOLD_ALREADY_RESOLVED,
            _R.LEASE_LOST,
            _R.JOB_FENCED,
        }
    ),
}
#: Every reason a failure can have; a test keeps it complete.
OUTCOME_OF: Final[Mapping[ErrorReason, Outcome]] = {
    reason: outcome for outcome, reasons in _BY_OUTCOME.items() for reason in reasons
}


def outcome_of(failure: Failure) -> Outcome:
    """Return the outcome of a job that failed. A provider's refusal that names a field is about what was sent."""
    if failure.reason == ErrorReason.PROVIDER_MODERATED and failure.field:
        return Outcome.MODERATED_INPUT
    return OUTCOME_OF[failure.reason]


def charged(outcome: Outcome, *, held: Amount, outputs: int, delivered: int, charges: Charges) -> int:
    """Return how much of `held`, which covers `outputs`, an ended job costs; rounded down, in the client's favour."""
    assert outcome is not Outcome.NONE
    assert 0 <= delivered <= outputs
    if outcome is Outcome.SUCCEEDED:
        return held.value // outputs * delivered
    percent = charges.get(outcome, 0) if outcome in CHARGEABLE else 0
    assert 0 <= percent <= PERCENT_MAX
    return held.value * percent // PERCENT_MAX
