"""The stable words callers branch on, and the one table that gives each its gRPC and HTTP status.

The gRPC status follows from what a caller should do next: UNAVAILABLE = try the call again, ABORTED = redo
the whole operation, FAILED_PRECONDITION = change something first, RESOURCE_EXHAUSTED = wait. Only UNAVAILABLE
is retried by our channels, so a reason gets it only when the same call may simply be sent again.
"""

from enum import StrEnum
from typing import Final

from grpc import StatusCode


class ErrorReason(StrEnum):
    """Mirrors `atelier.common.v1.ErrorReason` without its prefix; the proto says what each word means."""

    INTERNAL = "INTERNAL"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    DEPENDENCY_UNAVAILABLE = "DEPENDENCY_UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_SERVING = "NOT_SERVING"
    CANCELLED = "CANCELLED"
    CONFLICT = "CONFLICT"

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    INPUT_UNSUPPORTED = "INPUT_UNSUPPORTED"
    INPUT_TOO_LARGE = "INPUT_TOO_LARGE"
    INPUT_FETCH_REFUSED = "INPUT_FETCH_REFUSED"
    MODEL_UNKNOWN = "MODEL_UNKNOWN"
    CONTENT_MODERATED = "CONTENT_MODERATED"
    COST_ABOVE_MAX = "COST_ABOVE_MAX"
    QUOTE_INVALID = "QUOTE_INVALID"
    PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"  # noqa: S105  A reason, not a password.

    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"
    CREDENTIAL_INVALID = "CREDENTIAL_INVALID"
    CREDENTIAL_EXPIRED = "CREDENTIAL_EXPIRED"
    CLIENT_DISABLED = "CLIENT_DISABLED"
    IP_NOT_ALLOWED = "IP_NOT_ALLOWED"
    MODEL_NOT_GRANTED = "MODEL_NOT_GRANTED"
    MODEL_DISABLED = "MODEL_DISABLED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    TICKET_INVALID = "TICKET_INVALID"

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    RATE_LIMITED = "RATE_LIMITED"
    TOO_MANY_JOBS = "TOO_MANY_JOBS"
    DAILY_QUOTA_EXCEEDED = "DAILY_QUOTA_EXCEEDED"
    QUEUE_FULL = "QUEUE_FULL"
    STORAGE_FULL = "STORAGE_FULL"

    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    ASSET_NOT_FOUND = "ASSET_NOT_FOUND"
    CLIENT_NOT_FOUND = "CLIENT_NOT_FOUND"
    HOLD_NOT_FOUND = "HOLD_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"

    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    JOB_ALREADY_FINISHED = "JOB_ALREADY_FINISHED"
    HOLD_ALREADY_RESOLVED = "HOLD_ALREADY_RESOLVED"
    LEASE_LOST = "LEASE_LOST"
    JOB_FENCED = "JOB_FENCED"

    PROVIDER_FAILED = "PROVIDER_FAILED"
    PROVIDER_MODERATED = "PROVIDER_MODERATED"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"
    PROVIDER_RESULT_INVALID = "PROVIDER_RESULT_INVALID"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_REJECTED = "PROVIDER_REJECTED"
    JOB_EXPIRED = "JOB_EXPIRED"
    JOB_CANCELLED = "JOB_CANCELLED"


