"""One bad job costs one attempt: the pool with operations that crash, hang, grow and talk too much."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from provider_adapter.providers.local.errors import (
    EngineClosed,
    EngineCrashed,
    EngineOutOfMemory,
    EngineTimeout,
    OperationRefused,
)
from provider_adapter.providers.local.pool import EnginePool

MEMORY_BYTES_MAX = 768 * 1024**2
LOOP_HELD_S_MAX = 0.02  # A poll is to be answered within 50 ms.


@pytest.fixture(autouse=True)
def _operations_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


def make_pool(workers: int = 1, operations: str = "engine_pool_operations:OPERATIONS") -> EnginePool:
    return EnginePool(workers=workers, memory_bytes_max=MEMORY_BYTES_MAX, operations=operations)


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with make_pool() as pool:
        yield pool


async def echo(pool: EnginePool, word: str = "hello") -> str:
    (output,) = await pool.run(operation="echo", parameters={"word": word}, seed=7)
    assert (output.mime_type, output.width, output.height) == ("text/plain", 7, 1)
    return str(json.loads(output.data)["word"])


async def start_steps(pool: EnginePool, pid_file: Path) -> tuple["asyncio.Task[Any]", int]:
    """Start a job that takes a minute; return its task and the pid of its worker once it runs."""
    running = asyncio.Event()
    task = asyncio.create_task(
        pool.run(
            operation="steps",
            parameters={"steps": 1200, "step_s": 0.05, "pid_file": str(pid_file)},
            on_progress=lambda _: running.set(),
        )
    )
    await running.wait()
    return task, int(pid_file.read_text())


async def worker_pids(pool: EnginePool) -> list[int]:
    """The workers' pids, once all are alive."""
    async with asyncio.timeout(60):
        while len(pool.worker_pids) < pool.workers:
            await asyncio.sleep(0.005)
    return pool.worker_pids


async def seconds_until(gone: Callable[[], bool]) -> float:
    began = time.monotonic()
    async with asyncio.timeout(30):
        while not gone():
            await asyncio.sleep(0.002)
    return time.monotonic() - began


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


async def test_start_returns_at_once_and_jobs_wait_for_the_first_worker() -> None:
    pool = make_pool()
    began = time.monotonic()
    pool.start()
    assert time.monotonic() - began < 0.1
    try:
        assert await echo(pool) == "hello"
    finally:
        await pool.close()


async def test_inputs_come_back_byte_for_byte_when_they_are_large_or_empty(pool: EnginePool) -> None:
    inputs = [b"", os.urandom(20 * 1024 * 1024), b"\0\n\xff"]
    outputs = await pool.run(operation="echo", inputs=inputs, parameters={"name": "图片"})
    assert [output.data for output in outputs[:3]] == inputs
    assert json.loads(outputs[3].data) == {"name": "图片"}


async def test_progress_rises_to_one_when_a_job_runs(pool: EnginePool) -> None:
    seen: list[float] = []
    await pool.run(operation="steps", parameters={"steps": 10, "step_s": 0.06}, on_progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) >= 5
    assert seen[-1] == 1.0


async def test_a_job_fails_alone_when_its_worker_is_killed(tmp_path: Path) -> None:
    async with make_pool(workers=2) as pool:
        victim, pid = await start_steps(pool, tmp_path / "pid")
        other = asyncio.create_task(pool.run(operation="steps", parameters={"steps": 20, "step_s": 0.05}, timeout_s=60))
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineCrashed) as caught:
            await victim
        assert caught.value.detail == "signal 9"
        assert len(await other) == 1
        assert pid not in await worker_pids(pool)
        assert list(await asyncio.gather(echo(pool, "a"), echo(pool, "b"))) == ["a", "b"]


async def test_the_next_job_runs_when_an_idle_worker_was_killed(pool: EnginePool) -> None:
    for _ in range(3):
        (pid,) = await worker_pids(pool)
        os.kill(pid, signal.SIGKILL)
        assert await echo(pool) == "hello"


