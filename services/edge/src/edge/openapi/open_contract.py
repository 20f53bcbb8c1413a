"""The open contract (`/api/v1/*`) in OpenAPI: jobs, assets, balance."""

from typing import Final

from edge.config import FILE_BYTES_MAX, UPLOAD_FILES_MAX
from edge.files import NAME_CHARS_MAX
from edge.open import views
from edge.openapi import jobs, pictures
from edge.openapi.open_schemas import ASSET_KINDS, NULLABLE_TEXT, NULLABLE_TIME, SCHEMAS
from edge.openapi.parts import (
    Json,
    Part,
    answer,
    body,
    constant,
    json_answer,
    nullable,
    object_of,
    parameter,
    ref,
    text,
)

IDEMPOTENCY_KEY: Final[Json] = {
    "type": "string",
    # Printable ASCII, bare or in quotes: what only begins or only ends with a quote is bare.
    "pattern": '^([!#-~]([ -~]{0,253}[!-~])?|"([ -~]{0,253}[!#-~])?|"[ -~]{1,255}")$',
}
DATE_OR_TIME: Final[Json] = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
ERRORS: Final = {
    400: "A field is wrong; the sentence names it.",
    401: "The API key is missing, wrong or expired.",
    402: "The balance does not cover the price, or the price is above maxCost.",
    403: "The client, its address or the capability is not allowed.",
    404: "No such job or asset, or it belongs to another client.",
    409: "The Idempotency-Key was used with another body, the quote is for another request or has lapsed, or the job "
    "has finished.",
    413: "The body or a file is too large.",
    429: "Too many requests, unfinished jobs or jobs of today.",
    500: "Something unexpected went wrong.",
    503: "A part of the service is away; try again.",
    504: "A part of the service did not answer in time; try again.",
}
COMMON: Final = (401, 403, 429, 500, 503, 504)

JOB_ID: Final = parameter("job_id", "path", {"type": "string", "minLength": 1}, "The job's id.")
ASSET_ID: Final = parameter("asset_id", "path", {"type": "string", "minLength": 1}, "The asset's id.")


def part() -> Part:
    """The whole contract."""
    return Part(
        name="open",
        description="Jobs and assets, JSON in and out. Submit a job, poll it or wait for the webhook, download its "
        "output assets.",
        paths={
            "/api/v1/openapi.json": {"get": _document()},
            "/api/v1/capabilities": {"get": _capabilities()},
            "/api/v1/balance": {"get": _operation("getBalance", "What can be spent.", {200: _balance()})},
            "/api/v1/quotes": {"post": _quote_job()},
            "/api/v1/jobs": {"post": _create_job(), "get": _list_jobs()},
            "/api/v1/jobs/{job_id}": {"get": _get_job()},
            "/api/v1/jobs/{job_id}/cancel": {"post": _cancel_job()},
            "/api/v1/jobs/{job_id}/events": {"get": _job_events()},
            "/api/v1/assets": {"post": _add_assets(), "get": _list_assets()},
            "/api/v1/assets/{asset_id}": {"get": _get_asset(), "delete": _delete_asset()},
            "/api/v1/assets/{asset_id}/download": {"get": _download()},
        },
        schemas={**SCHEMAS, "IdempotencyKey": IDEMPOTENCY_KEY},
        security_schemes={
            "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-Zhinian-Api-Key"},
        },
    )


def _operation(
    name: str,
    summary: str,
    successes: dict[int, Json],
    *errors: int,
    parameters: list[Json] | None = None,
    request: Json | None = None,
) -> Json:
    responses = successes | {status: _refusal(status) for status in (*COMMON, *errors)}
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "security": [{"bearer": []}, {"apiKey": []}],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }
    if parameters:
        operation["parameters"] = parameters
    if request:
        operation["requestBody"] = request
    return operation


def _refusal(status: int) -> Json:
    headers: Json = {}
    if status == 401:
        headers["WWW_Authenticate"] = constant("Bearer")
    if status in {429, 503}:
        headers["Retry_After"] = {"type": "integer", "minimum": 1}
    return json_answer(ref("Error"), ERRORS[status], **headers)


