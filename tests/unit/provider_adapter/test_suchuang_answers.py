"""SuChuang: its answers in our words, and what an operator's file may say of it."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from kit.web import WallPolicy, WebClient
from provider_adapter.domain import Outcome
from provider_adapter.ports import Finished, Pending
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.options import explain
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble, failed
from provider_adapter.providers.suchuang import Options
from provider_adapter.providers.suchuang.mapping import message_of, standing, task_id_of

RESULTS = Results(WebClient(WallPolicy()))
CUSTOM: dict[str, Any] = {
    "capability": "image.generate",
    "submit_path": "/somewhere/submit",
    "detail_path": "/somewhere/detail",
    "encoding": "form",
    "names": {"prompt": "prompt"},
    "status": {2: "succeeded", 3: "failed"},
}


def options(**more: Any) -> Options:
    return Options.model_validate({"name": "suchuang", "kind": "suchuang", "key": {"env": "UNSET_KEY"}, **more})


def reply(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, headers=headers or {}, body=body if isinstance(body, bytes) else orjson.dumps(body))


def data(**fields: object) -> Reply:
    return reply({"code": 200, "msg": "成功", "data": fields})


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        ({"code": 200, "msg": "成功", "data": {"id": "image_1", "count": 1}, "exec_time": 0.05}, "image_1"),
        ({"code": 0, "data": {"id": "image_1"}}, "image_1"),
        ({"code": "200", "data": {"id": 815}}, "815"),
    ],
)
def test_order_that_was_taken(body: object, task_id: str) -> None:
    assert task_id_of(reply(body), options()) == task_id


@pytest.mark.parametrize(
    "body", [{"code": 200}, {"code": 200, "data": []}, {"code": 200, "data": {"id": ""}}, {"data": {}}, [], b"<html>"]
)
def test_answer_that_says_neither_yes_nor_no_is_unknown(body: object) -> None:
    with pytest.raises(NotReadable):
        task_id_of(reply(body), options())


@pytest.mark.parametrize(
    ("status", "body", "ending"),
    [
        (200, {"code": 1, "msg": "?", "data": None}, failed(Trouble.INVALID)),
        (200, {"code": 77, "msg": "?"}, failed(Trouble.ACCOUNT)),
        (200, {"code": "78", "msg": "?"}, failed(Trouble.THROTTLED)),
        (200, {"code": 1, "msg": "您的余额不足,请充值"}, failed(Trouble.ACCOUNT)),
        (200, {"code": 1, "msg": "提示词违规"}, failed(Trouble.INPUT_MODERATED)),
        (401, {"code": 1}, failed(Trouble.ACCOUNT)),
        (400, {"code": 78}, failed(Trouble.THROTTLED)),
        (429, b"slow down", failed(Trouble.THROTTLED)),
        (500, {"code": 200, "data": {"id": "image_1"}}, failed(Trouble.UNAVAILABLE)),
        (502, b"<html>", failed(Trouble.NO_ANSWER)),
        (503, b"<html>", failed(Trouble.UNAVAILABLE)),
    ],
)
def test_order_that_was_refused(status: int, body: object, ending: object) -> None:
    known = options(codes={77: "account", "78": "throttled"}, messages={"余额": "account", "违规": "input_moderated"})
    with pytest.raises(Refused) as refused:
        task_id_of(reply(body, status=status), known)
    assert refused.value.failed == ending


def test_code_that_is_not_known_is_never_repeated() -> None:
    with pytest.raises(Refused) as refused:
        task_id_of(reply({"code": 500, "msg": "?"}), options())
    assert refused.value.failed.outcome is Outcome.ROUTE_FAILED


IMAGE = {0: "queued", 1: "running", 2: "succeeded", 3: "failed"}
FILM = {0: "queued", 3: "running", 1: "succeeded", 2: "failed"}


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("image_gpt", IMAGE),
        ("image_gpt_2.5", IMAGE),
        ("image_nanoBanana", IMAGE),
        ("image_nanoBanana_pro", IMAGE),
        ("image_nanoBanana2", IMAGE),
        ("nanoBanana", IMAGE),
        ("nanoBanana-pro", IMAGE),
        ("sora2", FILM),
        ("sora2-new", FILM),
        ("sora2pro", FILM),
    ],
)
def test_numbers_of_states_differ_from_family_to_family(family: str, numbers: Mapping[int, str]) -> None:
    known = options(cost_fen_per_output=9)
    places = {
        "result": ["https://a.example/1"],
        "image_url": "https://a.example/1",
        "remote_url": "https://a.example/1",
    }
    for number, state in numbers.items():
        for value in (number, str(number)):
            answer = data(status=value, **places)
            if state == "failed":
                with pytest.raises(Refused) as refused:
                    standing(answer, known.families[family], known, RESULTS)
                assert refused.value.failed == failed(Trouble.BROKEN)
                continue
            found = standing(answer, known.families[family], known, RESULTS)
            if state == "succeeded":
                assert isinstance(found, Finished)
                assert [file.role for file in found.files] == ["video" if numbers is FILM else "image"]
                assert found.cost_fen == 9
            else:
                assert found == Pending()


def test_reason_of_a_failed_task_is_understood_where_the_operator_says_how() -> None:
    known = options(messages={"违规": "output_moderated"})
    for field in ("message", "fail_reason"):
        answer = data(status=3, **{field: "内容违规"})
        assert message_of(answer) == "内容违规"
        with pytest.raises(Refused) as refused:
            standing(answer, known.families["image_gpt"], known, RESULTS)
        assert refused.value.failed == failed(Trouble.OUTPUT_MODERATED)
        assert "违规" not in repr(refused.value.failed)


@pytest.mark.parametrize("status", [None, 4, -1, "done", True, [2]])
def test_state_that_is_not_known_is_not_the_tasks_end(status: object) -> None:
    with pytest.raises(NotReadable):
        standing(data(status=status), options().families["image_gpt"], options(), RESULTS)


@pytest.mark.parametrize(
    "answer", [reply({"code": 1, "msg": "?"}), reply({"code": 200, "data": None}), reply(b"<html>", status=404)]
)
def test_refused_question_is_not_the_tasks_end(answer: Reply) -> None:
    with pytest.raises(NotReadable):
        standing(answer, options().families["image_gpt"], options(), RESULTS)


def test_task_is_gone_when_the_operators_code_says_so() -> None:
    known = options(codes={5: "gone", 6: "throttled"})
    with pytest.raises(Refused) as refused:
        standing(reply({"code": 5}), known.families["image_gpt"], known, RESULTS)
    assert refused.value.failed == failed(Trouble.GONE)
    with pytest.raises(NotReadable):
        standing(reply({"code": 6}), known.families["image_gpt"], known, RESULTS)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"image_url": "https://a.example/1", "remote_url": "https://a.example/2"}, 1),
        ({"image_url": "", "remote_url": "https://a.example/2"}, 1),
        ({"result": ["https://a.example/1", "https://a.example/2"]}, 2),
    ],
)
def test_result_of_a_family_from_the_file_is_looked_for_in_order(fields: dict[str, Any], count: int) -> None:
    known = options(families={"soraImg": CUSTOM})
    found = standing(data(status=2, **fields), known.families["soraImg"], known, RESULTS)
    assert isinstance(found, Finished)
    assert len(found.files) == count


@pytest.mark.parametrize("fields", [{}, {"result": []}, {"result": {"url": "x"}}, {"result": 5}])
def test_finished_task_without_results_is_unusable(fields: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        standing(data(status=2, **fields), options().families["image_gpt"], options(), RESULTS)
    assert refused.value.failed == failed(Trouble.UNUSABLE)


def test_what_is_not_known_of_sora_img_has_no_default() -> None:
    assert "soraImg" not in options().families
    for field in ("capability", "submit_path", "detail_path", "encoding", "names", "status"):
        with pytest.raises(ValidationError) as error:
            options(families={"soraImg": {name: value for name, value in CUSTOM.items() if name != field}})
        assert explain(error.value) == f"families.soraImg.{field}: Field required"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"names": {"size": "size"}}, "families.soraImg"),
        ({"names": {"prompt": "prompt", "colour": "colour"}}, "families.soraImg.names.colour"),
        ({"images_as": "list"}, "families.soraImg"),
        ({"status": {2: "succeeded"}}, "families.soraImg"),
        ({"status": {2: "done", 3: "failed"}}, "families.soraImg.status.2"),
        ({"submit_path": "https://elsewhere.example/"}, "families.soraImg.submit_path"),
        ({"ratios": ["wide"]}, "families.soraImg.ratios.0"),
        ({"no_such_field": 1}, "families.soraImg.no_such_field"),
    ],
)
def test_family_that_cannot_work_is_told_by_its_place(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as error:
        options(families={"soraImg": CUSTOM | change})
    assert explain(error.value).startswith(where)


def test_known_family_can_be_completed() -> None:
    changed = options(families={"nanoBanana": {"ratios": ["1:1"]}}).families
    assert changed["nanoBanana"].ratios == ("1:1",)
    assert changed["nanoBanana"].constants == {"model": "nano-banana"}
    assert changed["nanoBanana-pro"].ratios is None


def test_meaning_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        options(codes={1: "no_answer"})


def test_base_address_is_the_vendors_own() -> None:
    assert options().base == "https://api.wuyinkeji.com"
