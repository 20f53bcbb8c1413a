"""The signed contract: forms in, HTTP 200 out, every code of the document's table in the body."""

import re
from typing import Any

import httpx
import pytest

from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.signed import FORM_BYTES_MAX, RESOLUTIONS, STYLES, translate_submit
from kit.errors import AppError, ErrorReason, InvalidArgument

PROOF = {"appId": "demo-app", "timestamp": "1555378976238", "sign": "0" * 64}
WORK = {"text": "一只猫", "resolution": "1024*1024", "style": "油画"}
JOB_ID = "job_0123456789abcdefghijklmnop"


def job(state: str, **changes: Any) -> job_pb2.Job:
    made = job_pb2.Job(id=JOB_ID, state=f"JOB_STATE_{state}", **changes)  # type: ignore[arg-type]
    made.create_time.seconds = 1_695_305_741  # 2023-09-21 22:15:41 in Shanghai: the example of the contract.
    return made


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """The body without its number, which is checked here: 24 digits in every answer."""
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert re.fullmatch(r"[0-9]{24}", body.pop("taskNo"))
    return body


async def submit(front: Any, **fields: Any) -> dict[str, Any]:
    return body_of(await front.http.post("/ai/draw/submit", data={**PROOF, **WORK, **fields}))


async def query(front: Any, **fields: Any) -> dict[str, Any]:
    return body_of(await front.http.post("/ai/draw/query", data={**PROOF, **fields}))


def test_styles_and_resolutions_are_those_of_the_document() -> None:
    listed = (
        "探索无限、古风、二次元、写实风格、浮世绘、low poly 、未来主义、像素风格、概念艺术、赛博朋克、洛丽塔风格、"
        "巴洛克风格、超现实主义、水彩画、蒸汽波艺术、油画、卡通画"
    )
    assert [style.strip() for style in listed.split("、")] == list(STYLES)
    assert len(STYLES) == 17
    assert RESOLUTIONS == ("1024*1024", "1024*1536", "1536*1024")


@pytest.mark.parametrize("form", ["multipart", "urlencoded"])
async def test_submit_is_taken_in_both_forms(front: Any, form: str) -> None:
    front.gateway.answers = {"SubmitJob": pb2.SubmitJobResponse(job=job("QUEUED"))}
    fields = {**PROOF, **WORK, "style": "low poly ", "num": "6"}
    parts = {"files": {name: (None, value) for name, value in fields.items()}}
    answer = await front.http.post("/ai/draw/submit", **(parts if form == "multipart" else {"data": fields}))
    assert body_of(answer) == {"code": 200, "msg": "成功", "charge": True, "data": {"taskId": JOB_ID}}
    ((_, wanted, metadata),) = front.gateway.asked
    assert wanted.model == "draw"
    assert wanted.parameters_json == '{"prompt":"一只猫","width":1024,"height":1024,"style":"low poly","num":6}'
    assert metadata["authorization"] == f"App demo-app:1555378976238:{'0' * 64}"


async def test_repeat_is_not_charged_again(front: Any) -> None:
    front.gateway.answers = {"SubmitJob": pb2.SubmitJobResponse(job=job("QUEUED"), reused=True)}
    assert (await submit(front, idempotencyKey="k"))["charge"] is False
    assert front.gateway.requests("SubmitJob")[0].idempotency_key == "k"


def test_num_is_one_where_it_is_absent() -> None:
    assert '"num":1}' in translate_submit(WORK).parameters_json
    assert '"num":1}' in translate_submit({**WORK, "num": ""}).parameters_json


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"text": ""}, "text", "text不能为空"),
        ({"text": "  "}, "text", "text不能为空"),
        ({"text": "猫\x00"}, "text", "text参数错误"),
        ({"text": "字" * 101}, "text", "text长度不能超过100个字"),
        ({"resolution": ""}, "resolution", "分辨率值不正确"),
        ({"resolution": "1024x1024"}, "resolution", "分辨率值不正确"),
        ({"resolution": "512*512"}, "resolution", "分辨率值不正确"),
        ({"style": ""}, "style", "风格值不正确"),
        ({"style": "梵高"}, "style", "风格值不正确"),
        ({"num": "0"}, "num", "图片数量值不正确"),
        ({"num": "7"}, "num", "图片数量值不正确"),
        ({"num": "１"}, "num", "图片数量值不正确"),
        ({"num": "1.0"}, "num", "图片数量值不正确"),
    ],
)
async def test_wrong_field_is_named(front: Any, fields: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        translate_submit({**WORK, **fields})
    assert refused.value.field == field
    front.gateway.answers = {"AuthorizeUpload": pb2.AuthorizeUploadResponse()}
    assert await submit(front, **fields) == {"code": 400, "msg": message, "charge": False}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"appId": ""}, "appId不能为空"),
        ({"timestamp": ""}, "timestamp不能为空"),
        ({"sign": " "}, "sign不能为空"),
        ({"timestamp": "1555378976"}, "timestamp格式不正确"),
        ({"timestamp": "１５５５３７８９７６２３８"}, "timestamp格式不正确"),
    ],
)
async def test_missing_proof_is_named_before_anything_else(front: Any, fields: dict[str, str], message: str) -> None:
    expected = {"code": 400, "msg": message, "charge": False}
    assert await submit(front, **fields, style="梵高") == expected
    assert await query(front, **fields) == expected
    assert front.gateway.asked == []


