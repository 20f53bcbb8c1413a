"""What a caller asks for."""

import hashlib
from typing import Final

import orjson

from atelier.common.v1 import money_pb2
from atelier.jobs.v1 import job_pb2, job_service_pb2
from job_orchestrator.domain.charge import CHARGEABLE
from job_orchestrator.domain.order import Input, Order, Price, PriceOption, Route, Terms
from job_orchestrator.mapping.job import to_seconds
from kit.errors import InvalidArgument

# Text that goes into columns as it came; Postgres cannot store a NUL, so nobody may send one.
_TEXTS: Final = (
    "external_id",
    "contract",
    "model",
    "capability",
    "parameters_json",
    "idempotency_key",
    "fingerprint",
    "webhook_url",
)


def to_order(request: job_service_pb2.AcceptJobRequest, *, client_id: str) -> Order:
    """Return the order. Raises InvalidArgument for what the proto's rules do not catch."""
    for name in _TEXTS:
        if "\x00" in getattr(request, name):
            raise InvalidArgument(f"{name}: contains a NUL character", field=name)
    return Order(
        job_id=request.job_id,
        client_id=client_id,
        external_id=request.external_id,
        contract=request.contract,
        model=request.model,
        capability=request.capability,
        parameters_json=request.parameters_json,
        inputs=tuple(_to_input(one) for one in request.inputs),
        routes=tuple(_to_route(route) for route in request.routes),
        pool=request.pool,
        priority=request.priority,
        price=_to_price(request.price),
        deadline_s=to_seconds(request.deadline),
        retention_s=to_seconds(request.retention) if request.HasField("retention") else None,
        job_retention_s=to_seconds(request.job_retention) if request.HasField("job_retention") else None,
        webhook_url=request.webhook_url,
        labels=dict(request.labels),
        charges=_to_charges(request.charges),
        fingerprint=request.fingerprint or _fingerprint(request),
    )


def to_terms(request: job_service_pb2.AcceptJobRequest) -> Terms:
    """Return how the order is taken on."""
    return Terms(
        idempotency_key=request.idempotency_key,
        in_flight_max=request.jobs_in_flight_max,
        per_day_max=request.jobs_per_day_max,
        day=request.day,
        weight=request.weight or 1,
    )


def _fingerprint(request: job_service_pb2.AcceptJobRequest) -> str:
    """Stand in for the partner's fingerprint, so that the same id with another order is noticed without one, too.

    Routes and price are left out: they come from the catalogue, which may have changed between two tries.
    """
    inputs = [[one.role, one.asset_id, one.url, one.label] for one in request.inputs]
    asked = orjson.dumps([request.model, request.capability, request.parameters_json, inputs])
    return hashlib.sha256(asked).hexdigest()


def _to_input(one: job_pb2.Input) -> Input:
    return Input(role=one.role, asset_id=one.asset_id, url=one.url, label=one.label)


def _to_route(route: job_pb2.Route) -> Route:
    return Route(
        provider=route.provider,
        upstream_model=route.upstream_model,
        parameters_json=route.parameters_json,
        weight=route.weight,
    )


def _to_charges(rules: money_pb2.ChargeRules) -> dict[int, int]:
    percents = {int(outcome): int(getattr(rules, outcome.name.lower())) for outcome in CHARGEABLE}
    return {outcome: percent for outcome, percent in percents.items() if percent}


def _to_price(price: money_pb2.Price) -> Price:
    options = tuple(
        PriceOption(unit=option.unit, amount_per_output=option.amount_per_output) for option in price.options
    )
    return Price(options=options, outputs=price.outputs, catalog_version=price.catalog_version)
