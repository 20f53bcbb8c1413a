"""What the orchestrator says an ended job costs: read from its events and from its answers, by the same words."""

from collections.abc import Mapping
from typing import Final

from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.jobs.v1 import job_pb2
from billing.domain import JobEnd, Unit

UNIT_OF: Final[Mapping[int, Unit]] = {
    money_pb2.UNIT_POINTS: Unit.POINTS,
    money_pb2.UNIT_COUNT: Unit.COUNT,
    money_pb2.UNIT_FEN: Unit.FEN,
}


def to_charged(charge: job_pb2.Charge) -> tuple[int, Unit | None, JobEnd]:
    """Return (amount, its unit, how the job ended). Raises InvalidArgument for an end that cannot be stored."""
    end = JobEnd(
        outcome=_word(job_pb2.JobOutcome, charge.outcome, "JOB_OUTCOME_"),
        reason=_word(error_reason_pb2.ErrorReason, charge.reason, "ERROR_REASON_"),
        provider=charge.provider,
        provider_cost_fen=charge.provider_cost_fen if charge.HasField("provider_cost_fen") else None,
    )
    return charge.amount.value, UNIT_OF.get(charge.amount.unit), end


def _word(enum: type[job_pb2.JobOutcome] | type[error_reason_pb2.ErrorReason], number: int, prefix: str) -> str:
    """The lower-case word of an enum's number; empty for none, the number itself for one that is newer than we are."""
    if number == 0:
        return ""
    if number not in enum.values():
        return str(number)
    return enum.Name(number).removeprefix(prefix).lower()
