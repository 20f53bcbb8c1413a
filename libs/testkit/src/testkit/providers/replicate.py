"""Replicate: predictions by models of its own, and webhooks signed as Standard Webhooks."""

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.anymodel import MODELS, AnyModel, wrong_in
from testkit.providers.faults import Fault
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

TOKEN: Final = "r8_simulated"
WEBHOOK_SECRET: Final = "whsec_c2ltdWxhdGVkLXdlYmhvb2stc2VjcmV0"
VERSIONS: Final = {hashlib.sha256(name.encode()).hexdigest(): name for name in MODELS}
EVENTS: Final = frozenset({"start", "output", "logs", "completed"})

_STATES: Final = {
    "queued": "starting",
    "running": "processing",
    "succeeded": "succeeded",
    "failed": "failed",
    "moderated": "failed",
    "cancelled": "canceled",
}
_ERRORS: Final = {
    Fault.TOO_MANY: (429, "Request was throttled. Your rate limit resets in 1s."),
    Fault.UNAVAILABLE: (503, "Service unavailable."),
    Fault.MODERATED: (422, "The input was flagged as sensitive."),
    Fault.ACCOUNT: (402, "You have run out of credit."),
}


class ReplicateSimulator(Simulator):
    """One account."""

    name: ClassVar[str] = "replicate"

    def routes(self) -> list[BaseRoute]:
        """Predictions, and files under names, as on its delivery host."""
        return [
            Route("/v1/predictions", self._create, methods=["POST"]),
            Route("/v1/models/{owner}/{model}/predictions", self._create, methods=["POST"]),
            Route("/v1/predictions/{task_id}", self._get),
            Route("/v1/predictions/{task_id}/cancel", self._cancel, methods=["POST"]),
            Route("/_delivery/{task_id}/{number:int}/{name}", self._file),
        ]

    def new_id(self) -> str:
        """Letters and digits, 26 of them."""
        return base64.b32encode(uuid.uuid4().bytes).decode().lower().rstrip("=")

    def error(self, fault: Fault) -> Response:
        """A problem document, or a prediction that has failed already."""
        if fault is Fault.ERROR_BODY:
            error = "Prediction failed to start"
            return JSONResponse({"id": self.new_id(), "status": "failed", "error": error, "output": None}, 201)
        return _problem(*_ERRORS.get(fault, (500, "Internal server error.")))

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            return None
        return _problem(401, "You did not pass a valid authentication token")

    async def _create(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        body = orjson.loads(await request.body())
        model, wrong = _wrong_in(request.path_params, body)
        if model is None or wrong:
            self.submits.append(body)
            return _problem(404 if model is None else 422, wrong)
        hook = str(body.get("webhook", ""))
        answer = await self.take(
            model,
            body,
            prompt=str(body["input"].get("prompt", "")),
            files=self.film() if MODELS[model].film else None,
            callback_url=hook,
        )
        return JSONResponse(self._shown(answer, request), 201) if isinstance(answer, SimTask) else answer

    async def _get(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task = self.ask(request.path_params["task_id"])
        if task is None:
            return _problem(404, "The requested resource could not be found.")
        return JSONResponse(self._shown(task, request)) if isinstance(task, SimTask) else task

    async def _cancel(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task = self.tasks.get(request.path_params["task_id"])
        if task is None:
            return _problem(404, "The requested resource could not be found.")
        self.cancels.append(task.id)
        if self.state(task) in ("queued", "running"):
            task.cancelled = True
        return JSONResponse(self._shown(task, request))

    def _shown(self, task: SimTask, request: Request | None) -> dict[str, Any]:
        state = self.state(task)
        base = str(request.base_url).rstrip("/") if request is not None else "https://api.replicate.com"
        name = "output.mp4" if MODELS[task.kind].film else "output.png"
        output: Any = f"{base}/_delivery/{task.id}/0/{name}"
        if task.kind == "sim/draw":
            output = [output]
        elif task.kind == "sim/fill":
            output = {"picture": output, "mask": f"{base}/_delivery/{task.id}/9/mask.png"}
        error = {"failed": "CUDA out of memory", "moderated": "The output was flagged as NSFW."}.get(state)
        return {
            "id": task.id,
            "model": task.kind,
            "version": task.request.get("version", "hidden"),
            "input": task.request["input"],
            "output": output if state == "succeeded" else None,
            "logs": "",
            "error": error,
            "status": _STATES[state],
            "metrics": {"predict_time": 0.05} if state == "succeeded" else {},
            "urls": {"get": f"{base}/v1/predictions/{task.id}", "cancel": f"{base}/v1/predictions/{task.id}/cancel"},
        }

    async def post_callback(self, task: SimTask) -> tuple[bytes, Mapping[str, str]] | None:
        """The prediction, signed."""
        return signed(orjson.dumps(self._shown(task, None)))


def signed(
    body: bytes, *, secret: str = WEBHOOK_SECRET, age_s: float = 0.0, webhook_id: str = "msg_simulated"
) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers of a webhook, as the scheme has it."""
    timestamp = str(int(time.time() - age_s))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, "sha256")
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "content-type": "application/json",
    }
    return body, headers


def _wrong_in(path: Mapping[str, str], body: Any) -> tuple[str | None, str]:
    """Which model is meant, and what is wrong with the body."""
    if not isinstance(body, dict):
        return "sim/draw", "body: must be an object"
    name: str | None = f"{path['owner']}/{path['model']}" if "owner" in path else VERSIONS.get(str(body.get("version")))
    model: AnyModel | None = MODELS.get(name or "")
    if model is None:
        return None, "The requested resource could not be found."
    wrong = [f"- input.{'.'.join(each.place)}: {each.message}" for each in wrong_in(model, body.get("input"))]
    known = {"input", "webhook", "webhook_events_filter"} | (set() if "owner" in path else {"version"})
    wrong += [f"- {key}: Additional property is not allowed" for key in body.keys() - known]
    if not set(body.get("webhook_events_filter", [])) <= EVENTS:
        wrong.append("- webhook_events_filter: not an event")
    if body.get("webhook", "https://").partition("://")[0] not in ("https", "http"):
        wrong.append("- webhook: not a URL")
    return name, "\n".join(wrong)


def _problem(status: int, detail: str) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 429 else {}
    body = {"type": "about:blank", "title": "Error", "status": status, "detail": detail, "instance": ""}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def build() -> Simulator:
    """One account."""
    return ReplicateSimulator()
