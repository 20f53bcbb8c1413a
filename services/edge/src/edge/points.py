"""The points contract (`/user/*`): JSON, `{code, message, data}` with the HTTP status as code, Chinese messages."""

import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.answers import points_error
from edge.backend import CALL_TIMEOUT_S, Backend, Metadata, caller, submit_timeout_s
from edge.body import read_json_object
from edge.jobs import find_job
from edge.links import Links
from edge.open.requests import read_idempotency_key
from edge.points_live import TaskPushes, bearer
from edge.points_requests import field_in_contract, list_page, task_no, translate_submit
from edge.points_views import TaskViews, user_id
from edge.replies import json_reply
from kit.errors import AppError, RequestIdReused

TASK_NO_TRIES: Final = 3  # Two submits in one millisecond drawing the same four digits is rare; thrice is not chance.

Endpoint = Callable[[Request], Awaitable[Response]]


class PointsContract:
    """`/user/ai/tasks/*` and `/user/points/consumption/balance`."""

    def __init__(self, backend: Backend, links: Links, *, timezone: ZoneInfo) -> None:
        """`timezone` is that of the times shown, which carry no zone."""
        self._backend = backend
        self._links = links
        self._views = TaskViews(links, timezone=timezone)
        self._pushes = TaskPushes(backend, self._views)

    def routes(self) -> list[BaseRoute]:
        """All endpoints; each turns a refusal into the contract's answer."""
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/user/ai/tasks/submit", self.submit),
            ("GET", "/user/ai/tasks/list", self.list),
            ("GET", "/user/ai/tasks/{task_no}", self.get),
            ("GET", "/user/points/consumption/balance", self.balance),
        ]
        return [
            WebSocketRoute("/user/ai/tasks/ws", self._pushes.watch),
            *(Route(path, _answering(endpoint), methods=[method]) for method, path, endpoint in table),
        ]

    async def submit(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            key = read_idempotency_key(request.headers.get("idempotency-key"))
            wanted = translate_submit(await read_json_object(request))
            await self._links.resolve(wanted.inputs, self._links.base(request))
        except AppError:
            # Whoever has no right to ask learns that first, and nothing about the request.
            await self._backend.prove(metadata)
            raise
        wanted.idempotency_key = key
        answer = await self._submit(wanted, metadata)
        data = await self._views.task(request, metadata, answer.job)
        return _success({**data, "status": "created"} if answer.job.state == job_pb2.JOB_STATE_QUEUED else data)

    async def _submit(self, wanted: pb2.SubmitJobRequest, metadata: Metadata) -> pb2.SubmitJobResponse:
        for attempt in range(1, TASK_NO_TRIES + 1):
            wanted.external_id = task_no(self._views.now())
            try:
                timeout_s = submit_timeout_s(wanted)
                return await self._backend.gateway.SubmitJob(wanted, timeout=timeout_s, metadata=metadata)
            except RequestIdReused:
                if attempt == TASK_NO_TRIES:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def get(self, request: Request) -> Response:
        metadata = credential(request)
        job = await find_job(self._backend, request.path_params["task_no"], metadata)
        return _success(await self._views.task(request, metadata, job))

    async def list(self, request: Request) -> Response:
        metadata = credential(request)
        try:
            page = list_page(request.query_params)
        except AppError:
            await self._backend.prove(metadata)
            raise
        answer = await self._backend.gateway.ListJobs(page.request, timeout=CALL_TIMEOUT_S, metadata=metadata)
        return _success(
            {
                "records": [await self._views.task(request, metadata, job) for job in answer.jobs],
                "total": answer.total,
                "page": page.number,
                "size": page.size,
                "pages": math.ceil(answer.total / page.size),
            }
        )

    async def balance(self, request: Request) -> Response:
        answer = await self._backend.gateway.GetBalance(
            pb2.GetBalanceRequest(), timeout=CALL_TIMEOUT_S, metadata=credential(request)
        )
        points = next((line for line in answer.balances if line.unit == money_pb2.UNIT_POINTS), None)
        expires = points is not None and points.HasField("expire_time")
        return _success(
            {
                "userId": user_id(answer.user_id, client_id=answer.client_id),
                "balance": points.available if points else 0,
                "expireTime": self._views.time(points.expire_time) if points and expires else None,
            }
        )


def credential(request: HTTPConnection) -> Metadata:
    """A JWT or an API key, as the gateway wants it."""
    return caller(request, bearer("", request.headers.get("authorization", "")))


def _success(data: Any) -> Response:
    return json_reply({"code": 200, "message": "success", "data": data})


def _answering(endpoint: Endpoint) -> Endpoint:
    """Turn refusals into the contract's answers."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AppError as error:
            error.field = field_in_contract(error.field) if error.field else None
            return points_error(error)

    return answer
