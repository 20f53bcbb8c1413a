"""Servers inside this process, and the directory that finds them by name."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc.aio import EOF, AbortError

from kit.identity import IdentityVerifier
from kit.logging import get_logger
from kit.rpc import limits
from kit.rpc.handlers import AddServicer, Handler, behavior_of, collect
from kit.rpc.local.call import LocalRpc
from kit.rpc.local.context import LocalContext
from kit.rpc.local.copies import Copies
from kit.rpc.pipeline import Pipeline
from kit.settings import ServiceSettings

log = get_logger(__name__)


class LocalServer:
    """Serves one service's RPCs to callers in this process."""

    def __init__(self, name: str, settings: ServiceSettings, *, copies: bool = False) -> None:
        """`copies` as in `LocalDirectory`."""
        self.name = name
        self._settings = settings
        self._copies = copies
        self._pipeline = Pipeline(name, IdentityVerifier(settings.internal_secret))
        self._handlers: dict[str, Handler] = {}
        self._calls: set[LocalRpc] = set()
        self._serving = False

    def add(self, add_servicer: AddServicer, servicer: object) -> None:
        """Serve `servicer`, with its generated `add_XServicer_to_server`. Only before `start`."""
        assert not self._serving, "servicers are added before the start"
        for method, handler in collect(add_servicer, servicer).items():
            self._handlers[method] = self._pipeline.wrap(method, handler)

    async def start(self) -> None:
        """Begin to take calls."""
        self._serving = True

    async def stop(self, grace_s: float | None = None) -> None:
        """Refuse new calls, let running ones finish for `grace_s`, cancel the rest and await their `finally` blocks.

        `grace_s` defaults to the settings' `stop_grace_s`. May be called twice.
        """
        self._serving = False
        await self._wait_for_calls(self._settings.stop_grace_s if grace_s is None else grace_s)
        for rpc in list(self._calls):
            if rpc.task is not None:
                rpc.task.cancel()
            rpc.finish(grpc.StatusCode.UNAVAILABLE, "The server has stopped.")
        await self._wait_for_calls(limits.HANDLERS_END_S)

    @property
    def serving(self) -> bool:
        """Whether calls are taken."""
        return self._serving

    def begin(self, rpc: LocalRpc, request: Any) -> None:
        """Run the handler of `rpc` in a task and a context of its own, or end it when there is none."""
        handler = self._handlers.get(rpc.method)
        if not self._serving:
            rpc.finish(grpc.StatusCode.UNAVAILABLE, "The server is not started.")
        elif handler is None:
            rpc.finish(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        else:
            self._calls.add(rpc)
            # The empty context keeps the caller's variables out, as the wire would.
            rpc.task = asyncio.get_running_loop().create_task(
                self._run(rpc, handler, request), context=contextvars.Context()
            )

    async def _run(self, rpc: LocalRpc, handler: Handler, request: Any) -> None:
        context = LocalContext(rpc)
        try:
            copies = Copies(rpc, handler) if self._copies else None
            if copies is not None:
                context.copy_response = copies.response
            if handler.request_streaming:
                request = _requests(context, copies)
            elif copies is not None:
                request = copies.request(request)
            response = await behavior_of(handler)(request, context)
            if context.copy_response is not None and response is not None:
                response = context.copy_response(response)
            rpc.finish(context.code(), context.details(), context.trailing_metadata(), response)
        except AbortError:
            pass  # `abort` has ended the call already.
        except asyncio.CancelledError:
            rpc.finish(grpc.StatusCode.CANCELLED, "The handler was cancelled.")
            raise
        finally:
            self._calls.discard(rpc)

    async def _wait_for_calls(self, timeout_s: float) -> None:
        tasks = [rpc.task for rpc in self._calls if rpc.task is not None]
        if tasks:
            _, alive = await asyncio.wait(tasks, timeout=timeout_s)
            if alive and timeout_s > 0:
                log.warning("rpc_handlers_outlive_grace", service=self.name, handlers=len(alive))


class LocalDirectory:
    """The services of this process by name; a channel may be made before its service is added or started."""

    def __init__(self, *, copies: bool = False) -> None:
        """`copies` sends every message through its serialisation: slower, finds messages changed after sending."""
        self.copies = copies
        self._servers: dict[str, LocalServer] = {}

    def add(self, server: LocalServer) -> None:
        """Let channels find `server`; one of the same name is replaced (a restarted service)."""
        self._servers[server.name] = server

    def find(self, name: str) -> LocalServer | None:
        """Return the server of that name, or None when none was added."""
        return self._servers.get(name)


async def _requests(context: LocalContext, copies: Copies | None) -> AsyncIterator[Any]:
    while (request := await context.read()) is not EOF:
        yield request if copies is None else copies.request(request)
