"""Wiring of the edge: an HTTP server and two channels."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
import uvloop
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from edge.app import build_app
from edge.backend import Backend
from edge.config import SHUTDOWN_GRACE_S, EdgeSettings
from kit import crash
from kit.identity import IdentitySigner
from kit.lifecycle import Lifecycle
from kit.logging import configure, get_logger
from kit.metrics import MetricsPage
from kit.rpc import LocalDirectory, connect

NAME: Final = "edge"
STOP_TIMEOUT_S: Final = SHUTDOWN_GRACE_S + 5
BACKLOG: Final = 2048
WS_MESSAGE_BYTES_MAX: Final = 4096  # Partners have nothing to send.
UNREADABLE: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
WS_PING_S: Final = 20.0  # Proxies cut a silent connection after a minute.
KEEP_ALIVE_S: Final = 75  # Longer than the 60 s that load balancers keep idle connections.

log = get_logger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one owner of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Sockets(WebSocketsSansIOProtocol):
    """uvicorn's, which says nothing and keeps a connection for ever when it cannot read the handshake.

    So it is with a header beyond 8 KiB: the library has its refusal (431) ready, and nobody sends it.
    """

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()) or UNREADABLE)
            self.transport.close()


class Edge:
    """The HTTP edge, ready to start."""

    name = NAME

    def __init__(self, settings: EdgeSettings, *, directory: LocalDirectory | None = None) -> None:
        """Build everything; nothing runs yet. `directory` serves `local:` targets."""
        signer = IdentitySigner(NAME, settings.internal_secret)
        self._settings = settings
        self._gateway = connect(settings.gateway_target, identity=signer, directory=directory)
        self._assets = connect(settings.assets_target, identity=signer, directory=directory)
        self._providers = connect(settings.providers_target, identity=signer, directory=directory)
        backend = Backend.over(self._gateway, self._assets, self._providers)
        self._streams = backend.streams
        self._server = _Server(
            uvicorn.Config(
                build_app(settings, backend),
                log_config=None,
                access_log=False,
                lifespan="off",
                http="httptools",
                ws=_Sockets,
                ws_max_size=WS_MESSAGE_BYTES_MAX,
                ws_ping_interval=WS_PING_S,
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips=settings.forwarded_allow_ips,
                limit_concurrency=settings.connections_max,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(SHUTDOWN_GRACE_S),
            )
        )
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0  #: Set by `start`.

    async def start(self) -> None:
        """Bind and serve. Raises OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._settings.http_host else socket.AF_INET
        self._socket = socket.create_server(
            (self._settings.http_host, self._settings.http_port), family=family, backlog=BACKLOG
        )
        self.port = self._socket.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise OSError("the HTTP server ended at its start")
            await asyncio.sleep(0.005)
        log.info("http_serving", host=self._settings.http_host, port=self.port)

    async def stop(self) -> None:
        """Refuse new connections, end live streams, let requests finish within the grace, close the channels."""
        self._streams.close()
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving
        if self._socket is not None:
            self._socket.close()
        await self._gateway.close()
        await self._assets.close()
        await self._providers.close()


def main() -> None:
    """Run the edge as a process of its own until SIGTERM or SIGINT."""
    settings = EdgeSettings()
    configure(NAME, level=settings.log_level, format=settings.log_format)
    crash.check()

    async def run() -> None:
        life = Lifecycle()
        metrics = MetricsPage(settings.metrics_listen)
        edge = Edge(settings)
        life.add("metrics", start=metrics.start, stop=metrics.stop)
        life.add(NAME, start=edge.start, stop=edge.stop, stop_timeout_s=STOP_TIMEOUT_S)
        await life.run_until_signal()

    uvloop.run(run())
