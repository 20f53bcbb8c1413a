"""即梦 Jimeng on Volcengine visual, simulated: signed submits, questions, the gateway's and the algorithm's errors.

Where the vendor's pages are silent this one chooses, and says so with "not published".
"""

import base64
import hashlib
import hmac
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.faults import Fault
from testkit.providers.files import picture
from testkit.providers.jimeng_rules import RULES, Invalid
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

ACCESS_KEY: Final = "AKSIMULATED"
SECRET_KEY: Final = "c2ltdWxhdGVkLXNlY3JldA=="  # Never decoded, though it looks like base64.
SESSION_TOKEN: Final = "simulated-session-token"
VERSION: Final = "2022-08-31"
REGION: Final = "cn-north-1"
SKEW_S: Final = 15 * 60  # Not published.
KEPT_S: Final = 12 * 3600.0  # How long a task can be asked after.
FILM_LIVES_S: Final = 3600.0
RUNNING_MAX: Final = 10_000  # Not published; a test sets another one.

_AUTHORIZATION: Final = re.compile(
    r"HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)

#: The algorithm's codes, by what goes wrong: status, code, message.
_REFUSED: Final = {
    Fault.TOO_MANY: (429, 50429, "Request Has Reached API Limit, Please Try Later"),
    Fault.BROKEN: (500, 50500, "Internal Error"),
    Fault.ERROR_BODY: (200, 50501, "Internal RPC Error"),
    Fault.MODERATED: (400, 50413, "Post Text Risk Not Pass"),
}
#: The gateway's words: number and status.
_GATEWAY: Final = {
    "MissingParameter": (100002, 400),
    "MissingRequestInfo": (100004, 400),
    "InvalidTimestamp": (100006, 400),
    "ServiceNotFound": (100007, 404),
    "InvalidActionOrVersion": (100008, 404),
    "InvalidAccessKey": (100009, 401),
    "SignatureDoesNotMatch": (100010, 401),
    "AccessDenied": (100013, 403),
    "InternalError": (100014, 500),
    "InternalServiceTimeout": (100016, 504),
}


#: What they call a state. Which code comes with `not_found` is not published.
_WORDS: Final = {"queued": "in_queue", "running": "generating", "not_found": "not_found"}


class GatewayRefused(Exception):
    """The request does not get as far as the algorithm."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class JimengSimulator(Simulator):
    """One account of Jimeng."""

    name = "jimeng"

    def __init__(self, *, pace: float = 1.0) -> None:
        super().__init__(pace=pace)
        self.running_max = RUNNING_MAX
        self.signed_headers: list[str] = []  #: Of each request that was signed well.
        self._handlers: Mapping[str, Callable[[Request, dict[str, Any]], Any]] = {
            "CVSync2AsyncSubmitTask": self._submit,
            "CVSync2AsyncGetResult": self._result,
        }

    def routes(self) -> list[BaseRoute]:
        """One path for everything; `Action` tells what is meant."""
        return [Route("/", self._any, methods=["GET", "POST", "PUT", "DELETE"])]

    def error(self, fault: Fault) -> Response:
        """The algorithm's errors, but for those that the gateway or what stands before it makes."""
        if fault is Fault.ACCOUNT:
            return _gateway("AccessDenied")
        if fault is Fault.UNAVAILABLE:
            return Response("Service Unavailable", 503, {"Retry-After": str(RETRY_AFTER_S)})
        return _refused(*_REFUSED[fault])

    async def _any(self, request: Request) -> Answer:
        body = await request.body()
        try:
            handler = self._handlers.get(request.query_params.get("Action", ""))
            if request.method != "POST" or handler is None or request.query_params.get("Version") != VERSION:
                raise GatewayRefused("InvalidActionOrVersion")
            self.signed_headers.append(check_signature(request, body))
            if request.headers.get("content-type", "").partition(";")[0] != "application/json":
                raise Invalid("Content-Type")
            return await handler(request, _object(body))
        except GatewayRefused as error:
            return _gateway(error.word, action=request.query_params.get("Action", ""))
        except Invalid as error:
            return _refused(400, 50215, f"Input invalid for this service: {error}")  # The code is not published.

    async def _submit(self, request: Request, body: dict[str, Any]) -> Answer:
        rule = RULES.get(_text(body, "req_key"))
        if rule is None:
            raise Invalid("req_key")
        rule.check(body)
        running = sum(self.state(task) in {"queued", "running"} for task in self.tasks.values())
        if running >= self.running_max:
            self.submits.append(body)
            return _refused(429, 50430, "Request Has Reached API Concurrent Limit, Please Try Later")
        prompt = str(body.get("prompt", ""))
        files = self.film() if rule.film else _pictures(len(self.tasks), 1 if _single(body) else 2)
        task = await self.take(body["req_key"], body, prompt=prompt, files=files, task_id=_task_id(len(self.tasks)))
        return _succeeded({"task_id": task.id}) if isinstance(task, SimTask) else task

    async def _result(self, request: Request, body: dict[str, Any]) -> Answer:
        req_key, task_id = _text(body, "req_key"), _text(body, "task_id")
        told = body.get("req_json", "{}")
        if not isinstance(told, str):
            raise Invalid("req_json")
        task = self.ask(task_id)
        if task is not None and not isinstance(task, SimTask):
            return task
        known = task is not None and task.kind == req_key and time.monotonic() - task.began <= KEPT_S
        state = self.state(task) if task is not None and known else "not_found"
        if state in _WORDS:
            return _succeeded(_data(_WORDS[state]))
        assert task is not None
        return self._ended(request, task, state, with_urls=_object(told.encode()).get("return_url") is True)

    def _ended(self, request: Request, task: SimTask, state: str, *, with_urls: bool) -> Answer:
        if state == "failed":
            return _refused(500, 50500, "Internal Error", data=_data("done"))
        if state == "moderated":
            return _refused(400, 50516 if RULES[task.kind].film else 50511, "Post Img Risk Not Pass")
        return _succeeded(self._done(request, task, with_urls))

    def url_lives_s(self, task: SimTask) -> float:
        """An hour for films, a day for pictures."""
        return FILM_LIVES_S if RULES[task.kind].film else super().url_lives_s(task)

    def _done(self, request: Request, task: SimTask, with_urls: bool) -> dict[str, Any]:
        urls = [self.url(request, task, number) for number in range(len(task.files))]
        if RULES[task.kind].film:
            return {"status": "done", "video_url": urls[0], "aigc_meta_tagged": False}
        data = _data("done")
        if with_urls:
            data["image_urls"] = urls
        else:
            files = [self.file_bytes(task, number) for number in range(len(task.files))]
            data["binary_data_base64"] = [base64.b64encode(each).decode() for each in files]
        return data


def build() -> Simulator:
    """Build one."""
    return JimengSimulator()


def check_signature(request: Request, body: bytes) -> str:
    """Return the names that were signed. Raises GatewayRefused for a signature that this account did not make."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    date, told = request.headers.get("x-date", ""), request.headers.get("x-content-sha256", "")
    if found is None or not date or not told:
        raise GatewayRefused("MissingRequestInfo")
    access_key, day, region, service, names, signature = found.groups()
    if access_key != ACCESS_KEY:
        raise GatewayRefused("InvalidAccessKey")
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise GatewayRefused("InvalidTimestamp") from None
    if abs((datetime.now(UTC) - signed_at).total_seconds()) > SKEW_S or not date.startswith(day):
        raise GatewayRefused("InvalidTimestamp")
    if (region, service) != (REGION, "cv"):
        raise GatewayRefused("ServiceNotFound")
    if request.headers.get("x-security-token") not in {None, SESSION_TOKEN}:
        raise GatewayRefused("InvalidAccessKey")
    must = {"content-type", *(name for name in request.headers if name == "host" or name.startswith("x-"))}
    if not must <= set(names.split(";")) or names.split(";") != sorted(names.split(";")):
        raise GatewayRefused("SignatureDoesNotMatch")
    if told != hashlib.sha256(body).hexdigest() or not hmac.compare_digest(
        signature, _signature(request, names.split(";"), told, f"{day}/{region}/{service}/request")
    ):
        raise GatewayRefused("SignatureDoesNotMatch")
    return names


def _signature(request: Request, names: list[str], body_hash: str, scope: str) -> str:
    pairs = sorted(parse_qsl(request.url.query, keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    parts = [request.method, request.url.path, query]
    parts += [f"{name}:{request.headers.get(name, '').strip()}" for name in names]
    parts += ["", ";".join(names), body_hash]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    key = SECRET_KEY.encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    text = f"HMAC-SHA256\n{request.headers['x-date']}\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise Invalid("body") from None
    if not isinstance(value, dict):
        raise Invalid("body")
    return value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        raise GatewayRefused("MissingParameter")
    if not isinstance(value, str) or not value:
        raise Invalid(name)
    return value


def _single(body: Mapping[str, Any]) -> bool:
    """Whether one picture comes out: `force_single` is the only field that asks, and only of some models."""
    return not RULES[body["req_key"]].groups or body.get("force_single") is True


def _pictures(number: int, count: int) -> list[tuple[bytes, str]]:
    return [(picture(seed=100 * number + each, form="JPEG"), "image/jpeg") for each in range(count)]


def _task_id(number: int) -> str:
    return str(7392616336519610409 + number)


def _data(status: str) -> dict[str, Any]:
    return {"status": status, "binary_data_base64": None, "image_urls": None}


def _succeeded(data: dict[str, Any]) -> Response:
    return _algorithm(200, 10000, "Success", data)


def _refused(status: int, code: int, message: str, data: dict[str, Any] | None = None) -> Response:
    return _algorithm(status, code, message, data)


def _algorithm(status: int, code: int, message: str, data: dict[str, Any] | None) -> Response:
    body = {
        "code": code,
        "data": data,
        "message": message,
        "request_id": f"2024{math.floor(time.time() * 1000)}",
        "status": code,
        "time_elapsed": "104.852130ms",
    }
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 429 else {}
    return JSONResponse(body, status, headers)


def _gateway(word: str, *, action: str = "") -> Response:
    number, status = _GATEWAY[word]
    metadata = {
        "RequestId": f"2024{math.floor(time.time() * 1000)}",
        "Action": action,
        "Version": VERSION,
        "Service": "cv",
        "Region": REGION,
        "Error": {"Code": word, "CodeN": number, "Message": f"{word} (simulated)"},
    }
    return JSONResponse({"ResponseMetadata": metadata}, status)
