"""A job and its events, as callers see them."""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.jobs.v1 import job_pb2, job_service_pb2
from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.job import Job
from job_orchestrator.domain.order import Amount, Failure, Input, Output, Price, PriceOption, Route
from kit.errors import ErrorReason


def to_job_proto(job: Job) -> job_pb2.Job:
    """Return the job as it stands."""
    order = job.order
    message = job_pb2.Job(
        id=order.job_id,
        client_id=order.client_id,
        external_id=order.external_id,
        contract=order.contract,
        model=order.model,
        capability=order.capability,
        state=number(job.state),
        reconciling=job.reconciling,
        parameters_json=order.parameters_json,
        inputs=[_to_input_proto(one) for one in order.inputs],
        outputs=[to_output_proto(output) for output in job.outputs],
        progress=job.progress,
        failure=None if job.failure is None else to_failure_proto(job.failure),
        price=to_price_proto(order.price),
        attempts=job.attempts,
        provider=job.provider,
        sequence=job.sequence,
        labels=order.labels,
        notes=job.notes,
        webhook_url=order.webhook_url,
        cancel_requested=job.cancel_ms is not None,
        create_time=to_timestamp(job.create_ms),
        start_time=None if job.start_ms is None else to_timestamp(job.start_ms),
        finish_time=None if job.finish_ms is None else to_timestamp(job.finish_ms),
        deadline=to_timestamp(job.deadline_ms),
        retention=None if order.retention_s is None else _to_duration(order.retention_s),
        refund_id=job.refund_id,
        outcome=number(job.outcome),
    )
    if job.held.unit:
        message.held.CopyFrom(_to_amount_proto(job.held))
        if job.state.terminal:
            message.charged.CopyFrom(_to_amount_proto(Amount(unit=job.held.unit, value=job.charged)))
    return message


def to_charge_proto(job: Job) -> job_pb2.Charge:
    """Return what an ended job costs."""
    assert job.state.terminal
    return job_pb2.Charge(
        outcome=number(job.outcome),
        amount=_to_amount_proto(Amount(unit=job.held.unit, value=job.charged)) if job.held.unit else None,
        reason=None if job.failure is None else to_reason_proto(job.failure.reason),
        provider=job.provider,
        provider_cost_fen=job.provider_cost_fen or None,
    )


def to_event_proto(event: JobEvent) -> job_service_pb2.JobEvent:
    """Return a row of the event log."""
    return job_service_pb2.JobEvent(
        position=event.position,
        sequence=event.job.sequence,
        job_id=event.job.id,
        kind=event.kind,
        state=number(event.job.state),
        progress=event.job.progress,
        time=to_timestamp(event.time_ms),
    )


def to_route_proto(route: Route) -> job_pb2.Route:
    """Return a route."""
    return job_pb2.Route(
        provider=route.provider,
        upstream_model=route.upstream_model,
        parameters_json=route.parameters_json,
        weight=route.weight,
    )


def to_output_proto(output: Output) -> job_pb2.Output:
    """Return a stored result."""
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


def to_price_proto(price: Price) -> money_pb2.Price:
    """Return a price."""
    return money_pb2.Price(
        options=[_to_option_proto(option) for option in price.options],
        outputs=price.outputs,
        catalog_version=price.catalog_version,
    )


def to_failure_proto(failure: Failure) -> job_pb2.Failure:
    """Return why a job has no result."""
    return job_pb2.Failure(reason=to_reason_proto(failure.reason), message=failure.message, field=failure.field)


def to_reason_proto(reason: ErrorReason) -> error_reason_pb2.ErrorReason:
    """Return the proto's number of a reason."""
    value: error_reason_pb2.ErrorReason = number(error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}"))
    return value


def number(value: int) -> Any:
    """Return an enum's number as the generated classes take it; their stubs know no plain numbers."""
    return int(value)


def to_timestamp(unix_ms: int) -> Timestamp:
    """Return a moment."""
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


def to_unix_ms(moment: Timestamp) -> int:
    """Return unix milliseconds, rounded down."""
    return int(moment.seconds) * 1000 + moment.nanos // 1_000_000


def to_seconds(duration: Duration) -> float:
    """Return seconds."""
    return float(duration.seconds) + duration.nanos / 1e9


def _to_amount_proto(amount: Amount) -> money_pb2.Amount:
    return money_pb2.Amount(unit=number(amount.unit), value=amount.value)


def _to_duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))


def _to_input_proto(one: Input) -> job_pb2.Input:
    if one.asset_id:
        return job_pb2.Input(role=one.role, asset_id=one.asset_id, label=one.label)
    return job_pb2.Input(role=one.role, url=one.url, label=one.label)


def _to_option_proto(option: PriceOption) -> money_pb2.PriceOption:
    return money_pb2.PriceOption(unit=number(option.unit), amount_per_output=option.amount_per_output)
