"""What the three servers share: a folder, a port, a log, and the way from started to healthy to stopped."""

import asyncio
import json
import random
import secrets
import shutil
import signal
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from testkit.servers.child import Child

LOOPBACK = "127.0.0.1"
_PORTS = range(
    15_000, 32_000
)  # Below what Linux gives to outgoing connections, so that none takes it during a restart.
_PORT_ATTEMPTS_MAX = 5  # Another process may take the port between our look and the server's start.
_PORT_TAKEN = "already in use"  # All three servers say so, each in another sentence.
_START_TIMEOUT_S = 60.0  # The slowest takes 2 s on an idle machine; a machine that runs all tests at once is not idle.
_HEALTH_INTERVAL_S = 0.03
_STOP_GRACE_S = 15.0  # Postgres writes a checkpoint when it stops.
_LOG_TAIL_BYTES = 3000


class ServerNotStarted(Exception):
    """A server ended, or was not healthy in time; the message ends with the last lines of its log."""


class Server(ABC):
    """A server on 127.0.0.1 with its data under `folder`. Raises ToolMissing when its program is not installed.

    Without a folder it works in a temporary one, removed by `close()`; with one, its data, log and secret
    stay there for the next time. Without a port it looks for a free one and keeps it over restarts.
    """

    name: ClassVar[str]
    _stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    _death_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, *, folder: Path | None = None, port: int | None = None) -> None:
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix=f"atelier-{self.name}-")) if folder is None else folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port = port
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    @abstractmethod
    def url(self) -> str:
        """The address clients connect to."""

    @property
    def port(self) -> int:
        assert self._port is not None, f"{self.name} has no port before it was started"
        return self._port

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} is not running"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exit_status is None

    @property
    def log_path(self) -> Path:
        return self.folder / "server.log"

    async def start(self) -> None:
        """Return when the server answers. Raises ServerNotStarted."""
        assert not self.running, f"{self.name} is running"
        await self._prepare()
        given = self._port
        for attempt in range(1, _PORT_ATTEMPTS_MAX + 1):
            self._port = given or free_port()
            log_start = self._log_size()
            try:
                await self._start_once()
                return
            except ServerNotStarted:
                await self.kill()
                taken = _PORT_TAKEN in self._log_from(log_start).lower()
                if not taken or given is not None or attempt == _PORT_ATTEMPTS_MAX:
                    self._port = given
                    raise

    async def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """End the server in order, or by force after `grace_s`; its data stays. It may have ended already."""
        if self._child is not None:
            await self._child.stop(grace_s, stop_signal=self._stop_signal)
            self._child = None

    async def kill(self) -> None:
        """End the server as a crash would: SIGKILL, nothing is flushed."""
        if self._child is not None:
            await self._child.kill()
            self._child = None

    async def restart(self) -> None:
        """Stop the server if it is running and start it on the same port with the same data."""
        await self.stop()
        await self.start()

    async def close(self) -> None:
        """Stop the server and remove its temporary folder."""
        await self.stop()
        if self._temporary:
            await asyncio.to_thread(self._remove_folder)

    async def _prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make ready what must exist before the first start; cheap afterwards."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    async def _is_healthy(self) -> bool:
        """Ask once, within about a second, whether *this* server answers: another may have taken its port."""

    def _environment(self) -> Mapping[str, str] | None:
        return None

    def _uid(self) -> int | None:
        return None

    def _remove_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _start_once(self) -> None:
        self._child = Child.spawn(
            self._command(),
            log_path=self.log_path,
            environment=self._environment(),
            uid=self._uid(),
            death_signal=self._death_signal,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await self._is_healthy():
            if not self.running:
                raise self._not_started(f"ended with status {self._child.exit_status}")
            if time.monotonic() > deadline:
                raise self._not_started(f"did not answer within {_START_TIMEOUT_S:.0f} s")
            await asyncio.sleep(_HEALTH_INTERVAL_S)

    def _not_started(self, what: str) -> ServerNotStarted:
        tail = self._log_from(max(0, self._log_size() - _LOG_TAIL_BYTES))
        return ServerNotStarted(f"{self.name} {what}; its log {self.log_path} ends with:\n{tail}")

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _log_from(self, position: int) -> str:
        return self.log_path.read_bytes()[position:].decode(errors="replace") if self.log_path.exists() else ""

    def _kept_secret(self) -> str:
        """A password made once for this folder, so that other users of the machine cannot use the server."""
        if not self._has_secret:
            self._secret_path.touch(mode=0o600)
            self._secret_path.write_text(json.dumps(secrets.token_hex(16)))
        return str(json.loads(self._secret_path.read_text()))

    @property
    def _has_secret(self) -> bool:
        return self._secret_path.exists()

    @property
    def _secret_path(self) -> Path:
        return self.folder / "secret.json"


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on just now."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
