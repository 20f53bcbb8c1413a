"""The points contract: what a request becomes, what a job looks like, what a refusal says."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.points_requests import MODELS, image_urls, list_page, task_no, translate_submit
from edge.points_views import user_id
from kit.errors import AppError, AssetNotFound, CredentialMissing, ErrorReason, InvalidArgument, RequestIdReused

CREATED_S = 1_761_463_845  # 2025-10-26T15:30:45 in Shanghai: the example of the contract.
TOKEN = {"authorization": "Bearer header.payload.signature"}
BODY = {"modelName": "sc_soraimg_text_1x1", "prompt": "一只可爱的柴犬"}


def job(state: str = "QUEUED", **changes: Any) -> job_pb2.Job:
    made = job_pb2.Job(
        id="job_0123456789abcdefghijklmnop",
        external_id="TASK-20251026153045123-4567",
        model="sc_soraimg_text_1x1",
        parameters_json='{"prompt":"一个可爱的橘猫在窗台上晒太阳,温馨的室内场景"}',
        state=f"JOB_STATE_{state}",  # type: ignore[arg-type]
        **changes,
    )
    made.create_time.seconds = CREATED_S
    if state not in {"QUEUED", "RUNNING"}:
        made.finish_time.seconds = CREATED_S + 27
    return made


def test_models_are_the_eight_of_the_document() -> None:
    assert len(MODELS) == 8
    assert MODELS["sc_soraimg_text_auto"] == "text_to_image"
    assert MODELS["sc_soraimg_img2img_3x2"] == "image_to_image"


def test_task_number_is_local_time_to_the_millisecond() -> None:
    moment = datetime(2025, 10, 26, 15, 30, 45, 123_456, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert re.fullmatch(r"TASK-20251026153045123-[0-9]{4}", task_no(moment))


@pytest.mark.parametrize(
    ("raw", "urls"),
    [
        ("", []),
        ("  ", []),
        ("https://example.com/a.jpg", ["https://example.com/a.jpg"]),
        (
            '["https://example.com/1.jpg","https://example.com/2.jpg"]',
            ["https://example.com/1.jpg", "https://example.com/2.jpg"],
        ),
        (' ["https://example.com/1.jpg"] ', ["https://example.com/1.jpg"]),
        ("[]", []),
    ],
)
def test_image_url_is_one_or_an_array_in_a_string(raw: str, urls: list[str]) -> None:
    assert image_urls(raw) == urls


@pytest.mark.parametrize("raw", ['["a"', '["a",1]', '[""]', '[["a"]]', "x" * 2049, str(["a"] * 11).replace("'", '"')])
def test_image_url_of_another_form_is_refused(raw: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        image_urls(raw)
    assert refused.value.field == "imageUrl"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "modelName"),
        ({"modelName": "gpt", "prompt": "a"}, "modelName"),
        ({"modelName": 7, "prompt": "a"}, "modelName"),
        ({"modelName": "sc_soraimg_text_1x1"}, "prompt"),
        ({"modelName": "sc_soraimg_text_1x1", "prompt": "  "}, "prompt"),
        ({"modelName": "sc_soraimg_text_1x1", "prompt": "x" * 4001}, "prompt"),
        ({"modelName": "sc_soraimg_img2img_1x1", "prompt": "a"}, "imageUrl"),
        ({"modelName": "sc_soraimg_img2img_1x1", "prompt": "a", "imageUrl": None}, "imageUrl"),
        ({"modelName": "sc_soraimg_img2img_1x1", "prompt": "a", "imageUrl": "[]"}, "imageUrl"),
        ({"modelName": "sc_soraimg_img2img_1x1", "prompt": "a", "imageUrl": ["https://example.com/a"]}, "imageUrl"),
        ({"modelName": "sc_soraimg_text_1x1", "prompt": "a", "imageUrl": "https://example.com/a"}, "imageUrl"),
    ],
)
def test_wrong_submit_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(AppError) as refused:
        translate_submit(body)
    assert refused.value.field == field


def test_submit_keeps_the_order_of_references_and_what_was_given() -> None:
    raw = '["https://example.com/1.jpg","https://example.com/2.jpg"]'
    wanted = translate_submit({"modelName": "sc_soraimg_img2img_3x2", "prompt": "融合", "imageUrl": raw})
    assert [(one.role, one.url) for one in wanted.inputs] == [
        ("reference", "https://example.com/1.jpg"),
        ("reference", "https://example.com/2.jpg"),
    ]
    assert (wanted.contract, dict(wanted.labels)) == ("points", {"image_url": raw})


def test_null_image_of_a_text_task_is_no_image() -> None:
    """The document's own polling example sends it."""
    wanted = translate_submit({**BODY, "imageUrl": None})
    assert not wanted.inputs
    assert not wanted.labels


