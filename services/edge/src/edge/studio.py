"""The studio contract: forms in, HTTP 200 with `err_code` out. Here are the ten submit endpoints and all routes."""

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge import files
from edge.answers import studio_error
from edge.backend import CALL_TIMEOUT_S, SUBMIT_TIMEOUT_S, Backend, Metadata
from edge.links import Links
from edge.replies import json_reply
from edge.studio_account import credential, follow_up, remaining
from edge.studio_fields import ENDPOINTS, FILE_TOO_LARGE, Endpoint, read_parameters
from edge.studio_results import StudioResults
from kit.errors import AppError, BodyTooLarge, ErrorReason, InvalidArgument
from kit.logging import get_logger

CONTRACT: Final = "studio"
FILE_BYTES_MAX: Final = 16 * 1024 * 1024  # 16MB, where the document says so.
PICTURE: Final = "input_image"

_log = get_logger(__name__)


class StudioContract:
    """All endpoints of the studio contract."""

    def __init__(self, backend: Backend, links: Links, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` tells the age of remembered statuses."""
        self._backend = backend
        self._results = StudioResults(backend, links, monotonic=monotonic)

    def routes(self) -> list[Route]:
        """Ten submits, the status, and the links to pictures."""
        submits = [
            Route(f"/api/{endpoint.name}", self._submitting(endpoint), methods=["POST"]) for endpoint in ENDPOINTS
        ]
        return [
            *submits,
            Route("/api/check_task_status", self._results.check_task_status, methods=["POST"]),
            Route("/api/images/{opaque}/{task_id}", self._results.image, methods=["GET"]),
            Route("/api/images/{opaque}/{task_id}/{variant:path}", self._results.image, methods=["GET"]),
        ]

    def _submitting(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(self._submit)
        async def answer(request: Request) -> Response:
            try:
                async with files.form_of(request) as form:
                    return await self._submit(request, endpoint, form)
            except AppError as error:
                return studio_error(_in_form_words(error, endpoint), submitting=True, sentences=endpoint.sentences)

        return answer

    async def _submit(self, request: Request, endpoint: Endpoint, form: FormData) -> Response:
        metadata = credential(request, form)
        allowed = await self._backend.gateway.AuthorizeUpload(
            pb2.AuthorizeUploadRequest(kind="image"), timeout=CALL_TIMEOUT_S, metadata=metadata
        )
        parameters = read_parameters(endpoint, form)
        picture = form.get(PICTURE)
        if not isinstance(picture, UploadFile):
            raise InvalidArgument("缺少参数", field=PICTURE)
        if endpoint.limited and (picture.size or 0) > FILE_BYTES_MAX:
            raise BodyTooLarge(FILE_TOO_LARGE)
        asset = await files.upload(self._backend, picture, ticket=allowed.tickets[0], kind="image", field=PICTURE)
        wanted = pb2.SubmitJobRequest(
            model=endpoint.model,
            parameters_json=orjson.dumps(parameters).decode(),
            inputs=[job_pb2.Input(role="image", asset_id=asset.id)],
            contract=CONTRACT,
        )
        try:
            answer = await self._backend.gateway.SubmitJob(
                wanted, timeout=SUBMIT_TIMEOUT_S, metadata=follow_up(metadata)
            )
        except AppError:
            await self._discard(asset.id, metadata)
            raise
        return json_reply({"err_code": 0, "task_id": answer.job.id, **await remaining(self._backend, metadata)})

    async def _discard(self, asset_id: str, metadata: Metadata) -> None:
        """Nothing of a refused task remains, and the answer is why it was refused even when this fails."""
        try:
            await self._backend.gateway.DeleteAsset(
                pb2.DeleteAssetRequest(asset_id=asset_id), timeout=CALL_TIMEOUT_S, metadata=follow_up(metadata)
            )
        except AppError as error:
            _log.warning("refused_input_stays", asset_id=asset_id, reason=error.reason)


def _in_form_words(error: AppError, endpoint: Endpoint) -> AppError:
    """The error with the form's names: the services behind know parameters and inputs, the partner its fields."""
    if endpoint.limited and error.reason is ErrorReason.BODY_TOO_LARGE:
        return BodyTooLarge(FILE_TOO_LARGE)
    field = error.field or ""
    if field.startswith("inputs"):
        error.field = PICTURE
    elif field == "model":
        error.field = None  # The partner named none.
    else:
        error.field = field.removeprefix("parameters.") or None
    return error
