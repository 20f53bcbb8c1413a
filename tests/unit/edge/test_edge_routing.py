"""Wrong methods: refused in the words of the path's contract, with everything the path takes in Allow."""

from typing import Any

import pytest

WRONG = [
    ("PATCH", "/api/v1/jobs", "GET, HEAD, POST", {"error": "Method not allowed."}),
    ("OPTIONS", "/api/v1/assets/asset_1", "DELETE, GET, HEAD", {"error": "Method not allowed."}),
    ("POST", "/healthz", "GET, HEAD", {"error": "Method not allowed."}),
    ("POST", "/results/a.png", "GET, HEAD", {"error": "Method not allowed."}),
    ("GET", "/api/submit_task", "POST", {"err_code": 1, "err_msg": "请求方法不支持"}),
    ("GET", "/api/check_task_status", "POST", {"err_code": 1, "err_msg": "请求方法不支持"}),
    ("POST", "/api/images/a/b/grid", "GET, HEAD", {"error": "Method not allowed."}),
]


@pytest.mark.parametrize(("method", "path", "allow", "body"), WRONG)
async def test_wrong_method_is_told_every_right_one(
    front: Any, method: str, path: str, allow: str, body: dict[str, Any]
) -> None:
    answer = await front.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"], answer.json()) == (405, allow, body)


async def test_name_of_an_endpoint_is_no_task(front: Any) -> None:
    answer = await front.http.get("/user/ai/tasks/submit")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"code": 405, "message": "请求方法不支持", "data": None}
    assert front.gateway.asked == []


async def test_head_is_answered_like_get(front: Any) -> None:
    answer = await front.http.head("/healthz")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_unknown_paths_are_404_whatever_the_method(front: Any) -> None:
    for method, path in (("POST", "/api/v1/nothing"), ("GET", "/nothing"), ("TRACE", "/user/nothing")):
        assert (await front.http.request(method, path)).status_code == 404


@pytest.mark.parametrize("path", ["/results/token.png", "/api/images/token/job_1"])
async def test_broken_link_service_answers_in_plain_text(front: Any, path: str) -> None:
    answer = await front.http.get(path)  # The fakes know no answer: a bug of ours.
    assert (answer.status_code, answer.text) == (500, "Unavailable.")
