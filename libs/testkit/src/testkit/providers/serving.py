"""Serving simulators on loopback, inside a test's event loop or as a process of their own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn

from testkit.providers.faults import TRANSPORT, Receive, Scope, Send
from testkit.providers.simulator import Simulator

BACKLOG: Final = 2048
START_S: Final = 10.0
KEEP_ALIVE_S: Final = 75  # As nginx has it, which is in front of most vendors.


class _WithTransport:
    """Leaves the connection in the scope, for answers that cut it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def served(simulator: Simulator, *, port: int = 0) -> AsyncIterator[str]:
    """Serve it; yields its base URL."""
    listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    config = uvicorn.Config(
        _WithTransport(simulator.app),
        log_level="critical",  # A connection that is cut on purpose is no error.
        lifespan="off",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        async with asyncio.timeout(START_S):
            while not server.started:  # noqa: ASYNC110  The server has no event for it.
                await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await simulator.aclose()
        server.should_exit = True
        await serving
        listener.close()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Take none."""
        yield
