"""Every operation of the engine, at work on a large photograph, is stopped for certain and costs its own attempt alone.

Moments are drawn anew in every run. Times are those of the kernel where others may use the machine, too.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import skimage.data
from PIL import Image, ImageDraw

from imageops import OPERATIONS
from provider_adapter.providers.local.errors import EngineCrashed, EngineTimeout
from provider_adapter.providers.local.pool import EnginePool
from testkit.photos import encoded, photo

pytestmark = pytest.mark.slow

TWELVE_MEGAPIXELS: Final = (4243, 2828)
TWENTY_FOUR_MEGAPIXELS: Final = (6000, 4000)
STOPPED_S_MAX: Final = 1.0
SILENT_CPU_S_MAX: Final = 2.0  # Seen: up to 0.9 s at 12 megapixels. Other machines may be half as fast.
NARROW_BYTES: Final = 640 * 1024**2  # Enough for the libraries and small pictures.
WAIT_S: Final = 240.0
TICKS: Final = os.sysconf("SC_CLK_TCK")

#: Parameters with which the work takes longer than a moment, however fast the machine.
PARAMETERS: Final[dict[str, dict[str, object]]] = {
    "image.edit": {"prompt": "watercolour"},
    "image.expand": {"expand_left": 0.1, "expand_right": 0.1},
    "image.generate": {"prompt": "snowy mountains at sunrise", "width": 4096, "height": 4096},
    "image.upscale": {"scale": 1.5},
    "video.generate": {"duration": 4, "resolution": "1080p", "ratio": "16:9"},
}
MASKED: Final = frozenset({"image.inpaint", "image.remove_watermark"})
SMALL: Final[dict[str, Any]] = {
    "operation": "image.generate",
    "parameters": {"prompt": "sea", "width": 64, "height": 64},
}


#: Works on a copy of a megapixel, or band by band.
FRUGAL: Final = frozenset({"image.extract_pattern", "image.generate"})


def _files(size: tuple[int, int]) -> tuple[bytes, bytes]:
    """A photograph with a face in it, and a mask."""
    picture, side = photo(size), size[1] // 2
    picture.paste(Image.fromarray(skimage.data.astronaut()).resize((side, side)), (side // 2, side // 2))
    mask = Image.new("RGB", size)
    ImageDraw.Draw(mask).line((0, 0, *size), fill="white", width=9)
    return encoded(picture, "JPEG"), encoded(mask, "PNG")


@pytest.fixture(scope="module")
def files() -> tuple[bytes, bytes]:
    return _files(TWELVE_MEGAPIXELS)


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with EnginePool(workers=1) as pool:
        yield pool


@dataclass(kw_only=True)
class Work:
    """An operation under way, and what it has told."""

    task: "asyncio.Task[Any]"
    pid: int
    told: list[tuple[float, float]] = field(default_factory=list)  #: The share, and the worker's CPU seconds by then.
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def reached(self, share: float) -> None:
        async with asyncio.timeout(WAIT_S):
            while not self.told or self.told[-1][0] < share:
                assert not self.task.done(), f"it ended before {share:.2f}: {self.task}"
                self.moved.clear()
                await self.moved.wait()


async def begin(pool: EnginePool, capability: str, files: tuple[bytes, bytes], *, timeout_s: float = WAIT_S) -> Work:
    """Start an operation on the pool's only worker."""
    async with asyncio.timeout(60):
        while not pool.worker_pids:
            await asyncio.sleep(0.005)
    (pid,) = pool.worker_pids
    inputs = [] if capability == "image.generate" else list(files[: 2 if capability in MASKED else 1])

    def tell(share: float) -> None:
        work.told.append((share, cpu_s(pid)))
        work.moved.set()

    running = pool.run(
        operation=capability,
        inputs=inputs,
        parameters=PARAMETERS.get(capability, {}),
        seed=1,
        timeout_s=timeout_s,
        on_progress=tell,
    )
    work = Work(task=asyncio.create_task(running), pid=pid)
    return work


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def gone_after(pid: int) -> float:
    """Seconds until a process no longer is, or is only a name."""
    began = time.monotonic()
    async with asyncio.timeout(30):
        while True:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
            except (FileNotFoundError, ProcessLookupError):
                break
            if state in "ZX":
                break
            await asyncio.sleep(0.002)
    return time.monotonic() - began


