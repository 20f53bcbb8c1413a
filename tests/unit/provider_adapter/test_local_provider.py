"""The engine's words become ours: which end of an operation is whose fault, and what that means for the job."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from imageops import OPERATIONS, RefusalReason
from kit.errors import ErrorReason
from provider_adapter.config import ProviderSettings
from provider_adapter.ports import Failed, Finished, Outcome, Task
from provider_adapter.providers.local.errors import (
    EngineClosed,
    EngineCrashed,
    EngineOutOfMemory,
    EngineTimeout,
    OperationRefused,
)
from provider_adapter.providers.local.process import EngineOutput
from provider_adapter.providers.local.provider import CAPABILITIES, LocalProvider
from provider_adapter.registry import known_providers


@dataclass
class Pool:
    """An engine that ends every operation in one way."""

    end: Any
    workers: int = 3
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, **call: Any) -> Any:
        self.calls.append(call)
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


def task(parameters: dict[str, Any] | None = None) -> Task:
    return Task(
        job_id="job_1",
        attempt_id="att_1",
        capability="image.generate",
        upstream_model="image.generate",
        parameters={"prompt": "a fox"} if parameters is None else parameters,
        inputs=(),
        seed=11,
        timeout_s=5,
    )


async def submit(end: Any, parameters: dict[str, Any] | None = None) -> Any:
    return await LocalProvider(Pool(end), timeout_s=9).submit(task(parameters), lambda _: None)  # type: ignore[arg-type]


def test_capabilities_are_those_of_the_engine() -> None:
    assert frozenset(OPERATIONS) == CAPABILITIES, "a new operation is named in provider_adapter.providers.local too"


async def test_files_are_handed_over_with_their_type() -> None:
    finished = await submit([EngineOutput(pieces=[b"pic", b"ture"], mime_type="image/png", width=1, height=1)])
    assert isinstance(finished, Finished)
    (file,) = finished.files
    assert (file.mime_hint, file.role, file.extra) == ("image/png", "image", False)
    assert [chunk async for chunk in file.chunks()] == [b"pic", b"ture"]


@pytest.mark.parametrize(("parameters", "seed"), [({"seed": 5, "prompt": "a"}, 5), ({"prompt": "a"}, 11)])
async def test_seed_leaves_the_parameters_or_is_the_jobs(parameters: dict[str, Any], seed: int) -> None:
    pool = Pool([])
    await LocalProvider(pool, timeout_s=9).submit(task(parameters), lambda _: None)  # type: ignore[arg-type]
    assert (pool.calls[0]["seed"], pool.calls[0]["parameters"]) == (seed, {"prompt": "a"})
    assert (pool.calls[0]["operation"], pool.calls[0]["timeout_s"]) == ("image.generate", 9)


@pytest.mark.parametrize("seed", [True, 1.5, "7"])
async def test_seed_that_is_no_number_is_rejected(seed: object) -> None:
    failed = await submit([], {"seed": seed})
    assert (failed.outcome, failed.failure.field) == (Outcome.FAILED, "seed")


@pytest.mark.parametrize(
    ("end", "outcome", "reason"),
    [
        (EngineTimeout("slow"), Outcome.RETRYABLE, ErrorReason.PROVIDER_TIMEOUT),
        (EngineCrashed("broken", detail="line 7"), Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED),
        (EngineOutOfMemory("large"), Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED),
        (EngineClosed("closed"), Outcome.UNSENT, ErrorReason.PROVIDER_FAILED),
        (OperationRefused("unknown_operation", "No."), Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED),
        (OperationRefused("unsupported_instruction", "No.", "prompt"), Outcome.ROUTE_FAILED, "PROVIDER_REJECTED"),
        (OperationRefused("invalid_parameter", "No.", "scale"), Outcome.FAILED, ErrorReason.PROVIDER_REJECTED),
        (OperationRefused("invalid_inputs", "No.", "inputs"), Outcome.FAILED, ErrorReason.PROVIDER_REJECTED),
        (OperationRefused("damaged", "No.", "inputs[0]"), Outcome.FAILED, ErrorReason.INPUT_UNSUPPORTED),
        (OperationRefused("animated", "No.", "inputs[0]"), Outcome.FAILED, ErrorReason.INPUT_UNSUPPORTED),
        (OperationRefused("unsupported_format", "No.", "inputs[1]"), Outcome.FAILED, ErrorReason.INPUT_UNSUPPORTED),
        (OperationRefused("too_large", "No.", "inputs[0]"), Outcome.FAILED, ErrorReason.INPUT_TOO_LARGE),
        (OperationRefused("too_large", "No.", "scale"), Outcome.FAILED, ErrorReason.PROVIDER_REJECTED),
    ],
)
async def test_end_of_an_operation_is_told_as_what_it_means(end: Exception, outcome: Outcome, reason: str) -> None:
    failed = await submit(end)
    assert isinstance(failed, Failed)
    assert (failed.outcome, failed.failure.reason) == (outcome, reason)
    assert failed.failure.field == (getattr(end, "field", None) or "")
    assert "line 7" not in failed.failure.message


@pytest.mark.parametrize("word", list(RefusalReason))
async def test_every_refusal_of_the_engine_ends_the_job(word: RefusalReason) -> None:
    failed = await submit(OperationRefused(word.value, "No.", "inputs[0]"))
    assert failed.outcome in (Outcome.FAILED, Outcome.ROUTE_FAILED)


async def test_cancelling_the_submit_reaches_the_pool() -> None:
    ended = asyncio.Event()

    class Endless(Pool):
        async def run(self, **call: Any) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

    working = asyncio.create_task(LocalProvider(Endless(None), timeout_s=9).submit(task(), lambda _: None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait({working})
    assert ended.is_set()


@pytest.mark.parametrize(("workers", "configured"), [(None, True), (2, True), (0, False)])
def test_engine_is_configured_unless_it_has_no_workers(workers: int | None, configured: bool) -> None:
    settings = ProviderSettings(internal_secret=SecretStr("s" * 32), engine_workers=workers)
    (local,) = known_providers(settings)
    assert local.name == "local"
    assert (local.provider is not None) is configured
    assert local.capabilities == CAPABILITIES
