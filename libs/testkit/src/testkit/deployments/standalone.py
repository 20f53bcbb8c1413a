"""The embedded deployment: `atelier up` as one process on SQLite and a folder."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import ClassVar, Final

from pydantic import SecretStr

from testkit.deployments.deployment import Deployment
from testkit.deployments.ports import ReservedPort
from testkit.deployments.process import ServiceProcess, http_probe

PROCESS: Final = "atelier"
_BUSY_TIMEOUT_S: Final = 10.0


class StandaloneDeployment(Deployment):
    """All services in one process, named "atelier"; its data lie in `folder / "data"`."""

    kind: ClassVar[str] = "standalone"

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        bootstrap: Path | None = None,
    ) -> None:
        """Start nothing yet. Without a bootstrap file there are the checkout's first clients."""
        super().__init__(folder, environment=environment)
        self.data = self.folder / "data"
        self._http, self._grpc = ReservedPort(), ReservedPort()
        options = ["--bootstrap", str(bootstrap)] if bootstrap else []
        self._services[PROCESS] = ServiceProcess(
            PROCESS,
            ["-m", "standalone", "up", "--data-dir", str(self.data), "--port", str(self._http.number), *options],
            environment={},
            log_path=self.folder / "atelier.log",
            probe=http_probe(f"{self.url}/readyz"),
        )

    @property
    def url(self) -> str:
        return f"http://{self._http.address}"

    def grpc_address(self, service: str) -> str:
        return self._grpc.address

    @property
    def internal_secret(self) -> SecretStr:
        return SecretStr(self._secret("internal"))

    @property
    def jwt_secret(self) -> SecretStr:
        return SecretStr(self._secret("jwt"))

    def _secret(self, name: str) -> str:
        stored: dict[str, str] = json.loads((self.data / "secrets.json").read_text())
        return stored[name]

    async def census(self) -> dict[str, int]:
        return await asyncio.to_thread(self._census)

    def _census(self) -> dict[str, int]:
        found = {}
        for path in sorted(self.data.glob("*.db")):
            with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)) as connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (table,) in tables:
                    (rows,) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
                    found[f"{path.stem}.{table}"] = int(rows)
        return found

    async def stored_files(self) -> frozenset[str]:
        root = self.data / "assets"
        return frozenset(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    async def _close_servers(self) -> None:
        self._http.release()
        self._grpc.release()

    def _settings_of(self, service: str) -> dict[str, str]:
        return {"ATELIER_GRPC_LISTEN": self._grpc.address}
