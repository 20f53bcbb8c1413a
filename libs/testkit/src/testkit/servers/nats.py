"""A NATS server with JetStream, its streams kept in files."""

import asyncio
import json
from pathlib import Path
from typing import ClassVar

from testkit.servers import binaries
from testkit.servers.server import LOOPBACK, Server

_HEALTH_TIMEOUT_S = 1.0


class NatsServer(Server):
    """`sync_always=True` flushes to disk before every acknowledgement, as a careful operator may choose."""

    name: ClassVar[str] = "nats"

    def __init__(self, *, folder: Path | None = None, port: int | None = None, sync_always: bool = False) -> None:
        self._program = binaries.find(binaries.NATS)
        super().__init__(folder=folder, port=port)
        self._sync_always = sync_always

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    def _command(self) -> list[str]:
        jet_stream = {"store_dir": str(self.folder / "data")} | (
            {"sync_interval": "always"} if self._sync_always else {}
        )
        configuration = {
            "server_name": self._server_name(),
            "listen": f"{LOOPBACK}:{self.port}",
            "jetstream": jet_stream,
        }
        path = self.folder / "nats.conf"
        path.write_text(json.dumps(configuration, indent=2))  # JSON is one of the forms NATS reads.
        return [str(self._program), "--config", str(path)]

    async def _is_healthy(self) -> bool:
        """NATS greets every connection with one INFO line, and listens only after JetStream has recovered."""
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                try:
                    greeting = await reader.readline()
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        if not greeting.startswith(b"INFO "):
            return False
        info = json.loads(greeting[len(b"INFO ") :])
        return info.get("server_name") == self._server_name() and bool(info.get("jetstream"))

    def _server_name(self) -> str:
        return f"atelier-{self._kept_secret()[:8]}"
