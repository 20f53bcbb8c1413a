"""The providers that the suite runs on, each with tasks that it can do, refuses, and takes long over."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from kit.errors import ErrorReason
from provider_adapter import ports
from provider_adapter.ports import Failed, Outcome, Provider, Task
from provider_adapter.providers.local.pool import EnginePool
from provider_adapter.providers.local.provider import LocalProvider
from testkit.fakeprovider import Behavior, FakeProvider, FakeUpstream, picture

TIMEOUT_S = 60.0


class BytesSource:
    """An input in memory."""

    def __init__(self, data: bytes, *, role: str = "image", unreadable: Failed | None = None) -> None:
        self.role = role
        self.label = ""
        self.field = "inputs[0]"
        self.mime_type = "image/png"
        self.size_bytes = len(data)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._data = data
        self._unreadable = unreadable

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._unreadable is not None:
            raise ports.Unreadable(self._unreadable)
        yield self._data

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


def make_task(
    job_id: str, parameters: Mapping[str, Any], *, model: str = "image.generate", inputs: tuple[BytesSource, ...] = ()
) -> Task:
    return Task(
        job_id=job_id,
        attempt_id=f"att_{job_id}",
        capability=model,
        upstream_model=model,
        parameters=parameters,
        inputs=inputs,
        seed=7,
        timeout_s=TIMEOUT_S,
    )


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A started provider and how to make it do things; `task(job_id)` builds a task."""

    provider: Provider
    good: Callable[[str], Task]
    refused: Callable[[str], Task]  #: No route would do it.
    unreadable: Callable[[str], Task]  #: Its input cannot be had.
    slow: Callable[[str], Task]  #: Takes seconds unless it is ended.


def unreadable_source() -> BytesSource:
    gone = Failed.of(Outcome.FAILED, ErrorReason.ASSET_NOT_FOUND, "It is gone.", field="inputs[0]")
    return BytesSource(picture(1), unreadable=gone)


def local() -> Subject:
    provider = LocalProvider(EnginePool(workers=2), timeout_s=TIMEOUT_S)
    small = {"prompt": "a fox", "width": 64, "height": 64, "seed": 7}
    return Subject(
        provider=provider,
        good=lambda job_id: make_task(job_id, small),
        refused=lambda job_id: make_task(job_id, {**small, "width": -1}),
        unreadable=lambda job_id: make_task(job_id, {"scale": 2}, model="image.upscale", inputs=(unreadable_source(),)),
        slow=lambda job_id: make_task(job_id, {**small, "width": 4096, "height": 4096, "count": 6}),
    )


def fake(**options: Any) -> Subject:
    upstream = FakeUpstream(behavior=Behavior(progress=(0.25, 0.75), delay_s=0.02))
    refusal = Failed.of(Outcome.FAILED, ErrorReason.PROVIDER_REJECTED, "It cannot be done.", field="width")
    upstream.by_job = {
        "job_refused": Behavior(refused=refusal),
        "job_slow": Behavior(delay_s=30),
    }
    return Subject(
        provider=FakeProvider(ports, upstream=upstream, **options),
        good=lambda job_id: make_task(job_id, {}),
        refused=lambda job_id: make_task("job_refused", {}),
        unreadable=lambda job_id: make_task(job_id, {}, inputs=(unreadable_source(),)),
        slow=lambda job_id: make_task("job_slow", {}),
    )


SUBJECTS: Mapping[str, Callable[[], Subject]] = {
    "local": local,
    "fake": lambda: fake(repeatable=True),
    "fake-paid": fake,
    "fake-tasks": lambda: fake(task_ids=True),
}


REPEATABLE = ("local", "fake")
WITH_TASK_IDS = ("fake-tasks",)


@pytest.fixture(params=list(SUBJECTS))
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Each provider, started and closed."""
    async with started(request.param) as subject:
        yield subject


@pytest.fixture(params=REPEATABLE)
async def repeatable(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Each provider that costs nothing when it is called twice."""
    async with started(request.param) as subject:
        yield subject


@pytest.fixture(params=WITH_TASK_IDS)
async def with_task_ids(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """Each provider that gives its tasks ids."""
    async with started(request.param) as subject:
        yield subject


@contextlib.asynccontextmanager
async def started(name: str) -> AsyncIterator[Subject]:
    subject = SUBJECTS[name]()
    await subject.provider.start()
    yield subject
    await subject.provider.close()