def test_list_query_becomes_filters() -> None:
    page = list_page({"page": "3", "size": "10", "status": "failed", "taskType": "image_to_image"})
    assert (page.number, page.size, page.request.skip, page.request.page_size) == (3, 10, 20, 10)
    assert list(page.request.states) == [
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_EXPIRED,
        job_pb2.JOB_STATE_CANCELLED,
    ]
    assert page.request.with_inputs
    assert page.request.with_total
    first = list_page({})
    assert (first.number, first.size, first.request.HasField("with_inputs")) == (1, 10, False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "１"}, "page"),
        ({"page": "1e3"}, "page"),
        ({"page": "10001"}, "page"),
        ({"size": "101"}, "size"),
        ({"status": "succeeded"}, "status"),
        ({"taskType": "video"}, "taskType"),
    ],
)
def test_wrong_list_query_names_its_field(query: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        list_page(query)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "shown"),
    [("17563793187762127", 17563793187762127), ("", "me"), ("007", "007"), ("9" * 30, "9" * 30), ("１７", "１７")],
)
def test_user_id_is_a_number_where_it_is_one(text: str, shown: int | str) -> None:
    assert user_id(text, client_id="me") == shown


async def test_task_looks_as_in_the_document(front: Any) -> None:
    done = job("SUCCEEDED", progress=100, outputs=[job_pb2.Output(asset_id="asset_1", mime_type="image/png")])
    front.gateway.answers = {
        "GetJob": pb2.GetJobResponse(job=done),
        "LinkAssets": pb2.LinkAssetsResponse(tokens=["abc"]),
    }
    answer = await front.http.get("/user/ai/tasks/TASK-20251026153045123-4567", headers=TOKEN)
    assert answer.status_code == 200
    assert answer.json() == {
        "code": 200,
        "message": "success",
        "data": {
            "taskNo": "TASK-20251026153045123-4567",
            "modelName": "sc_soraimg_text_1x1",
            "status": "completed",
            "taskType": "text_to_image",
            "progress": 100,
            "promptSnippet": "一个可爱的橘猫在窗台上晒太阳...",
            "imageUrl": None,
            "resultUrl": "http://edge.test/results/abc.png",
            "createTime": "2025-10-26T15:30:45",
            "completeTime": "2025-10-26T15:31:12",
            "errorMessage": None,
        },
    }
    assert front.gateway.asked[0][2]["authorization"] == TOKEN["authorization"]


