"""How the open contract shows jobs, assets and models."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from atelier.assets.v1 import asset_pb2
from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as gateway_pb2
from atelier.jobs.v1 import job_pb2

STATUS_NAMES = {
    job_pb2.JOB_STATE_QUEUED: "queued",
    job_pb2.JOB_STATE_RUNNING: "running",
    job_pb2.JOB_STATE_SUCCEEDED: "succeeded",
    job_pb2.JOB_STATE_FAILED: "failed",
    job_pb2.JOB_STATE_EXPIRED: "expired",
    job_pb2.JOB_STATE_CANCELLED: "cancelled",
}
STATUS_NUMBERS = {name: number for number, name in STATUS_NAMES.items()}

ORIGIN_NAMES = {
    asset_pb2.ASSET_ORIGIN_UPLOAD: "upload",
    asset_pb2.ASSET_ORIGIN_URL: "url",
    asset_pb2.ASSET_ORIGIN_OUTPUT: "output",
}

CHARGED_OUTCOMES = tuple(field.name for field in money_pb2.ChargeRules.DESCRIPTOR.fields)

UNIT_NAMES = {money_pb2.UNIT_POINTS: "points", money_pb2.UNIT_COUNT: "count", money_pb2.UNIT_FEN: "fen"}


def job_view(job: job_pb2.Job) -> dict[str, Any]:
    """A job as partners see it."""
    return {
        "id": job.id,
        "capability": job.capability,
        "model": job.model,
        "status": STATUS_NAMES[job.state],
        "progress": job.progress,
        "reconciling": job.reconciling,
        "parameters": orjson.loads(job.parameters_json or "{}"),
        "inputAssetIds": [one.asset_id for one in job.inputs if one.asset_id],
        "inputUrls": [one.url for one in job.inputs if one.url],
        "outputAssetIds": [output.asset_id for output in job.outputs],
        "error": _failure_view(job),
        "cost": _cost_view(job),
        "webhookUrl": job.webhook_url or None,
        "cancelRequested": job.cancel_requested,
        "createdAt": _time(job.create_time),
        "startedAt": _time(job.start_time) if job.HasField("start_time") else None,
        "finishedAt": _time(job.finish_time) if job.HasField("finish_time") else None,
        "deadline": _time(job.deadline),
    }


def asset_view(asset: asset_pb2.Asset, public_url: str) -> dict[str, Any]:
    """An asset record as partners see it."""
    return {
        "id": asset.id,
        "name": asset.name,
        "kind": asset.kind,
        "origin": ORIGIN_NAMES[asset.origin],
        "mimeType": asset.mime_type,
        "bytes": asset.size_bytes,
        "sha256": asset.sha256,
        "width": asset.width or None,
        "height": asset.height or None,
        "jobId": asset.job_id or None,
        "sourceUrl": asset.source_url or None,
        "url": f"{public_url}/api/v1/assets/{quote(asset.id)}/download",
        "createdAt": _time(asset.create_time),
        "expiresAt": _time(asset.expire_time) if asset.HasField("expire_time") else None,
    }


def capability_view(model: gateway_pb2.Model) -> dict[str, Any]:
    """A line of `GET /capabilities`."""
    return {
        "capability": model.capability,
        "model": model.name,
        "description": model.title,
        "available": model.enabled,
        "parameters": orjson.loads(model.parameters_schema_json),
        "inputs": orjson.loads(model.inputs_schema_json),
        "price": [_price_rule_view(rule) for rule in model.price_rules],
        "charges": charges_view(model.charges),
        "deadlineSeconds": model.deadline.seconds,
    }


def quote_view(quote: gateway_pb2.QuoteJobResponse) -> dict[str, Any]:
    """What a job would cost, and until when that is promised."""
    return {
        "quoteId": quote.quote_id,
        "outputs": quote.price.outputs,
        "price": [
            {UNIT_NAMES[option.unit]: option.amount_per_output * quote.price.outputs} for option in quote.price.options
        ],
        "charges": charges_view(quote.charges),
        "expiresAt": _time(quote.expire_time),
    }


def charges_view(rules: money_pb2.ChargeRules) -> dict[str, int]:
    """Percent of the price by outcome; an outcome that costs nothing is left out."""
    return {charge_word(field.name): percent for field, percent in rules.ListFields()}


def charge_word(name: str) -> str:
    """`cancelledRunning` for cancelled_running."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def reason_word(number: int) -> str:
    """`provider_failed` for ERROR_REASON_PROVIDER_FAILED."""
    return error_reason_pb2.ErrorReason.Name(number).removeprefix("ERROR_REASON_").lower()


def _price_rule_view(rule: gateway_pb2.PriceRule) -> dict[str, Any]:
    """`{"points": 30}` for one output, `{"points": 8, "per": "second", "minimum": 20}` by what is measured."""
    view: dict[str, Any] = {UNIT_NAMES[rule.unit]: rule.amount}
    if rule.per != "output":
        view["per"] = rule.per
    if rule.minimum:
        view["minimum"] = rule.minimum
    return view


def _failure_view(job: job_pb2.Job) -> dict[str, Any] | None:
    """Why there is no result, and what it cost all the same: `chargedAmount` in the unit of `cost`."""
    if not job.HasField("failure"):
        return None
    return {
        "code": reason_word(job.failure.reason),
        "message": job.failure.message,
        "field": job.failure.field or None,
        "charged": job.charged.value > 0,
        "chargedAmount": job.charged.value,
        "refundId": job.refund_id or None,
    }


def _cost_view(job: job_pb2.Job) -> dict[str, Any] | None:
    """What the job took out of the wallet; whether some of it is spent, and whether some came back. Both may be."""
    if not job.HasField("held"):
        return None
    lost = job.state in {job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_EXPIRED, job_pb2.JOB_STATE_CANCELLED}
    free = job.held.value == 0
    return {
        "unit": UNIT_NAMES[job.held.unit],
        "amount": job.held.value,
        "charged": job.charged.value > 0 or (free and job.state == job_pb2.JOB_STATE_SUCCEEDED),
        "refunded": bool(job.refund_id) or (free and lost),
    }


def _time(moment: Timestamp) -> str:
    value = datetime.fromtimestamp(moment.seconds, tz=UTC).replace(microsecond=moment.nanos // 1000)
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
