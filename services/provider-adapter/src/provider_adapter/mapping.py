"""Proto to domain and back, nowhere else."""

import time
from datetime import timedelta
from typing import Final

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from atelier.assets.v1 import asset_pb2
from atelier.common.v1 import error_reason_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import lease_service_pb2 as lease_pb2
from atelier.providers.v1 import provider_service_pb2 as provider_pb2
from kit.errors import MESSAGE_CHARS_MAX, ErrorReason
from provider_adapter.domain import (
    Attempt,
    Ending,
    Failed,
    Failure,
    Input,
    Job,
    Lease,
    Outcome,
    Route,
    StoredOutput,
)
from provider_adapter.ports import AssetFacts
from provider_adapter.usecases.breaker import BreakerState
from provider_adapter.usecases.roster import Known, Roster

FIELD_CHARS_MAX: Final = 128  # Of a failure's field, in the contract.
_PREFIX: Final = "ERROR_REASON_"
_BREAKERS: Final = {
    BreakerState.CLOSED: provider_pb2.BREAKER_STATE_CLOSED,
    BreakerState.OPEN: provider_pb2.BREAKER_STATE_OPEN,
    BreakerState.HALF_OPEN: provider_pb2.BREAKER_STATE_HALF_OPEN,
}
_REASONS: Final = {int(error_reason_pb2.ErrorReason.Value(_PREFIX + each.value)): each for each in ErrorReason}


def to_lease(message: lease_pb2.Lease) -> Lease:
    """A lease as it was handed out. Raises ValueError for parameters that are no JSON object."""
    return Lease(
        job=_to_job(message.job),
        epoch=message.epoch,
        routes=tuple(_to_route(each) for each in message.routes),
        attempts=tuple(_to_attempt(each) for each in message.attempts),
    )


def _to_job(message: job_pb2.Job) -> Job:
    return Job(
        id=message.id,
        client_id=message.client_id,
        capability=message.capability,
        deadline_ms=_to_ms(message.deadline) if message.HasField("deadline") else None,
        retention_s=message.retention.seconds if message.HasField("retention") else 0,
        inputs=tuple(
            Input(role=each.role, asset_id=each.asset_id, url=each.url, label=each.label) for each in message.inputs
        ),
    )


def _to_route(message: job_pb2.Route) -> Route:
    parameters = orjson.loads(message.parameters_json or "{}")
    if not isinstance(parameters, dict):
        raise ValueError("the parameters of a route are a JSON object")
    return Route(
        provider=message.provider,
        upstream_model=message.upstream_model,
        parameters=parameters,
        weight=message.weight,
    )


def _to_attempt(message: attempt_pb2.Attempt) -> Attempt:
    return Attempt(
        id=message.id,
        route=message.route,
        provider=message.provider,
        upstream_task_id=message.upstream_task_id,
        repeatable=message.repeatable,
        finished=message.state == attempt_pb2.ATTEMPT_STATE_FINISHED,
        outcome=_to_outcome(message.outcome),
        failure=_to_failure(message.failure) if message.HasField("failure") else None,
    )


def _to_outcome(number: int) -> Outcome:
    try:
        return Outcome(number)
    except ValueError:  # A word newer than this process; whether the attempt has ended is told by its state.
        return Outcome.NONE


def _to_failure(message: job_pb2.Failure) -> Failure:
    reason = _REASONS.get(int(message.reason), ErrorReason.PROVIDER_FAILED)  # A word may be newer than this process.
    return Failure(reason=reason, message=message.message, field=message.field)


def to_finish_request(lease: Lease, attempt_id: str, ending: Ending) -> lease_pb2.FinishAttemptRequest:
    """What is reported of an attempt."""
    failed = ending if isinstance(ending, Failed) else None
    return lease_pb2.FinishAttemptRequest(
        job_id=lease.job.id,
        epoch=lease.epoch,
        attempt_id=attempt_id,
        outcome="ATTEMPT_OUTCOME_" + (failed.outcome if failed else Outcome.SUCCEEDED).name,
        outputs=[] if isinstance(ending, Failed) else [_from_output(each) for each in ending.outputs],
        notes={} if isinstance(ending, Failed) else ending.notes,
        failure=_from_failure(failed.failure) if failed else None,
        provider_cost_fen=ending.cost_fen,
        retry_after=to_duration(failed.retry_after_s) if failed and failed.retry_after_s is not None else None,
    )


def _from_failure(failure: Failure) -> job_pb2.Failure:
    return job_pb2.Failure(
        reason=_PREFIX + failure.reason.value,
        message=failure.message[:MESSAGE_CHARS_MAX],
        field=failure.field[:FIELD_CHARS_MAX],
    )


def _from_output(output: StoredOutput) -> job_pb2.Output:
    return job_pb2.Output(
        asset_id=output.asset_id,
        role=output.role,
        sha256=output.sha256,
        size_bytes=output.size_bytes,
        mime_type=output.mime_type,
        width=output.width,
        height=output.height,
        extra=output.extra,
    )


def to_facts(message: asset_pb2.Asset) -> AssetFacts:
    """An asset's record, as far as the work needs it."""
    return AssetFacts(
        id=message.id,
        mime_type=message.mime_type,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
        width=message.width,
        height=message.height,
    )


def to_duration(seconds: float) -> Duration:
    """A length of time, to the millisecond."""
    duration = Duration()
    duration.FromTimedelta(timedelta(milliseconds=round(seconds * 1000)))
    return duration


def from_roster(roster: Roster) -> list[provider_pb2.Provider]:
    """The providers as this adapter sees them, by name."""
    return [_from_known(known, roster) for known in roster.known]


def _from_known(known: Known, roster: Roster) -> provider_pb2.Provider:
    member = roster.find(known.name)
    state, wait_s = member.breaker if member else (BreakerState.CLOSED, 0.0)
    return provider_pb2.Provider(
        name=known.name,
        capabilities=sorted(known.capabilities),
        configured=member is not None,
        breaker=_BREAKERS[state],
        running=member.gate.running if member else 0,
        running_max=member.gate.running_max if member else 0,
        retry_time=_from_now(wait_s) if state is BreakerState.OPEN else None,
    )


def _from_now(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromMilliseconds(round((time.time() + seconds) * 1000))
    return moment


def _to_ms(moment: Timestamp) -> int:
    return int(moment.seconds) * 1000 + int(moment.nanos) // 1_000_000
