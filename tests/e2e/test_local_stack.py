"""`make stack`: one command starts everything, one key ends it, and the data are there the next time."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self

import pytest
import pytest_asyncio

from testkit.deployments.process import clean_environment, descendants_of
from testkit.openclient import OpenClient
from testkit.servers.child import is_running
from testkit.waiting import until

ROOT: Final = Path(__file__).resolve().parents[2]
START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 60.0
SERVICES: Final = ("edge", "gateway", "job-orchestrator", "billing", "asset-store", "provider-adapter")
SERVERS: Final = ("nats", "postgres")  # MinIO is told to be quiet.

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("e2e-stack")]


class Stack:
    """The command, its output, and every process it has started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._command = [
            sys.executable,
            str(ROOT / "deploy" / "stack" / "stack.py"),
            "--data-dir",
            str(folder),
            *options,
        ]
        self._log = folder.with_suffix(".log")
        self._processes: set[int] = set()

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, env=clean_environment(), start_new_session=True
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await until(self._left, lambda left: not left)

    @property
    def output(self) -> str:
        return self._log.read_bytes()[self._start :].decode()

    async def url(self) -> str:
        """Wait until everything serves."""

        async def look() -> str:
            assert self._process.returncode is None, self.output
            return self.output

        output = await until(look, lambda text: "Ctrl-C ends all" in text, timeout_s=START_TIMEOUT_S)
        self._processes = descendants_of(self._process.pid)
        found = re.search(r"Atelier serves on (\S+)", output)
        assert found is not None
        return found[1]

    def pid_of(self, package: str) -> int:
        for pid in self._processes:
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"-m\0{package}\0".encode()):
                return pid
        raise AssertionError(f"{package} does not run")

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status; nothing it has started is left."""
        os.kill(self._process.pid, number)
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            status = await self._process.wait()
        await until(self._left, lambda left: not left)
        return status

    async def _left(self) -> list[int]:
        return [pid for pid in self._processes if is_running(pid)]


@pytest_asyncio.fixture(loop_scope="session")
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path / "stack"


async def test_stack_serves_stops_and_remembers(folder: Path) -> None:
    async with Stack(folder) as stack:
        async with OpenClient(await stack.url(), "key-a") as partner:
            job = await partner.create_job(capability="image.generate", prompt="山", width=64, height=64)
            done = await partner.finished_job(job["id"])
            content = await partner.download(done["outputAssetIds"][0])
            await until(partner.points, lambda points: points["held"] == 0)
        assert "API key key-a" in stack.output
        async with Stack(folder) as second:
            assert await second.ended() == 1
            assert "another one runs in" in second.output
        assert await stack.end(signal.SIGINT) == 0
        _assert_every_line_says_whose_it_is(stack.output)

    async with Stack(folder) as stack:
        async with OpenClient(await stack.url(), "key-a") as partner:
            assert await partner.job(done["id"]) == done
            assert await partner.download(done["outputAssetIds"][0]) == content
            assert (await partner.points())["available"] == 970
        os.kill(stack.pid_of("billing"), signal.SIGKILL)
        assert await stack.ended() == 1
        assert "billing ended with status -9" in stack.output


async def test_nothing_outlives_a_stack_that_is_killed(folder: Path) -> None:
    async with Stack(folder) as stack:
        await stack.url()

        assert await stack.end(signal.SIGKILL) == -signal.SIGKILL


def _assert_every_line_says_whose_it_is(output: str) -> None:
    speakers = set()
    for line in output.splitlines():
        speaker, bar, _ = line.partition("│")
        assert bar or line.startswith(("──", "atelier stack: ")), line
        speakers.add(speaker.strip())
    assert speakers >= {*SERVICES, *SERVERS}
