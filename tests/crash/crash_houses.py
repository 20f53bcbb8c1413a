"""Both deployments as these tests see them: started, killed, looked into, and what their death left behind."""

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import asyncpg
import yaml
from crash_load import Load, Partner

from testkit.deployments import Deployment, StackDeployment, StandaloneDeployment, new_partner
from testkit.deployments.process import clean_environment, descendants_of
from testkit.openclient import OpenClient
from testkit.servers import ServerNotStarted

ATELIER: Final = "atelier"  #: The one process of the embedded deployment.
POINTS: Final = 1_000_000  #: Of each partner: nobody runs out.
PARTNERS: Final = ("partner-a", "partner-b")
KILLED: Final = -9
BUSY_TIMEOUT_S: Final = 20.0
VERIFY_TIMEOUT_S: Final = 120.0
STRAYS_END_S: Final = 20.0  # A child that was being born when its parent died ends when it has looked around.
SAMPLE_S: Final = 0.3
A_DAY_S: Final = 25 * 3600.0

Row = dict[str, Any]


class Brood:
    """Remembers every process below ours, to see later that none outlives its parent."""

    def __init__(self) -> None:
        self._seen: dict[int, str] = {}

    def look(self, pids: Sequence[int]) -> None:
        """Note the descendants of `pids`."""
        for pid in pids:
            for child in descendants_of(pid):
                born = _born(child)
                if born:
                    self._seen[child] = born

    @property
    def seen(self) -> int:
        return len(self._seen)

    def strays(self, *, living: Sequence[int] = ()) -> dict[int, str]:
        """Noted processes that still run, without those below `living`, with their command lines."""
        ours = {child for pid in living for child in descendants_of(pid)}
        left = [pid for pid, born in self._seen.items() if pid not in ours and _born(pid) == born]
        return {pid: _command(pid) for pid in left}


