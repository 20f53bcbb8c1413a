"""`AppError` ↔ the rich status of gRPC: ErrorInfo (reason, facts), BadRequest (field), RetryInfo (when to come back).

Only a status that carries our own ErrorInfo speaks with its own words. Everything else (transport failures, foreign
servers, gRPC's own refusals) is translated by its status code and says our default sentence, so no vendor's text leaks.
"""

from typing import Final

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError

from kit.error_reason import REASONS_OF_BARE_STATUS
from kit.errors import AppError, ErrorReason, grpc_status
from kit.rpc.metadata import STATUS_KEY

DOMAIN: Final = "atelier"
METADATA_ENTRIES_MAX: Final = 16  # With the lengths of `kit.errors` a status stays far below a trailer's limit.

_TYPE_PREFIX: Final = "type.googleapis.com/"


def to_trailer(error: AppError) -> tuple[str, bytes]:
    """Return the trailing metadata that carries `error` whole."""
    status = status_pb2.Status(code=grpc_status(error.reason).value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN)
    for name, value in list(error.metadata.items())[:METADATA_ENTRIES_MAX]:
        info.metadata[name] = value
    status.details.append(_packed(info))
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        status.details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        status.details.append(_packed(retry))
    return STATUS_KEY, status.SerializeToString()


def from_rpc_error(error: AioRpcError) -> AppError:
    """Return the `AppError` a failed call stands for."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_KEY and isinstance(value, bytes):
            ours = _from_status(value)
            if ours is not None:
                return ours
    return AppError.of(REASONS_OF_BARE_STATUS.get(error.code(), ErrorReason.INTERNAL))


def _from_status(data: bytes) -> AppError | None:
    info: error_details_pb2.ErrorInfo | None = None
    field: str | None = None
    retry_after_s: float | None = None
    try:
        status = status_pb2.Status.FromString(data)
        for detail in status.details:
            name = detail.type_url.rpartition("/")[2]
            if name == "google.rpc.ErrorInfo":
                info = error_details_pb2.ErrorInfo.FromString(detail.value)
            elif name == "google.rpc.BadRequest":
                violations = error_details_pb2.BadRequest.FromString(detail.value).field_violations
                field = violations[0].field if violations else None
            elif name == "google.rpc.RetryInfo":
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                retry_after_s = delay.ToNanoseconds() / 1e9
    except DecodeError:
        return None
    if info is None or info.domain != DOMAIN:
        return None
    return AppError.of(
        _known(info.reason, status.code),
        status.message,
        field=field,
        retry_after_s=retry_after_s,
        metadata=info.metadata,
    )


def _known(reason: str, code: int) -> ErrorReason:
    """Return the reason, or for a word newer than this process what its status code means."""
    try:
        return ErrorReason(reason)
    except ValueError:
        for status, meaning in REASONS_OF_BARE_STATUS.items():
            if status.value[0] == code:
                return meaning
        return ErrorReason.INTERNAL


def _packed(
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    return any_pb2.Any(type_url=_TYPE_PREFIX + detail.DESCRIPTOR.full_name, value=detail.SerializeToString())
