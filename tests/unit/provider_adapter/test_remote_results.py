"""Results by URL and from the provider's own API: whole, or not at all, within bounds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from kit.errors import ErrorReason
from kit.web import FetchLimits, WallPolicy, WebClient
from provider_adapter.domain import Outcome
from provider_adapter.ports import OutputFile, Unreadable
from provider_adapter.providers.remote.http import Upstream
from provider_adapter.providers.remote.options import CredentialMissing, RemoteOptions
from provider_adapter.providers.remote.results import Results, role_by_name
from testkit.providers.faults import Body, Fault, Reset
from testkit.providers.serving import served
from testkit.providers.simulator import Simulator

DATA = bytes(range(256)) * 4000
LIMITS = FetchLimits(
    first_byte_s=0.5, total_s=2.0, rate_grace_s=0.5, body_bytes_max=2 << 20, connect_s=0.5, refusal_floor_s=0.0
)


class Broken:
    """Half of a body, and then no more of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(len(self._data)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._data[: len(self._data) // 2], "more_body": True})
        await asyncio.sleep(0.05)
        await Reset()(scope, receive, send)


class Files(Simulator):
    """Answers in turn, the last answer again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = [Response(DATA)]
        self.asked: list[Request] = []

    def routes(self) -> list[BaseRoute]:
        return [Route("/{path:path}", self._any)]

    async def _any(self, request: Request) -> Any:
        self.asked.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def files() -> AsyncIterator[Any]:
    files: Any = Files()
    async with served(files) as address:
        files.address = address
        yield files


@pytest.fixture
async def results() -> AsyncIterator[Results]:
    web = WebClient(WallPolicy(allow=WallPolicy.parse_allow("127.0.0.1")))
    yield Results(web, limits=LIMITS, again_after_s=(0.01, 0.01))
    await web.aclose()


async def read(file: OutputFile) -> bytes:
    return b"".join([piece async for piece in file.chunks()])


async def unreadable(file: OutputFile) -> None:
    began = time.monotonic()
    with pytest.raises(Unreadable) as caught:
        await read(file)
    failed = caught.value.failed
    assert (failed.outcome, failed.failure.reason) == (Outcome.RETRYABLE, ErrorReason.PROVIDER_RESULT_INVALID)
    assert failed.cost_fen == 7
    assert time.monotonic() - began < 10


async def test_result_comes_whole_and_as_often_as_it_is_read(files: Any, results: Results) -> None:
    file = results.at(f"{files.address}/a", role="video")
    assert file.role == "video"
    assert [await read(file), await read(file)] == [DATA, DATA]


@pytest.mark.parametrize("fault", [Fault.ENDLESS, Fault.DRIP, Fault.EXPIRED])
async def test_result_that_is_endless_or_slow_or_gone_is_not_usable(files: Any, results: Results, fault: Fault) -> None:
    files.answers = [Body(DATA, "image/png", fault=fault)]
    await unreadable(results.at(f"{files.address}/a", cost_fen=7))
    assert len(files.asked) == 1


async def test_result_at_a_private_address_is_refused_unasked(files: Any) -> None:
    web = WebClient(WallPolicy())
    results = Results(web, limits=LIMITS, again_after_s=(0.01,))
    try:
        for url in (
            f"{files.address}/a",
            files.address.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/a",
            "http://localhost/a",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "no url",
        ):
            await unreadable(results.at(url, cost_fen=7))
    finally:
        await web.aclose()
    assert not files.asked


async def test_result_that_leads_elsewhere_is_followed_through_the_wall_only(files: Any, results: Results) -> None:
    files.answers = [RedirectResponse(f"{files.address}/b"), Response(DATA)]
    assert await read(results.at(f"{files.address}/a")) == DATA
    files.answers = [RedirectResponse("http://10.0.0.1/b")]
    await unreadable(results.at(f"{files.address}/a", cost_fen=7))


@pytest.mark.parametrize("passing", [Reset(), Response(status_code=503), Response(status_code=404), Broken(DATA)])
async def test_fetch_that_fails_in_passing_is_done_again(files: Any, results: Results, passing: Any) -> None:
    files.answers = [passing, passing, Response(DATA)]
    assert await read(results.at(f"{files.address}/a")) == DATA
    assert len(files.asked) == 3
    files.answers = [passing]
    await unreadable(results.at(f"{files.address}/a", cost_fen=7))
    assert len(files.asked) == 6


@pytest.mark.parametrize("other", [DATA[::-1], DATA[:100], b""])
async def test_parts_of_two_files_are_never_put_together(files: Any, results: Results, other: bytes) -> None:
    files.answers = [Broken(DATA), Response(other)]
    await unreadable(results.at(f"{files.address}/a", cost_fen=7))


async def test_reader_that_leaves_early_ends_the_fetch(files: Any, results: Results) -> None:
    files.answers = [Body(DATA, "image/png", fault=Fault.ENDLESS)]
    before = asyncio.all_tasks()
    pieces: Any = results.at(f"{files.address}/a").chunks()
    async with contextlib.aclosing(pieces):
        await anext(pieces)
    await asyncio.sleep(0.2)
    left = [task for task in asyncio.all_tasks() - before if "Results" in repr(task)]
    assert not left


@pytest.mark.parametrize("url", [None, "", 7, ["https://x"], {"url": "https://x"}])
async def test_what_is_no_url_is_not_usable_at_once(results: Results, url: object) -> None:
    with pytest.raises(Unreadable):
        results.at(url)


# From the provider's own API.


async def test_own_file_is_asked_for_with_credentials_of_now(files: Any, results: Results) -> None:
    options = RemoteOptions.model_validate({"name": "own", "kind": "own", "base_url": files.address, "answer_s": 0.5})
    upstream, tokens = Upstream(options), iter(["one", "two"])
    await upstream.start()
    file = results.own(upstream, "/view", headers=lambda: {"Authorization": next(tokens)}, cost_fen=7)
    try:
        assert [await read(file), await read(file)] == [DATA, DATA]
        assert [request.headers["authorization"] for request in files.asked] == ["one", "two"]
        own = results.own(upstream, "/view", cost_fen=7)
        for answer in (
            Response(status_code=404),
            RedirectResponse(f"{files.address}/b"),
            Reset(),
            Body(DATA, "image/png", fault=Fault.ENDLESS),
            Body(DATA, "image/png", fault=Fault.DRIP),
        ):
            files.answers = [answer]
            await unreadable(own)

        def missing() -> dict[str, str]:
            raise CredentialMissing("nothing there")

        await unreadable(results.own(upstream, "/view", headers=missing, cost_fen=7))
    finally:
        await upstream.close()


def test_role_follows_from_the_name() -> None:
    names = ("https://x/a.MP4?b=c.png", "a.webm", "https://x/a.png?b=c.mp4", "a", "")
    assert [role_by_name(name) for name in names] == ["video", "video", "image", "image", "image"]