#: reason → (gRPC status, HTTP status). A dialect of the edge may answer otherwise; these are the house's.
STATUSES: Final[dict[ErrorReason, tuple[StatusCode, int]]] = {
    ErrorReason.INTERNAL: (StatusCode.INTERNAL, 500),
    ErrorReason.UNIMPLEMENTED: (StatusCode.UNIMPLEMENTED, 501),
    ErrorReason.DEPENDENCY_UNAVAILABLE: (StatusCode.UNAVAILABLE, 503),
    ErrorReason.DEADLINE_EXCEEDED: (StatusCode.DEADLINE_EXCEEDED, 504),
    ErrorReason.NOT_SERVING: (StatusCode.UNAVAILABLE, 503),
    ErrorReason.CANCELLED: (
        StatusCode.CANCELLED,
        499,
    ),  # What nginx writes for "the client closed the request".
    ErrorReason.CONFLICT: (StatusCode.ABORTED, 409),
    ErrorReason.INVALID_ARGUMENT: (StatusCode.INVALID_ARGUMENT, 400),
    ErrorReason.BODY_TOO_LARGE: (StatusCode.INVALID_ARGUMENT, 413),
    ErrorReason.INPUT_UNSUPPORTED: (StatusCode.INVALID_ARGUMENT, 400),
    ErrorReason.INPUT_TOO_LARGE: (StatusCode.INVALID_ARGUMENT, 400),
    ErrorReason.INPUT_FETCH_REFUSED: (StatusCode.INVALID_ARGUMENT, 400),
    ErrorReason.MODEL_UNKNOWN: (StatusCode.INVALID_ARGUMENT, 400),
    ErrorReason.CONTENT_MODERATED: (StatusCode.FAILED_PRECONDITION, 400),
    ErrorReason.COST_ABOVE_MAX: (StatusCode.FAILED_PRECONDITION, 402),
    ErrorReason.QUOTE_INVALID: (StatusCode.FAILED_PRECONDITION, 409),
    ErrorReason.PAGE_TOKEN_INVALID: (StatusCode.INVALID_ARGUMENT, 400),
    ErrorReason.CREDENTIAL_MISSING: (StatusCode.UNAUTHENTICATED, 401),
    ErrorReason.CREDENTIAL_INVALID: (StatusCode.UNAUTHENTICATED, 401),
    ErrorReason.CREDENTIAL_EXPIRED: (StatusCode.UNAUTHENTICATED, 401),
    ErrorReason.CLIENT_DISABLED: (StatusCode.PERMISSION_DENIED, 403),
    ErrorReason.IP_NOT_ALLOWED: (StatusCode.PERMISSION_DENIED, 403),
    ErrorReason.MODEL_NOT_GRANTED: (StatusCode.PERMISSION_DENIED, 403),
    ErrorReason.MODEL_DISABLED: (StatusCode.PERMISSION_DENIED, 403),
    ErrorReason.PERMISSION_DENIED: (StatusCode.PERMISSION_DENIED, 403),
    ErrorReason.TICKET_INVALID: (StatusCode.PERMISSION_DENIED, 403),
    ErrorReason.INSUFFICIENT_FUNDS: (StatusCode.FAILED_PRECONDITION, 402),
    ErrorReason.RATE_LIMITED: (StatusCode.RESOURCE_EXHAUSTED, 429),
    ErrorReason.TOO_MANY_JOBS: (StatusCode.RESOURCE_EXHAUSTED, 429),
    ErrorReason.DAILY_QUOTA_EXCEEDED: (StatusCode.RESOURCE_EXHAUSTED, 429),
    ErrorReason.QUEUE_FULL: (StatusCode.RESOURCE_EXHAUSTED, 503),
    ErrorReason.STORAGE_FULL: (StatusCode.RESOURCE_EXHAUSTED, 503),
    ErrorReason.JOB_NOT_FOUND: (StatusCode.NOT_FOUND, 404),
    ErrorReason.ASSET_NOT_FOUND: (StatusCode.NOT_FOUND, 404),
    ErrorReason.CLIENT_NOT_FOUND: (StatusCode.NOT_FOUND, 404),
    ErrorReason.HOLD_NOT_FOUND: (StatusCode.NOT_FOUND, 404),
    ErrorReason.NOT_FOUND: (StatusCode.NOT_FOUND, 404),
    ErrorReason.IDEMPOTENCY_KEY_REUSED: (StatusCode.ALREADY_EXISTS, 409),
    ErrorReason.REQUEST_ID_REUSED: (StatusCode.ALREADY_EXISTS, 409),
    ErrorReason.JOB_ALREADY_FINISHED: (StatusCode.FAILED_PRECONDITION, 409),
    ErrorReason.HOLD_ALREADY_RESOLVED: (StatusCode.FAILED_PRECONDITION, 409),
    ErrorReason.LEASE_LOST: (StatusCode.FAILED_PRECONDITION, 409),  # Nothing to redo: somebody else does it.
    ErrorReason.JOB_FENCED: (StatusCode.ABORTED, 409),
    ErrorReason.PROVIDER_FAILED: (StatusCode.ABORTED, 502),
    ErrorReason.PROVIDER_MODERATED: (StatusCode.FAILED_PRECONDITION, 400),
    ErrorReason.PROVIDER_TIMEOUT: (StatusCode.ABORTED, 504),
    ErrorReason.PROVIDER_RESULT_INVALID: (StatusCode.ABORTED, 502),
    ErrorReason.PROVIDER_UNAVAILABLE: (StatusCode.FAILED_PRECONDITION, 503),  # An operator must act first.
    ErrorReason.PROVIDER_REJECTED: (StatusCode.FAILED_PRECONDITION, 400),
    ErrorReason.JOB_EXPIRED: (StatusCode.ABORTED, 504),
    ErrorReason.JOB_CANCELLED: (StatusCode.FAILED_PRECONDITION, 409),
}

#: What a bare gRPC status (transport failures, foreign servers) means when no reason came with it.
REASONS_OF_BARE_STATUS: Final[dict[StatusCode, ErrorReason]] = {
    # A cancel of our own is a CancelledError. This one is the service's, which is stopping: to whoever waits for us it
    # must not look like their own.
    StatusCode.CANCELLED: ErrorReason.DEPENDENCY_UNAVAILABLE,
    StatusCode.INVALID_ARGUMENT: ErrorReason.INVALID_ARGUMENT,
    StatusCode.OUT_OF_RANGE: ErrorReason.INVALID_ARGUMENT,
    StatusCode.DEADLINE_EXCEEDED: ErrorReason.DEADLINE_EXCEEDED,
    StatusCode.NOT_FOUND: ErrorReason.NOT_FOUND,
    StatusCode.ALREADY_EXISTS: ErrorReason.REQUEST_ID_REUSED,
    StatusCode.PERMISSION_DENIED: ErrorReason.PERMISSION_DENIED,
    StatusCode.UNAUTHENTICATED: ErrorReason.PERMISSION_DENIED,
    StatusCode.RESOURCE_EXHAUSTED: ErrorReason.BODY_TOO_LARGE,  # gRPC's word for a message above its limit.
    StatusCode.FAILED_PRECONDITION: ErrorReason.CONFLICT,
    StatusCode.ABORTED: ErrorReason.CONFLICT,
    StatusCode.UNIMPLEMENTED: ErrorReason.UNIMPLEMENTED,
    StatusCode.UNAVAILABLE: ErrorReason.DEPENDENCY_UNAVAILABLE,
    StatusCode.INTERNAL: ErrorReason.INTERNAL,
    StatusCode.UNKNOWN: ErrorReason.INTERNAL,
    StatusCode.DATA_LOSS: ErrorReason.INTERNAL,
}


def grpc_status(reason: ErrorReason) -> StatusCode:
    """Return the gRPC status that carries this reason."""
    return STATUSES[reason][0]


def http_status(reason: ErrorReason) -> int:
    """Return the HTTP status that carries this reason, unless a public contract says another."""
    return STATUSES[reason][1]