async def test_cancelling_the_caller_stops_the_work_within_a_second(pool: EnginePool, tmp_path: Path) -> None:
    task, pid = await start_steps(pool, tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await seconds_until(lambda: is_gone(pid)) < 1.0
    assert await echo(pool) == "hello"


async def test_raising_from_on_progress_stops_the_work(pool: EnginePool) -> None:
    def stop(_fraction: float) -> None:
        raise LookupError("the lease is lost")

    (pid,) = await worker_pids(pool)
    with pytest.raises(LookupError, match="the lease is lost"):
        await pool.run(operation="steps", parameters={"steps": 1200, "step_s": 0.05}, on_progress=stop)
    assert await seconds_until(lambda: is_gone(pid)) < 1.0


async def test_a_job_ends_at_its_time_limit_when_it_never_reports(pool: EnginePool) -> None:
    (pid,) = await worker_pids(pool)
    began = time.monotonic()
    with pytest.raises(EngineTimeout, match=r"0\.5 s"):
        await pool.run(operation="steps", parameters={"steps": 1, "step_s": 60}, timeout_s=0.5)
    assert time.monotonic() - began < 1.5
    assert await seconds_until(lambda: is_gone(pid)) < 1.0
    assert await echo(pool) == "hello"


async def test_the_time_limit_does_not_count_the_wait_for_a_worker(pool: EnginePool) -> None:
    jobs = [pool.run(operation="steps", parameters={"steps": 4, "step_s": 0.1}, timeout_s=2.0) for _ in range(8)]
    assert len(await asyncio.gather(*jobs)) == 8  # 3.2 s in all


async def test_a_job_fails_alone_when_it_needs_more_memory_than_a_worker_has(pool: EnginePool) -> None:
    with pytest.raises(EngineOutOfMemory):
        await pool.run(operation="allocate", parameters={"bytes": MEMORY_BYTES_MAX})
    (output,) = await pool.run(operation="allocate", parameters={"bytes": 200 * 1024**2})
    assert output.data == str(200 * 1024**2).encode()


async def test_memory_is_given_back_after_a_job(pool: EnginePool) -> None:
    await echo(pool)
    (pid,) = await worker_pids(pool)
    before = resident_bytes(pid)
    await pool.run(operation="litter", parameters={"bytes": 200 * 1024**2})
    await seconds_until(lambda: resident_bytes(pid) - before < 40 * 1024**2)
    assert await worker_pids(pool) == [pid]


async def test_a_job_fails_alone_when_the_worker_exits(pool: EnginePool) -> None:
    with pytest.raises(EngineCrashed) as caught:
        await pool.run(operation="exit", parameters={"status": 7})
    assert caught.value.detail == "exit status 7"
    assert await echo(pool) == "hello"


async def test_an_unforeseen_error_tells_its_place_and_not_its_words(pool: EnginePool) -> None:
    with pytest.raises(EngineCrashed) as caught:
        await pool.run(operation="raise", parameters={"message": "a client's prompt"})
    assert str(caught.value) == "raise failed with ValueError"
    assert "in _raise" in caught.value.detail
    assert "a client's prompt" not in str(caught.value) + caught.value.detail
    assert await echo(pool) == "hello"


async def test_a_refusal_names_its_field_and_keeps_the_worker(pool: EnginePool) -> None:
    before = await worker_pids(pool)
    with pytest.raises(OperationRefused) as caught:
        await pool.run(operation="refuse", inputs=[b"x"], parameters={})
    refused = caught.value
    assert (refused.reason, refused.message, refused.field) == ("invalid_inputs", "Not that one.", "inputs[0]")
    with pytest.raises(OperationRefused) as caught:
        await pool.run(operation="image.teleport", parameters={})
    assert (caught.value.reason, caught.value.field) == ("unknown_operation", "operation")
    assert await worker_pids(pool) == before


async def test_what_a_library_prints_does_not_reach_the_pipe(pool: EnginePool) -> None:
    (output,) = await pool.run(operation="noise", parameters={})
    assert output.data == b""


async def test_workers_are_limited_and_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_JWT_SECRET", "s3cret")
    async with make_pool() as pool:
        (output,) = await pool.run(operation="circumstances", parameters={})
    seen = json.loads(output.data)
    assert "s3cret" not in output.data.decode()
    assert seen["environment"]["OMP_NUM_THREADS"] == "1"
    assert seen["nice"] >= os.nice(0) + 5
    assert seen["memory"] == MEMORY_BYTES_MAX
    assert seen["core"] == 0
    assert seen["ignores_sigint"]
    assert not {name for name in seen["loaded"] if name.split(".")[0] in {"grpc", "sqlalchemy", "httpx"}}


async def test_the_loop_stays_free_while_a_large_file_comes_back(pool: EnginePool) -> None:
    await worker_pids(pool)
    pauses: list[float] = []  # By the loop's own CPU time: the machine may have other work.

    async def watch() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.001)
            pauses.append(time.thread_time() - began)

    watcher = asyncio.create_task(watch())
    (output,) = await pool.run(operation="large", parameters={"bytes": 100 * 1024**2})
    watcher.cancel()
    assert len(pauses) > 20
    assert max(pauses) < LOOP_HELD_S_MAX
    assert len(output.data) == 100 * 1024**2