#: Every code of the table, by a reason that leads to it.
CODES = [
    (ErrorReason.JOB_NOT_FOUND, 201, "taskId不存在"),
    (ErrorReason.CONTENT_MODERATED, 202, "文本黄反拦截"),
    (ErrorReason.CREDENTIAL_INVALID, 400, "sign不正确"),
    (ErrorReason.NOT_FOUND, 404, "接口地址不正确"),
    (ErrorReason.DEPENDENCY_UNAVAILABLE, 500, "系统维护,请稍候再试"),
    (ErrorReason.NOT_SERVING, 500, "系统维护,请稍候再试"),
    (ErrorReason.QUEUE_FULL, 500, "系统维护,请稍候再试"),
    (ErrorReason.INTERNAL, 500, "系统维护,请稍候再试"),
    (ErrorReason.MODEL_NOT_GRANTED, 601, "接口未开通"),
    (ErrorReason.CLIENT_DISABLED, 602, "账号停用"),
    (ErrorReason.MODEL_DISABLED, 604, "接口停用"),
    (ErrorReason.MODEL_UNKNOWN, 604, "接口停用"),
    (ErrorReason.DAILY_QUOTA_EXCEEDED, 606, "调用超限,请稍候再试"),
    (ErrorReason.IP_NOT_ALLOWED, 607, "ip不在白名单"),
    (ErrorReason.RATE_LIMITED, 609, "请求过于频繁,请稍候再试"),
    (ErrorReason.DEADLINE_EXCEEDED, 610, "请求超时"),
    (ErrorReason.INSUFFICIENT_FUNDS, 999, "余额不足"),
]


@pytest.mark.parametrize(("reason", "code", "message"), CODES)
async def test_every_code_of_the_table_has_its_sentence(
    front: Any, reason: ErrorReason, code: int, message: str
) -> None:
    error = AppError.of(reason, field="model" if code in {601, 604} else None)
    front.gateway.answers = {"SubmitJob": error, "GetJob": error}
    expected = {"code": code, "msg": message, "charge": False}
    assert await submit(front) == expected
    assert await query(front, taskId=JOB_ID) == expected


@pytest.mark.parametrize(
    ("field", "message"),
    [("timestamp", "timestamp已过期"), (None, "appId已过期"), ("idempotency_key", "idempotencyKey")],
)
async def test_400_says_what_is_wrong(front: Any, field: str | None, message: str) -> None:
    reason = ErrorReason.INVALID_ARGUMENT if field == "idempotency_key" else ErrorReason.CREDENTIAL_EXPIRED
    front.gateway.answers = {"SubmitJob": AppError.of(reason, field=field)}
    body = await submit(front)
    assert body["code"] == 400
    assert message in body["msg"]


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
async def test_query_of_an_unfinished_task(front: Any, state: str) -> None:
    front.gateway.answers = {"GetJob": pb2.GetJobResponse(job=job(state))}
    assert await query(front, taskId=JOB_ID) == {
        "code": 200,
        "msg": "成功",
        "charge": False,
        "data": {"img": "", "imgUrls": [], "createTime": "2023-09-21 22:15:41", "status": 0},
    }


