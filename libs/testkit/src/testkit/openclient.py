"""A partner's program for the open contract, as tests need it: plain HTTP, and waiting made short.

async with OpenClient(deployment.url, key) as partner:
    job = await partner.create_job(capability="image.generate", prompt="雪山")
    done = await partner.finished_job(job["id"])
    picture = await partner.download(done["outputAssetIds"][0])
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

PREFIX: Final = "/api/v1"
TERMINAL: Final = frozenset({"succeeded", "failed", "expired", "cancelled"})
CALL_TIMEOUT_S: Final = 60.0  # Generous: a machine that runs all tests at once is not quick.
JOB_TIMEOUT_S: Final = 120.0
POLL_INTERVAL_S: Final = 0.05


class Refused(Exception):
    """The contract's answer was not a success."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.request.method} {response.request.url}: {response.status_code} {response.text}")
        self.status = response.status_code
        self.response = response

    @property
    def message(self) -> str:
        """The sentence under `error`."""
        return str(self.response.json()["error"])


@dataclass(frozen=True, kw_only=True)
class SentEvent:
    """One server-sent event."""

    id: str
    event: str
    data: dict[str, Any]


class OpenClient:
    """One partner with an API key. Methods that return contents raise Refused for anything but a success."""

    def __init__(self, url: str, key: str, *, client_id: str = "") -> None:
        """`client_id` is only for whoever wants to know it."""
        self.url = url
        self.key = key
        self.client_id = client_id
        self.http = httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=CALL_TIMEOUT_S, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """The raw answer; `path` begins after `/api/v1`."""
        return await self.http.get(PREFIX + path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        """The raw answer; `path` begins after `/api/v1`."""
        return await self.http.post(PREFIX + path, **options)

    # Jobs

    async def submit(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> httpx.Response:
        """The raw answer of `POST /jobs`."""
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return await self.post("/jobs", json=body, headers=headers)

    async def create_job(self, *, idempotency_key: str | None = None, **body: Any) -> dict[str, Any]:
        """Submit a job and return it."""
        return _part(await self.submit(body, idempotency_key=idempotency_key), "job")

    async def job(self, job_id: str) -> dict[str, Any]:
        return _part(await self.get(f"/jobs/{job_id}"), "job")

    async def jobs(self, **filters: Any) -> list[dict[str, Any]]:
        """One page of the list."""
        found: list[dict[str, Any]] = _content(await self.get("/jobs", params=filters))["jobs"]
        return found

    async def cancel(self, job_id: str) -> dict[str, Any]:
        return _part(await self.post(f"/jobs/{job_id}/cancel"), "job")

    async def reached(self, job_id: str, *statuses: str, timeout_s: float = JOB_TIMEOUT_S) -> dict[str, Any]:
        """Poll until the job has one of these statuses. Raises TimeoutError, AssertionError when it ended otherwise."""
        deadline = time.monotonic() + timeout_s
        while (job := await self.job(job_id))["status"] not in statuses:
            assert job["status"] not in TERMINAL, f"the job ended: {job}"
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s:.0f} s the job is {job}")
            await asyncio.sleep(POLL_INTERVAL_S)
        return job

    async def finished_job(self, job_id: str, *, timeout_s: float = JOB_TIMEOUT_S) -> dict[str, Any]:
        """Poll until the job has ended, well or not. Raises TimeoutError."""
        return await self.reached(job_id, *TERMINAL, timeout_s=timeout_s)

    async def events(self, job_id: str, *, after: str | None = None) -> AsyncIterator[SentEvent]:
        """The job's server-sent events until the server ends the stream."""
        headers = {} if after is None else {"last-event-id": after}
        async with self.http.stream("GET", f"{PREFIX}/jobs/{job_id}/events", headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise Refused(response)
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    yield SentEvent(id=fields["id"], event=fields["event"], data=json.loads(fields["data"]))
                    fields = {}

    # Assets

    async def upload(self, *files: tuple[str, bytes], kind: str = "") -> list[dict[str, Any]]:
        """Upload files (name, bytes) in one call and return their records."""
        form = {"kind": kind} if kind else None
        response = await self.post("/assets", files=[("files", file) for file in files], data=form)
        records: Sequence[dict[str, Any]] = _content(response)["assets"]
        return list(records)

    async def register(self, url: str, **fields: Any) -> dict[str, Any]:
        """Let the house fetch a URL and return the record."""
        return _part(await self.post("/assets", json={"url": url, **fields}), "asset")

    async def asset(self, asset_id: str) -> dict[str, Any]:
        return _part(await self.get(f"/assets/{asset_id}"), "asset")

    async def assets(self, **filters: Any) -> list[dict[str, Any]]:
        """One page of the list."""
        found: list[dict[str, Any]] = _content(await self.get("/assets", params=filters))["assets"]
        return found

    async def download(self, asset_id: str) -> bytes:
        response = await self.get(f"/assets/{asset_id}/download")
        if response.status_code != httpx.codes.OK:
            raise Refused(response)
        return response.content

    # The wallet

    async def points(self) -> dict[str, int]:
        """`available`, `held` and `spent`; all 0 before the first grant."""
        balance = _content(await self.get("/balance"))["balance"]
        found: dict[str, int] = balance.get("points", {"available": 0, "held": 0, "spent": 0})
        return found


def _content(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        raise Refused(response)
    content: dict[str, Any] = response.json()
    return content


def _part(response: httpx.Response, name: str) -> dict[str, Any]:
    part: dict[str, Any] = _content(response)[name]
    return part