async def test_task_whose_picture_was_deleted_is_a_task_without_a_link(front: Any) -> None:
    """It was answered as a task that does not exist."""
    outputs = [job_pb2.Output(asset_id="asset_1", mime_type="image/png")]
    front.gateway.answers = {
        "GetJob": pb2.GetJobResponse(job=job("SUCCEEDED", progress=100, outputs=outputs)),
        "LinkAssets": pb2.LinkAssetsResponse(tokens=[""]),
    }
    answer = await front.http.get("/user/ai/tasks/TASK-20251026153045123-4567", headers=TOKEN)
    assert answer.status_code == 200
    assert (answer.json()["data"]["status"], answer.json()["data"]["resultUrl"]) == ("completed", None)


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        ("FAILED", "PROVIDER_FAILED", "生成失败,积分已退还"),
        ("EXPIRED", "JOB_EXPIRED", "任务超时,积分已退还"),
        ("CANCELLED", "JOB_CANCELLED", "任务已取消,积分已退还"),
        ("FAILED", "INPUT_FETCH_REFUSED", "图片链接无法访问,积分已退还"),
    ],
)
async def test_every_end_without_a_result_reads_as_failed(front: Any, state: str, reason: str, message: str) -> None:
    failure = job_pb2.Failure(reason=f"ERROR_REASON_{reason}", message="in English")  # type: ignore[arg-type]
    front.gateway.answers = {"GetJob": pb2.GetJobResponse(job=job(state, failure=failure))}
    data = (await front.http.get("/user/ai/tasks/TASK-1", headers=TOKEN)).json()["data"]
    assert (data["status"], data["errorMessage"], data["resultUrl"]) == ("failed", message, None)


async def test_submit_answers_created(front: Any) -> None:
    front.gateway.answers = {"SubmitJob": pb2.SubmitJobResponse(job=job())}
    answer = await front.http.post("/user/ai/tasks/submit", json=BODY, headers=TOKEN)
    assert answer.status_code == 200
    assert (answer.json()["code"], answer.json()["data"]["status"]) == (200, "created")
    assert answer.json()["data"]["taskNo"] == "TASK-20251026153045123-4567"


async def test_task_number_that_is_taken_is_drawn_again(front: Any) -> None:
    answers: list[Any] = [RequestIdReused(), pb2.SubmitJobResponse(job=job())]
    front.gateway.answers = {"SubmitJob": lambda _: answers.pop(0)}
    assert (await front.http.post("/user/ai/tasks/submit", json=BODY, headers=TOKEN)).status_code == 200
    first, second = front.gateway.requests("SubmitJob")
    assert first.external_id.startswith("TASK-")
    assert second.external_id.startswith("TASK-")


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (AppError.of(ErrorReason.CREDENTIAL_MISSING), 401, "未登录"),
        (AppError.of(ErrorReason.CREDENTIAL_INVALID), 401, "未登录或Token无效"),
        (AppError.of(ErrorReason.CREDENTIAL_EXPIRED), 401, "未登录或Token过期"),
        (AppError.of(ErrorReason.CLIENT_DISABLED), 403, "账号停用"),
        (AppError.of(ErrorReason.INSUFFICIENT_FUNDS), 402, "积分不足"),
        (AppError.of(ErrorReason.CONTENT_MODERATED, field="parameters.prompt"), 400, "文本黄反拦截:prompt"),
        (AppError.of(ErrorReason.INPUT_FETCH_REFUSED, field="inputs[1]"), 400, "图片链接无法访问:imageUrl"),
        (AppError.of(ErrorReason.MODEL_DISABLED, field="model"), 403, "接口停用:modelName"),
        (AppError.of(ErrorReason.RATE_LIMITED, retry_after_s=1.5), 429, "请求过于频繁,请稍候再试"),
        (AppError.of(ErrorReason.DAILY_QUOTA_EXCEEDED, retry_after_s=60), 429, "调用超限,请稍候再试"),
        (AppError.of(ErrorReason.INTERNAL), 500, "服务器错误"),
    ],
)
async def test_refusal_has_the_status_as_its_code_and_a_chinese_message(
    front: Any, error: AppError, status: int, message: str
) -> None:
    front.gateway.answers = {"SubmitJob": error}
    answer = await front.http.post("/user/ai/tasks/submit", json=BODY, headers=TOKEN)
    assert answer.status_code == status
    assert answer.json() == {"code": status, "message": message, "data": None}
    assert ("retry-after" in answer.headers) == (error.retry_after_s is not None)


