"""The pool with the real operations: the same bytes everywhere, and real work really stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imageops import OPERATIONS, decode, encode
from provider_adapter.providers.local.errors import EngineCrashed, OperationRefused
from provider_adapter.providers.local.pool import EnginePool


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with EnginePool(workers=2) as pool:
        yield pool


@pytest.fixture(scope="module")
def picture_png() -> bytes:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    return encode(coarse.resize((1200, 900), Image.Resampling.BICUBIC))


async def all_up(pool: EnginePool) -> set[int]:
    async with asyncio.timeout(60):
        while len(pool.worker_pids) < pool.workers:
            await asyncio.sleep(0.005)
    return set(pool.worker_pids)


def set_event(event: asyncio.Event, fraction: float) -> None:
    if fraction > 0.06:  # The inputs are read: this is the work itself.
        event.set()


async def is_idle(pid: int) -> bool:
    """Whether a process is gone or has used no CPU for a tenth of a second."""

    def ticks() -> int:
        return sum(int(part) for part in Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13])

    try:
        before = ticks()
        await asyncio.sleep(0.1)
        return ticks() == before
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_every_worker_gives_the_bytes_this_process_gives(pool: EnginePool, picture_png: bytes) -> None:
    await all_up(pool)
    small = encode(decode(picture_png).resize((300, 225)))
    jobs: list[tuple[str, list[bytes], dict[str, object]]] = [
        ("image.upscale", [small], {"scale": 2}),
        ("image.generate", [], {"prompt": "樱花树 mountain lake at dusk", "width": 320, "height": 240, "count": 2}),
        ("image.generate", [small], {"prompt": "galaxy", "width": 320, "height": 240, "format": "webp"}),
    ]
    for name, inputs, parameters in jobs:
        expected = [output.data for output in OPERATIONS[name].run(inputs, parameters, 11)]
        both = await asyncio.gather(
            *(pool.run(operation=name, inputs=inputs, parameters=parameters, seed=11) for _ in range(2))
        )
        assert [[output.data for output in outputs] for outputs in both] == [expected, expected]


async def test_refusals_of_real_operations_carry_reason_and_field(pool: EnginePool) -> None:
    with pytest.raises(OperationRefused) as caught:
        await pool.run(operation="image.upscale", inputs=[b"<html>"], parameters={})
    assert (caught.value.reason, caught.value.field) == ("unsupported_format", "inputs[0]")
    with pytest.raises(OperationRefused) as caught:
        await pool.run(operation="image.generate", parameters={"prompt": "sea", "width": float("nan")})
    assert (caught.value.reason, caught.value.field) == ("invalid_parameter", "width")


async def test_cancelling_stops_a_real_enlargement_within_a_second(pool: EnginePool, picture_png: bytes) -> None:
    before = await all_up(pool)
    running = asyncio.Event()
    job = pool.run(
        operation="image.upscale",
        inputs=[picture_png],
        parameters={"scale": 6},
        on_progress=partial(set_event, running),
    )
    task = asyncio.create_task(job)
    await running.wait()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while not all([await is_idle(pid) for pid in before]):
        pass
    assert time.monotonic() - began < 1.0
    assert len(before & await all_up(pool)) == 1


async def test_a_killed_worker_costs_one_real_job_and_no_other(pool: EnginePool, picture_png: bytes) -> None:
    pids = await all_up(pool)
    running = [asyncio.Event(), asyncio.Event()]
    tasks = [
        asyncio.create_task(
            pool.run(
                operation="image.upscale",
                inputs=[picture_png],
                parameters={"scale": 3},
                on_progress=partial(set_event, event),
            )
        )
        for event in running
    ]
    for event in running:
        await event.wait()
    os.kill(min(pids), signal.SIGKILL)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    crashed = [result for result in results if isinstance(result, EngineCrashed)]
    finished = [result for result in results if isinstance(result, list)]
    assert (len(crashed), len(finished)) == (1, 1)
    assert crashed[0].detail == "signal 9"
    (output,) = finished[0]
    assert (output.width, output.height) == (3600, 2700)


UVLOOP = """
import asyncio, uvloop
from provider_adapter.providers.local.pool import EnginePool

async def main():
    async with EnginePool(workers=1) as pool:
        for width in (100, 200):
            running = asyncio.Event()
            large = {"prompt": "sea", "width": 4096, "height": 4096}
            task = asyncio.create_task(pool.run(
                operation="image.generate", parameters=large,
                on_progress=lambda fraction: running.set() if fraction > 0.05 else None,
            ))
            await running.wait()
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            (output,) = await pool.run(operation="image.generate", parameters={"prompt": "sea", "width": width})
            print(output.width)

uvloop.run(main())
"""


async def test_the_pool_works_on_uvloop_too() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", UVLOOP, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaints = await process.communicate()
    assert (process.returncode, out.split(), complaints) == (0, [b"100", b"200"], b"")
