"""Tests of starting and stopping in order."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from kit.lifecycle import EXIT_AT_ONCE, BackgroundFailed, Lifecycle, StartFailed


class Diary:
    """Writes down what happened in which order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, line: str, *, error: Exception | None = None, takes_s: float = 0) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self.lines.append(line)
            await asyncio.sleep(takes_s)
            if error is not None:
                raise error

        return run

    def part(self, life: Lifecycle, name: str) -> None:
        life.add(name, start=self.step(f"+{name}"), stop=self.step(f"-{name}"))


async def test_parts_stop_in_reverse_order_of_their_start() -> None:
    diary, life = Diary(), Lifecycle()
    for name in ("database", "bus", "rpc"):
        diary.part(life, name)
    async with life:
        assert diary.lines == ["+database", "+bus", "+rpc"]
    assert diary.lines[3:] == ["-rpc", "-bus", "-database"]


async def test_what_had_started_is_stopped_when_a_part_fails_to_start() -> None:
    diary, life = Diary(), Lifecycle()
    diary.part(life, "database")
    life.add("bus", start=diary.step("+bus", error=OSError("away")), stop=diary.step("-bus"))
    diary.part(life, "rpc")
    with pytest.raises(StartFailed, match="bus") as caught:
        await life.start()
    assert isinstance(caught.value.__cause__, OSError)
    assert diary.lines == ["+database", "+bus", "-bus", "-database"]


async def test_start_fails_when_a_part_takes_too_long() -> None:
    diary, life = Diary(), Lifecycle()
    life.add("slow", start=diary.step("+slow", takes_s=5), start_timeout_s=0.02)
    with pytest.raises(StartFailed) as caught:
        await life.start()
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_the_others_stop_when_one_fails_or_hangs() -> None:
    diary, life = Diary(), Lifecycle()
    diary.part(life, "database")
    life.add("hangs", stop=diary.step("-hangs", takes_s=5), stop_timeout_s=0.02)
    life.add("fails", stop=diary.step("-fails", error=OSError("no")))
    await life.start()
    began = time.monotonic()
    await life.stop()
    assert time.monotonic() - began < 2
    assert diary.lines == ["+database", "-fails", "-hangs", "-database"]
    await life.stop()
    assert len(diary.lines) == 4


async def test_background_work_is_cancelled_by_the_stop_and_its_end_awaited() -> None:
    life, lines = Lifecycle(), list[str]()

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            lines.append("ended")

    life.background("relay", run)
    async with life:
        await asyncio.sleep(0)
    assert lines == ["ended"]


@pytest.mark.parametrize("cause", [None, OSError("broken")])
async def test_process_stops_with_an_error_when_background_work_ends_early(cause: Exception | None) -> None:
    diary, life = Diary(), Lifecycle()
    diary.part(life, "database")

    async def run() -> None:
        if cause is not None:
            raise cause

    life.background("relay", run)
    with pytest.raises(BackgroundFailed, match="relay") as caught:
        async with asyncio.timeout(5):
            await life.run_until_signal()
    assert caught.value.__cause__ is cause
    assert diary.lines == ["+database", "-database"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process_stops_in_order_when_it_gets_a_signal(number: signal.Signals) -> None:
    diary, life = Diary(), Lifecycle()
    diary.part(life, "database")
    asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), number)
    async with asyncio.timeout(5):
        await life.run_until_signal()
    assert diary.lines == ["+database", "-database"]


async def test_end_stops_like_a_signal() -> None:
    life = Lifecycle()
    asyncio.get_running_loop().call_soon(life.end)
    async with asyncio.timeout(5):
        await life.run_until_signal()


IMPATIENT = """
import asyncio, sys
from kit.lifecycle import Lifecycle
life = Lifecycle()
async def hang():
    print("stopping", flush=True)
    await asyncio.sleep(60)
async def ready():
    print("up", flush=True)
life.add("hangs", start=ready, stop=hang, stop_timeout_s=60)
asyncio.run(life.run_until_signal())
"""


def test_process_exits_at_once_when_a_second_signal_comes() -> None:
    process = subprocess.Popen([sys.executable, "-c", IMPATIENT], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "up":
            assert process.poll() is None
        # The line above is printed by the start, a moment before the wait begins; both cases end the same way.
        process.send_signal(signal.SIGTERM)
        while process.stdout.readline().strip() != "stopping":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == EXIT_AT_ONCE
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


FROZEN = """
import asyncio, gc
from kit.lifecycle import Lifecycle
life, built = Lifecycle(), []

async def build():
    built.extend([number] for number in range(1000))

async def look():
    async with asyncio.timeout(30):
        while gc.get_freeze_count() < len(built):
            await asyncio.sleep(0.001)
    print("frozen")
    life.end()
    await asyncio.sleep(60)

life.add("builds", start=build)
life.background("looks", look)
asyncio.run(life.run_until_signal())
"""


def test_what_the_start_has_built_is_left_out_of_collections_while_the_process_serves() -> None:
    """A full collection that walked it would hold the event loop for longer than a poll may take."""
    process = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, check=True, timeout=60)
    assert "frozen" in process.stdout.splitlines()
