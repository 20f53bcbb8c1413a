"""pytest fixtures for real servers; `tests/conftest.py` names this module as a plugin.

A server starts when the first test asks for it and serves the rest of the session; each worker of pytest-xdist has its
own, because all three are up within a second. What a test gets is fresh: a database, an empty JetStream, a bucket.
Where `make tools` has not run, these tests fail; they are never skipped.
"""

import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:  # Their clients take a third of a second to import, which most test runs need not pay.
    from testkit.servers import MinioServer, NatsServer, PostgresServer

_SERVER_FIXTURES = {"nats_server", "minio_server", "postgres_server"}
_CALL_TIMEOUT_S = 10.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server, so that `-m "not servers"` runs on a machine without them."""
    for item in items:
        if _SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server() -> "AsyncIterator[NatsServer]":
    from testkit.servers import NatsServer

    async with NatsServer() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def minio_server() -> "AsyncIterator[MinioServer]":
    from testkit.servers import MinioServer

    async with MinioServer() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server() -> "AsyncIterator[PostgresServer]":
    from testkit.servers import PostgresServer

    async with PostgresServer(fast=True) as server:
        yield server


@pytest_asyncio.fixture
async def nats_url(nats_server: "NatsServer") -> str:
    """The server's address; no stream of an earlier test is left on it."""
    import nats

    connection = await nats.connect(nats_server.url, connect_timeout=_CALL_TIMEOUT_S)
    try:
        jet_stream = connection.jetstream(timeout=_CALL_TIMEOUT_S)
        for stream in await jet_stream.streams_info():
            assert stream.config.name is not None
            await jet_stream.delete_stream(stream.config.name)
    finally:
        await connection.close()
    return nats_server.url


@pytest_asyncio.fixture
async def minio_bucket(minio_server: "MinioServer") -> str:
    """The name of a fresh bucket on `minio_server`."""
    name = f"test-{secrets.token_hex(8)}"
    await minio_server.create_bucket(name)
    return name


@pytest_asyncio.fixture
async def postgres_url(postgres_server: "PostgresServer") -> AsyncIterator[str]:
    """The address of a fresh, empty database; whoever is still connected after the test is cut off."""
    name = f"test_{secrets.token_hex(8)}"
    yield await postgres_server.create_database(name)
    await postgres_server.drop_database(name)