class House(ABC):
    """A deployment and its inner records."""

    kind: str

    def __init__(self, deployment: Deployment) -> None:
        """`deployment` becomes this one's: entering starts it, leaving closes it."""
        self.deployment = deployment
        self.brood = Brood()
        self.kills = 0
        self.start_s = 5.0  #: How long the last full start took.
        self._partners: list[OpenClient] = []
        self._sampling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "House":
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
        for partner in self._partners:
            await partner.http.aclose()
        await self.deployment.close()

    @property
    def pids(self) -> list[int]:
        """Our own processes that run."""
        return [one.pid for one in self.deployment.services.values() if one.running]

    async def start(self, service: str | None = None) -> None:
        """Return when it serves."""
        began_s = time.monotonic()
        await self.deployment.start(service)
        if service is None:
            self.start_s = time.monotonic() - began_s

    async def kill(self, service: str | None = None) -> None:
        """SIGKILL now."""
        self.brood.look(self.pids)
        await self.deployment.kill_hard(service)
        self.kills += 1

    async def load(self, rng: random.Random, *, webhook_url: str = "") -> Load:
        """Partners of their own that have not begun yet."""
        self._partners += (found := await self._new_partners())
        rngs = [random.Random(rng.getrandbits(64)) for _ in found]
        return Load([Partner(one, each, webhook_url=webhook_url) for one, each in zip(found, rngs, strict=True)])

    async def strays(self) -> dict[int, str]:
        """What of the killed processes' children is left, when there was time to notice the death."""
        deadline = time.monotonic() + STRAYS_END_S
        while (left := self.brood.strays(living=self.pids)) and time.monotonic() < deadline:
            await asyncio.sleep(SAMPLE_S)
        return left

    async def verify_ledger(self) -> tuple[int, str]:
        """Exit status and output of `atelier ledger verify`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "standalone", "ledger", "verify"),
            *("--data-dir", str(self.deployment.folder / "data")),
            env=clean_environment() | self._operator_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(VERIFY_TIMEOUT_S):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    @abstractmethod
    async def rows(self, database: str, query: str) -> list[Row]:
        """Rows of "jobs", "billing", "assets" or "gateway"."""

    @abstractmethod
    async def execute(self, database: str, statement: str) -> None:
        """Change a database, for what cannot be waited for."""

    @abstractmethod
    async def blobs(self) -> set[str]:
        """Keys of all bytes that are stored for good."""

    @abstractmethod
    async def _new_partners(self) -> list[OpenClient]: ...

    @abstractmethod
    def _operator_environment(self) -> Mapping[str, str]: ...

    async def _sample(self) -> None:
        while True:
            self.brood.look(self.pids)
            await asyncio.sleep(SAMPLE_S)


class EmbeddedHouse(House):
    """`atelier up` on SQLite and a folder, with the shipped catalogue."""

    kind = "embedded"

    def __init__(self, folder: Path, *, environment: Mapping[str, str]) -> None:
        self._bootstrap = _bootstrap_file(folder)
        self.embedded = StandaloneDeployment(folder, environment=environment, bootstrap=self._bootstrap)
        super().__init__(self.embedded)

    @property
    def exit_status(self) -> int | None:
        return self.embedded.services[ATELIER].exit_status

    async def kill_while_starting(self, after_s: float) -> bool:
        """SIGKILL so long after the start, and return whether it served by then.

        Raises ServerNotStarted when it ended by itself before.
        """
        starting = asyncio.create_task(self.deployment.start())
        await asyncio.wait({starting}, timeout=after_s)
        served = starting.done() and starting.exception() is None
        await self.kill()
        with contextlib.suppress(ServerNotStarted):
            await starting
        if self.exit_status != KILLED:
            raise self.embedded.services[ATELIER].failure("ended by itself")
        return served

    async def rows(self, database: str, query: str) -> list[Row]:
        return await asyncio.to_thread(self._rows, database, query)

    async def execute(self, database: str, statement: str) -> None:
        await asyncio.to_thread(self._rows, database, statement)

    def _rows(self, database: str, query: str) -> list[Row]:
        with closing(sqlite3.connect(self.embedded.data / f"{database}.db", timeout=BUSY_TIMEOUT_S)) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(query)]
            connection.commit()
            return found

    async def blobs(self) -> set[str]:
        return {name for name in await self.deployment.stored_files() if not name.startswith(".")}

    async def spooled(self) -> set[str]:
        """Uploads that were cut off."""
        return {name for name in await self.deployment.stored_files() if name.startswith(".")}

    async def grow_older(self) -> None:
        """Let a day pass for whatever lies about: only then may sweepers take it. Call it when all is quiet."""
        old = time.time() - A_DAY_S
        root = self.embedded.data / "assets"
        for name in await self.deployment.stored_files():
            os.utime(root / name, (old, old))
        late_ms = round(A_DAY_S * 1000)
        await self.execute(
            "assets", f"UPDATE assets SET create_ms = create_ms - {late_ms} WHERE standing = 'provisional'"
        )

    def throw_away(self) -> None:
        """Free the disk early: there are many of us."""
        shutil.rmtree(self.embedded.data, ignore_errors=True)

    async def _new_partners(self) -> list[OpenClient]:
        return [OpenClient(self.deployment.url, f"key-of-{name}", client_id=name) for name in PARTNERS]

    def _operator_environment(self) -> Mapping[str, str]:
        return {}


class StackHouse(House):
    """Six processes on NATS, MinIO and Postgres."""

    kind = "stack"

    def __init__(self, folder: Path, *, environment: Mapping[str, str]) -> None:
        self.stack = StackDeployment(folder, environment=environment)
        super().__init__(self.stack)

    async def rows(self, database: str, query: str) -> list[Row]:
        connection = await asyncpg.connect(self.stack.postgres.url_of(database), timeout=BUSY_TIMEOUT_S)
        try:
            return [dict(row) for row in await connection.fetch(query, timeout=BUSY_TIMEOUT_S)]
        finally:
            await connection.close(timeout=BUSY_TIMEOUT_S)

    async def execute(self, database: str, statement: str) -> None:
        await self.rows(database, statement)

    async def blobs(self) -> set[str]:
        return {name for name in await self.deployment.stored_files() if not name.startswith("spool/")}

    async def _new_partners(self) -> list[OpenClient]:
        operator = self.deployment.operator()
        return [await new_partner(operator, self.deployment.url, points=POINTS) for _ in PARTNERS]

    def _operator_environment(self) -> Mapping[str, str]:
        return {
            "ATELIER_INTERNAL_SECRET": self.deployment.internal_secret.get_secret_value(),
            "ATELIER_GATEWAY_TARGET": self.deployment.grpc_address("gateway"),
            "ATELIER_BILLING_TARGET": self.deployment.grpc_address("billing"),
            "ATELIER_JOBS_TARGET": self.deployment.grpc_address("job-orchestrator"),
        }


def _bootstrap_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bootstrap.yaml"
    clients = [{"id": name, "api_keys": [f"key-of-{name}"], "grants": {"points": POINTS}} for name in PARTNERS]
    path.write_text(yaml.safe_dump({"clients": clients}))
    return path


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks, so that its id cannot be mistaken; empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
