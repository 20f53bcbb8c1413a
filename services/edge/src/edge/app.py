"""The ASGI application: routes of every contract, health, and what happens around each request."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge import links
from edge.answers import open_error, points_error, points_refusal, signed_error, studio_error
from edge.backend import Backend
from edge.callbacks import ProviderSide
from edge.config import UPLOAD_BODY_BYTES_MAX, EdgeSettings
from edge.links import Links
from edge.open.routes import PREFIX as OPEN_PREFIX
from edge.open.routes import OpenContract
from edge.openapi import document
from edge.points import PointsContract
from edge.replies import json_reply
from edge.routing import one_a_path
from edge.signed import SignedContract
from edge.studio import StudioContract
from kit.errors import AppError, BodyTooLarge, ErrorReason, NotFound
from kit.logging import get_logger
from kit.logging import request_id as current_request_id

log = get_logger(__name__)

REQUEST_ID_HEADER: Final = "x-request-id"
SIGNED_PREFIX: Final = "/ai/draw/"
LINKS: Final = (f"{links.PREFIX}/", "/api/images/")  # Pictures for whoever has the link; refusals are plain text.
WRONG_METHOD: Final = "请求方法不支持"


def build_app(settings: EdgeSettings, backend: Backend) -> ASGIApp:
    """Return the whole HTTP surface. Raises ZoneInfoNotFoundError for a time zone that does not exist."""
    app = _Application(
        routes=one_a_path(routes(settings, backend)),
        exception_handlers={HTTPException: _http_exception, BodyTooLarge: _body_too_large},
    )
    app.router.redirect_slashes = False
    return Shell(app)


def routes(settings: EdgeSettings, backend: Backend) -> list[BaseRoute]:
    """Every endpoint of every contract, and health. Raises ZoneInfoNotFoundError."""
    timezone = ZoneInfo(settings.timezone)
    public_links = Links(backend, public_url=settings.public_url)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(request: Request) -> Response:
        ready = await backend.ready()
        return PlainTextResponse("ready" if ready else "not ready", status_code=200 if ready else 503)

    async def openapi(request: Request) -> Response:
        return json_reply(document(public_links.base(request)))

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
        *public_links.routes(),
        *OpenContract(backend, public_url=settings.public_url).routes(),
        *PointsContract(backend, public_links, timezone=timezone).routes(),
        *SignedContract(backend, public_links, timezone=timezone).routes(),
        *StudioContract(backend, public_links).routes(),
        *ProviderSide(backend).routes(),
    ]


class _Application(Starlette):
    """Starlette without its own answer to what nobody foresaw: Shell has one in the words of each contract."""

    def build_middleware_stack(self) -> ASGIApp:
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


async def _http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses itself: unknown paths and methods, in the words of the path's contract."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        answer = _wrong_method(path)
        answer.status_code = 405
        answer.headers.update(error.headers or {})
        return answer
    if error.status_code == 404 and path.startswith((SIGNED_PREFIX, "/user/", f"{OPEN_PREFIX}/")):
        return _refusal(path, NotFound())
    message = "Not found." if error.status_code == 404 else "The request cannot be processed."
    return json_reply({"error": message}, status=error.status_code, headers=error.headers)


def _wrong_method(path: str) -> Response:
    """The body of a 405."""
    if path.startswith(SIGNED_PREFIX):
        return signed_error(NotFound())  # The document has no nearer code.
    if path.startswith("/user/"):
        return points_refusal(405, WRONG_METHOD)
    if _is_studio(path):
        return json_reply({"err_code": 1, "err_msg": WRONG_METHOD})
    return json_reply({"error": "Method not allowed."})


async def _body_too_large(request: Request, error: Exception) -> Response:
    assert isinstance(error, BodyTooLarge)
    return _refusal(request.url.path, error)


def _refusal(path: str, error: AppError) -> Response:
    """A refusal in the words of the path's contract."""
    if path.startswith("/user/"):
        return points_error(error)
    if path.startswith(SIGNED_PREFIX):
        return signed_error(error)
    if _is_studio(path):
        return studio_error(error, submitting=path.startswith("/api/submit_"))
    if path.startswith(LINKS):
        return links.refusal(error)
    return open_error(error)


def _is_studio(path: str) -> bool:
    """Whether the studio contract's words are expected there."""
    return path.startswith("/api/") and not path.startswith((f"{OPEN_PREFIX}/", *LINKS))


class Shell:
    """Around every request: an id, a body limit, one log event, and a neutral answer to what nobody foresaw."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        token = current_request_id.set(request_id)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, _bounded(receive), send_with_id)
        except ClientDisconnect:  # In the middle of its body: there is nobody to answer, and nothing of ours failed.
            log.info("client_left", path=scope["path"])
        except Exception as error:
            incident_id = f"inc_{secrets.token_hex(8)}"
            log.error("http_request_failed", path=scope["path"], incident_id=incident_id, exc_info=error)
            if started:
                raise
            answer = _refusal(scope["path"], AppError.of(ErrorReason.INTERNAL, metadata={"incident_id": incident_id}))
            await answer(scope, receive, send_with_id)
        finally:
            current_request_id.reset(token)


def _bounded(receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Count the body, so that no endpoint can forget to; endpoints have their own, smaller limits."""
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > UPLOAD_BODY_BYTES_MAX:
                raise BodyTooLarge(f"The request body is larger than {UPLOAD_BODY_BYTES_MAX} bytes.")
        return message

    return receive_bounded
