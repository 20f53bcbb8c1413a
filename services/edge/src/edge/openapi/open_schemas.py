"""What the open contract answers: jobs, assets, capabilities and errors."""

from typing import Final

from edge.open import views
from edge.open.requests import QUOTE_CHARS_MAX
from edge.openapi import jobs
from edge.openapi.parts import Json, nullable, object_of, ref

ASSET_KINDS: Final = ("image", "video", "vector")
TEXT: Final[Json] = {"type": "string"}
TIME: Final[Json] = {"type": "string", "format": "date-time"}
NULLABLE_TEXT: Final = nullable(TEXT)
NULLABLE_TIME: Final = nullable(TIME)
FREE_OBJECT: Final[Json] = {"type": "object"}  # The model's own parameters, as its schema says.
AMOUNT: Final[Json] = {"type": "integer", "minimum": 0}
SIDE: Final[Json] = {"type": ["integer", "null"], "minimum": 1}
NAMES: Final[Json] = {"type": "array", "items": TEXT}

PERCENT: Final[Json] = {"type": "integer", "minimum": 1, "maximum": 100}
ONE_UNIT: Final[Json] = {
    **object_of(dict.fromkeys(views.UNIT_NAMES.values(), AMOUNT), required=[]),
    "minProperties": 1,
    "maxProperties": 1,
}
#: What a job without a result cost all the same.
CHARGED: Final[Json] = {
    "charged": {"type": "boolean"},
    "chargedAmount": {**AMOUNT, "description": "In the unit of the job's cost."},
    "refundId": {**NULLABLE_TEXT, "description": "The transaction that gives back the rest; null when there is none."},
}

ENDS: Final = ("succeeded", "failed", "expired", "cancelled")


def _job_ended() -> Json:
    """The body of a webhook."""
    event: Json = {"enum": [f"generation.{state}" for state in ENDS]}
    job = {
        "id": {"type": "string"},
        "capability": TEXT,
        "status": {"enum": list(ENDS)},
        "outputAssetIds": NAMES,
        "error": object_of({"code": TEXT, "message": TEXT, **CHARGED}),
    }
    return object_of(
        {
            "event": event,
            "type": {**event, "description": "The same, as Standard Webhooks call it."},
            "timestamp": TIME,
            "sequence": {"type": "integer", "minimum": 1},
            "job": object_of(job, required=[name for name in job if name != "error"]),
        }
    )


SCHEMAS: Final[Json] = {
    "Error": object_of({"error": {"type": "string", "minLength": 1}}),
    "Failure": object_of({"code": TEXT, "message": TEXT, "field": NULLABLE_TEXT, **CHARGED}),
    "Charges": {
        **object_of(
            {views.charge_word(outcome): PERCENT for outcome in views.CHARGED_OUTCOMES},
            required=[],
        ),
        "description": "What a job that ends without a result still costs, in percent of its price, rounded down; "
        "an outcome that is not here costs nothing.",
    },
    "Quote": object_of(
        {
            "quoteId": {"type": "string", "maxLength": QUOTE_CHARS_MAX, "description": "For `quoteId` of a job."},
            "outputs": {"type": "integer", "minimum": 1},
            "price": {
                "type": "array",
                "description": "For all outputs: the first alternative that the balance covers is taken.",
                "items": ONE_UNIT,
            },
            "charges": ref("Charges"),
            "expiresAt": TIME,
        }
    ),
    "Cost": object_of(
        {
            "unit": {"enum": list(views.UNIT_NAMES.values())},
            "amount": AMOUNT,
            "charged": {"type": "boolean"},
            "refunded": {"type": "boolean"},
        }
    ),
    "Job": object_of(
        {
            "id": {"type": "string", "pattern": "^job_[0-9a-z]{26}$"},
            "capability": TEXT,
            "model": TEXT,
            "status": {"enum": list(views.STATUS_NUMBERS)},
            "progress": {"type": "integer", "minimum": 0, "maximum": 100},
            "reconciling": {"type": "boolean"},
            "parameters": FREE_OBJECT,
            "inputAssetIds": NAMES,
            "inputUrls": NAMES,
            "outputAssetIds": NAMES,
            "error": nullable(ref("Failure")),
            "cost": nullable(ref("Cost")),
            "webhookUrl": NULLABLE_TEXT,
            "cancelRequested": {"type": "boolean"},
            "createdAt": TIME,
            "startedAt": NULLABLE_TIME,
            "finishedAt": NULLABLE_TIME,
            "deadline": TIME,
        }
    ),
    "JobEnded": _job_ended(),
    "Asset": object_of(
        {
            "id": {"type": "string", "pattern": "^asset_[0-9a-z]{26}$"},
            "name": TEXT,
            "kind": {"enum": list(ASSET_KINDS)},
            "origin": {"enum": list(views.ORIGIN_NAMES.values())},
            "mimeType": TEXT,
            "bytes": {"type": "integer", "minimum": 1},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "width": SIDE,
            "height": SIDE,
            "jobId": NULLABLE_TEXT,
            "sourceUrl": NULLABLE_TEXT,
            "url": {"type": "string", "format": "uri"},
            "createdAt": TIME,
            "expiresAt": NULLABLE_TIME,
        }
    ),
    "Capability": object_of(
        {
            "capability": TEXT,
            "model": TEXT,
            "description": TEXT,
            "available": {"type": "boolean"},
            "parameters": {**FREE_OBJECT, "description": "JSON Schema of the parameters."},
            "inputs": {
                "type": "array",
                "items": object_of({"role": TEXT, "min": AMOUNT, "max": AMOUNT, "kind": {"enum": ["image", "video"]}}),
            },
            "price": {
                "type": "array",
                "description": "For one output, or each second or megapixel of it, rounded up: the first alternative "
                "that the balance covers is taken.",
                "items": {
                    **object_of(
                        {
                            **dict.fromkeys(views.UNIT_NAMES.values(), AMOUNT),
                            "per": {"enum": ["second", "megapixel"]},
                            "minimum": AMOUNT,
                        },
                        required=[],
                    ),
                    "minProperties": 1,
                },
            },
            "charges": ref("Charges"),
            "deadlineSeconds": {"type": "integer", "minimum": 1},
        }
    ),
    **jobs.schemas(),
}
