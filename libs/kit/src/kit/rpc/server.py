"""A gRPC server with health, reflection by a switch, the pipeline around every handler and an ordered stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from kit.identity import IdentityVerifier
from kit.logging import get_logger
from kit.rpc import limits
from kit.rpc.handlers import AddServicer, Handler, collect
from kit.rpc.pipeline import Pipeline
from kit.settings import ServiceSettings

LIVENESS: Final = "liveness"  # The health check that asks only whether the process answers.
READINESS: Final = ""  # gRPC's name for the whole server: whether it should get calls.

Ready = Callable[[], Awaitable[bool]]

log = get_logger(__name__)


class Server:
    """Serves one service's RPCs on a port."""

    def __init__(self, name: str, settings: ServiceSettings, *, ready: Ready | None = None) -> None:
        """`ready` is asked again and again whether the database and the broker answer; None: from the start."""
        self.name = name
        self.port = 0  #: Set by `start`.
        self._settings = settings
        self._ready = ready
        self._pipeline = Pipeline(name, IdentityVerifier(settings.internal_secret), settle_s=limits.REQUESTS_END_S)
        self._handlers: dict[str, Handler] = {}
        self._server: grpc.aio.Server | None = None
        self._health = health_aio.HealthServicer()
        self._watch: asyncio.Task[None] | None = None

    def add(self, add_servicer: AddServicer, servicer: object) -> None:
        """Serve `servicer`, with its generated `add_XServicer_to_server`. Only before `start`."""
        assert self._server is None, "servicers are added before the start"
        for method, handler in collect(add_servicer, servicer).items():
            self._handlers[method] = self._pipeline.wrap(method, handler)

    async def start(self) -> None:
        """Bind and serve; the health check says SERVING once `ready` does. Raises OSError when the port is taken."""
        server = grpc.aio.server(options=limits.server_options())
        for service, handlers in self._by_service().items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        not_serving, serving = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING
        await self._health.set(READINESS, not_serving)
        await self._health.set(LIVENESS, serving)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._settings.reflection:
            names = (*self._by_service(), health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
            reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        try:
            self.port = server.add_insecure_port(self._settings.listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._settings.listen}") from error
        await server.start()
        self._server = server
        self._watch = asyncio.create_task(self._watch_readiness())
        log.info("rpc_server_started", service=self.name, port=self.port)

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop in order: say so, wait for load balancers, let calls finish for `grace_s`, cancel the rest and await it.

        `grace_s` defaults to the settings' `stop_grace_s`. May be called twice.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_wait_s)
        await server.stop(self._settings.stop_grace_s if grace_s is None else grace_s)
        await self._pipeline.drain(limits.HANDLERS_END_S)  # gRPC returns before cancelled handlers have ended.
        log.info("rpc_server_stopped", service=self.name)

    def _by_service(self) -> dict[str, dict[str, Handler]]:
        services: dict[str, dict[str, Handler]] = {}
        for method, handler in self._handlers.items():
            _, service, name = method.split("/")
            services.setdefault(service, {})[name] = handler
        return services

    async def _watch_readiness(self) -> None:
        """Keep the health check true."""
        was: bool | None = None
        ever = False
        while True:
            now = await self._is_ready()
            if now is not was:
                status = health_pb2.HealthCheckResponse
                await self._health.set(READINESS, status.SERVING if now else status.NOT_SERVING)
                if was is not None or not now:
                    log.warning("rpc_server_readiness_changed", service=self.name, ready=now)
                was = now
            ever = ever or now
            await asyncio.sleep(limits.READY_POLL_S if ever else limits.READY_POLL_FIRST_S)

    async def _is_ready(self) -> bool:
        if self._ready is None:
            return True
        try:
            async with asyncio.timeout(limits.READY_TIMEOUT_S):
                return await self._ready()
        except Exception as error:  # Whatever it is, the service is not ready, and the next poll asks again.
            log.debug("rpc_server_not_ready", service=self.name, cause=repr(error))
            return False
