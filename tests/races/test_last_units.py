"""Sixty-four threads spend one wallet at the same moment: it pays for exactly what it can."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import httpx
import pytest

from atelier.gateway.v1 import client_pb2
from testkit.deployments import Deployment, new_partner
from testkit.doors import grant, open_door
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.studioclient import REDRAW

THREADS: Final = 64
AFFORDED: Final = THREADS // 4  # Jobs that the wallet covers; each thread asks for one.
ROUNDS: Final = 17  # Of each of three contracts on each of two deployments: a hundred and two in all.
CALL_TIMEOUT_S: Final = 60.0
#: Nothing but the wallet may refuse.
UNLIMITED: Final = client_pb2.Limits(requests_per_second=100_000, burst=100_000, jobs_in_flight=10_000)
POINTS_OF_TEXT: Final = 30  # In both contracts.

#: Sends one submit and says what came of it: "accepted", or the refusal.
Submit = Callable[[httpx.Client], str]


class _Threads:
    """Threads that wait for each other before they call, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._together = threading.Barrier(THREADS)
        self._pool = ThreadPoolExecutor(THREADS)
        self._clients = [httpx.Client(base_url=url, timeout=CALL_TIMEOUT_S, trust_env=False) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for client in self._clients:
            client.close()

    async def at_once(self, submit: Submit) -> Counter[str]:
        """Let each thread submit once, all at the same moment; count the answers."""

        def call(http: httpx.Client) -> str:
            self._together.wait(CALL_TIMEOUT_S)
            return submit(http)

        loop = asyncio.get_running_loop()
        return Counter(await asyncio.gather(*(loop.run_in_executor(self._pool, call, one) for one in self._clients)))


async def _open_contract(house: Deployment, partner: OpenClient) -> Submit:
    await grant(house.operator(), partner.client_id, "points", AFFORDED * POINTS_OF_TEXT)
    body = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}
    headers = {"authorization": f"Bearer {partner.key}"}

    def submit(http: httpx.Client) -> str:
        answer = http.post("/api/v1/jobs", json=body, headers=headers)
        return "accepted" if answer.status_code in {200, 201, 202} else str(answer.status_code)

    return submit


async def _points_contract(house: Deployment, partner: OpenClient) -> Submit:
    await grant(house.operator(), partner.client_id, "points", AFFORDED * POINTS_OF_TEXT)
    headers = {"authorization": f"Bearer {partner.key}"}
    body = {"modelName": "sc_soraimg_text_1x1", "prompt": "一只猫"}

    def submit(http: httpx.Client) -> str:
        answer = http.post("/user/ai/tasks/submit", json=body, headers=headers).json()
        return "accepted" if answer["code"] == 200 else f"{answer['code']} {answer['message']}"

    return submit


async def _studio_contract(house: Deployment, partner: OpenClient) -> Submit:
    await grant(house.operator(), partner.client_id, "count", AFFORDED)
    door = await open_door(house.operator(), partner.client_id, "user_key")
    picture = encoded(photo((64, 64)), "JPEG")

    def submit(http: httpx.Client) -> str:
        answer = http.post(
            "/api/submit_task", data={"user_key": door.secret, **REDRAW}, files={"input_image": ("a.jpg", picture)}
        ).json()
        return "accepted" if answer["err_code"] == 0 else str(answer["err_msg"])

    return submit


@pytest.mark.parametrize(
    ("prepare", "unit", "refusal"),
    [
        (_open_contract, "points", "402"),
        (_points_contract, "points", "402 积分不足"),
        (_studio_contract, "count", "账户剩余次数不足"),
    ],
    ids=["open", "points", "studio"],
)
async def test_wallet_for_n_jobs_accepts_exactly_n(house: Deployment, prepare: Any, unit: str, refusal: str) -> None:
    with _Threads(house.url) as threads:
        for _ in range(ROUNDS):
            partner = await new_partner(house.operator(), house.url, points=0, limits=UNLIMITED)
            submit = await prepare(house, partner)
            answers = await threads.at_once(submit)
            wallet = (await partner.get("/balance")).json()["balance"][unit]
            await partner.http.aclose()

            refused = {answer: number for answer, number in answers.items() if answer != "accepted"}
            assert answers["accepted"] == AFFORDED
            assert sum(refused.values()) == 3 * AFFORDED
            assert all(refusal in answer for answer in refused), refused
            assert (wallet["available"], wallet["spent"]) == (0, 0)
            assert wallet["held"] > 0