async def test_query_of_a_finished_task_shows_what_was_delivered(front: Any) -> None:
    outputs = [job_pb2.Output(asset_id=f"asset_{number}", mime_type="image/png") for number in range(3)]
    front.gateway.answers = {
        "GetJob": pb2.GetJobResponse(job=job("SUCCEEDED", outputs=outputs)),
        "LinkAssets": pb2.LinkAssetsResponse(tokens=["a", "b", "c"]),
    }
    data = (await query(front, taskId=f" {JOB_ID} "))["data"]
    links = [f"http://edge.test/results/{token}.png" for token in "abc"]
    assert data == {
        "img": links[0],
        "imgUrls": [{"image": link} for link in links],
        "createTime": "2023-09-21 22:15:41",
        "status": 1,
    }


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        ("FAILED", "PROVIDER_FAILED", "生成失败"),
        ("FAILED", "PROVIDER_MODERATED", "内容未通过审核"),
        ("EXPIRED", "JOB_EXPIRED", "任务超时"),
        ("CANCELLED", "JOB_CANCELLED", "任务已取消"),
    ],
)
async def test_query_of_a_task_without_a_result_says_why(front: Any, state: str, reason: str, message: str) -> None:
    failure = job_pb2.Failure(reason=f"ERROR_REASON_{reason}")  # type: ignore[arg-type]
    front.gateway.answers = {"GetJob": pb2.GetJobResponse(job=job(state, failure=failure))}
    assert await query(front, taskId=JOB_ID) == {"code": 999, "msg": message, "charge": False}


async def test_query_of_a_failed_task_that_was_charged_does_not_say_it_was_free(front: Any) -> None:
    failure = job_pb2.Failure(reason="ERROR_REASON_JOB_CANCELLED")  # type: ignore[arg-type]
    charged = money_pb2.Amount(unit=money_pb2.UNIT_COUNT, value=1)
    front.gateway.answers = {"GetJob": pb2.GetJobResponse(job=job("CANCELLED", failure=failure, charged=charged))}
    assert await query(front, taskId=JOB_ID) == {"code": 999, "msg": "任务已取消", "charge": True}


async def test_query_without_a_task_id_is_named(front: Any) -> None:
    front.gateway.answers = {"AuthorizeUpload": pb2.AuthorizeUploadResponse()}
    assert await query(front) == {"code": 400, "msg": "taskId不能为空", "charge": False}


async def test_pictures_that_are_left_are_linked_when_one_was_deleted(front: Any) -> None:
    def link(request: pb2.LinkAssetsRequest) -> Any:
        return pb2.LinkAssetsResponse(tokens=["" if one == "asset_1" else one for one in request.asset_ids])

    outputs = [job_pb2.Output(asset_id=f"asset_{number}", mime_type="image/png") for number in range(3)]
    front.gateway.answers = {"GetJob": pb2.GetJobResponse(job=job("SUCCEEDED", outputs=outputs)), "LinkAssets": link}
    data = (await query(front, taskId=JOB_ID))["data"]
    assert [one["image"].rpartition("/")[2] for one in data["imgUrls"]] == ["asset_0.png", "asset_2.png"]


@pytest.mark.parametrize("name", ["x\x00", "x" * 65, "任务"])
async def test_what_no_task_is_called_is_asked_for_as_nobodys(front: Any, name: str) -> None:
    front.gateway.answers = {"GetJob": AppError.of(ErrorReason.JOB_NOT_FOUND)}
    assert (await query(front, taskId=name))["code"] == 201
    assert front.gateway.requests("GetJob")[0].external_id == "-"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ai/draw/"),
        ("POST", "/ai/draw/video"),
        ("GET", "/ai/draw/a/b"),
    ],
)
async def test_every_other_path_is_code_404(front: Any, method: str, path: str) -> None:
    answer = await front.http.request(method, path)
    assert body_of(answer) == {"code": 404, "msg": "接口地址不正确", "charge": False}


@pytest.mark.parametrize(("method", "path"), [("GET", "submit"), ("PUT", "query"), ("OPTIONS", "submit")])
async def test_wrong_method_is_405_with_code_404(front: Any, method: str, path: str) -> None:
    answer = await front.http.request(method, f"/ai/draw/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert {**answer.json(), "taskNo": ""} == {"code": 404, "msg": "接口地址不正确", "charge": False, "taskNo": ""}


async def test_body_that_is_no_form_or_too_large_is_refused(front: Any) -> None:
    broken = await front.http.post(
        "/ai/draw/submit", content=b"--x\r\nbroken", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert body_of(broken)["code"] == 400
    large = await front.http.post("/ai/draw/submit", data={"text": "x" * FORM_BYTES_MAX})
    assert body_of(large) == {"code": 400, "msg": "请求内容过大", "charge": False}
    none = await front.http.post("/ai/draw/query", json=PROOF)
    assert body_of(none)["msg"] == "appId不能为空"


async def test_what_nobody_foresaw_is_500_in_the_body(front: Any) -> None:
    front.gateway.answers = {"GetJob": lambda _: 1 / 0}
    assert await query(front, taskId=JOB_ID) == {"code": 500, "msg": "系统维护,请稍候再试", "charge": False}
