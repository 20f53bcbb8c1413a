"""One of our programs as a child process: started with an environment of its own, healthy or an error with its log."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from testkit.servers import Child, ServerNotStarted
from testkit.servers.child import children_of, is_running

START_TIMEOUT_S: Final = 60.0  # Two seconds on an idle machine; a machine that runs all tests at once is not idle.
STOP_GRACE_S: Final = 60.0  # The longest any of them was promised: a worker that hands back its jobs, then its server.
KILL_TIMEOUT_S: Final = 10.0  # SIGKILL works at once unless the process hangs inside the kernel.
ORPHANS_END_S: Final = 20.0  # A picture in work when its parent was killed; longer is a leak.
HEALTH_INTERVAL_S: Final = 0.05
PROBE_TIMEOUT_S: Final = 2.0
LOG_TAIL_BYTES: Final = 3000
OUR_PREFIXES: Final = (
    *("ATELIER_", "ZHINIAN_", "GATEWAY_", "BILLING_", "JOBS_", "ASSETS_"),
    *("PROVIDERS_", "PROVIDER_", "EDGE_", "STUDIO_", "SIGNED_"),
)

#: Asks once whether the process serves.
Probe = Callable[[], Awaitable[bool]]


class OrphansLeft(AssertionError):
    """A killed process left children behind that did not end by themselves."""


class ServiceProcess:
    """`python -m something`, restartable. Its output is appended to `log_path`."""

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], log_path: Path, probe: Probe
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.environment = dict(environment)  #: Read at each start.
        self._command = [sys.executable, *command]
        self._probe = probe
        self._child: Child | None = None
        self._orphans: set[int] = set()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exit_status is None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} is not running"
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """None before the first start and while it runs; negative when a signal ended it."""
        return None if self._child is None else self._child.exit_status

    async def start(self) -> None:
        """Return when it serves. Raises ServerNotStarted with the end of its log."""
        self.spawn()
        await self.wait_until_healthy()

    def spawn(self) -> None:
        """Start it and return at once."""
        assert not self.running, f"{self.name} is running"
        self._child = Child.spawn(
            self._command,
            log_path=self.log_path,
            environment=clean_environment() | self.environment,
            death_signal=signal.SIGKILL,
        )

    async def wait_until_healthy(self) -> None:
        """Return when it serves. Raises ServerNotStarted with the end of its log."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await self._probe():
            if not self.running:
                raise self.failure(f"ended with status {self.exit_status}")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {START_TIMEOUT_S:.0f} s")
            await asyncio.sleep(HEALTH_INTERVAL_S)

    async def terminate(self, grace_s: float = STOP_GRACE_S) -> int | None:
        """Send SIGTERM and return the exit status. Raises TimeoutError, with the process killed, after `grace_s`."""
        if self._child is None or not self.running:
            return self.exit_status
        os.kill(self._child.pid, signal.SIGTERM)
        try:
            return await self._child.wait(grace_s)
        except TimeoutError:
            await self._child.kill()
            raise

    async def kill_hard(self) -> None:
        """End it as `kill -9` does: the process alone; its children must notice by themselves."""
        self.send_kill()
        await self.wait_ended(KILL_TIMEOUT_S)

    def send_kill(self) -> None:
        """Send SIGKILL and return at once."""
        if self._child is not None and self.running:
            self._orphans.update(descendants_of(self._child.pid))
            os.kill(self._child.pid, signal.SIGKILL)

    async def wait_ended(self, timeout_s: float) -> int | None:
        """Return the exit status once it has ended by itself. Raises TimeoutError."""
        return None if self._child is None else await self._child.wait(timeout_s)

    async def close(self) -> None:
        """Stop it, and see that nothing of it is left. Raises OrphansLeft, after ending them."""
        try:
            await self.terminate()
        finally:
            await self._end_orphans()

    async def _end_orphans(self) -> None:
        deadline = time.monotonic() + ORPHANS_END_S
        while left := {pid for pid in self._orphans if is_running(pid)}:
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                self._orphans.clear()
                raise OrphansLeft(f"{self.name} left processes behind when it was killed: {sorted(left)}")
            await asyncio.sleep(HEALTH_INTERVAL_S)
        self._orphans.clear()

    def failure(self, what: str) -> ServerNotStarted:
        """An error that ends with the last lines of the log."""
        text = self.log_path.read_bytes()[-LOG_TAIL_BYTES:] if self.log_path.exists() else b""
        return ServerNotStarted(
            f"{self.name} {what}; its log {self.log_path} ends with:\n{text.decode(errors='replace')}"
        )


def descendants_of(pid: int) -> set[int]:
    """Ids of its children, their children, and so on; empty where the system has no /proc."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = set(children_of(waiting.pop())) - found
        found |= new
        waiting.extend(new)
    return found


def clean_environment() -> dict[str, str]:
    """Our environment without any setting of the house."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OUR_PREFIXES)}


def grpc_probe(address: str) -> Probe:
    """Ask the gRPC health service of `address` whether the whole server is serving."""
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]

    async def probe() -> bool:
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_S
                )
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return probe


def http_probe(url: str) -> Probe:
    """Ask `url` whether it answers 200."""

    async def probe() -> bool:
        async with httpx.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
            try:
                return (await client.get(url)).status_code == httpx.codes.OK
            except httpx.HTTPError:
                return False

    return probe
