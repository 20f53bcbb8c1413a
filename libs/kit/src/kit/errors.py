"""The one error type of the house: it crosses gRPC whole and becomes a status at the edge.

`AppError` has one subclass a reason. The subclass' docstring is its default message, so it is written for
the caller; facts go into the metadata, never secrets, never a vendor's text.
"""

import inspect
from collections.abc import Mapping
from typing import ClassVar, Final

from kit.error_reason import ErrorReason, grpc_status, http_status

__all__ = ["MESSAGE_CHARS_MAX", "AppError", "ErrorReason", "grpc_status", "http_status"]

MESSAGE_CHARS_MAX: Final = (
    500  # The message travels in HTTP/2 trailers, percent-encoded: 9 bytes for a Chinese character.
)
METADATA_CHARS_MAX: Final = 200  # The same trailers; ids, numbers and names are shorter.

_CLASSES: dict[ErrorReason, "type[AppError]"] = {}


class AppError(Exception):
    """Something unexpected went wrong."""

    reason: ClassVar[ErrorReason] = ErrorReason.INTERNAL
    default_message: ClassVar[str] = "Something unexpected went wrong."

    def __init_subclass__(cls, *, reason: ErrorReason | None = None) -> None:
        """Bind a subclass to its reason; one without `reason` (a service's own) inherits its parent's."""
        super().__init_subclass__()
        cls.default_message = inspect.cleandoc(cls.__doc__) if cls.__doc__ else cls.default_message
        if reason is not None:
            cls.reason = reason
            _CLASSES.setdefault(reason, cls)

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        **metadata: str | int,
    ) -> None:
        """Keep the facts of one failure.

        `field` is the path of the request field to blame, `retry_after_s` the seconds to wait before trying
        again, `metadata` facts for the caller (numbers are kept as decimal text, as they travel).
        """
        self.message = (message or self.default_message)[:MESSAGE_CHARS_MAX]
        self.field = field
        self.retry_after_s = retry_after_s
        self.metadata: dict[str, str] = {name: str(value)[:METADATA_CHARS_MAX] for name, value in metadata.items()}
        super().__init__(self.message)

    @staticmethod
    def of(
        reason: ErrorReason,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        metadata: Mapping[str, str | int] | None = None,
    ) -> "AppError":
        """Build the error class of a reason that is only known at run time."""
        error = _CLASSES[reason](message, field=field, retry_after_s=retry_after_s)
        for name, value in (metadata or {}).items():
            error.metadata[name] = str(value)[:METADATA_CHARS_MAX]
        return error

    def __repr__(self) -> str:
        facts = "".join(f", {name}={value!r}" for name, value in self.metadata.items())
        return f"{type(self).__name__}({self.message!r}, field={self.field!r}{facts})"

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error come back whole from a process pool."""
        return _rebuild, (type(self), self.message, self.field, self.retry_after_s, self.metadata)


def _rebuild(
    kind: type[AppError],
    message: str,
    field: str | None,
    retry_after_s: float | None,
    metadata: dict[str, str],
) -> AppError:
    error = kind(message, field=field, retry_after_s=retry_after_s)
    error.metadata.update(metadata)
    return error


class Internal(AppError, reason=ErrorReason.INTERNAL):
    """Something unexpected went wrong."""


class Unimplemented(AppError, reason=ErrorReason.UNIMPLEMENTED):
    """This is part of the contract but not built yet."""


class DependencyUnavailable(AppError, reason=ErrorReason.DEPENDENCY_UNAVAILABLE):
    """A service this one needs did not answer; the same call may be tried again."""


class DeadlineExceeded(AppError, reason=ErrorReason.DEADLINE_EXCEEDED):
    """The deadline of the call passed before the work was done."""


class NotServing(AppError, reason=ErrorReason.NOT_SERVING):
    """The service is shutting down or not ready yet."""


class Cancelled(AppError, reason=ErrorReason.CANCELLED):
    """The caller went away."""


class Conflict(AppError, reason=ErrorReason.CONFLICT):
    """A concurrent change won; redo the whole operation."""


class InvalidArgument(AppError, reason=ErrorReason.INVALID_ARGUMENT):
    """A field of the request is wrong."""


class BodyTooLarge(AppError, reason=ErrorReason.BODY_TOO_LARGE):
    """The request or a part of it is larger than its limit."""


class InputUnsupported(AppError, reason=ErrorReason.INPUT_UNSUPPORTED):
    """The input is not a picture we accept, or cannot be decoded."""


class InputTooLarge(AppError, reason=ErrorReason.INPUT_TOO_LARGE):
    """The picture has too many pixels, frames or bytes."""


class InputFetchRefused(AppError, reason=ErrorReason.INPUT_FETCH_REFUSED):
    """The URL may not be fetched, or could not be."""


class ModelUnknown(AppError, reason=ErrorReason.MODEL_UNKNOWN):
    """The model or capability does not exist."""


class ContentModerated(AppError, reason=ErrorReason.CONTENT_MODERATED):
    """The text or picture was refused by moderation before any work."""


class CostAboveMax(AppError, reason=ErrorReason.COST_ABOVE_MAX):
    """The price is above the highest cost the request allows."""


class QuoteInvalid(AppError, reason=ErrorReason.QUOTE_INVALID):
    """The quote is unknown, expired, or for another request."""


class PageTokenInvalid(AppError, reason=ErrorReason.PAGE_TOKEN_INVALID):
    """The page token was not made here, or for another query."""


class CredentialMissing(AppError, reason=ErrorReason.CREDENTIAL_MISSING):
    """No credential was sent."""


class CredentialInvalid(AppError, reason=ErrorReason.CREDENTIAL_INVALID):
    """The credential is unknown, malformed or its signature does not match."""


class CredentialExpired(AppError, reason=ErrorReason.CREDENTIAL_EXPIRED):
    """The credential has expired."""


class ClientDisabled(AppError, reason=ErrorReason.CLIENT_DISABLED):
    """The client is switched off."""


class IpNotAllowed(AppError, reason=ErrorReason.IP_NOT_ALLOWED):
    """The address of the caller is not on the client's allow-list."""


