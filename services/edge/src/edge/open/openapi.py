"""The OpenAPI document of the open contract: written by hand, held true by tests that call every operation."""

import functools
from typing import Any, Final

from edge.config import FILE_BYTES_MAX
from edge.open import requests, views

Json = dict[str, Any]

ASSET_KINDS: Final = ["image", "video", "vector"]
NULLABLE_TEXT: Final[Json] = {"type": ["string", "null"]}
TIME: Final[Json] = {"type": "string", "format": "date-time"}
NULLABLE_TIME: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
FREE_OBJECT: Final[Json] = {"type": "object", "additionalProperties": True}


def document(url: str) -> Json:
    """Return the document (OpenAPI 3.1) with `url` as the server."""
    return {**_document(), "servers": [{"url": url}]}


@functools.cache
def _document() -> Json:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Atelier open API",
            "version": "1.0.0",
            "description": "Asynchronous image and video generation. Submit a job, poll it or wait for the webhook, "
            "download its output assets.",
        },
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Zhinian-Api-Key"},
            },
            "schemas": _schemas(),
        },
    }


def _object(properties: Json, *, required: list[str] | None = None) -> Json:
    """An object; every property is required unless `required` says which are."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> Json:
    return {
        "Error": _object({"error": {"type": "string"}}),
        "Failure": _object(
            {"code": {"type": "string"}, "message": {"type": "string"}, "field": NULLABLE_TEXT},
        ),
        "Cost": _object(
            {
                "unit": {"enum": ["points", "count", "fen"]},
                "amount": {"type": "integer", "minimum": 0},
                "charged": {"type": "boolean"},
                "refunded": {"type": "boolean"},
            }
        ),
        "Job": _object(
            {
                "id": {"type": "string"},
                "capability": {"type": "string"},
                "model": {"type": "string"},
                "status": {"enum": list(views.STATUS_NUMBERS)},
                "progress": {"type": "integer", "minimum": 0, "maximum": 100},
                "reconciling": {"type": "boolean"},
                "parameters": FREE_OBJECT,
                "inputAssetIds": {"type": "array", "items": {"type": "string"}},
                "inputUrls": {"type": "array", "items": {"type": "string"}},
                "outputAssetIds": {"type": "array", "items": {"type": "string"}},
                "error": {"oneOf": [_ref("Failure"), {"type": "null"}]},
                "cost": {"oneOf": [_ref("Cost"), {"type": "null"}]},
                "webhookUrl": NULLABLE_TEXT,
                "cancelRequested": {"type": "boolean"},
                "createdAt": TIME,
                "startedAt": NULLABLE_TIME,
                "finishedAt": NULLABLE_TIME,
                "deadline": TIME,
            }
        ),
        "Asset": _object(
            {
                "id": {"type": "string"},
                "name": {"type": "string"},
                "kind": {"enum": ASSET_KINDS},
                "origin": {"enum": ["upload", "url", "output"]},
                "mimeType": {"type": "string"},
                "bytes": {"type": "integer", "minimum": 1},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "width": {"type": ["integer", "null"]},
                "height": {"type": ["integer", "null"]},
                "jobId": NULLABLE_TEXT,
                "sourceUrl": NULLABLE_TEXT,
                "url": {"type": "string"},
                "createdAt": TIME,
                "expiresAt": NULLABLE_TIME,
            }
        ),
        "Capability": _object(
            {
                "capability": {"type": "string"},
                "model": {"type": "string"},
                "description": {"type": "string"},
                "available": {"type": "boolean"},
                "parameters": FREE_OBJECT,
                "inputs": {"type": "array", "items": FREE_OBJECT},
                "price": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "integer"}}},
                "deadlineSeconds": {"type": "integer"},
            }
        ),
        "JobRequest": _job_request(),
        "RegisterUrl": {
            **_object(
                {
                    "url": {"type": "string", "minLength": 1, "maxLength": requests.URL_CHARS_MAX},
                    "name": {"type": "string", "maxLength": 512},
                    "kind": {"enum": ASSET_KINDS},
                },
                required=["url"],
            ),
            "additionalProperties": False,
        },
    }


def _job_request() -> Json:
    url = {"type": "string", "minLength": 1, "maxLength": requests.URL_CHARS_MAX}
    material = {
        **_object(
            {
                "type": {"const": "image"},
                "url": url,
                "assetId": {"type": "string", "minLength": 1, "maxLength": 64},
                "label": {"type": "string", "maxLength": requests.LABEL_CHARS_MAX},
            },
            required=["type"],
        ),
        "additionalProperties": False,
    }
    settings = {
        **_object(
            {
                "ratio": {"enum": ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"]},
                "duration": {"type": "integer", "minimum": 4, "maximum": 15},
                "resolution": {"enum": ["480p", "720p", "1080p"]},
                "seed": {"type": "integer", "minimum": 0, "maximum": 4294967295},
            },
            required=[],
        ),
        "additionalProperties": False,
    }
    properties: Json = {
        "capability": {"enum": list(requests.INPUT_ROLES)},
        "prompt": {"type": "string", "minLength": 1, "maxLength": requests.PROMPT_CHARS_MAX},
        "negativePrompt": {"type": "string", "maxLength": requests.PROMPT_CHARS_MAX},
        "width": {"type": "integer", "minimum": 64, "maximum": 4096},
        "height": {"type": "integer", "minimum": 64, "maximum": 4096},
        "scale": {"type": "number", "minimum": 0, "maximum": 100},
        "quality": {"enum": ["low", "medium", "high"]},
        "force_single": {"type": "boolean"},
        "resolution": {"enum": ["2k", "4k", "8k"]},
        "seed": {"type": "integer", "minimum": 0, "maximum": 4294967295},
        "inputAssetIds": {"type": "array", "items": {"type": "string"}, "maxItems": requests.INPUTS_MAX},
        "inputUrls": {"type": "array", "items": url, "maxItems": requests.INPUTS_MAX},
        "imageUrls": {"type": "array", "items": url, "maxItems": requests.INPUTS_MAX},
        "materials": {"type": "array", "items": material, "maxItems": requests.INPUTS_MAX},
        "settings": settings,
        "webhookUrl": {"type": "string", "maxLength": requests.URL_CHARS_MAX},
    }
    return {
        **_object(properties, required=["capability"]),
        "additionalProperties": False,
        "description": "GET /capabilities tells which parameters a capability takes; others are refused by name.",
    }


def _json(schema: Json, description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(*statuses: int) -> Json:
    words = {
        400: "A field is wrong; the sentence names it.",
        401: "The API key is missing or invalid.",
        402: "The balance does not cover the price.",
        403: "The client, address or capability is not allowed.",
        404: "No such job or asset, or it belongs to another client.",
        409: "The Idempotency-Key was used with another body, or the job has finished.",
        413: "The body or a file is too large.",
        429: "Too many requests or unfinished jobs; see Retry-After.",
        500: "Something unexpected went wrong.",
        503: "A part of the service is away; try again.",
    }
    return {str(status): _json(_ref("Error"), words[status]) for status in statuses}


COMMON: Final = (400, 401, 403, 429, 500, 503)


def _parameter(name: str, where: str, schema: Json, description: str, *, required: bool = False) -> Json:
    return {"name": name, "in": where, "schema": schema, "description": description, "required": required}


def _operation(
    name: str, summary: str, success: Json, *errors: int, parameters: list[Json] | None = None, body: Json | None = None
) -> Json:
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {**success, **_errors(*sorted({*COMMON, *errors}))},
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _paths() -> Json:
    job_id = _parameter("job_id", "path", {"type": "string"}, "The job's id.", required=True)
    asset_id = _parameter("asset_id", "path", {"type": "string"}, "The asset's id.", required=True)
    job = _json(_object({"job": _ref("Job")}), "The job.")
    asset = _json(_object({"asset": _ref("Asset")}), "The record.")
    return {
        "/api/v1/openapi.json": {
            "get": {
                "operationId": "getOpenApi",
                "summary": "This document.",
                "security": [],
                "responses": {"200": _json(FREE_OBJECT, "OpenAPI 3.1.")},
            }
        },
        "/api/v1/capabilities": {
            "get": _operation(
                "listCapabilities",
                "What can be asked for, with parameters, inputs and prices.",
                {
                    "200": _json(
                        _object({"capabilities": {"type": "array", "items": _ref("Capability")}}), "All of them."
                    )
                },
            )
        },
        "/api/v1/balance": {"get": _operation("getBalance", "What can be spent.", {"200": _balance()})},
        "/api/v1/jobs": {"post": _create_job(), "get": _list_jobs()},
        "/api/v1/jobs/{job_id}": {
            "get": _operation("getJob", "A job as it stands.", {"200": job}, 404, parameters=[job_id])
        },
        "/api/v1/jobs/{job_id}/cancel": {
            "post": _operation(
                "cancelJob", "End a job that is not finished.", {"200": job}, 404, 409, parameters=[job_id]
            )
        },
        "/api/v1/jobs/{job_id}/events": {"get": _job_events(job_id)},
        "/api/v1/assets": {"post": _add_assets(), "get": _list_assets()},
        "/api/v1/assets/{asset_id}": {
            "get": _operation("getAsset", "An asset's record.", {"200": asset}, 404, parameters=[asset_id]),
            "delete": _operation(
                "deleteAsset",
                "Delete an asset for good.",
                {"204": {"description": "Deleted."}},
                404,
                parameters=[asset_id],
            ),
        },
        "/api/v1/assets/{asset_id}/download": {"get": _download(asset_id)},
    }


def _balance() -> Json:
    count = {"type": "integer", "minimum": 0}
    line = _object({"available": count, "held": count, "spent": count})
    balance = _object({"points": line, "count": line, "fen": line}, required=[])
    return _json(_object({"clientId": {"type": "string"}, "balance": balance}), "A line a unit.")


def _create_job() -> Json:
    created = _object({"job": _ref("Job"), "reused": {"type": "boolean"}})
    return _operation(
        "createJob",
        "Submit a job. The answer comes when it is accepted for good.",
        {"200": _json(created, "Accepted before with this Idempotency-Key."), "201": _json(created, "Accepted.")},
        402,
        404,
        409,
        413,
        parameters=[
            _parameter(
                "Idempotency-Key",
                "header",
                {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
                "The same key and body return the first job; another body is refused with 409.",
            )
        ],
        body={"required": True, "content": {"application/json": {"schema": _ref("JobRequest")}}},
    )


def _paging() -> list[Json]:
    return [
        _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}, "Page size."),
        _parameter("before", "query", TIME, "Only what is older than this time."),
        _parameter("pageToken", "query", {"type": "string"}, "`nextPageToken` of the page before."),
    ]


def _page(name: str, schema: str) -> Json:
    items = {"type": "array", "items": _ref(schema)}
    return _json(_object({name: items, "nextBefore": NULLABLE_TIME, "nextPageToken": NULLABLE_TEXT}), "Newest first.")


def _list_jobs() -> Json:
    filters = [
        _parameter("status", "query", {"enum": list(views.STATUS_NUMBERS)}, "Only in this state."),
        _parameter("capability", "query", {"enum": list(requests.INPUT_ROLES)}, "Only of this capability."),
    ]
    return _operation("listJobs", "Your jobs.", {"200": _page("jobs", "Job")}, parameters=[*filters, *_paging()])


def _list_assets() -> Json:
    kind = _parameter("kind", "query", {"enum": ASSET_KINDS}, "Only of this kind.")
    return _operation("listAssets", "Your assets.", {"200": _page("assets", "Asset")}, parameters=[kind, *_paging()])


def _add_assets() -> Json:
    stored = _object({"asset": _ref("Asset"), "assets": {"type": "array", "items": _ref("Asset"), "minItems": 1}})
    form = _object(
        {
            "files": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
            "kind": {"enum": ASSET_KINDS},
        },
        required=["files"],
    )
    return _operation(
        "addAssets",
        f"Upload files (PNG, JPEG or WebP, {FILE_BYTES_MAX} bytes at most), or register a URL. All or none are stored.",
        {"201": _json(stored, "Stored.")},
        404,
        413,
        body={
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": _ref("RegisterUrl")},
            },
        },
    )


def _job_events(job_id: Json) -> Json:
    after = {"type": "integer", "minimum": 0, "maximum": 999_999_999_999_999_999}
    return _operation(
        "watchJob",
        "A job's changes as server-sent events until it is finished.",
        {
            "200": {
                "description": 'Events named "job" whose data is {"job": …}; the id is what `after` takes.',
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
        404,
        parameters=[
            job_id,
            _parameter("after", "query", after, "Only what came later than this event."),
        ],
    )


def _download(asset_id: Json) -> Json:
    bytes_answer = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    return _operation(
        "downloadAsset",
        "An asset's bytes; with ranges and ETags.",
        {
            "200": {"description": "All bytes.", **bytes_answer},
            "206": {"description": "The range asked for.", **bytes_answer},
            "304": {"description": "The ETag of If-None-Match still stands."},
            "416": {"description": "The range lies outside of the file."},
        },
        404,
        parameters=[
            asset_id,
            _parameter("Range", "header", {"type": "string"}, "bytes=first-last; a malformed one is ignored."),
        ],
    )