@pytest.mark.parametrize("capability", OPERATIONS)
@pytest.mark.parametrize("stage", [(0.0, 0.7), (0.76, 0.9)], ids=["at work", "near the end"])
async def test_cancelling_stops_the_work_within_a_second(
    pool: EnginePool, files: tuple[bytes, bytes], capability: str, stage: tuple[float, float]
) -> None:
    moment = random.uniform(*stage)
    work = await begin(pool, capability, files)
    await work.reached(moment)
    began = time.monotonic()
    work.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work.task
    stopped_s = await gone_after(work.pid)
    await pool.run(**SMALL)
    free_s = time.monotonic() - began
    print(f"{capability} at {moment:.2f}: stopped after {stopped_s:.3f} s, the next job done after {free_s:.2f} s")
    assert stopped_s < STOPPED_S_MAX


@pytest.mark.parametrize("capability", OPERATIONS)
async def test_work_ends_at_its_time_limit(pool: EnginePool, files: tuple[bytes, bytes], capability: str) -> None:
    work = await begin(pool, capability, files, timeout_s=0.3)
    with pytest.raises(EngineTimeout):
        await work.task
    assert await gone_after(work.pid) < STOPPED_S_MAX
    await pool.run(**SMALL)


@pytest.mark.parametrize("capability", OPERATIONS)
async def test_work_fails_alone_when_the_kernel_kills_its_worker(
    pool: EnginePool, files: tuple[bytes, bytes], capability: str
) -> None:
    work = await begin(pool, capability, files)
    await work.reached(random.uniform(0.0, 0.7))
    began = time.monotonic()
    os.kill(work.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashed) as caught:
        await work.task
    assert time.monotonic() - began < STOPPED_S_MAX
    assert caught.value.detail == "signal 9"
    await pool.run(**SMALL)


@pytest.fixture(scope="module")
def large_files() -> tuple[bytes, bytes]:
    return _files(TWENTY_FOUR_MEGAPIXELS)


@pytest.mark.parametrize("capability", OPERATIONS)
async def test_work_that_needs_more_memory_than_there_is_fails_alone(
    large_files: tuple[bytes, bytes], capability: str
) -> None:
    async with EnginePool(workers=1, memory_bytes_max=NARROW_BYTES) as pool:
        work = await begin(pool, capability, large_files)
        if capability in FRUGAL:
            assert await work.task
        else:
            with pytest.raises(EngineCrashed) as caught:  # Most say that it was memory; some libraries just abort.
                await work.task
            print(f"{capability}: {type(caught.value).__name__}, {caught.value}")
        await pool.run(**SMALL)


@pytest.mark.parametrize("capability", OPERATIONS)
async def test_progress_never_stands_still_for_long(
    pool: EnginePool, files: tuple[bytes, bytes], capability: str
) -> None:
    work = await begin(pool, capability, files)
    idle_cpu_s = cpu_s(work.pid)
    outputs = await work.task
    assert outputs
    shares = [share for share, _ in work.told]
    steps = list(itertools.pairwise([(0.0, idle_cpu_s), *work.told]))
    silent_s = max(after[1] - before[1] for before, after in steps)
    took_s = work.told[-1][1] - idle_cpu_s
    print(f"{capability}: {took_s:.1f} s of CPU, {len(shares)} steps, silent for {silent_s:.2f} s")
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert silent_s < SILENT_CPU_S_MAX
    assert any(0.1 < share < 0.9 for share in shares)
