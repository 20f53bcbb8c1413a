"""A simulated provider in a process of its own whose tasks stay open until it is told to end them.

`python -m tests.bench.upstream PORT`: `GET /_bench/state` tells how many tasks were taken and how often they were asked
after; `POST /_bench/end` with `{"spread_s": 60}` lets all end, each at its own moment within that time.
"""

import asyncio
import signal
import sys
import time
import zlib
from typing import Any, Final

import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from testkit.providers.replicate import ReplicateSimulator
from testkit.providers.serving import served
from testkit.providers.simulator import SimTask

PARTS: Final = 10_000  # Moments to end at.


class OpenTasks(ReplicateSimulator):
    """One account."""

    def __init__(self) -> None:
        self._ending: tuple[float, float] | None = None
        super().__init__()

    def routes(self) -> list[BaseRoute]:
        """The vendor's, and those of this bench."""
        return [
            *super().routes(),
            Route("/_bench/state", self._told),
            Route("/_bench/end", self._end, methods=["POST"]),
        ]

    def state(self, task: SimTask) -> str:
        """Running until it may end."""
        if task.cancelled:
            return "cancelled"
        if self._ending is None:
            return "running"
        began, spread_s = self._ending
        part = zlib.crc32(task.id.encode()) % PARTS / PARTS
        return "succeeded" if time.monotonic() >= began + part * spread_s else "running"

    async def _told(self, _: Request) -> JSONResponse:
        return JSONResponse({"taken": len(self.tasks), "questions": self.questions})

    async def _end(self, request: Request) -> JSONResponse:
        wanted: dict[str, Any] = await request.json()
        self._ending = (time.monotonic(), float(wanted["spread_s"]))
        return JSONResponse({})


async def _main(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with served(OpenTasks(), port=port):
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
