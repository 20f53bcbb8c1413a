"""Rows to domain and back."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import RowMapping

from job_orchestrator.domain.attempt import Attempt, AttemptOutcome, AttemptState
from job_orchestrator.domain.charge import Outcome
from job_orchestrator.domain.job import Job, JobState
from job_orchestrator.domain.order import (
    Amount,
    Failure,
    Input,
    Order,
    Output,
    Price,
    PriceOption,
    Route,
)
from kit.errors import ErrorReason

Columns = RowMapping | Mapping[str, Any]

# What a transition changes, with the value it has in a job just accepted: an event stores only what differs.
_STANDING_DEFAULTS: dict[str, Any] = {
    "state": int(JobState.QUEUED),
    "waiting": 1,
    "reconciling": 0,
    "outputs_json": None,
    "notes_json": None,
    "progress": 0,
    "progress_event_ms": 0,
    "failure_json": None,
    "attempts": 0,
    "provider": "",
    "provider_cost_fen": 0,
    "outcome": int(Outcome.NONE),
    "charged": 0,
    "sequence": 1,
    "cancel_ms": None,
    "start_ms": None,
    "finish_ms": None,
    "epoch": 0,
    "holder": "",
    "lease_expire_ms": 0,
    "not_before_ms": 0,
    "setbacks": 0,
    "ended_epoch": 0,
    "ended_outcome": 0,
}
STANDING_COLUMNS = tuple(_STANDING_DEFAULTS)


def order_row(job: Job) -> dict[str, Any]:
    """Return the columns that never change."""
    order = job.order
    return {
        "id": order.job_id,
        "client_id": order.client_id,
        "external_id": order.external_id or None,
        "contract": order.contract,
        "model": order.model,
        "capability": order.capability,
        "parameters_json": order.parameters_json,
        "inputs_json": dump(order.inputs),
        "routes_json": dump(order.routes),
        "pool": order.pool,
        "priority_rank": -order.priority,
        "price_json": dump(order.price),
        "charges_json": dump({Outcome(one).name.lower(): percent for one, percent in order.charges.items()}),
        "held_unit": job.held.unit,
        "held_value": job.held.value,
        "retention_ms": None if order.retention_s is None else round(order.retention_s * 1000),
        "forget_ms": job.forget_ms,
        "webhook_url": order.webhook_url,
        "labels_json": dump(order.labels),
        "fingerprint": order.fingerprint,
        "create_ms": job.create_ms,
        "deadline_ms": job.deadline_ms,
        "accept_position": job.accept_position,
    }


def standing_row(job: Job) -> dict[str, Any]:
    """Return the columns that a transition changes."""
    return {
        "state": int(job.state),
        "waiting": int(job.waiting),
        "reconciling": int(job.reconciling),
        "outputs_json": dump(job.outputs) if job.outputs else None,
        "notes_json": dump(dict(job.notes)) if job.notes else None,
        "progress": job.progress,
        "progress_event_ms": job.progress_event_ms,
        "failure_json": dump(job.failure) if job.failure else None,
        "attempts": job.attempts,
        "provider": job.provider,
        "provider_cost_fen": job.provider_cost_fen,
        "outcome": int(job.outcome),
        "charged": job.charged,
        "sequence": job.sequence,
        "cancel_ms": job.cancel_ms,
        "start_ms": job.start_ms,
        "finish_ms": job.finish_ms,
        "epoch": job.epoch,
        "holder": job.holder,
        "lease_expire_ms": job.lease_expire_ms,
        "not_before_ms": job.not_before_ms,
        "setbacks": job.setbacks,
        "ended_epoch": job.ended_epoch,
        "ended_outcome": int(job.ended_outcome),
    }


def standing_json(standing: Mapping[str, Any]) -> str:
    """Return what differs from a job just accepted."""
    return dump({name: value for name, value in standing.items() if value != _STANDING_DEFAULTS[name]})


def job_of(row: Columns) -> Job:
    """Return the job of a whole row of JOBS."""
    return _job(row, row)


def job_at_event(row: Columns) -> Job:
    """Return the job right after an event, of a row of JOBS joined with one of EVENTS."""
    return _job(row, _STANDING_DEFAULTS | orjson.loads(row["standing_json"]))


def _job(row: Columns, standing: Columns) -> Job:
    return Job(
        order=_order(row),
        held=Amount(unit=row["held_unit"], value=row["held_value"]),
        create_ms=row["create_ms"],
        deadline_ms=row["deadline_ms"],
        accept_position=row["accept_position"],
        state=JobState(standing["state"]),
        waiting=standing["waiting"] == 1,
        reconciling=standing["reconciling"] == 1,
        outputs=_outputs(standing["outputs_json"]),
        notes=orjson.loads(standing["notes_json"] or "{}"),
        progress=standing["progress"],
        progress_event_ms=standing["progress_event_ms"],
        failure=_failure(standing["failure_json"]),
        attempts=standing["attempts"],
        provider=standing["provider"],
        provider_cost_fen=standing["provider_cost_fen"],
        outcome=Outcome(standing["outcome"]),
        charged=standing["charged"],
        sequence=standing["sequence"],
        cancel_ms=standing["cancel_ms"],
        start_ms=standing["start_ms"],
        finish_ms=standing["finish_ms"],
        epoch=standing["epoch"],
        holder=standing["holder"],
        lease_expire_ms=standing["lease_expire_ms"],
        not_before_ms=standing["not_before_ms"],
        setbacks=standing["setbacks"],
        ended_epoch=standing["ended_epoch"],
        ended_outcome=AttemptOutcome(standing["ended_outcome"]),
    )


def _order(row: Columns) -> Order:
    retention_ms, forget_ms = row["retention_ms"], row["forget_ms"]
    return Order(
        job_id=row["id"],
        client_id=row["client_id"],
        external_id=row["external_id"] or "",
        contract=row["contract"],
        model=row["model"],
        capability=row["capability"],
        parameters_json=row["parameters_json"],
        inputs=tuple(Input(**value) for value in orjson.loads(row["inputs_json"])),
        routes=tuple(Route(**value) for value in orjson.loads(row["routes_json"])),
        pool=row["pool"],
        priority=-row["priority_rank"],
        price=_price(row["price_json"]),
        deadline_s=(row["deadline_ms"] - row["create_ms"]) / 1000,
        retention_s=None if retention_ms is None else retention_ms / 1000,
        job_retention_s=None if forget_ms is None else (forget_ms - row["create_ms"]) / 1000,
        webhook_url=row["webhook_url"],
        labels=orjson.loads(row["labels_json"]),
        charges={Outcome[name.upper()]: percent for name, percent in orjson.loads(row["charges_json"]).items()},
        fingerprint=row["fingerprint"],
    )


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt's columns, without its number."""
    return {
        "id": attempt.id,
        "job_id": attempt.job_id,
        "epoch": attempt.epoch,
        "route": attempt.route,
        "provider": attempt.provider,
        "repeatable": int(attempt.repeatable),
        "begin_ms": attempt.begin_ms,
        "state": int(attempt.state),
        "upstream_task_id": attempt.upstream_task_id,
        "outcome": int(attempt.outcome),
        "failure_json": dump(attempt.failure) if attempt.failure else None,
        "provider_cost_fen": attempt.provider_cost_fen,
        "finish_ms": attempt.finish_ms,
        "reported_epoch": attempt.reported_epoch,
    }


