"""A partner proves who it is in either of two ways."""

from typing import Any

import httpx
import pytest

from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient

#: Every operation that needs a key.
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/capabilities", {}),
    ("GET", "/balance", {}),
    ("GET", "/jobs", {}),
    ("GET", "/jobs?status=nonsense", {}),
    ("POST", "/jobs", {"json": {"capability": "image.generate", "prompt": "山"}}),
    ("POST", "/jobs", {"content": b"not json"}),
    ("GET", "/jobs/job_x", {}),
    ("GET", "/jobs/job_x/events", {}),
    ("POST", "/jobs/job_x/cancel", {}),
    ("GET", "/assets", {}),
    ("POST", "/assets", {"files": [("files", ("a.png", b"x"))]}),
    ("POST", "/assets", {"json": {"url": "http://127.0.0.2/"}}),
    ("GET", "/assets/asset_x", {}),
    ("DELETE", "/assets/asset_x", {}),
    ("GET", "/assets/asset_x/download", {}),
]


@pytest.mark.parametrize("header", ["authorization", "x-zhinian-api-key"])
async def test_either_header_is_enough(house: Deployment, partner: OpenClient, header: str) -> None:
    value = f"Bearer {partner.key}" if header == "authorization" else partner.key
    async with httpx.AsyncClient(base_url=house.url, headers={header: value}, trust_env=False) as client:
        answer = await client.get("/api/v1/balance")

    assert answer.status_code == 200
    assert answer.json()["clientId"] == partner.client_id


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS)
async def test_every_operation_is_refused_without_a_key_and_with_a_wrong_one(
    house: Deployment, method: str, path: str, options: dict[str, Any]
) -> None:
    async with httpx.AsyncClient(base_url=f"{house.url}/api/v1", trust_env=False) as client:
        missing = await client.request(method, path, **options)
        wrong = await client.request(method, path, headers={"authorization": "Bearer sk-wrong"}, **options)
        other = await client.request(method, path, headers={"x-zhinian-api-key": "sk-wrong"}, **options)

    assert (missing.status_code, missing.json()) == (401, {"error": "Missing API key."})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "Invalid API key."})
    assert (other.status_code, other.json()) == (401, {"error": "Invalid API key."})
    assert missing.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "value", ["Bearer", "Basic dXNlcjpwYXNz", "Bearer two words", "Bearer \u00e9".encode().decode("latin-1")]
)
async def test_malformed_header_is_refused(house: Deployment, value: str) -> None:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
        answer = await client.get("/api/v1/balance", headers={"authorization": value.encode("latin-1")})

    assert answer.status_code == 401
    assert set(answer.json()) == {"error"}


async def test_health_and_the_description_need_no_key(house: Deployment) -> None:
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        described = await client.get("/api/v1/openapi.json")

    assert described.json()["openapi"].startswith("3.")
    assert described.json()["servers"] == [{"url": house.url}]


async def test_unknown_paths_answer_in_the_contracts_words(house: Deployment, partner: OpenClient) -> None:
    answer = await partner.get("/nonsense")

    assert answer.status_code == 404
    assert answer.json() == {"error": "Not found."}


async def test_too_many_requests_are_told_when_to_come_back(make_partner: NewPartner) -> None:
    from atelier.gateway.v1 import client_pb2

    hasty = await make_partner(limits=client_pb2.Limits(requests_per_second=1, burst=2))

    answers = [await hasty.get("/balance") for _ in range(4)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert answers[0].status_code == 200
    assert refused[0].json() == {"error": "Too many requests."}
    assert int(refused[0].headers["retry-after"]) >= 1


async def test_too_many_unfinished_jobs_are_refused(make_partner: NewPartner) -> None:
    from atelier.gateway.v1 import client_pb2

    keen = await make_partner(limits=client_pb2.Limits(jobs_in_flight=1))
    body = {"capability": "image.generate", "prompt": "山", "width": 1024, "height": 1024}
    first = await keen.create_job(**body)

    refusal = await keen.submit(body)

    assert refusal.status_code == 429
    assert refusal.json() == {"error": "Too many unfinished jobs."}
    assert (await keen.points())["available"] == 970
    await keen.finished_job(first["id"])
    assert (await keen.submit(body)).status_code == 201


async def test_capabilities_say_what_can_be_asked_for(partner: OpenClient) -> None:
    offered = {one["capability"]: one for one in (await partner.get("/capabilities")).json()["capabilities"]}

    assert set(offered) == {"image.generate", "image.inpaint", "image.upscale", "video.generate"}
    assert offered["image.generate"]["available"] is True
    assert offered["image.generate"]["price"] == [{"points": 30}]
    assert offered["image.generate"]["parameters"]["properties"]["width"]["maximum"] == 4096