class ModelNotGranted(AppError, reason=ErrorReason.MODEL_NOT_GRANTED):
    """The client was not granted this model."""


class ModelDisabled(AppError, reason=ErrorReason.MODEL_DISABLED):
    """The model is switched off."""


class PermissionDenied(AppError, reason=ErrorReason.PERMISSION_DENIED):
    """The calling service may not use this RPC."""


class TicketInvalid(AppError, reason=ErrorReason.TICKET_INVALID):
    """The ticket for bytes is forged, expired or for something else."""


class InsufficientFunds(AppError, reason=ErrorReason.INSUFFICIENT_FUNDS):
    """The client cannot cover the price in any of its units."""


class RateLimited(AppError, reason=ErrorReason.RATE_LIMITED):
    """Too many requests."""


class TooManyJobs(AppError, reason=ErrorReason.TOO_MANY_JOBS):
    """Too many jobs of this client are unfinished."""


class DailyQuotaExceeded(AppError, reason=ErrorReason.DAILY_QUOTA_EXCEEDED):
    """The client's quota for today is used up."""


class QueueFull(AppError, reason=ErrorReason.QUEUE_FULL):
    """The queue is full; come back later."""


class StorageFull(AppError, reason=ErrorReason.STORAGE_FULL):
    """No space is left for bytes or rows; come back later."""


class JobNotFound(AppError, reason=ErrorReason.JOB_NOT_FOUND):
    """No such job."""


class AssetNotFound(AppError, reason=ErrorReason.ASSET_NOT_FOUND):
    """No such asset."""


class ClientNotFound(AppError, reason=ErrorReason.CLIENT_NOT_FOUND):
    """No such client."""


class HoldNotFound(AppError, reason=ErrorReason.HOLD_NOT_FOUND):
    """No such hold."""


class NotFound(AppError, reason=ErrorReason.NOT_FOUND):
    """Nothing of that name exists."""


class IdempotencyKeyReused(AppError, reason=ErrorReason.IDEMPOTENCY_KEY_REUSED):
    """The Idempotency-Key was used with another request body."""


class RequestIdReused(AppError, reason=ErrorReason.REQUEST_ID_REUSED):
    """The same id was used before with other content."""


class JobAlreadyFinished(AppError, reason=ErrorReason.JOB_ALREADY_FINISHED):
    """The job is in a terminal state already."""


class HoldAlreadyResolved(AppError, reason=ErrorReason.HOLD_ALREADY_RESOLVED):
    """The hold was captured, released or timed out already."""


class LeaseLost(AppError, reason=ErrorReason.LEASE_LOST):
    """The lease was taken over or is over: drop the work."""


class JobFenced(AppError, reason=ErrorReason.JOB_FENCED):
    """The job id was fenced before the job was committed: make a new id."""


class ProviderFailed(AppError, reason=ErrorReason.PROVIDER_FAILED):
    """The provider failed, and every allowed attempt with it."""


class ProviderModerated(AppError, reason=ErrorReason.PROVIDER_MODERATED):
    """The provider refused the content."""


class ProviderTimeout(AppError, reason=ErrorReason.PROVIDER_TIMEOUT):
    """The provider did not finish in time."""


class ProviderResultInvalid(AppError, reason=ErrorReason.PROVIDER_RESULT_INVALID):
    """The provider answered something that is not a usable result."""


class ProviderUnavailable(AppError, reason=ErrorReason.PROVIDER_UNAVAILABLE):
    """No provider of the model's routes is configured or healthy."""


class ProviderRejected(AppError, reason=ErrorReason.PROVIDER_REJECTED):
    """The provider cannot do what was asked with these parameters or inputs."""


class JobExpired(AppError, reason=ErrorReason.JOB_EXPIRED):
    """The deadline of the job passed."""


class JobCancelled(AppError, reason=ErrorReason.JOB_CANCELLED):
    """The job was cancelled."""