def _links(parameter_name: str, value: str, *operations: str) -> Json:
    """What can be done with the thing that was made."""
    return {name: {"operationId": name, "parameters": {parameter_name: value}} for name in operations}


def _document() -> Json:
    return {
        "operationId": "getOpenContract",
        "summary": "The open contract alone.",
        "security": [],
        "responses": {"200": json_answer({"type": "object"}, "OpenAPI 3.1.")},
    }


def _capabilities() -> Json:
    found = object_of({"capabilities": {"type": "array", "items": ref("Capability")}})
    return _operation(
        "listCapabilities", "What can be asked for: parameters, inputs, prices.", {200: json_answer(found, "All.")}
    )


def _balance() -> Json:
    count = {"type": "integer", "minimum": 0}
    line = object_of({"available": count, "held": count, "spent": count})
    units = object_of({"points": line, "count": line, "fen": line}, required=[])
    return json_answer(object_of({"clientId": {"type": "string"}, "balance": units}), "A line a unit.")


def _by_capability(suffix: str = "") -> Json:
    requests = {one.name: f"#/components/schemas/{one.schema}{suffix}" for one in jobs.CAPABILITIES}
    return {
        "oneOf": [{"$ref": where} for where in requests.values()],
        "discriminator": {"propertyName": "capability", "mapping": requests},
    }


def _quote_job() -> Json:
    return _operation(
        "quoteJob",
        "What a job would cost, without a job. Its `quoteId` keeps that price for ten minutes, for a job that agrees "
        "in everything the price depends on.",
        {200: json_answer(object_of({"quote": ref("Quote")}), "The price, and until when it is kept.")},
        400,
        404,
        413,
        request=body(json={"schema": _by_capability(jobs.QUOTED)}),
    )


def _create_job() -> Json:
    created = object_of({"job": ref("Job"), "reused": {"type": "boolean"}})
    schema = _by_capability()
    links = _links("job_id", "$response.body#/job/id", "getJob", "cancelJob")
    operation = _operation(
        "createJob",
        "Submit a job. The answer comes when it is accepted for good.",
        {
            200: json_answer(created, "Accepted before with this Idempotency-Key."),
            201: {**json_answer(created, "Accepted."), "links": links},
        },
        400,
        402,
        404,
        409,
        413,
        parameters=[
            parameter(
                "Idempotency-Key",
                "header",
                ref("IdempotencyKey"),
                "The same key and body return the first job; another body is refused with 409.",
            )
        ],
        request=body(json={"schema": schema}),
    )
    return {**operation, "callbacks": _webhook()}


def _webhook() -> Json:
    """What is sent to a job's `webhookUrl`, and again until it is answered with a success."""
    text_header = {"type": "string"}
    signature = {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"}
    headers = [
        parameter("webhook-id", "header", text_header, "The same on every try."),
        parameter("webhook-timestamp", "header", {"type": "string", "pattern": "^[0-9]+$"}, "Unix seconds of the try."),
        parameter("X-Zhinian-Signature", "header", signature, "HMAC-SHA256 of the raw body; only with a secret."),
        parameter("webhook-signature", "header", text_header, "Standard Webhooks 1.0.0; only with a secret."),
    ]
    operation = {
        "operationId": "jobEnded",
        "summary": "The job has ended.",
        "parameters": headers,
        "requestBody": body(json={"schema": ref("JobEnded")}),
        "responses": {"2XX": {"description": "Heard."}},
    }
    return {"jobEnded": {"{$request.body#/webhookUrl}": {"post": operation}}}


def _paging() -> list[Json]:
    token = {"type": "string", "maxLength": 256}
    return [
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}, "Page size."),
        parameter("before", "query", DATE_OR_TIME, "Only what is older than this time (UTC without a zone)."),
        parameter("pageToken", "query", token, "`nextPageToken` of the page before, with the same filters."),
    ]