def attempt_of(row: Columns) -> Attempt:
    """Return the attempt of a row."""
    return Attempt(
        id=row["id"],
        job_id=row["job_id"],
        epoch=row["epoch"],
        route=row["route"],
        provider=row["provider"],
        repeatable=row["repeatable"] == 1,
        begin_ms=row["begin_ms"],
        state=AttemptState(row["state"]),
        upstream_task_id=row["upstream_task_id"],
        outcome=AttemptOutcome(row["outcome"]),
        failure=_failure(row["failure_json"]),
        provider_cost_fen=row["provider_cost_fen"],
        finish_ms=row["finish_ms"],
        reported_epoch=row["reported_epoch"],
    )


def dump(value: object) -> str:
    """Return JSON; records become objects of their fields."""
    return orjson.dumps(value).decode()


def _price(text: str) -> Price:
    value = orjson.loads(text)
    options = tuple(PriceOption(**option) for option in value["options"])
    return Price(options=options, outputs=value["outputs"], catalog_version=value["catalog_version"])


def _outputs(text: str | None) -> tuple[Output, ...]:
    return () if text is None else tuple(Output(**value) for value in orjson.loads(text))


def _failure(text: str | None) -> Failure | None:
    if text is None:
        return None
    value = orjson.loads(text)
    return Failure(reason=ErrorReason(value["reason"]), message=value["message"], field=value["field"])
