"""Why an operation says no: always about the caller's picture or parameters, never about our own faults."""

from enum import StrEnum


class RefusalReason(StrEnum):
    """The stable word a caller may branch on."""

    UNSUPPORTED_FORMAT = "unsupported_format"  #: Not a PNG, JPEG or WebP by its content.
    TOO_LARGE = "too_large"  #: More pixels or a longer side than we work on.
    ANIMATED = "animated"  #: More than one frame.
    DAMAGED = "damaged"  #: Cut short, or its data does not decode.
    INVALID_PARAMETER = "invalid_parameter"  #: Unknown, missing, of the wrong type or out of range.
    INVALID_INPUTS = "invalid_inputs"  #: Too few or too many pictures for the operation.
    NOTHING_FOUND = "nothing_found"  #: The picture has nothing that the operation works on, such as a face.
    UNSUPPORTED_INSTRUCTION = "unsupported_instruction"  #: The words ask for what the engine cannot do.


class Refused(Exception):
    """The operation cannot be done on what was given; repeating the call unchanged will not help."""

    def __init__(self, reason: RefusalReason, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message  #: One English sentence for the caller; quotes nothing from the file.
        self.field = field  #: The parameter or input at fault (`scale`, `inputs[0]`), where there is one.


class ImageRefused(Refused):
    """The bytes are not a picture we accept."""


class ParameterRefused(Refused):
    """A parameter is unknown, missing, of the wrong type or out of range."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(RefusalReason.INVALID_PARAMETER, message, field)