async def test_who_may_not_ask_learns_nothing_about_the_request(front: Any) -> None:
    front.gateway.answers = {"AuthorizeUpload": CredentialMissing()}
    front.assets.answers = {"OpenLink": AssetNotFound()}
    for body in (
        {},
        {**BODY, "modelName": "gpt"},
        {**BODY, "modelName": "sc_soraimg_img2img_1x1", "imageUrl": "http://edge.test/results/x.png"},
    ):
        answer = await front.http.post("/user/ai/tasks/submit", json=body)
        assert (answer.status_code, answer.json()["message"]) == (401, "未登录")
    assert (await front.http.get("/user/ai/tasks/list?page=x")).status_code == 401


@pytest.mark.parametrize("name", ["%00", "a" * 65, "a%20b", "%E4%BB%BB", "TASK-1%0A"])
async def test_what_no_task_is_called_is_asked_for_as_nobodys(front: Any, name: str) -> None:
    front.gateway.answers = {"GetJob": AppError.of(ErrorReason.JOB_NOT_FOUND)}
    answer = await front.http.get(f"/user/ai/tasks/{name}", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (404, {"code": 404, "message": "任务不存在", "data": None})
    assert front.gateway.requests("GetJob")[0].external_id == "-"


async def test_result_of_one_task_is_the_reference_of_the_next_without_a_fetch(front: Any) -> None:
    front.gateway.answers = {"SubmitJob": pb2.SubmitJobResponse(job=job())}
    front.assets.answers = {"OpenLink": assets_pb2.OpenLinkResponse(asset=asset_pb2.Asset(id="asset_7"))}
    links = [
        "http://edge.test/results/abc.png",
        "http://edge.test/api/v1/assets/asset_8/download",
        "https://other.test/results/abc.png",
    ]
    raw = str(links).replace("'", '"')
    body = {"modelName": "sc_soraimg_img2img_1x1", "prompt": "水彩", "imageUrl": raw}
    assert (await front.http.post("/user/ai/tasks/submit", json=body, headers=TOKEN)).status_code == 200
    (wanted,) = front.gateway.requests("SubmitJob")
    assert [one.asset_id or one.url for one in wanted.inputs] == ["asset_7", "asset_8", links[2]]
    assert wanted.labels["image_url"] == raw


async def test_balance_looks_as_in_the_document(front: Any) -> None:
    line = wallet_pb2.Balance(unit=money_pb2.UNIT_POINTS, available=850, held=30)
    front.gateway.answers = {"GetBalance": pb2.GetBalanceResponse(balances=[line], user_id="17563793187762127")}
    answer = await front.http.get("/user/points/consumption/balance", headers=TOKEN)
    assert answer.json() == {
        "code": 200,
        "message": "success",
        "data": {"userId": 17563793187762127, "balance": 850, "expireTime": None},
    }
    line.expire_time.seconds = CREATED_S
    front.gateway.answers = {"GetBalance": pb2.GetBalanceResponse(balances=[line], user_id="1")}
    data = (await front.http.get("/user/points/consumption/balance", headers=TOKEN)).json()["data"]
    assert data["expireTime"] == "2025-10-26T15:30:45"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/user/nothing", 404, "接口不存在"),
        ("POST", "/user/ai/tasks/list/x", 404, "接口不存在"),
        ("DELETE", "/user/ai/tasks/submit", 405, "请求方法不支持"),
        ("POST", "/user/points/consumption/balance", 405, "请求方法不支持"),
    ],
)
async def test_paths_that_do_not_exist_answer_in_the_contracts_form(
    front: Any, method: str, path: str, status: int, message: str
) -> None:
    answer = await front.http.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"code": status, "message": message, "data": None})


async def test_what_nobody_foresaw_is_neutral_and_in_the_contracts_form(front: Any) -> None:
    front.gateway.answers = {"GetJob": lambda _: 1 / 0}
    answer = await front.http.get("/user/ai/tasks/TASK-1", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (500, {"code": 500, "message": "服务器错误", "data": None})
    assert answer.headers["x-incident-id"].startswith("inc_")
