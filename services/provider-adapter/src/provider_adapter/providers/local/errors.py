"""How a job on the local engine ends when it does not end well."""


class EngineError(Exception):
    """The engine could not finish the job."""


class EngineCrashed(EngineError):
    """The worker ended, or the operation failed by a fault of ours; another attempt may succeed."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail  #: Where it failed, for the operator's log; never for the client.


class EngineOutOfMemory(EngineCrashed):
    """The job needed more memory than a worker may have."""


class EngineTimeout(EngineError):
    """The job was stopped at its time limit."""


class EngineClosed(EngineError):
    """The pool is closed, or was closed while the job waited or ran."""


class OperationRefused(EngineError):
    """The operation cannot be done on these inputs and parameters; trying again will not help."""

    def __init__(self, reason: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason  #: A word of imageops.RefusalReason, or `unknown_operation`.
        self.message = message  #: One sentence, fit for the client.
        self.field = field  #: The parameter or input at fault (`scale`, `inputs[0]`), where there is one.
