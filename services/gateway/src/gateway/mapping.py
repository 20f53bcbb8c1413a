"""Proto in, domain out, and back; nowhere else."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import orjson
from google.protobuf import timestamp_pb2

from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.gateway.v1 import client_admin_service_pb2, client_pb2, gateway_service_pb2
from atelier.jobs.v1 import job_pb2, job_service_pb2
from catalog import OUTCOMES, Model, PriceRule
from gateway.domain import Client, Credential, CredentialKind, Delivery, Limits
from gateway.usecases.deliver import FinishedJob
from gateway.usecases.price import Cost, Priced
from gateway.usecases.request import JobInput, JobRequest
from gateway.usecases.submit import AdmittedJob
from kit.errors import InvalidArgument

UNITS = {
    "points": money_pb2.UNIT_POINTS,
    "count": money_pb2.UNIT_COUNT,
    "fen": money_pb2.UNIT_FEN,
}
UNIT_NAMES = {unit: name for name, unit in UNITS.items()}

CREDENTIAL_KINDS = {
    client_pb2.CREDENTIAL_KIND_API_KEY: CredentialKind.API_KEY,
    client_pb2.CREDENTIAL_KIND_APP: CredentialKind.APP,
    client_pb2.CREDENTIAL_KIND_USER_KEY: CredentialKind.USER_KEY,
}
CREDENTIAL_KIND_NUMBERS = {kind: number for number, kind in CREDENTIAL_KINDS.items()}

FINISHED_STATES = {
    job_pb2.JOB_STATE_SUCCEEDED: "succeeded",
    job_pb2.JOB_STATE_FAILED: "failed",
    job_pb2.JOB_STATE_EXPIRED: "expired",
    job_pb2.JOB_STATE_CANCELLED: "cancelled",
}


def to_timestamp(unix_ms: int) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


def to_ms(timestamp: timestamp_pb2.Timestamp) -> int:
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000


def to_job_request(request: gateway_service_pb2.SubmitJobRequest) -> JobRequest:
    return JobRequest(
        model=request.model,
        parameters_json=request.parameters_json,
        inputs=_to_inputs(request.inputs),
        idempotency_key=request.idempotency_key,
        webhook_url=request.webhook_url,
        max_cost=(
            Cost(unit=UNIT_NAMES[request.max_cost.unit], amount=request.max_cost.value)
            if request.HasField("max_cost")
            else None
        ),
        quote_id=request.quote_id,
        contract=request.contract or "grpc",
        external_id=request.external_id,
        labels=dict(request.labels),
    )


def to_quoted_request(request: gateway_service_pb2.QuoteJobRequest) -> JobRequest:
    return JobRequest(model=request.model, parameters_json=request.parameters_json, inputs=_to_inputs(request.inputs))


def _to_inputs(inputs: Iterable[job_pb2.Input]) -> tuple[JobInput, ...]:
    return tuple(JobInput(role=one.role, asset_id=one.asset_id, url=one.url, label=one.label) for one in inputs)


def to_price(price: Priced) -> money_pb2.Price:
    return money_pb2.Price(
        options=[
            money_pb2.PriceOption(unit=UNITS[option.unit], amount_per_output=option.amount_per_output)
            for option in price.options
        ],
        outputs=price.outputs,
        catalog_version=price.catalog_version,
    )


def to_charges(charges: Mapping[str, int]) -> money_pb2.ChargeRules:
    return money_pb2.ChargeRules(**{outcome: charges.get(outcome, 0) for outcome in OUTCOMES})


def to_quote(quote_id: str, expire_ms: int, price: Priced) -> gateway_service_pb2.QuoteJobResponse:
    return gateway_service_pb2.QuoteJobResponse(
        price=to_price(price),
        quote_id=quote_id,
        expire_time=to_timestamp(expire_ms),
        charges=to_charges(price.charges),
    )


def to_accept_request(job: AdmittedJob) -> job_service_pb2.AcceptJobRequest:
    request = job_service_pb2.AcceptJobRequest(
        job_id=job.job_id,
        external_id=job.request.external_id,
        contract=job.request.contract,
        model=job.model.name,
        capability=job.model.capability,
        parameters_json=job.parameters_json,
        inputs=[
            job_pb2.Input(role=one.role, label=one.label, asset_id=one.asset_id)
            if one.asset_id
            else job_pb2.Input(role=one.role, label=one.label, url=one.url)
            for one in job.inputs
        ],
        routes=[
            job_pb2.Route(
                provider=route.provider,
                upstream_model=route.upstream_model,
                parameters_json=route.parameters_json,
                weight=route.weight,
            )
            for route in job.routes
        ],
        pool=job.model.pool,
        price=to_price(job.price),
        charges=to_charges(job.price.charges),
        idempotency_key=job.request.idempotency_key,
        fingerprint=job.fingerprint,
        webhook_url=job.request.webhook_url,
        labels=job.request.labels,
        jobs_in_flight_max=job.client.limits.jobs_in_flight,
        jobs_per_day_max=job.client.limits.jobs_per_day,
        day=job.day.number,
        weight=job.client.weight,
    )
    request.deadline.seconds = job.model.deadline_s
    if job.model.retention_s:
        request.retention.seconds = job.model.retention_s
    if job.model.job_retention_s:
        request.job_retention.seconds = job.model.job_retention_s
    return request


def to_model(model: Model, catalog_version: str) -> gateway_service_pb2.Model:
    described = gateway_service_pb2.Model(
        name=model.name,
        capability=model.capability,
        title=model.title,
        parameters_schema_json=orjson.dumps(model.schema).decode(),
        inputs_schema_json=orjson.dumps(
            [{"role": rule.role, "min": rule.minimum, "max": rule.maximum, "kind": rule.kind} for rule in model.inputs]
        ).decode(),
        price=money_pb2.Price(
            options=[
                money_pb2.PriceOption(unit=UNITS[rule.unit], amount_per_output=_least(rule)) for rule in model.price
            ],
            outputs=1,
            catalog_version=catalog_version,
        ),
        price_rules=[
            gateway_service_pb2.PriceRule(unit=UNITS[rule.unit], amount=rule.amount, per=rule.per, minimum=rule.minimum)
            for rule in model.price
        ],
        charges=to_charges(model.charges),
        contracts=model.contracts,
        enabled=model.enabled,
    )
    described.deadline.seconds = model.deadline_s
    return described


def _least(rule: PriceRule) -> int:
    """What one output costs at least: more than the minimum is known only with a request."""
    return max(rule.amount, rule.minimum) if rule.per == "output" else rule.minimum


def to_domain_client(client: client_pb2.Client) -> Client:
    try:
        return Client(
            id=client.id,
            disabled=client.disabled,
            user_id=client.user_id,
            limits=Limits(
                requests_per_second=client.limits.requests_per_second,
                burst=client.limits.burst,
                jobs_in_flight=client.limits.jobs_in_flight,
                jobs_per_day=client.limits.jobs_per_day,
            ),
            models=tuple(client.models),
            ip_allow=tuple(client.ip_allow),
            weight=client.weight or 1,
        )
    except ValueError as error:
        raise InvalidArgument(str(error), field="client.ip_allow") from error


def to_client(client: Client) -> client_pb2.Client:
    return client_pb2.Client(
        id=client.id,
        disabled=client.disabled,
        user_id=client.user_id,
        limits=client_pb2.Limits(
            requests_per_second=client.limits.requests_per_second,
            burst=client.limits.burst,
            jobs_in_flight=client.limits.jobs_in_flight,
            jobs_per_day=client.limits.jobs_per_day,
        ),
        models=client.models,
        ip_allow=client.ip_allow,
        weight=client.weight,
        create_time=to_timestamp(client.create_ms),
    )


def to_credential(credential: Credential) -> client_pb2.CredentialInfo:
    return client_pb2.CredentialInfo(
        id=credential.id,
        client_id=credential.client_id,
        kind=CREDENTIAL_KIND_NUMBERS[credential.kind],
        hint=credential.hint,
        revoked=credential.revoked,
        expire_time=to_timestamp(credential.expire_ms) if credential.expire_ms is not None else None,
        create_time=to_timestamp(credential.create_ms),
    )


def to_delivery(delivery: Delivery) -> client_admin_service_pb2.Delivery:
    return client_admin_service_pb2.Delivery(
        id=delivery.id,
        client_id=delivery.client_id,
        job_id=delivery.job_id,
        url=delivery.url.partition("?")[0],
        state=delivery.state.value,
        tries=delivery.tries,
        last_status=delivery.last_status,
        next_try_time=to_timestamp(delivery.next_try_ms) if delivery.next_try_ms is not None else None,
        create_time=to_timestamp(delivery.create_ms),
    )


def to_finished_job(job: job_pb2.Job, event_id: str) -> FinishedJob:
    occur_ms = to_ms(job.finish_time)
    error: dict[str, str | int | bool | None] | None = None
    if job.HasField("failure"):
        reason = error_reason_pb2.ErrorReason.Name(job.failure.reason).removeprefix("ERROR_REASON_").lower()
        error = {
            "code": reason,
            "message": job.failure.message,
            "charged": job.charged.value > 0,
            "chargedAmount": job.charged.value,
            "refundId": job.refund_id or None,
        }
    return FinishedJob(
        id=job.id,
        client_id=job.client_id,
        event_id=event_id,
        state=FINISHED_STATES[job.state],
        capability=job.capability,
        output_asset_ids=tuple(output.asset_id for output in job.outputs),
        error=error,
        sequence=job.sequence,
        occur_ms=occur_ms,
        occur_time=datetime.fromtimestamp(occur_ms / 1000, tz=UTC).isoformat().replace("+00:00", "Z"),
        webhook_url=job.webhook_url,
    )
