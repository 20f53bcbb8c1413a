"""The open contract's endpoints: HTTP in, gRPC out."""

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from edge import files, live
from edge.answers import open_error
from edge.backend import CALL_TIMEOUT_S, FETCH_TIMEOUT_S, Backend, Metadata, caller, submit_timeout_s
from edge.body import Fields, read_json_object
from edge.open import requests, views
from edge.openapi import open_document
from edge.replies import json_reply
from kit.errors import AppError, InvalidArgument, NotFound

PREFIX: Final = "/api/v1"
KINDS: Final = ("image", "video", "vector")
ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
POSITION: Final = re.compile(r"[0-9]{0,18}", re.ASCII)  # Empty: none.
NOBODYS_ID: Final = "-"

Endpoint = Callable[[Request], Awaitable[Response]]


class OpenContract:
    """`/api/v1/*`."""

    def __init__(self, backend: Backend, *, public_url: str) -> None:
        """`public_url` is how partners reach us; empty means the address of each request."""
        self._backend = backend
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[Route]:
        """All endpoints; each turns a refusal into the contract's answer."""
        table: list[tuple[str, str, Endpoint]] = [
            ("GET", "/openapi.json", self.openapi),
            ("GET", "/capabilities", self.capabilities),
            ("POST", "/quotes", self.quote_job),
            ("POST", "/jobs", self.create_job),
            ("GET", "/jobs", self.list_jobs),
            ("GET", "/jobs/{job_id}", self.get_job),
            ("POST", "/jobs/{job_id}/cancel", self.cancel_job),
            ("GET", "/jobs/{job_id}/events", self.job_events),
            ("POST", "/assets", self.add_assets),
            ("GET", "/assets", self.list_assets),
            ("GET", "/assets/{asset_id}", self.get_asset),
            ("DELETE", "/assets/{asset_id}", self.delete_asset),
            ("GET", "/assets/{asset_id}/download", self.download_asset),
            ("GET", "/balance", self.balance),
        ]
        return [Route(PREFIX + path, _answering(endpoint), methods=[method]) for method, path, endpoint in table]

    async def openapi(self, request: Request) -> Response:
        return json_reply(open_document(self._url(request)))

    async def capabilities(self, request: Request) -> Response:
        answer = await self._backend.gateway.ListModels(
            pb2.ListModelsRequest(), timeout=CALL_TIMEOUT_S, metadata=credential(request)
        )
        offered = [model for model in answer.models if "open" in model.contracts]
        return json_reply({"capabilities": [views.capability_view(model) for model in offered]})

    async def create_job(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            key = requests.read_idempotency_key(request.headers.get("idempotency-key"))
            body = await read_json_object(request)
            translated = requests.translate_job(body, idempotency_key=key, public_url=self._url(request))
        except AppError:
            # Whoever has no right to ask learns that first, and nothing about the request.
            await self._backend.prove(metadata)
            raise
        try:
            answer = await self._backend.gateway.SubmitJob(
                translated.request, timeout=submit_timeout_s(translated.request), metadata=metadata
            )
        except AppError as error:
            if error.field:
                error.field = translated.field_in_contract(error.field)
            raise
        status = 200 if answer.reused else 201
        return json_reply({"job": views.job_view(answer.job), "reused": answer.reused}, status=status)

    async def quote_job(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            translated = requests.translate_quote(await read_json_object(request), public_url=self._url(request))
        except AppError:
            await self._backend.prove(metadata)
            raise
        asked = translated.request
        wanted = pb2.QuoteJobRequest(model=asked.model, parameters_json=asked.parameters_json, inputs=asked.inputs)
        try:
            answer = await self._backend.gateway.QuoteJob(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)
        except AppError as error:
            if error.field:
                error.field = translated.field_in_contract(error.field)
            raise
        return json_reply({"quote": views.quote_view(answer)})

    async def list_jobs(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            wanted = _list_jobs_request(request)
        except AppError:
            await self._backend.prove(metadata)
            raise
        answer = await self._backend.gateway.ListJobs(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)
        jobs = [views.job_view(job) for job in answer.jobs]
        more = bool(answer.next_page_token)
        return json_reply(
            {
                "jobs": jobs,
                "nextBefore": jobs[-1]["createdAt"] if more else None,
                "nextPageToken": answer.next_page_token or None,
            }
        )

    async def get_job(self, request: Request) -> Response:
        return json_reply({"job": views.job_view((await self._job(request)).job)})

    async def cancel_job(self, request: Request) -> Response:
        answer = await self._backend.gateway.CancelJob(
            pb2.CancelJobRequest(job_id=_id_in(request, "job_id")),
            timeout=CALL_TIMEOUT_S,
            metadata=credential(request),
        )
        return json_reply({"job": views.job_view(answer.job)})

    async def job_events(self, request: Request) -> Response:
        answer = await self._job(request)
        last, after = request.headers.get("last-event-id", ""), request.query_params.get("after", "")
        for name, position in (("Last-Event-ID", last), ("after", after)):
            if not POSITION.fullmatch(position):
                raise InvalidArgument(f"{name} must be the id of an event.", field=name)
        begin = int(last or after or 0)
        metadata = credential(request)
        return await live.job_events(self._backend, metadata, answer.job, views.job_view, after_position=begin)

    async def _job(self, request: Request) -> pb2.GetJobResponse:
        return await self._backend.gateway.GetJob(
            pb2.GetJobRequest(job_id=_id_in(request, "job_id")),
            timeout=CALL_TIMEOUT_S,
            metadata=credential(request),
        )

    async def add_assets(self, request: Request) -> Response:
        metadata = credential(request)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type == "multipart/form-data":
            assets = await self._upload_files(request, metadata)
        else:
            assets = [await self._register_url(request, metadata)]
        shown = [views.asset_view(asset, self._url(request)) for asset in assets]
        return json_reply({"asset": shown[0], "assets": shown}, status=201)

    async def _upload_files(self, request: Request, metadata: Metadata) -> list[asset_pb2.Asset]:
        """Store all files of the form or none."""
        await self._backend.prove(metadata)
        async with files.form_of(request) as form:
            found = [(name, value) for name, value in form.multi_items() if not isinstance(value, str)]
            kind = form.get("kind", "")
            if not isinstance(kind, str) or kind not in {"", *KINDS}:
                raise InvalidArgument(f"kind must be one of {', '.join(KINDS)}.", field="kind")
            if not found:
                raise InvalidArgument("files: the form holds no file.", field="files")
            allowed = await self._backend.gateway.AuthorizeUpload(
                pb2.AuthorizeUploadRequest(kind=kind, count=len(found)), timeout=CALL_TIMEOUT_S, metadata=metadata
            )
            assets: list[asset_pb2.Asset] = []
            try:
                for index, ((name, file), ticket) in enumerate(zip(found, allowed.tickets, strict=True)):
                    field = f"{name}[{index}]" if len(found) > 1 else name
                    assets.append(await files.upload(self._backend, file, ticket=ticket, kind=kind, field=field))
            except AppError:
                for asset in assets:
                    await self._backend.gateway.DeleteAsset(
                        pb2.DeleteAssetRequest(asset_id=asset.id), timeout=CALL_TIMEOUT_S, metadata=metadata
                    )
                raise
            return assets

    async def _register_url(self, request: Request, metadata: Metadata) -> asset_pb2.Asset:
        await self._backend.prove(metadata)
        fields = Fields(await read_json_object(request))
        url = fields.take_text("url", chars_max=requests.URL_CHARS_MAX, required=True)
        name = fields.take_text("name", chars_max=files.NAME_CHARS_MAX)
        kind = fields.take_text("kind", chars_max=16)
        fields.finish()
        if kind not in {"", *KINDS}:
            raise InvalidArgument(f"kind must be one of {', '.join(KINDS)}.", field="kind")
        own = requests.own_asset_id(url, self._url(request))
        if own:
            found = await self._backend.gateway.GetAsset(
                pb2.GetAssetRequest(asset_id=own), timeout=CALL_TIMEOUT_S, metadata=metadata
            )
            return found.asset
        allowed = await self._backend.gateway.AuthorizeUpload(
            pb2.AuthorizeUploadRequest(kind=kind), timeout=CALL_TIMEOUT_S, metadata=metadata
        )
        wanted = assets_pb2.FetchAssetRequest(ticket=allowed.tickets[0], url=url, name=name, kind=kind)
        try:
            answer = await self._backend.assets.FetchAsset(wanted, timeout=FETCH_TIMEOUT_S)
        except AppError as error:
            error.field = "url"
            raise
        return answer.asset

    async def list_assets(self, request: Request) -> Response:
        metadata = credential(request)
        query = request.query_params
        try:
            kind = query.get("kind", "")
            if kind not in {"", *KINDS}:
                raise InvalidArgument(f"kind must be one of {', '.join(KINDS)}.", field="kind")
            wanted = pb2.ListAssetsRequest(
                kind=kind,
                page_size=requests.read_limit(query.get("limit")),
                before=requests.read_before(query["before"]) if "before" in query else None,
                page_token=query.get("pageToken", "")[:256],
            )
        except AppError:
            await self._backend.prove(metadata)
            raise
        answer = await self._backend.gateway.ListAssets(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)
        assets = [views.asset_view(asset, self._url(request)) for asset in answer.assets]
        more = bool(answer.next_page_token)
        return json_reply(
            {
                "assets": assets,
                "nextBefore": assets[-1]["createdAt"] if more else None,
                "nextPageToken": answer.next_page_token or None,
            }
        )

    async def get_asset(self, request: Request) -> Response:
        answer = await self._backend.gateway.GetAsset(
            pb2.GetAssetRequest(asset_id=_id_in(request, "asset_id")),
            timeout=CALL_TIMEOUT_S,
            metadata=credential(request),
        )
        return json_reply({"asset": views.asset_view(answer.asset, self._url(request))})

    async def delete_asset(self, request: Request) -> Response:
        await self._backend.gateway.DeleteAsset(
            pb2.DeleteAssetRequest(asset_id=_id_in(request, "asset_id")),
            timeout=CALL_TIMEOUT_S,
            metadata=credential(request),
        )
        return Response(status_code=204)

    async def download_asset(self, request: Request) -> Response:
        allowed = await self._backend.gateway.AuthorizeRead(
            pb2.AuthorizeReadRequest(asset_id=_id_in(request, "asset_id")),
            timeout=CALL_TIMEOUT_S,
            metadata=credential(request),
        )
        return await files.download(self._backend, request, allowed.asset, allowed.ticket)

    async def balance(self, request: Request) -> Response:
        answer = await self._backend.gateway.GetBalance(
            pb2.GetBalanceRequest(), timeout=CALL_TIMEOUT_S, metadata=credential(request)
        )
        units = {
            views.UNIT_NAMES[line.unit]: {"available": line.available, "held": line.held, "spent": line.spent}
            for line in answer.balances
        }
        return json_reply({"clientId": answer.client_id, "balance": units})

    def _url(self, request: Request) -> str:
        return self._public_url or str(request.base_url).rstrip("/")


def credential(request: Request) -> Metadata:
    """The API key of either header, as the gateway wants it."""
    header = request.headers.get("authorization", "")
    key = request.headers.get("x-zhinian-api-key", "")
    authorization = f"Bearer {key.strip()}" if key.strip() and not header else header.strip()
    if not authorization.isascii() or not authorization.isprintable():
        authorization = "Bearer ?"  # gRPC metadata is ASCII; no key of ours has such characters.
    return caller(request, authorization)


def _id_in(request: Request, name: str) -> str:
    """The id in the path. One that nothing of ours can have becomes one that nothing has: it is only not found."""
    found: str = request.path_params[name]
    return found if ID.fullmatch(found) else NOBODYS_ID


async def not_found(request: Request) -> Response:
    """The contract's answer for a path under `/api/v1` that does not exist."""
    return open_error(NotFound())


def _list_jobs_request(request: Request) -> pb2.ListJobsRequest:
    query = request.query_params
    status = query.get("status", "")
    if status and status not in views.STATUS_NUMBERS:
        raise InvalidArgument(f"status must be one of {', '.join(views.STATUS_NUMBERS)}.", field="status")
    capability = query.get("capability", "")
    if capability and capability not in requests.INPUT_ROLES:
        raise InvalidArgument(
            f"capability must be one of {', '.join(sorted(requests.INPUT_ROLES))}.", field="capability"
        )
    return pb2.ListJobsRequest(
        states=[views.STATUS_NUMBERS[status]] if status else [],
        capability=capability,
        before=requests.read_before(query["before"]) if "before" in query else None,
        page_size=requests.read_limit(query.get("limit")),
        page_token=query.get("pageToken", "")[:256],
    )


def _answering(endpoint: Endpoint) -> Endpoint:
    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AppError as error:
            return open_error(error)

    return answer