def _page(name: str, schema: str) -> Json:
    items = {"type": "array", "items": ref(schema)}
    page = object_of({name: items, "nextBefore": NULLABLE_TIME, "nextPageToken": NULLABLE_TEXT})
    return json_answer(page, "Newest first.")


def _list_jobs() -> Json:
    status = {"enum": ["", *views.STATUS_NUMBERS]}
    capability = {"enum": ["", *(one.name for one in jobs.CAPABILITIES)]}
    filters = [
        parameter("status", "query", status, "Only in this state."),
        parameter("capability", "query", capability, "Only of this capability."),
    ]
    return _operation("listJobs", "Your jobs.", {200: _page("jobs", "Job")}, 400, parameters=[*filters, *_paging()])


def _get_job() -> Json:
    found = json_answer(object_of({"job": ref("Job")}), "The job.")
    return _operation("getJob", "A job as it stands.", {200: found}, 404, parameters=[JOB_ID])


def _cancel_job() -> Json:
    ended = json_answer(object_of({"job": ref("Job")}), "The job; a running one ends soon.")
    return _operation("cancelJob", "End a job that is not finished.", {200: ended}, 404, 409, parameters=[JOB_ID])


def _job_events() -> Json:
    position = {"type": "string", "pattern": "^[0-9]{0,18}$"}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": object_of({"job": ref("Job")})}
    event = object_of({"id": {"type": "string", "pattern": "^[0-9]{1,18}$"}, "event": constant("job"), "data": data})
    events = {"text/event-stream": {"schema": event}}
    return _operation(
        "watchJob",
        "A job's changes as server-sent events until it is finished.",
        {
            200: answer(events, "A stream of events such as the schema's; the id is what `after` takes."),
            204: answer(None, "The job has ended and all was told: do not connect again."),
        },
        400,
        404,
        parameters=[
            JOB_ID,
            parameter("after", "query", position, "Only what came later than this event."),
            parameter("Last-Event-ID", "header", position, "The same, as browsers send it; beats `after`."),
        ],
    )


def _add_assets() -> Json:
    stored = object_of({"asset": ref("Asset"), "assets": {"type": "array", "items": ref("Asset"), "minItems": 1}})
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    form = object_of(
        {"files": {**files, "maxItems": UPLOAD_FILES_MAX}, "kind": {"enum": ["", "image"]}},
        required=["files"],
        more=True,
    )
    registered = object_of(
        {
            "url": jobs.URL,
            "name": nullable(text(chars_max=NAME_CHARS_MAX)),
            "kind": {"enum": ["image", "", None]},
        },
        required=["url"],
    )
    links = _links("asset_id", "$response.body#/asset/id", "getAsset", "downloadAsset", "deleteAsset")
    return _operation(
        "addAssets",
        f"Upload PNG, JPEG or WebP files of {FILE_BYTES_MAX} bytes at most, or register a URL. All or none are stored.",
        {201: {**json_answer(stored, "Stored."), "links": links}},
        400,
        404,
        413,
        request=body(
            multipart={"schema": form, "encoding": {"files": {"contentType": pictures.UPLOADS}}},
            json={"schema": registered},
        ),
    )


def _list_assets() -> Json:
    kind = parameter("kind", "query", {"enum": ["", *ASSET_KINDS]}, "Only of this kind.")
    return _operation("listAssets", "Your assets.", {200: _page("assets", "Asset")}, 400, parameters=[kind, *_paging()])


def _get_asset() -> Json:
    record = json_answer(object_of({"asset": ref("Asset")}), "The record.")
    return _operation("getAsset", "An asset's record.", {200: record}, 404, parameters=[ASSET_ID])


def _delete_asset() -> Json:
    deleted = answer(None, "It is gone, or never was.")
    return _operation("deleteAsset", "Delete an asset for good.", {204: deleted}, parameters=[ASSET_ID])


def _download() -> Json:
    return _operation(
        "downloadAsset",
        "An asset's bytes; with ranges and ETags.",
        pictures.answers(pictures.ENGLISH),
        404,
        parameters=[ASSET_ID, *pictures.parameters(pictures.ENGLISH)],
    )
