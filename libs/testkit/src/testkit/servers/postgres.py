"""A Postgres 18 server; as root it runs as user 65534."""

import asyncio
import re
import shutil
import signal
from pathlib import Path
from typing import ClassVar

import asyncpg

from testkit.servers import binaries, unprivileged
from testkit.servers.child import Child
from testkit.servers.server import LOOPBACK, Server

_USER = "postgres"
_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")  # Needs no quotes, and Postgres keeps all of it.
_INITDB_TIMEOUT_S = 120.0  # One second on an idle machine; the disk may be slow.
_CONNECT_TIMEOUT_S = 2.0
_CALL_TIMEOUT_S = 60.0  # CREATE DATABASE copies 7 MB; with fsync on, a busy disk may take its time.

# Ids must sort as they do in SQLite: by bytes. The password is random, so hashing it often adds nothing.
_INITDB_OPTIONS = (
    *("--username", _USER, "--encoding=UTF8", "--locale=C"),
    *("--auth=scram-sha-256", "-c", "scram_iterations=1", "--no-instructions"),
)
_SETTINGS = {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "max_connections": "200"}
# What survives a crash of the machine is given up for speed; what survives a crash of the server is not.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """`fast=True` never waits for the disk: right for tests, wrong for data that must survive a power cut.

    As root, a `folder` that user 65534 cannot reach holds only the log; the data lies in a folder under
    /var/tmp whose name follows from that path.
    """

    name: ClassVar[str] = "postgres"
    _stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": does not wait for clients to leave.
    _death_signal: ClassVar[signal.Signals] = signal.SIGQUIT  # Ends its children and frees its shared memory.

    def __init__(self, *, folder: Path | None = None, port: int | None = None, fast: bool = False) -> None:
        self._bin = binaries.find(binaries.POSTGRES).parent
        super().__init__(folder=folder, port=port)
        self._fast = fast
        self._data = self.folder / "data"  #: Belongs to the server's user.

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://{_USER}:{self._kept_secret()}@{LOOPBACK}:{self.port}/{database}"

    async def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database as a copy of `template`, which nobody may be connected to; return its address."""
        assert _DATABASE_NAME.fullmatch(name), name
        assert _DATABASE_NAME.fullmatch(template), template
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url_of(name)

    async def drop_database(self, name: str) -> None:
        """Remove a database and cut off whoever is connected to it."""
        assert _DATABASE_NAME.fullmatch(name), name
        await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url, timeout=_CONNECT_TIMEOUT_S)
        try:
            await connection.execute(statement, timeout=_CALL_TIMEOUT_S)
        finally:
            await connection.close(timeout=_CONNECT_TIMEOUT_S)

    async def _prepare(self) -> None:
        self._bin = await asyncio.to_thread(_reachable_programs, self._bin)
        await asyncio.to_thread(self._place_data)
        if not self._cluster.exists():
            await self._initialise()

    @property
    def _cluster(self) -> Path:
        return self._data / "cluster"

    def _place_data(self) -> None:
        """Find a place for the data that the server's user can reach, and give it to that user."""
        uid = self._uid()
        if uid is None:
            self._data.mkdir(mode=0o700, exist_ok=True)
            return
        if self._temporary:
            self.folder.chmod(0o755)  # The secret in it has its own permissions.
        unprivileged.remove_abandoned()
        if not unprivileged.can_reach(self.folder):
            self._data = unprivileged.public_folder(self.folder) / "data"
            if not self._has_secret:
                # The data of another folder that had the same path, and took its password along when it was removed.
                shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(self._data, uid, uid)

    async def _initialise(self) -> None:
        """Run initdb beside the cluster's place and move it there: half of one is never taken for a whole."""
        fresh, password = self._data / "new", self._data / "password"
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        password.touch(mode=0o600)
        password.write_text(self._kept_secret())
        if (uid := self._uid()) is not None:
            shutil.chown(password, uid, uid)
        options = [f"--pwfile={password}", *_INITDB_OPTIONS, *(["--no-sync"] if self._fast else [])]
        command = [self._program("initdb"), "-D", str(fresh), *options]
        child = Child.spawn(command, log_path=self.log_path, uid=uid)
        try:
            status = await child.wait(_INITDB_TIMEOUT_S)
        finally:
            await child.kill()
            password.unlink()
        if status != 0:
            raise self._not_started(f"could not be initialised (status {status})")
        fresh.rename(self._cluster)

    def _command(self) -> list[str]:
        settings = _SETTINGS | {"port": str(self.port)} | (_FAST_SETTINGS if self._fast else {})
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self._cluster), *options]

    async def _is_healthy(self) -> bool:
        try:
            await self._execute("SELECT 1")  # Our password keeps another Postgres from answering in our place.
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False
        return True

    def _uid(self) -> int | None:
        return unprivileged.server_uid()

    def _program(self, name: str) -> str:
        return str(self._bin / name)

    def _remove_folder(self) -> None:
        if self._data.parent != self.folder:
            shutil.rmtree(self._data.parent, ignore_errors=True)
        super()._remove_folder()


def _reachable_programs(programs: Path) -> Path:
    """The folder of Postgres' programs, or of a copy of them where the server's user cannot reach the checkout."""
    if unprivileged.server_uid() is None or unprivileged.can_reach(programs / "postgres"):
        return programs
    wheels = programs.parents[2]  # The programs look for their libraries beside their package.
    copy = unprivileged.public_copy(wheels, without="pginstall")  # An older Postgres that comes in the same package.
    return copy / programs.relative_to(wheels)
