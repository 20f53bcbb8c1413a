"""The studio contract over HTTP, with a gateway that the test holds in its hand."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import error_reason_pb2, money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.backend import Backend
from edge.links import Links
from edge.studio import StudioContract
from kit.errors import (
    AppError,
    AssetNotFound,
    CredentialInvalid,
    DependencyUnavailable,
    ErrorReason,
    JobNotFound,
    RateLimited,
)

TASK = "job_" + "1" * 26
TOKEN = "a" * 22
KEY = "test-key"
MEBIBYTE = 1024 * 1024


@dataclass
class House:
    """A gateway and an asset store that know one client and, when told, one task."""

    refusals: dict[str, AppError] = field(default_factory=dict)  #: RPC → what it raises.
    job: job_pb2.Job | None = None
    fen: int = 30_099
    calls: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    clock: float = 100.0

    def called(self, name: str) -> list[Any]:
        return [request for rpc, request, _ in self.calls if rpc == name]

    def _take(self, name: str, request: Any, metadata: Any = ()) -> None:
        facts = dict(metadata)
        self.calls.append((name, request, facts))
        if name not in {"OpenJobOutput", "UploadAsset"} and facts.get("authorization") != f"UserKey {KEY}":
            raise CredentialInvalid
        if name in self.refusals:
            raise self.refusals[name]

    async def AuthorizeUpload(self, request: Any, **call: Any) -> Any:
        self._take("AuthorizeUpload", request, call["metadata"])
        return pb2.AuthorizeUploadResponse(tickets=["ticket"], bytes_max=20 * MEBIBYTE)

    async def UploadAsset(self, parts: AsyncIterator[Any], *, timeout: float) -> Any:
        sizes = [len(part.chunk) async for part in parts]
        self._take("UploadAsset", sum(sizes))
        return assets_pb2.UploadAssetResponse(asset=asset_pb2.Asset(id="asset_1"))

    async def SubmitJob(self, request: Any, **call: Any) -> Any:
        self._take("SubmitJob", request, call["metadata"])
        return pb2.SubmitJobResponse(job=job_pb2.Job(id=TASK))

    async def DeleteAsset(self, request: Any, **call: Any) -> Any:
        self._take("DeleteAsset", request, call["metadata"])
        return pb2.DeleteAssetResponse()

    async def GetBalance(self, request: Any, **call: Any) -> Any:
        self._take("GetBalance", request, call["metadata"])
        lines = [
            wallet_pb2.Balance(unit=money_pb2.UNIT_COUNT, available=5),
            wallet_pb2.Balance(unit=money_pb2.UNIT_FEN, available=self.fen),
        ]
        return pb2.GetBalanceResponse(balances=lines)

    async def GetJob(self, request: Any, **call: Any) -> Any:
        self._take("GetJob", request, call["metadata"])
        if self.job is None or request.job_id != self.job.id:
            raise JobNotFound
        return pb2.GetJobResponse(job=self.job)

    async def LinkJob(self, request: Any, **call: Any) -> Any:
        self._take("LinkJob", request, call["metadata"])
        return pb2.LinkJobResponse(token=TOKEN)

    async def OpenJobOutput(self, request: Any, **call: Any) -> Any:
        self._take("OpenJobOutput", request)
        if (request.job_id, request.token) != (TASK, TOKEN) or request.index > 1:
            raise AssetNotFound
        kind = "application/postscript" if request.role == "vector" else "image/png"
        return pb2.OpenJobOutputResponse(ticket="t", asset=asset_pb2.Asset(id="a", size_bytes=3, mime_type=kind))

    async def ReadAsset(self, request: Any, *, timeout: float) -> Any:
        yield assets_pb2.ReadAssetResponse(chunk=b"abc")


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    stubs = cast(Any, house)
    backend = Backend(gateway=stubs, assets=stubs, providers=stubs)
    studio = StudioContract(backend, Links(backend, public_url=""), monotonic=lambda: house.clock)
    transport = httpx.ASGITransport(Starlette(routes=studio.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://atelier.test") as client:
        yield client


Submit = Callable[..., Any]


@pytest.fixture
def submit(http: httpx.AsyncClient) -> Submit:
    async def send(path: str, content: bytes = b"picture", **fields: str) -> httpx.Response:
        data = {"user_key": KEY, **fields}
        return await http.post(f"/api/{path}", data=data, files={"input_image": ("a.png", content)})

    return send


def done(*roles: str, **notes: str) -> job_pb2.Job:
    return job_pb2.Job(
        id=TASK,
        state=job_pb2.JOB_STATE_SUCCEEDED,
        outputs=[job_pb2.Output(role=role, asset_id=f"asset_{number}") for number, role in enumerate(roles)],
        notes=notes,
    )


async def check(http: httpx.AsyncClient, key: str = KEY, task_id: str = TASK) -> dict[str, Any]:
    answer = await http.post("/api/check_task_status", data={"user_key": key, "task_id": task_id})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def test_accepted_task_is_told_with_what_is_left(house: House, submit: Submit) -> None:
    answer = await submit("submit_vector_task")

    assert answer.status_code == 200
    assert answer.json() == {"err_code": 0, "task_id": TASK, "remaining_count": 5, "remaining_money": 300}
    (wanted,) = house.called("SubmitJob")
    assert (wanted.model, wanted.contract, wanted.parameters_json) == ("studio.vector", "studio", '{"color_count":5}')


async def test_request_counts_once_against_the_rate(house: House, submit: Submit, http: httpx.AsyncClient) -> None:
    house.job = done("image")
    await submit("submit_vector_task")
    await check(http)

    counted = [rpc for rpc, _, facts in house.calls if rpc != "UploadAsset" and "atelier-follow-up" not in facts]
    assert counted == ["AuthorizeUpload", "GetJob"]


async def test_accepted_task_is_told_even_when_the_balance_cannot_be_had(house: House, submit: Submit) -> None:
    house.refusals["GetBalance"] = DependencyUnavailable()

    assert (await submit("submit_vector_task")).json() == {"err_code": 0, "task_id": TASK}


@pytest.mark.parametrize("key", [None, "", "  ", "wrong", "ключ", "two words", "x" * 300])
@pytest.mark.parametrize("path", ["submit_task", "submit_expand_image_task", "check_task_status"])
async def test_unknown_account_is_said_before_anything_else(
    house: House, http: httpx.AsyncClient, key: str | None, path: str
) -> None:
    data = {"task_id": "?", "upscale": "900"} | ({} if key is None else {"user_key": key})
    answer = await http.post(f"/api/{path}", data=data, files={"input_image": b"x"})

    assert (answer.status_code, answer.json()) == (200, {"err_code": 1, "err_msg": "账户不存在"})
    assert not house.called("UploadAsset")


@pytest.mark.parametrize("reason", [ErrorReason.CREDENTIAL_EXPIRED, ErrorReason.CLIENT_DISABLED])
async def test_account_that_is_no_more_does_not_exist(house: House, submit: Submit, reason: ErrorReason) -> None:
    house.refusals["AuthorizeUpload"] = AppError.of(reason)

    assert (await submit("submit_vector_task")).json() == {"err_code": 1, "err_msg": "账户不存在"}


@pytest.mark.parametrize(
    ("reason", "field_name", "sentence"),
    [
        (ErrorReason.INSUFFICIENT_FUNDS, None, "账户剩余次数不足"),
        (ErrorReason.MODEL_DISABLED, "model", "任务提交失败:接口停用"),
        (ErrorReason.MODEL_NOT_GRANTED, "model", "任务提交失败:接口未开通"),
        (ErrorReason.CONTENT_MODERATED, "parameters.prompt", "任务提交失败:文本黄反拦截:prompt"),
        (ErrorReason.INVALID_ARGUMENT, "parameters.aspect_ratio", "任务提交失败:参数错误:aspect_ratio"),
        (ErrorReason.INPUT_TOO_LARGE, "inputs[0]", "任务提交失败:输入图片尺寸过大:input_image"),
        (ErrorReason.TOO_MANY_JOBS, None, "任务提交失败:未完成的任务过多,请稍候再试"),
    ],
)
async def test_refused_task_is_told_why_and_leaves_no_picture(
    house: House, submit: Submit, reason: ErrorReason, field_name: str | None, sentence: str
) -> None:
    house.refusals["SubmitJob"] = AppError.of(reason, field=field_name)

    answer = await submit("submit_vector_task")

    assert (answer.status_code, answer.json()) == (200, {"err_code": 1, "err_msg": sentence})
    assert [request.asset_id for request in house.called("DeleteAsset")] == ["asset_1"]


async def test_refusal_is_told_even_when_the_picture_cannot_be_deleted(house: House, submit: Submit) -> None:
    house.refusals["SubmitJob"] = AppError.of(ErrorReason.INSUFFICIENT_FUNDS)
    house.refusals["DeleteAsset"] = DependencyUnavailable()

    assert (await submit("submit_vector_task")).json()["err_msg"] == "账户剩余次数不足"


async def test_too_hasty_client_is_told_when_to_come_back(house: House, submit: Submit) -> None:
    house.refusals["AuthorizeUpload"] = RateLimited(retry_after_s=1.5)

    answer = await submit("submit_vector_task")

    assert answer.json()["err_msg"] == "任务提交失败:请求过于频繁,请稍候再试"
    assert answer.headers["retry-after"] == "2"


async def test_wrong_share_has_the_documents_sentence_where_the_document_lists_it(house: House, submit: Submit) -> None:
    sentence = "扩展参数错误:expand_top必须在0.0-0.3之间"

    expand = await submit("submit_expand_image_task", expand_top="0.4")
    seamless = await submit("submit_seamless_task", expand_top="0.4")

    assert expand.json() == {"err_code": 1, "err_msg": sentence}
    assert seamless.json() == {"err_code": 1, "err_msg": f"任务提交失败:{sentence}"}
    assert not house.called("UploadAsset")


async def test_missing_picture_is_named(house: House, http: httpx.AsyncClient) -> None:
    for data in ({"user_key": KEY}, {"user_key": KEY, "input_image": "a.png"}):
        answer = await http.post("/api/submit_vector_task", data=data)
        assert answer.json() == {"err_code": 1, "err_msg": "任务提交失败:缺少参数:input_image"}
    assert not house.called("SubmitJob")


@pytest.mark.parametrize(
    "path", ["submit_remove_fabric_task", "submit_expand_image_task", "submit_remove_watermark_task"]
)
async def test_file_above_16mb_is_refused_where_the_document_says_so(house: House, submit: Submit, path: str) -> None:
    largest = await submit(path, bytes(16 * MEBIBYTE))
    larger = await submit(path, bytes(16 * MEBIBYTE + 1))

    assert largest.json()["err_code"] == 0
    assert larger.json() == {"err_code": 1, "err_msg": "文件大小不能超过16MB"}
    assert house.called("UploadAsset") == [16 * MEBIBYTE]


async def test_request_above_every_limit_is_told_the_same(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/api/submit_expand_image_task",
        content=b"",
        headers={"content-type": "multipart/form-data; boundary=b", "content-length": str(200 * MEBIBYTE)},
    )
    assert answer.json() == {"err_code": 1, "err_msg": "文件大小不能超过16MB"}


async def test_file_above_16mb_is_taken_where_the_document_knows_no_limit(house: House, submit: Submit) -> None:
    assert (await submit("submit_vector_task", bytes(17 * MEBIBYTE))).json()["err_code"] == 0

    too_large = await submit("submit_vector_task", bytes(20 * MEBIBYTE + 1))
    assert too_large.json() == {"err_code": 1, "err_msg": "任务提交失败:请求内容过大:input_image"}


def _form(field: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n--b--\r\n'.encode()


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", _form("user_key", KEY)[:-10]),
        ("multipart/form-data; boundary=b; charset=utf-7", _form("prompt", "+2AA-")),  # Half a character.
    ],
)
async def test_form_that_cannot_be_read_is_refused(http: httpx.AsyncClient, content_type: str, content: bytes) -> None:
    for path in ("submit_task", "check_task_status"):
        answer = await http.post(f"/api/{path}", content=content, headers={"content-type": content_type})
        assert answer.status_code == 200
        assert answer.json()["err_code"] == 1


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (job_pb2.JOB_STATE_QUEUED, "Pending"),
        (job_pb2.JOB_STATE_RUNNING, "Processing"),
        (job_pb2.JOB_STATE_FAILED, "Failed"),
        (job_pb2.JOB_STATE_EXPIRED, "Failed"),
        (job_pb2.JOB_STATE_CANCELLED, "Failed"),
    ],
)
async def test_status_before_there_is_a_result_is_only_the_status(
    house: House, http: httpx.AsyncClient, state: Any, status: str
) -> None:
    house.job = job_pb2.Job(id=TASK, state=state)

    assert await check(http) == {"err_code": 0, "status": status}


async def test_failed_task_says_why_beside_the_documents_fields(house: House, http: httpx.AsyncClient) -> None:
    failure = job_pb2.Failure(reason=error_reason_pb2.ERROR_REASON_PROVIDER_FAILED, message="boom at /srv/x")
    house.job = job_pb2.Job(id=TASK, state=job_pb2.JOB_STATE_FAILED, failure=failure)

    assert await check(http) == {"err_code": 0, "status": "Failed", "fail_reason": "生成失败"}


async def test_completed_task_has_its_link_and_what_is_left(house: House, http: httpx.AsyncClient) -> None:
    house.job = done("image")
    assert await check(http) == {
        "err_code": 0,
        "status": "Completed",
        "images_url": f"http://atelier.test/api/images/{TOKEN}/{TASK}",
        "vector_url": "",
        "grid_url": "",
        "remaining_count": 5,
        "remaining_money": 300,
    }


async def test_completed_task_lists_everything_it_made(house: House, http: httpx.AsyncClient) -> None:
    house.job = done("image", "vector", "image", "grid", "image", "tile", generated_prompt="flowers", other="x")
    link = f"http://atelier.test/api/images/{TOKEN}/{TASK}"

    body = await check(http)

    assert body["images_urls"] == [link, f"{link}/alternative/1", f"{link}/alternative/2"]
    assert body["images_urls"][0] == body["images_url"]
    assert (body["vector_url"], body["grid_url"]) == (f"{link}/vector", f"{link}/grid")
    assert body["images_url_1m"] == f"{link}/1m"
    assert body["generated_prompt"] == "flowers"
    assert "other" not in body


@pytest.mark.parametrize(("fen", "yuan"), [(0, 0), (99, 0), (100, 1), (199, 1)])
async def test_money_is_told_in_whole_yuan_rounded_down(
    house: House, http: httpx.AsyncClient, fen: int, yuan: int
) -> None:
    house.job, house.fen = done("image"), fen
    assert (await check(http))["remaining_money"] == yuan


async def test_status_is_remembered_for_three_seconds(house: House, http: httpx.AsyncClient) -> None:
    house.job = job_pb2.Job(id=TASK, state=job_pb2.JOB_STATE_QUEUED)
    assert (await check(http))["status"] == "Pending"
    house.job = job_pb2.Job(id=TASK, state=job_pb2.JOB_STATE_RUNNING)

    house.clock += 2.99
    assert (await check(http))["status"] == "Pending"
    assert len(house.called("GetJob")) == 1
    house.clock += 0.01
    assert (await check(http))["status"] == "Processing"
    assert len(house.called("GetJob")) == 2


async def test_what_is_remembered_for_one_account_is_not_told_to_another(house: House, http: httpx.AsyncClient) -> None:
    house.job = done("image")
    await check(http)

    assert await check(http, key="other") == {"err_code": 1, "err_msg": "账户不存在"}
    assert (await check(http, task_id="job_" + "2" * 26))["err_code"] == 1


async def test_links_carry_the_address_of_each_request(house: House, http: httpx.AsyncClient) -> None:
    house.job = done("image")
    await check(http)
    answer = await http.post(
        "/api/check_task_status", data={"user_key": KEY, "task_id": TASK}, headers={"host": "b.test"}
    )
    assert answer.json()["images_url"].startswith("http://b.test/api/images/")


@pytest.mark.parametrize("task_id", ["", " ", "job_x", "x" * 65, "山", "a\nb", "../x", TASK.upper()])
async def test_task_that_is_not_there_is_not_found(house: House, http: httpx.AsyncClient, task_id: str) -> None:
    house.job = done("image")
    assert await check(http, task_id=task_id) == {"err_code": 1, "err_msg": "任务未找到或状态未知"}


async def test_error_is_not_remembered(house: House, http: httpx.AsyncClient) -> None:
    house.refusals["GetJob"] = DependencyUnavailable()
    assert await check(http) == {"err_code": 1, "err_msg": "系统维护,请稍候再试"}

    house.refusals.clear()
    house.job = job_pb2.Job(id=TASK, state=job_pb2.JOB_STATE_QUEUED)
    assert (await check(http))["err_code"] == 0


@pytest.mark.parametrize(
    ("end", "place", "content_type"),
    [
        ("", ("image", 0), "image/png"),
        ("/alternative/1", ("image", 1), "image/png"),
        ("/vector", ("vector", 0), "application/postscript"),
        ("/grid", ("grid", 0), "image/png"),
        ("/1m", ("tile", 0), "image/png"),
    ],
)
async def test_link_needs_no_key_and_names_its_kind(
    house: House, http: httpx.AsyncClient, end: str, place: tuple[str, int], content_type: str
) -> None:
    answer = await http.get(f"/api/images/{TOKEN}/{TASK}{end}")

    assert (answer.status_code, answer.content) == (200, b"abc")
    assert answer.headers["content-type"] == content_type
    (opened,) = house.called("OpenJobOutput")
    assert (opened.role, opened.index) == place


@pytest.mark.parametrize(
    "path",
    [
        f"{'b' * 22}/{TASK}",
        f"{TOKEN}/job_{'2' * 26}",
        f"{TOKEN}/{TASK}/alternative/2",
        f"{TOKEN}/{TASK}/alternative/0",
        f"{TOKEN}/{TASK}/alternative/01",
        f"{TOKEN}/{TASK}/alternative/100",
        f"{TOKEN}/{TASK}/alternative/x",
        f"{TOKEN}/{TASK}/vector/",
        f"{TOKEN}/{TASK}/Grid",
        f"{TOKEN}/{TASK}/",
        f"{'t' * 65}/{TASK}",
        f"{TOKEN}/{'x' * 65}",
    ],
)
async def test_wrong_links_all_look_the_same(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/api/images/{path}")

    assert (answer.status_code, answer.text) == (404, "Not found.")
