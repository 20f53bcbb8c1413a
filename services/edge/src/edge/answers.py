"""Reason → words, a table for each contract; the status comes from `kit.errors`.

Every dialect words a failure in its own way, and only here.
"""

import math
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from edge.replies import json_reply
from kit.errors import AppError, ErrorReason, http_status

#: The open contract's own sentences; a reason that is not here speaks with the error's message.
OPEN_MESSAGES: Final[Mapping[ErrorReason, str]] = {
    ErrorReason.CREDENTIAL_MISSING: "Missing API key.",
    ErrorReason.CREDENTIAL_INVALID: "Invalid API key.",
    ErrorReason.CREDENTIAL_EXPIRED: "The credential has expired.",
    ErrorReason.CLIENT_DISABLED: "This API client is disabled.",
    ErrorReason.IP_NOT_ALLOWED: "This address is not on the API client's allow-list.",
    ErrorReason.INSUFFICIENT_FUNDS: "Insufficient balance.",
    ErrorReason.RATE_LIMITED: "Too many requests.",
    ErrorReason.TOO_MANY_JOBS: "Too many unfinished jobs.",
    ErrorReason.JOB_NOT_FOUND: "Job not found.",
    ErrorReason.ASSET_NOT_FOUND: "Asset not found.",
    ErrorReason.NOT_FOUND: "Not found.",
    ErrorReason.IDEMPOTENCY_KEY_REUSED: "This Idempotency-Key was used with a different request body.",
    ErrorReason.JOB_ALREADY_FINISHED: "The job has already finished.",
    ErrorReason.MODEL_DISABLED: "This capability is not available.",
    ErrorReason.MODEL_NOT_GRANTED: "This capability is not granted to the API client.",
    ErrorReason.INPUT_FETCH_REFUSED: "The URL cannot be fetched.",
    ErrorReason.INTERNAL: "Internal server error.",
    ErrorReason.DEPENDENCY_UNAVAILABLE: "The service is temporarily unavailable.",
}


def open_error(error: AppError) -> Response:
    """The open contract's answer to a refusal: the sentence names the field where there is one."""
    message = OPEN_MESSAGES.get(error.reason, error.message)
    if error.field and error.field not in message:
        message = f"{error.field}: {message}"
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if http_status(error.reason) == 401:
        headers["www-authenticate"] = "Bearer"
    if incident := error.metadata.get("incident_id"):
        headers["x-incident-id"] = incident
    return json_reply({"error": message}, status=http_status(error.reason), headers=headers)
