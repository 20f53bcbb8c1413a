"""A thousand spoilt requests to every endpoint: no answer is a failure of ours, no log line tells a secret.

The endpoints are those of the OpenAPI document, all of them. The same seed sends the same requests.
"""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from edge.openapi import document
from edge.signed import STYLES
from edge.studio_fields import ENDPOINTS as STUDIO
from edge.studio_fields import Field
from testkit.deployments import StandaloneDeployment
from testkit.doors import token
from testkit.furnished import USER_ID, Facts, furnish
from testkit.fuzzing import Answer, Draft, File, Wire, mutated
from testkit.photos import encoded, photo
from testkit.web import Site, respond

SEED: Final = "atelier-1"
REQUESTS: Final = 1000  # To each endpoint.
CONNECTIONS: Final = 8
PICTURE: Final = encoded(photo((12, 8)), "PNG")
URL_SIGNATURE: Final = "5eeded51947a7e0fanaddress"  # Partners give addresses that open their own stores.
PICTURE_PATH: Final = f"/picture.png?X-Amz-Signature={URL_SIGNATURE}"
VERIFY_TIMEOUT_S: Final = 120.0
SHOWN: Final = 5  # Of what went wrong.
#: What the contracts whose status is always 200 say when the house has failed.
FAILED_CODES: Final = {500, 610}
FAILED_WORDS: Final = ("服务器错误", "系统维护", "请求超时", "操作冲突")
#: A log line with one of these is somebody's work to do.
TROUBLE: Final = ("Traceback", "http_request_failed", '"level": "error"', '"level":"error"', "[error", "never awaited")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e-fuzz")]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A deployment and what is known about it."""

    deployment: StandaloneDeployment
    facts: Facts
    jwt: str
    picture_url: str

    @property
    def secrets(self) -> list[str]:
        """What no log line may hold: keys, what signs, the token's and the addresses' signatures, links."""
        deployment, facts = self.deployment, self.facts
        inner = [deployment.internal_secret.get_secret_value(), deployment.jwt_secret.get_secret_value()]
        links = [facts.opaque, facts.several_opaque, facts.tiled_opaque, facts.result.partition(".")[0]]
        return [
            facts.api_key,
            facts.user_key,
            facts.app_secret,
            self.jwt.rpartition(".")[2],
            *inner,
            *links,
            URL_SIGNATURE,
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    environment = {"ATELIER_ALLOW_PRIVATE_TARGETS": "127.0.0.1/32", "ATELIER_LOG_LEVEL": "debug"}
    async with Site({}) as site, StandaloneDeployment(folder, environment=environment) as deployment:
        site.reply(PICTURE_PATH, respond(PICTURE, headers={"Content-Type": "image/png"}))
        facts = await furnish(deployment)
        made = Target(
            deployment=deployment,
            facts=facts,
            jwt=token(deployment.jwt_secret, USER_ID, exp=int(time.time()) + 86_400),
            picture_url=f"http://127.0.0.1:{site.port}{PICTURE_PATH}",
        )
        yield made
        # Once more, for what was logged after its answer.
        assert _faults(deployment.logs(), made) == []
        proof = await deployment.operator().wallets.VerifyLedger(
            wallet_pb2.VerifyLedgerRequest(), timeout=VERIFY_TIMEOUT_S
        )
        assert not proof.faults
        assert proof.transactions > 0


# Honest requests


def _open(random: Random, target: Target, method: str, path: str, **parts: Any) -> Draft:
    header = random.choice([(b"Authorization", b"Bearer %s"), (b"X-Zhinian-Api-Key", b"%s")])
    headers = [(header[0], header[1] % target.facts.api_key.encode()), *parts.pop("headers", [])]
    filled = path.format(job_id=target.facts.job_id, asset_id=target.facts.asset_id)
    return Draft(method=method.encode(), path=filled.encode(), headers=headers, **parts)


def _create_job(random: Random, target: Target) -> Draft:
    paid = {"maxCost": {"points": 500}, "quoteId": ""}
    return _a_job(random, target, "/api/v1/jobs", paid if random.random() < 0.3 else {})


def _quote_job(random: Random, target: Target) -> Draft:
    return _a_job(random, target, "/api/v1/quotes", {})


def _a_job(random: Random, target: Target, path: str, more: dict[str, Any]) -> Draft:
    generate = {
        "capability": "image.generate",
        "prompt": "雪山",
        "negativePrompt": "人",
        "width": 640,
        "height": 480,
        "scale": 50,
        "quality": "medium",
        "force_single": True,
        "seed": 7,
        "imageUrls": [target.picture_url],
        "inputAssetIds": [target.facts.asset_id],
        "webhookUrl": target.picture_url,
    }
    upscale = {"capability": "image.upscale", "inputAssetIds": [target.facts.asset_id], "resolution": "2k"}
    video = {
        "capability": "video.generate",
        "prompt": "海",
        "settings": {"ratio": "9:16", "duration": 4, "resolution": "480p"},
        "materials": [{"type": "image", "url": target.picture_url, "label": "@图片1"}],
    }
    key = [(b"Idempotency-Key", f"fuzz-{random.randrange(200)}".encode())] if random.random() < 0.3 else []
    return _open(random, target, "POST", path, json=random.choice([generate, upscale, video]) | more, headers=key)


def _add_assets(random: Random, target: Target) -> Draft:
    if random.random() < 0.5:
        body = {"url": target.picture_url, "name": "a.png", "kind": "image"}
        return _open(random, target, "POST", "/api/v1/assets", json=body)
    files: list[tuple[bytes, bytes | File]] = [(b"files", File(content=PICTURE)) for _ in range(random.choice((1, 2)))]
    return _open(random, target, "POST", "/api/v1/assets", form=[*files, (b"kind", b"image")])


def _cancel_job(random: Random, target: Target) -> Draft:
    job_id = random.choice([target.facts.job_id, target.facts.queued_id])
    return _open(random, target, "POST", f"/api/v1/jobs/{job_id}/cancel")


def _delete_asset(random: Random, target: Target) -> Draft:
    draft = _open(random, target, "DELETE", "/api/v1/assets/{asset_id}")
    draft.path = draft.path[:-1] + b"0"  # The asset itself is needed by the others.
    return draft


def _listing(names: str, **more: str) -> Callable[[Random, Target], Draft]:
    def make(random: Random, target: Target) -> Draft:
        query = {"limit": "5", "before": "2099-01-01T00:00:00Z", "pageToken": "", **more}
        pairs = [(name.encode(), value.encode()) for name, value in query.items()]
        return _open(random, target, "GET", f"/api/v1/{names}", query=pairs)

    return make


def _events(random: Random, target: Target) -> Draft:
    return _open(random, target, "GET", "/api/v1/jobs/{job_id}/events", query=[(b"after", b"1")])


def _points(random: Random, target: Target, method: str, path: str, **parts: Any) -> Draft:
    credential = random.choice([target.jwt, target.facts.api_key])
    filled = path.format(task_no=target.facts.job_id)
    headers = [(b"Authorization", f"Bearer {credential}".encode()), *parts.pop("headers", [])]
    return Draft(method=method.encode(), path=filled.encode(), headers=headers, **parts)


def _submit_points(random: Random, target: Target) -> Draft:
    several = json.dumps([target.picture_url] * 2)
    text = {"modelName": "sc_soraimg_text_1x1", "prompt": "一只可爱的柴犬", "imageUrl": None}
    image = {"modelName": "sc_soraimg_img2img_3x2", "prompt": "油画", "imageUrl": target.picture_url}
    body = random.choice([text, image, {**image, "imageUrl": several}])
    return _points(random, target, "POST", "/user/ai/tasks/submit", json=body)


def _list_points(random: Random, target: Target) -> Draft:
    query = [(b"page", b"1"), (b"size", b"10"), (b"status", b"completed"), (b"taskType", b"text_to_image")]
    return _points(random, target, "GET", "/user/ai/tasks/list", query=query)


def _watch_points(random: Random, target: Target) -> Draft:
    """A WebSocket handshake, and one frame that the other side has to bear."""
    upgrade = [
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    query = [(b"token", target.jwt.encode()), (b"after", b"1")]
    frame = b"\x88\x80\x00\x00\x00\x00"
    return Draft(method=b"GET", path=b"/user/ai/tasks/ws", headers=upgrade, query=query, after_upgrade=frame)


def _proof(target: Target) -> list[tuple[bytes, bytes | File]]:
    facts, stamp = target.facts, str(int(time.time() * 1000))
    sign = hashlib.sha256(f"{facts.app_id}{facts.app_secret}{stamp}".encode()).hexdigest()
    return [(b"appId", facts.app_id.encode()), (b"timestamp", stamp.encode()), (b"sign", sign.encode())]


def _signed(path: str, **fields: str) -> Callable[[Random, Target], Draft]:
    def make(random: Random, target: Target) -> Draft:
        given = {"taskId": target.facts.job_id} if "query" in path else fields
        form = [*_proof(target), *((name.encode(), value.encode()) for name, value in given.items())]
        return Draft(method=b"POST", path=path.encode(), form=form, urlencoded=random.random() < 0.5)

    return make


def _studio(path: str, fields: tuple[Field, ...]) -> Callable[[Random, Target], Draft]:
    def make(random: Random, target: Target) -> Draft:
        form: list[tuple[bytes, bytes | File]] = [(b"user_key", target.facts.user_key.encode())]
        form += [(field.name.encode(), _good(field)) for field in fields]
        form.append((b"input_image", File(content=PICTURE)))
        return Draft(method=b"POST", path=path.encode(), form=form)

    return make


def _good(field: Field) -> bytes:
    """A value that the field takes."""
    if field.kind == "bool":
        return b"True"
    if field.kind in {"int", "float"}:
        return str(field.minimum).encode()
    return (field.default or "通用模型").encode()


def _task_status(random: Random, target: Target) -> Draft:
    form: list[tuple[bytes, bytes | File]] = [
        (b"user_key", target.facts.user_key.encode()),
        (b"task_id", random.choice([target.facts.job_id, target.facts.queued_id]).encode()),
    ]
    return Draft(method=b"POST", path=b"/api/check_task_status", form=form, urlencoded=random.random() < 0.5)


def _public(path: str) -> Callable[[Random, Target], Draft]:
    def make(random: Random, target: Target) -> Draft:
        opaque, task_id = target.facts.linked(path)
        filled = path.format(name=target.facts.result, opaque=opaque, task_id=task_id, number=1)
        return Draft(method=b"GET", path=filled.encode(), headers=[(b"Range", b"bytes=0-99")])

    return make


def _provider_input(random: Random, target: Target) -> Draft:
    return Draft(method=b"GET", path=b"/provider-inputs/bWFkZS11cC10aWNrZXQ/input.png")


def _callback(random: Random, target: Target) -> Draft:
    token = f"att_{'0' * 26}.{random.randbytes(16).hex()}"
    return Draft(method=b"POST", path=f"/callbacks/local/{token}".encode(), json={"id": "cgt-1", "status": "succeeded"})


def _bare(draft: Callable[..., Draft], method: str, path: str) -> Callable[[Random, Target], Draft]:
    return lambda random, target: draft(random, target, method, path)


NEVER_THERE: Final = ("/vector", "/provider-inputs/{ticket}/{name}", "/callbacks/{provider}/{token}")

MAKERS: Final[dict[str, Callable[[Random, Target], Draft]]] = {
    "GET /api/v1/openapi.json": _public("/api/v1/openapi.json"),
    "GET /api/v1/capabilities": _bare(_open, "GET", "/api/v1/capabilities"),
    "GET /api/v1/balance": _bare(_open, "GET", "/api/v1/balance"),
    "POST /api/v1/quotes": _quote_job,
    "POST /api/v1/jobs": _create_job,
    "GET /api/v1/jobs": _listing("jobs", status="queued", capability="image.generate"),
    "GET /api/v1/jobs/{job_id}": _bare(_open, "GET", "/api/v1/jobs/{job_id}"),
    "POST /api/v1/jobs/{job_id}/cancel": _cancel_job,
    "GET /api/v1/jobs/{job_id}/events": _events,
    "POST /api/v1/assets": _add_assets,
    "GET /api/v1/assets": _listing("assets", kind="image"),
    "GET /api/v1/assets/{asset_id}": _bare(_open, "GET", "/api/v1/assets/{asset_id}"),
    "DELETE /api/v1/assets/{asset_id}": _delete_asset,
    "GET /api/v1/assets/{asset_id}/download": _bare(_open, "GET", "/api/v1/assets/{asset_id}/download"),
    "POST /user/ai/tasks/submit": _submit_points,
    "GET /user/ai/tasks/list": _list_points,
    "GET /user/ai/tasks/ws": _watch_points,
    "GET /user/ai/tasks/{task_no}": _bare(_points, "GET", "/user/ai/tasks/{task_no}"),
    "GET /user/points/consumption/balance": _bare(_points, "GET", "/user/points/consumption/balance"),
    "POST /ai/draw/submit": _signed("/ai/draw/submit", text="猫", resolution="1024*1024", style=STYLES[0], num="2"),
    "POST /ai/draw/query": _signed("/ai/draw/query"),
    **{f"POST /api/{one.name}": _studio(f"/api/{one.name}", one.fields) for one in STUDIO},
    "POST /api/check_task_status": _task_status,
    **{
        f"GET {path}": _public(path)
        for path in (
            "/api/images/{opaque}/{task_id}",
            "/api/images/{opaque}/{task_id}/vector",
            "/api/images/{opaque}/{task_id}/grid",
            "/api/images/{opaque}/{task_id}/1m",
            "/api/images/{opaque}/{task_id}/alternative/{number}",
            "/results/{name}",
            "/healthz",
            "/readyz",
            "/openapi.json",
        )
    },
    "GET /provider-inputs/{ticket}/{name}": _provider_input,
    "POST /callbacks/{provider}/{token}": _callback,
}


def test_every_endpoint_of_the_document_is_asked() -> None:
    paths = document("")["paths"]
    documented = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert set(MAKERS) == documented


@pytest.mark.parametrize("endpoint", MAKERS)
async def test_spoilt_requests_are_answered_like_any_other(target: Target, endpoint: str) -> None:
    logged = len(target.deployment.logs())
    numbers = iter(range(REQUESTS))
    wrong: list[str] = []
    statuses: Counter[int] = Counter()

    async def ask() -> None:
        address = urlsplit(target.facts.url)
        wire = Wire(str(address.hostname), int(address.port or 0))
        try:
            for number in numbers:
                random = Random(f"{SEED} {endpoint} {number}")
                draft = mutated(random, MAKERS[endpoint](random, target))
                request = draft.wire()
                answer = await wire.ask(request, after_upgrade=draft.after_upgrade)
                statuses[answer.status] += 1
                if (what := _wrong(draft, answer)) is not None:
                    wrong.append(f"number {number}: {what}\n{request[:600]!r}")
        finally:
            await wire.close()

    async with asyncio.TaskGroup() as asking:  # None outlives the test, however it ends.
        for _ in range(CONNECTIONS):
            asking.create_task(ask())

    assert not wrong, f"{len(wrong)} of {REQUESTS}\n" + "\n".join(wrong[:SHOWN])
    assert sum(statuses.values()) == REQUESTS
    # Some must have got through to be worth anything; but no job has a drawing, and no provider a task.
    assert any(status < 400 for status in statuses) or endpoint.endswith(NEVER_THERE), statuses
    assert _faults(target.deployment.logs()[logged:], target)[:SHOWN] == []


def _faults(logs: str, target: Target) -> list[str]:
    """Log lines that nobody should have to read, and those that tell a secret."""
    secrets = target.secrets
    return [line for line in logs.splitlines() if _troubles(line) or any(secret in line for secret in secrets)]


def _troubles(line: str) -> bool:
    """Whether somebody should look. A sweep that a starved machine made late is done again by itself."""
    late = "sweep_step_failed" in line and "DeadlineExceeded" in line
    return not late and any(sign in line for sign in TROUBLE)


def _wrong(draft: Draft, answer: Answer) -> str | None:
    """What is wrong with an answer; None for nothing."""
    if answer.status >= 500:
        return f"status {answer.status}: {answer.body[:300]!r}"
    if not answer.headers.get("content-type", "").startswith("application/json") or draft.method == b"HEAD":
        return None
    body = json.loads(answer.body)
    if body.get("code") in FAILED_CODES or str(body.get("err_msg", "")).endswith(FAILED_WORDS):
        return f"in the body: {body}"
    return None
