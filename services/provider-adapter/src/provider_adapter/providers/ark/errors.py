"""Ark's error codes and the classes of trouble they are; the same codes come with a status and inside a failed task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provider_adapter.ports import Source
from provider_adapter.providers.remote.provider import trouble_of_status
from provider_adapter.providers.remote.trouble import Trouble

#: A code with suffixes (`InvalidParameter.UnsupportedParameter`) is looked up whole first, then without the last one.
CODES: Final[Mapping[str, Trouble]] = {
    "MissingParameter": Trouble.INVALID,
    "InvalidParameter": Trouble.INVALID,
    "InvalidImageURL": Trouble.INVALID,
    "InputTextSensitiveContentDetected": Trouble.INPUT_MODERATED,
    "InputImageSensitiveContentDetected": Trouble.INPUT_MODERATED,
    "InputVideoSensitiveContentDetected": Trouble.INPUT_MODERATED,
    "InputAudioSensitiveContentDetected": Trouble.INPUT_MODERATED,
    "InputTextRiskDetection": Trouble.INPUT_MODERATED,
    "InputImageRiskDetection": Trouble.INPUT_MODERATED,
    "SensitiveContentDetected": Trouble.INPUT_MODERATED,
    "OutputTextRiskDetection": Trouble.INPUT_MODERATED,  # Of the output, but said to come back: not to be repeated.
    "OutputTextSensitiveContentDetected": Trouble.OUTPUT_MODERATED,
    "OutputImageSensitiveContentDetected": Trouble.OUTPUT_MODERATED,
    "OutputVideoSensitiveContentDetected": Trouble.OUTPUT_MODERATED,
    "ContentSecurityDetectionError": Trouble.UNAVAILABLE,
    "AuthenticationError": Trouble.ACCOUNT,
    "InvalidAccountStatus": Trouble.ACCOUNT,
    "AccessDenied": Trouble.ACCOUNT,
    "OperationDenied": Trouble.ACCOUNT,
    "AccountOverdueError": Trouble.ACCOUNT,
    "InvalidEndpointOrModel": Trouble.ACCOUNT,  # The route names a model that this account has not got.
    "ModelNotOpen": Trouble.ACCOUNT,
    "NotFound": Trouble.INVALID,  # Of a submit; of a question it is the task.
    "RateLimitExceeded": Trouble.THROTTLED,
    "ModelAccountRpmRateLimitExceeded": Trouble.THROTTLED,
    "ModelAccountTpmRateLimitExceeded": Trouble.THROTTLED,
    "ModelAccountIpmRateLimitExceeded": Trouble.THROTTLED,
    "APIAccountRpmRateLimitExceeded": Trouble.THROTTLED,
    "AccountRateLimitExceeded": Trouble.THROTTLED,
    "RequestBurstTooFast": Trouble.THROTTLED,
    "ServerOverloaded": Trouble.THROTTLED,
    "InflightBatchsizeExceeded": Trouble.THROTTLED,
    # A full queue, or a free quota that is used up; nothing tells which. Waiting costs nothing, giving up a full
    # queue's jobs does.
    "QuotaExceeded": Trouble.THROTTLED,
    "SetLimitExceeded": Trouble.ACCOUNT,
    "InternalServiceError": Trouble.UNAVAILABLE,
}

#: What hinders a submit breaks a task that was taken: it is over, and nobody works on it any more.
_OF_TASK: Final = {Trouble.UNAVAILABLE: Trouble.BROKEN, Trouble.THROTTLED: Trouble.BROKEN}

#: The input that a code is about, by its media type; the prompt is no input.
_ABOUT: Final = {"InputImage": "image/", "InvalidImageURL": "image/", "InputVideo": "video/", "InputAudio": "audio/"}


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """An `error` object."""

    code: str
    message: str  #: Theirs: for the log alone.

    @classmethod
    def find(cls, holder: object) -> "Complaint | None":
        """The one in a reply, a task or an item; None where there is none with a code."""
        error = holder.get("error") if isinstance(holder, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        return cls(code=code, message=_text(error)) if isinstance(code, str) and code else None


def trouble_of_submit(status: int, complaint: Complaint | None) -> Trouble:
    """What a submit's error is. A 5xx is judged by its status: it may be a gateway's, and the work may go on."""
    by_status = trouble_of_status(status)
    if complaint is None or (status >= 500 or status == 408):
        return by_status
    return _known(complaint.code) or (Trouble.UNUSABLE if status < 400 else by_status)


def trouble_of_task(complaint: Complaint | None) -> Trouble:
    """What the error of a failed task, or of a picture that failed, is."""
    trouble = _known(complaint.code) if complaint else None
    return _OF_TASK.get(trouble, trouble) if trouble else Trouble.BROKEN


def field_of(code: str, sources: Sequence[Source]) -> str:
    """The parameter or input that a code is about; "" where it does not tell."""
    if code.startswith("InputText"):
        return "prompt"
    for beginning, media in _ABOUT.items():
        if code.startswith(beginning):
            meant = [source.field for source in sources if source.mime_type.startswith(media)]
            return meant[0] if len(meant) == 1 else ""
    return ""


def _known(code: str) -> Trouble | None:
    while code:
        if code in CODES:
            return CODES[code]
        code = code.rpartition(".")[0]
    return None


def _text(error: Any) -> str:
    return f"{error.get('message', '')} [{error.get('param') or ''}]"