async def test_waiting_jobs_are_told_when_workers_cannot_start() -> None:
    async with make_pool(operations="no_such_module:OPERATIONS") as pool:
        with pytest.raises(EngineCrashed, match="do not start") as caught:
            await pool.run(operation="echo", parameters={})
    assert caught.value.detail == "exit status 1"


async def test_closing_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    pool = make_pool()
    pool.start()
    running, pid = await start_steps(pool, tmp_path / "pid")
    waiting = asyncio.create_task(echo(pool))
    await asyncio.sleep(0.05)
    await pool.close()
    assert is_gone(pid)
    for task in (running, waiting):
        with pytest.raises(EngineClosed):
            await task
    with pytest.raises(EngineClosed):
        await echo(pool)
    await pool.close()


async def test_closing_works_when_workers_are_still_starting() -> None:
    for pause_s in (0.0, 0.01, 0.2):
        pool = make_pool(workers=2)
        pool.start()
        await asyncio.sleep(pause_s)
        await pool.close()
        assert pool.worker_pids == []


async def test_a_waiting_job_that_is_cancelled_takes_no_worker_with_it(pool: EnginePool) -> None:
    before = await worker_pids(pool)
    first = asyncio.create_task(pool.run(operation="steps", parameters={"steps": 4, "step_s": 0.05}, timeout_s=30))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(echo(pool, str(number))) for number in range(20)]
    await asyncio.sleep(0.05)
    for task in waiting[::2]:
        task.cancel()
    await first
    assert list(await asyncio.gather(*waiting[1::2])) == [str(number) for number in range(1, 20, 2)]
    assert await worker_pids(pool) == before


PARENT = """
import asyncio, sys
from provider_adapter.providers.local.pool import EnginePool

async def main():
    async with EnginePool(workers=1, operations="engine_pool_operations:OPERATIONS") as pool:
        def tell(_fraction):
            print(*pool.worker_pids, flush=True)
        await pool.run(operation="steps", parameters={"steps": 1200, "step_s": 0.05}, on_progress=tell)

asyncio.run(main())
"""


async def test_workers_die_with_the_service_when_it_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    try:
        pid = int((await parent.stdout.readline()).split()[0])
        assert not is_gone(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            parent.kill()
    assert await seconds_until(lambda: is_gone(pid)) < 1.0
    while await parent.stdout.read(65536):
        pass
    await parent.wait()
