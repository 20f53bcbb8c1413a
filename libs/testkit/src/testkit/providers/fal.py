"""fal: a queue for models of its own, results that may be errors, and webhooks signed with Ed25519."""

import base64
import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.anymodel import MODELS, wrong_in
from testkit.providers.faults import Fault
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

KEY: Final = "simulated-id:simulated-secret"
USER_ID: Final = "user_simulated"
PATHS: Final = {"sim/draw": "sim/draw/fast"}  #: Models that are called under a path below their app.

_CALLED: Final = {PATHS.get(name, name): name for name in MODELS}


class FalSimulator(Simulator):
    """One account, and the keys of its webhooks."""

    name: ClassVar[str] = "fal"

    def __init__(self, *, pace: float = 1.0) -> None:
        super().__init__(pace=pace)
        self.signing = Ed25519PrivateKey.generate()
        self.key_questions = 0

    def routes(self) -> list[BaseRoute]:
        """The queue, the keys, and files under names, as on its delivery host."""
        request = "/{owner}/{alias}/requests/{task_id}"
        return [
            Route("/.well-known/jwks.json", self._key_set),
            Route("/_delivery/{task_id}/{number:int}/{name}", self._file),
            Route(f"{request}/status", self._status),
            Route(f"{request}/cancel", self._cancel, methods=["PUT"]),
            Route(request, self._result),
            Route("/{model:path}", self._submit, methods=["POST"]),
        ]

    def new_id(self) -> str:
        """A UUID."""
        return str(uuid.uuid4())

    def error(self, fault: Fault) -> Response:
        """As its gateway and its models say it."""
        match fault:
            case Fault.TOO_MANY:
                return _detail(429, "Too many requests", {"Retry-After": str(RETRY_AFTER_S)})
            case Fault.UNAVAILABLE:
                return _detail(503, "No runner is available")
            case Fault.ACCOUNT:
                return _detail(403, "User is locked. Reason: Exhausted balance.")
            case Fault.MODERATED:
                return _wrong([("prompt",)], "The prompt was flagged", "content_policy_violation")
            case Fault.ERROR_BODY:
                return JSONResponse({"detail": "The request could not be queued"})
            case _:
                return _detail(500, "Internal Server Error")

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Key {KEY}":
            return None
        return _detail(401, "Cannot access application. Authentication is required.")

    async def _submit(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        given, model = orjson.loads(await request.body()), _CALLED.get(request.path_params["model"])
        wrong = wrong_in(MODELS[model], given) if model else []
        if model is None or wrong:
            self.submits.append(given)
            if model is None:
                return _detail(404, "Application not found")
            return _wrong([each.place for each in wrong], wrong[0].message, wrong[0].kind)
        answer = await self.take(
            model,
            given,
            prompt=str(given.get("prompt", "")),
            files=self.film() if MODELS[model].film else None,
            callback_url=request.query_params.get("fal_webhook", ""),
        )
        if not isinstance(answer, SimTask):
            return answer
        url = f"{_base(request)}/{model}/requests/{answer.id}"
        return JSONResponse(
            {
                "request_id": answer.id,
                "response_url": url,
                "status_url": f"{url}/status",
                "cancel_url": f"{url}/cancel",
                "status": "IN_QUEUE",
                "queue_position": 0,
            },
            headers={"x-fal-request-id": answer.id},
        )

    def _named(self, request: Request) -> SimTask | None:
        """The task of a path, if it is one of that app."""
        path = request.path_params
        task = self.tasks.get(path["task_id"])
        return task if task is not None and task.kind == f"{path['owner']}/{path['alias']}" else None

    async def _status(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task = self._named(request)
        answer = self.ask(task.id) if task is not None else None
        if answer is None:
            return _detail(404, "Request not found")
        if not isinstance(answer, SimTask):
            return answer
        match self.state(answer):
            case "queued":
                shown: dict[str, Any] = {"status": "IN_QUEUE", "queue_position": 0}
            case "running":
                shown = {"status": "IN_PROGRESS", "logs": []}
            case "cancelled":
                shown = {"status": "CANCELLATION_REQUESTED"}
            case _:
                shown = {"status": "COMPLETED", "logs": [], "metrics": {"inference_time": 0.05}}
        return JSONResponse(shown, 200 if shown["status"] == "COMPLETED" else 202)

    async def _result(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task = self._named(request)
        if task is None:
            return _detail(404, "Request not found")
        match self.state(task):
            case "succeeded":
                return JSONResponse(self._output(task, _base(request)))
            case "failed":
                return _detail(500, "CUDA out of memory")
            case "moderated":
                return _wrong([("image",)], "The result was flagged", "output_policy_violation")
        return _detail(400, "Request is still in progress")

    def _output(self, task: SimTask, base: str) -> dict[str, Any]:
        name = "output.mp4" if MODELS[task.kind].film else "output.png"
        file = {"url": f"{base}/_delivery/{task.id}/0/{name}", "content_type": task.files[0][1], "file_name": name}
        match task.kind:
            case "sim/draw":
                return {"images": [file], "seed": 1, "prompt": task.request.get("prompt")}
            case "sim/film":
                return {"video": file}
            case "sim/fill":
                return {"picture": file, "preview": {**file, "url": f"{base}/_delivery/{task.id}/9/preview.png"}}
        return {"image": file}

    async def _cancel(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task = self._named(request)
        if task is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        self.cancels.append(task.id)
        if self.state(task) not in ("queued", "running"):
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        task.cancelled = True
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    async def _key_set(self, _: Request) -> Response:
        self.key_questions += 1
        x = base64.urlsafe_b64encode(self.signing.public_key().public_bytes_raw()).decode().rstrip("=")
        return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})

    async def post_callback(self, task: SimTask) -> tuple[bytes, Mapping[str, str]] | None:
        """The result, signed."""
        good = self.state(task) == "succeeded"
        told: dict[str, Any] = {
            "request_id": task.id,
            "gateway_request_id": task.id,
            "status": "OK" if good else "ERROR",
        }
        told |= {"payload": self._output(task, "https://fal.media")} if good else {"error": "failed", "payload": None}
        return self.signed(orjson.dumps(told), request_id=task.id)

    def signed(
        self, body: bytes, *, request_id: str = "req", age_s: float = 0.0, key: Ed25519PrivateKey | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of a webhook."""
        timestamp = str(int(time.time() - age_s))
        message = f"{request_id}\n{USER_ID}\n{timestamp}\n{hashlib.sha256(body).hexdigest()}".encode()
        return body, {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": USER_ID,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": (key or self.signing).sign(message).hex(),
        }


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _detail(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"detail": text}, status, dict(headers or {}))


def _wrong(places: list[tuple[str, ...]], message: str, kind: str) -> Response:
    return JSONResponse({"detail": [{"loc": ["body", *place], "msg": message, "type": kind} for place in places]}, 422)


def build() -> Simulator:
    """One account."""
    return FalSimulator()
