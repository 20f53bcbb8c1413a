"""Real NATS, MinIO and Postgres on 127.0.0.1, for tests and the local stack; `make tools` brings them.

    async with PostgresServer(fast=True) as postgres:
        url = await postgres.create_database("billing")

They differ only in what their address needs. `kill()` is for chaos tests, `restart()` keeps port and data,
and none of them outlives this process, however it ends.
"""

from testkit.servers.binaries import ToolMissing
from testkit.servers.child import Child
from testkit.servers.minio import MinioServer
from testkit.servers.nats import NatsServer
from testkit.servers.postgres import PostgresServer
from testkit.servers.server import Server, ServerNotStarted

__all__ = [
    "Child",
    "MinioServer",
    "NatsServer",
    "PostgresServer",
    "Server",
    "ServerNotStarted",
    "ToolMissing",
]
