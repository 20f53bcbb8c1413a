"""A leased job, its routes and attempts, and how the work on it ends: plain values, no I/O."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from kit.errors import ErrorReason

OUTPUTS_MAX: Final = 32  # What a report may carry; the largest contract asks for six and its by-products.

_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # The alphabet of all ids of the house.
_ID_CHARS: Final = 26


class Outcome(IntEnum):
    """How an attempt ended; the numbers are those of `atelier.jobs.v1.AttemptOutcome`."""

    NONE = 0  #: Not ended, or ended unreported with its worker.
    SUCCEEDED = 1
    UNSENT = 2  #: The provider was never reached: another try costs nothing.
    RETRYABLE = 3  #: Another try may cure it.
    ROUTE_FAILED = 4  #: This route will not do it, another one may.
    FAILED = 5  #: No route will do it.
    CANCELLED = 6
    UNKNOWN = 7  #: The provider may or may not have taken it: never repeat blindly.
    DEFERRED = 8  #: Nothing was begun and the route is not to blame: refused for the moment (429), or never sent by a
    #: worker that died. Another try costs nothing and does not count.


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why there is no result. The message is for people and never a provider's own text."""

    reason: ErrorReason
    message: str
    field: str = ""  #: The parameter or input at fault ("scale", "inputs[0]"); empty when it is none.


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An attempt, or the work before one, ended without a result."""

    outcome: Outcome
    failure: Failure
    retry_after_s: float | None = None  #: Do not try again sooner; None for the orchestrator's own back-off.
    cost_fen: int = 0  #: What the provider says it cost all the same, in 1/100 yuan.

    def __post_init__(self) -> None:
        assert self.outcome not in (Outcome.NONE, Outcome.SUCCEEDED), "a failure has another outcome"

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        reason: ErrorReason,
        message: str,
        *,
        field: str = "",
        retry_after_s: float | None = None,
        cost_fen: int = 0,
    ) -> "Failed":
        """Build one in a line."""
        failure = Failure(reason=reason, message=message, field=field)
        return cls(outcome=outcome, failure=failure, retry_after_s=retry_after_s, cost_fen=cost_fen)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredOutput:
    """One result as the asset store has it, verified."""

    asset_id: str
    role: str
    sha256: str
    size_bytes: int
    mime_type: str
    width: int
    height: int
    extra: bool = False  #: A by-product that the price does not count.


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """Everything is stored."""

    outputs: Sequence[StoredOutput]
    cost_fen: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)  #: Texts besides the outputs.


#: What is reported of an attempt.
Ending = Succeeded | Failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One way to make the result, frozen when the job was accepted."""

    provider: str
    upstream_model: str
    parameters: Mapping[str, Any]
    weight: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One input: an asset of the job's client, or an outside URL. Exactly one of the two is set."""

    role: str
    asset_id: str = ""
    url: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try of this lease or a former one, as the journal has it."""

    id: str
    route: int
    provider: str
    upstream_task_id: str = ""
    repeatable: bool = False
    finished: bool = False
    outcome: Outcome = Outcome.NONE
    failure: Failure | None = None

    @property
    def open(self) -> bool:
        """Whether the provider may be at work on it, so that it is resumed or looked up, never repeated."""
        return not self.finished and (self.upstream_task_id != "" or not self.repeatable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be made, for whom, until when."""

    id: str
    client_id: str
    capability: str
    deadline_ms: int | None  #: Unix milliseconds; None where there is none.
    retention_s: int = 0  #: How long outputs are kept; 0 means for good.
    inputs: Sequence[Input] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A job in this worker's hands; every write about it carries the epoch."""

    job: Job
    epoch: int
    routes: Sequence[Route] = ()  #: In the order to try them.
    attempts: Sequence[Attempt] = field(default=())  #: Of former leases, oldest first.


def output_asset_id(job_id: str, epoch: int, index: int) -> str:
    """The id of an output's asset: a second upload of the same lease finds the first one."""
    return _asset_id(f"output\n{job_id}\n{epoch}\n{index}")


def input_asset_id(job_id: str, index: int) -> str:
    """The id of a fetched input's asset: every attempt at the job gets the very same bytes."""
    return _asset_id(f"input\n{job_id}\n{index}")


def seed_of(job_id: str) -> int:
    """A seed of 32 bits for a job that names none, so that a second attempt makes the same picture."""
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:4], "big")


def _asset_id(text: str) -> str:
    value = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return "asset_" + "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(_ID_CHARS)))
