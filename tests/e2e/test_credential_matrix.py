"""Every endpoint of the edge × every credential that is not good: the contract's own words, and nothing was done.

The endpoints are those of the application's routes: one without a row fails. What belongs to another client is, to the
byte, what never existed.
"""

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import Mock

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import ConnectionClosed

from edge.app import routes
from edge.config import EdgeSettings
from edge.studio_fields import ENDPOINTS as STUDIO
from testkit.credentials import BadCredential, Credential, bad_credentials, disabled_credentials, good_credentials
from testkit.deployments import Deployment, new_partner
from testkit.doors import change_client, grant
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.pointsclient import PointsClient, received
from testkit.studioclient import REDRAW, StudioClient

CALL_TIMEOUT_S: Final = 60.0
SILENCE_S: Final = 1.0  # A push of what was there before takes milliseconds.
PICTURE: Final = encoded(photo((24, 20)), "PNG")
MISSING: Final = {
    "job": "job_" + "0" * 26,
    "asset": "asset_" + "0" * 26,
    "task": "TASK-20251026153045123-4567",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request to an endpoint, good but for its credential; `{id}` anywhere in it is the thing it is about."""

    contract: str
    about: str = ""  #: "job", "asset", "task" (a task's number); empty for no thing.
    query: dict[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    form: dict[str, str] | None = None
    files: tuple[str, ...] = ()  #: Fields of the form that hold a picture.


def _open(**request: Any) -> Row:
    return Row(contract="open", **request)


def _points(**request: Any) -> Row:
    return Row(contract="points", **request)


def _signed(about: str = "", **form: str) -> Row:
    return Row(contract="signed", about=about, form=form)


def _studio(about: str = "", *files: str, **form: str) -> Row:
    return Row(contract="studio", about=about, files=files, form=form)


IMG2IMG: Final = {"modelName": "sc_soraimg_img2img_1x1", "prompt": "油画", "imageUrl": "{link}"}
#: Endpoint → requests to it: an honest one, one that is wrong in itself, one a place where a thing is named.
ROWS: Final[dict[str, list[Row]]] = {
    "GET /api/v1/capabilities": [_open()],
    "GET /api/v1/balance": [_open()],
    "POST /api/v1/quotes": [_open(json={"capability": "image.generate", "prompt": "山"}), _open(content=b"not json")],
    "POST /api/v1/jobs": [
        _open(json={"capability": "image.generate", "prompt": "山"}),
        _open(content=b"not json"),
        _open(about="asset", json={"capability": "image.upscale", "inputAssetIds": ["{id}"]}),
        _open(about="asset", json={"capability": "image.upscale", "imageUrls": ["{link}"]}),
    ],
    "GET /api/v1/jobs": [_open(), _open(query={"status": "nonsense"})],
    "GET /api/v1/jobs/{job_id}": [_open(about="job")],
    "POST /api/v1/jobs/{job_id}/cancel": [_open(about="job")],
    "GET /api/v1/jobs/{job_id}/events": [_open(about="job"), _open(about="job", query={"after": "nonsense"})],
    "POST /api/v1/assets": [
        _open(form={"kind": "image"}, files=("files",)),
        _open(content=b"not json"),
        _open(about="asset", json={"url": "{link}"}),
    ],
    "GET /api/v1/assets": [_open(), _open(query={"kind": "nonsense"})],
    "GET /api/v1/assets/{asset_id}": [_open(about="asset")],
    "DELETE /api/v1/assets/{asset_id}": [_open(about="asset")],
    "GET /api/v1/assets/{asset_id}/download": [_open(about="asset")],
    "POST /user/ai/tasks/submit": [
        _points(json={"modelName": "sc_soraimg_text_1x1", "prompt": "猫"}),
        _points(content=b"not json"),
        _points(about="asset", json=IMG2IMG),
    ],
    "GET /user/ai/tasks/list": [_points(), _points(query={"page": "nonsense"})],
    "GET /user/ai/tasks/{task_no}": [_points(about="job"), _points(about="task")],
    "GET /user/points/consumption/balance": [_points()],
    "POST /ai/draw/submit": [_signed(text="猫", resolution="1024*1024", style="油画"), _signed(text="")],
    "POST /ai/draw/query": [_signed("job", taskId="{id}"), _signed("task", taskId="{id}"), _signed()],
    **{
        f"POST /api/{one.name}": [_studio("", "input_image", **REDRAW, prompt="水彩画"), _studio(fit="9")]
        for one in STUDIO
    },
    "POST /api/check_task_status": [_studio("job", task_id="{id}"), _studio()],
}
SOCKET: Final = "WS /user/ai/tasks/ws"
#: Whoever asks: health, descriptions, and links whose secret is the right.
PUBLIC: Final = {
    "GET /healthz": "/healthz",
    "GET /openapi.json": "/openapi.json",
    "GET /readyz": "/readyz",
    "GET /api/v1/openapi.json": "/api/v1/openapi.json",
    "GET /results/{name}": "{result}",
    "GET /api/images/{opaque}/{task_id}": "{image}",
    "GET /api/images/{opaque}/{task_id}/{variant:path}": "{image}/alternative/1",
    "GET /provider-inputs/{ticket}/{name}": "/provider-inputs/made-up/input.png",
    "POST /callbacks/{provider}/{token}": "/callbacks/local/made-up",
}
#: Statuses of those that are not found: the task has one picture only, and no provider has a task.
NOT_FOUND: Final = ("{variant:path}", "{ticket}", "{token}")
#: What each contract says of a thing that is not there.
NOT_THERE: Final[dict[tuple[str, str], tuple[int, Any]]] = {
    ("open", "job"): (404, {"error": "Job not found."}),
    ("open", "asset"): (404, {"error": "Asset not found."}),
    ("points", "job"): (404, {"code": 404, "message": "任务不存在", "data": None}),
    ("points", "task"): (404, {"code": 404, "message": "任务不存在", "data": None}),
    ("points", "asset"): (404, {"code": 404, "message": "图片不存在:imageUrl", "data": None}),
    ("signed", "job"): (200, {"code": 201, "msg": "taskId不存在", "charge": False}),
    ("signed", "task"): (200, {"code": 201, "msg": "taskId不存在", "charge": False}),
    ("studio", "job"): (200, {"err_code": 1, "err_msg": "任务未找到或状态未知"}),
}


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who takes part, and what the owner has."""

    house: Deployment
    good: dict[str, dict[str, Credential]]  #: "owner" or "stranger" → contract → credential.
    bad: dict[str, list[BadCredential]]  #: Contract → credentials.
    owner: OpenClient
    stranger: OpenClient
    things: dict[str, str]  #: "job", "asset", "task" → its name.
    links: dict[str, str]  #: "result" and "image" → path.


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cast(deployment: Deployment) -> AsyncIterator[Cast]:
    async with AsyncExitStack() as stack:
        user_ids = [str(secrets.randbelow(10**17) + 1) for _ in range(3)]
        clients = [
            await stack.enter_async_context(
                await new_partner(deployment.operator(), deployment.url, user_id=user_id, points=1000)
            )
            for user_id in user_ids
        ]
        owner, stranger, disabled = clients
        good = {
            "owner": await good_credentials(deployment, owner, user_ids[0]),
            "stranger": await good_credentials(deployment, stranger, user_ids[1]),
        }
        bad = await bad_credentials(deployment, stranger, user_ids[1])
        for contract, one in (await disabled_credentials(deployment, disabled, user_ids[2])).items():
            bad[contract].append(one)
        await change_client(deployment.operator(), disabled.client_id, disabled=True)
        for one in (owner, stranger):
            await grant(deployment.operator(), one.client_id, "count", 20)
        things, links = await _belongings(deployment, owner, good["owner"])
        yield Cast(house=deployment, good=good, bad=bad, owner=owner, stranger=stranger, things=things, links=links)


async def _belongings(
    house: Deployment, owner: OpenClient, good: Mapping[str, Credential]
) -> tuple[dict[str, str], dict[str, str]]:
    """A finished task with its number, a picture, and the links to the task's result."""
    (record,) = await owner.upload(("mine.png", PICTURE))
    async with PointsClient(house.url, owner.key) as points:
        task = await points.submitted("sc_soraimg_text_1x1", "猫")
        (job,) = await owner.jobs()
        done = await points.finished(task["taskNo"])
    studio = StudioClient(owner.http, good["studio"].fields()["user_key"])
    shown = await studio.finished(job["id"])
    things = {"job": job["id"], "task": task["taskNo"], "asset": record["id"], "link": record["url"]}
    return things, {"result": _path(done["resultUrl"]), "image": _path(shown["images_url"])}


def _path(url: str) -> str:
    return httpx.URL(url).path


async def _ask(
    cast: Cast, endpoint: str, row: Row, credential: Credential, *, thing: str | None = None
) -> httpx.Response:
    """Send a row's request about the owner's thing, or another one."""
    name = cast.things.get(row.about, "") if thing is None else thing
    link = re.sub("asset_[0-9a-z]+", name, cast.things["link"])

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{id}", name).replace("{link}", link)
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        return [filled(one) for one in value] if isinstance(value, list) else value

    method, _, path = endpoint.partition(" ")
    options: dict[str, Any] = {"params": row.query, "headers": dict(credential.headers)}
    if row.form is not None:
        fields = {**filled(row.form), **credential.fields()}
        texts = [(key, (None, value)) for key, value in fields.items()]
        options["files"] = [*texts, *((key, ("a.png", PICTURE)) for key in row.files)] or [("nothing", (None, ""))]
    elif row.json is not None:
        options["json"] = filled(row.json)
    else:
        options["content"] = row.content
    async with httpx.AsyncClient(base_url=cast.house.url, trust_env=False, timeout=CALL_TIMEOUT_S) as client:
        return await client.request(method, re.sub(r"\{[a-z_]+\}", name, path), **options)


def _said(answer: httpx.Response) -> tuple[int, Any]:
    """Status and body, without the number that every answer of the signed contract has to itself."""
    body = answer.json()
    body.pop("taskNo", None)
    return answer.status_code, body


def _seen(answer: httpx.Response, asked: str) -> tuple[int, bytes, dict[str, str]]:
    """Everything a caller can tell apart, to the byte, but for what it asked for and what names the request."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    content = re.sub(rb'"taskNo":"[0-9]{24}"', b'"taskNo":""', answer.content)
    return answer.status_code, content.replace(asked.encode(), b""), headers


def test_every_route_has_a_row() -> None:
    found = set()
    for route in routes(EdgeSettings(internal_secret=SecretStr("i" * 32)), Mock()):
        if isinstance(route, WebSocketRoute):
            found.add(f"WS {route.path}")
        else:
            assert isinstance(route, Route)
            found |= {f"{method} {route.path}" for method in (route.methods or set()) - {"HEAD"}}
    assert found == {*ROWS, *PUBLIC, SOCKET}
    for endpoint, rows in ROWS.items():
        # Where a path names a thing, its row says which.
        assert rows
        assert "{" not in endpoint or all(row.about for row in rows), endpoint


@pytest.mark.parametrize("endpoint", ROWS)
async def test_bad_credential_is_refused_in_the_contracts_words(cast: Cast, endpoint: str) -> None:
    for row in ROWS[endpoint]:
        for credential in cast.bad[row.contract]:
            answer = await _ask(cast, endpoint, row, credential)
            assert _said(answer) == (credential.status, credential.body), (credential.what, row)


@pytest.mark.parametrize("endpoint", [name for name, rows in ROWS.items() if any(row.about for row in rows)])
async def test_foreign_thing_is_to_the_byte_a_missing_one(cast: Cast, endpoint: str) -> None:
    for row in ROWS[endpoint]:
        if not row.about:
            continue
        stranger, owner = cast.good["stranger"][row.contract], cast.good["owner"][row.contract]
        mine, missing = cast.things[row.about], MISSING[row.about]
        foreign = await _ask(cast, endpoint, row, stranger)
        absent = await _ask(cast, endpoint, row, stranger, thing=missing)

        assert _seen(foreign, mine) == _seen(absent, missing), row
        if endpoint.startswith("DELETE "):
            assert foreign.status_code == 204  # It is not there afterwards, for the stranger.
            continue
        status, body = NOT_THERE[row.contract, row.about]
        found_status, found = _said(foreign)
        assert (found_status, found) == (status, body) or _names_the_field(found, body), row
        assert _seen(await _ask(cast, endpoint, row, owner), mine) != _seen(foreign, mine), row


def _names_the_field(found: Any, expected: Any) -> bool:
    """Whether the open contract's sentence has the name of the field before it, as for every wrong field."""
    return bool(
        "error" in found and re.fullmatch(rf"[A-Za-z]+(\[0\])?: {re.escape(expected['error'])}", found["error"])
    )


async def test_socket_is_closed_for_every_bad_credential(cast: Cast) -> None:
    for credential in cast.bad["points"]:
        query = credential.headers.get("authorization", "").removeprefix("Bearer ")
        async with PointsClient(cast.house.url, "") as client, client.pushes(token=query) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await received(socket, timeout_s=30)
        assert closed.value.rcvd is not None
        said = (closed.value.rcvd.code, closed.value.rcvd.reason)
        assert said == (4000 + credential.status, credential.body["message"]), credential.what


async def test_socket_tells_a_stranger_nothing(cast: Cast) -> None:
    async with PointsClient(cast.house.url, cast.owner.key) as mine, mine.pushes(after=0) as socket:
        assert (await received(socket))["taskNo"] == cast.things["task"]
    async with PointsClient(cast.house.url, cast.stranger.key) as other, other.pushes(after=0) as socket:
        with pytest.raises(TimeoutError):
            await received(socket, timeout_s=SILENCE_S)


@pytest.mark.parametrize("endpoint", PUBLIC)
async def test_public_endpoint_answers_alike_whoever_asks(cast: Cast, endpoint: str) -> None:
    method = endpoint.partition(" ")[0]
    asking = [Credential(what="none"), *cast.bad["open"], cast.good["stranger"]["open"], cast.good["owner"]["open"]]
    async with httpx.AsyncClient(base_url=cast.house.url, trust_env=False, timeout=CALL_TIMEOUT_S) as client:
        answers = [
            await client.request(method, PUBLIC[endpoint].format(**cast.links), headers=dict(one.headers))
            for one in asking
        ]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert answers[0].status_code == (404 if any(part in endpoint for part in NOT_FOUND) else 200)


async def test_nothing_was_done_for_whoever_was_refused(cast: Cast) -> None:
    """Runs last: the stranger's were the expired credentials, and it asked for the owner's things."""
    assert await cast.stranger.jobs() == []
    assert await cast.stranger.assets() == []
    balance = (await cast.stranger.get("/balance")).json()["balance"]
    assert {unit: line["available"] for unit, line in balance.items()} == {"points": 1000, "count": 20}
    assert (await cast.owner.asset(cast.things["asset"]))["id"] == cast.things["asset"]
    assert (await cast.owner.job(cast.things["job"]))["status"] == "succeeded"
