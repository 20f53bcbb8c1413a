"""Leases, attempts and how they end."""

from atelier.common.v1 import error_reason_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2, lease_service_pb2
from job_orchestrator.domain.attempt import Attempt, AttemptOutcome
from job_orchestrator.domain.order import Failure, Output
from job_orchestrator.mapping.job import (
    number,
    to_failure_proto,
    to_job_proto,
    to_route_proto,
    to_seconds,
    to_timestamp,
)
from job_orchestrator.usecases.finish import Finish
from job_orchestrator.usecases.lease import Lease
from kit.errors import ErrorReason, InvalidArgument


def to_lease_proto(lease: Lease) -> lease_service_pb2.Lease:
    """Return a job in a worker's hands."""
    return lease_service_pb2.Lease(
        job=to_job_proto(lease.job),
        epoch=lease.job.epoch,
        expire_time=to_timestamp(lease.job.lease_expire_ms),
        routes=[to_route_proto(route) for route in lease.job.order.routes],
        attempts=[to_attempt_proto(attempt) for attempt in lease.attempts],
    )


def to_attempt_proto(attempt: Attempt) -> attempt_pb2.Attempt:
    """Return a row of the journal."""
    return attempt_pb2.Attempt(
        id=attempt.id,
        job_id=attempt.job_id,
        epoch=attempt.epoch,
        route=attempt.route,
        provider=attempt.provider,
        upstream_task_id=attempt.upstream_task_id,
        state=number(attempt.state),
        outcome=number(attempt.outcome),
        failure=None if attempt.failure is None else to_failure_proto(attempt.failure),
        repeatable=attempt.repeatable,
        provider_cost_fen=attempt.provider_cost_fen,
        begin_time=to_timestamp(attempt.begin_ms),
        finish_time=None if attempt.finish_ms is None else to_timestamp(attempt.finish_ms),
    )


def to_finish(request: lease_service_pb2.FinishAttemptRequest) -> Finish:
    """Return a worker's report. Raises InvalidArgument for a failure without a reason."""
    retry_after_ms = None
    if request.HasField("retry_after"):
        retry_after_ms = max(0, round(to_seconds(request.retry_after) * 1000))
    return Finish(
        job_id=request.job_id,
        epoch=request.epoch,
        attempt_id=request.attempt_id,
        outcome=AttemptOutcome(request.outcome),
        outputs=tuple(_to_output(output) for output in request.outputs),
        failure=_to_failure(request.failure) if request.HasField("failure") else None,
        provider_cost_fen=request.provider_cost_fen,
        retry_after_ms=retry_after_ms,
        notes=dict(request.notes),
    )


def _to_failure(failure: job_pb2.Failure) -> Failure:
    name = error_reason_pb2.ErrorReason.Name(failure.reason).removeprefix("ERROR_REASON_")
    if name == "UNSPECIFIED":
        raise InvalidArgument("failure.reason: required", field="failure.reason")
    return Failure(reason=ErrorReason(name), message=failure.message, field=failure.field)


def _to_output(output: job_pb2.Output) -> Output:
    return Output(
        asset_id=output.asset_id,
        role=output.role,
        sha256=output.sha256,
        size_bytes=output.size_bytes,
        mime_type=output.mime_type,
        width=output.width,
        height=output.height,
        extra=output.extra,
    )
