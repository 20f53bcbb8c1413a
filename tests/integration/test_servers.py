"""Each server of `testkit.servers` answers its real client, keeps its data through a crash, and leaves nothing."""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import asyncpg
import nats
import pytest
from minio import Minio

from testkit.servers import MinioServer, NatsServer, PostgresServer, Server, ServerNotStarted, binaries, unprivileged
from testkit.servers.child import children_of, is_running

pytestmark = pytest.mark.servers

SERVERS: list[type[Server]] = [NatsServer, MinioServer, PostgresServer]
GONE_TIMEOUT_S = 20.0
RUN_TIMEOUT_S = 120.0

# Starts all three, says which processes they are, and waits to be killed.
PARENT = """
import asyncio
from testkit.servers import MinioServer, NatsServer, PostgresServer

async def main():
    async with NatsServer() as nats, MinioServer() as minio, PostgresServer(fast=True) as postgres:
        print(nats.pid, minio.pid, postgres.pid, flush=True)
        print(nats.folder, minio.folder, postgres.folder, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def minio_client(server: MinioServer) -> Minio:
    return Minio(server.endpoint, access_key=server.access_key, secret_key=server.secret_key, secure=False)


async def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still running: {[pid for pid in pids if is_running(pid)]}"
        await asyncio.sleep(0.05)


async def test_jetstream_message_is_kept_when_nats_is_killed() -> None:
    async with NatsServer() as server:
        url, pid = server.url, server.pid
        connection = await nats.connect(url)
        jet_stream = connection.jetstream()
        await jet_stream.add_stream(name="jobs", subjects=["jobs.>"])
        await jet_stream.publish("jobs.done", b"one")
        await connection.close()

        await server.kill()
        await server.restart()

        assert (server.url, server.pid == pid) == (url, False)
        connection = await nats.connect(url)
        kept = await connection.jetstream().get_msg("jobs", seq=1)
        await connection.close()
        assert kept.data == b"one"


async def test_object_is_kept_when_minio_is_killed() -> None:
    async with MinioServer() as server:
        url, client = server.url, minio_client(server)
        await server.create_bucket("outputs")
        await asyncio.to_thread(client.put_object, "outputs", "a/b.png", io.BytesIO(b"bytes"), 5)

        await server.kill()
        await server.restart()

        def read() -> bytes:
            with client.get_object("outputs", "a/b.png") as answer:
                return bytes(answer.read())

        assert server.url == url
        assert await asyncio.to_thread(read) == b"bytes"


@pytest.mark.parametrize("fast", [True, False])
async def test_committed_row_is_kept_when_postgres_is_killed(fast: bool) -> None:
    async with PostgresServer(fast=fast) as server:
        url = await server.create_database("books")
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SHOW fsync") == ("off" if fast else "on")
        await connection.execute("CREATE TABLE entry (points bigint); INSERT INTO entry VALUES (7)")
        backends = children_of(server.pid)
        assert backends

        await server.kill()
        assert not [pid for pid in backends if is_running(pid)]
        connection.terminate()
        await server.restart()

        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT points FROM entry") == 7
        await connection.close()


async def test_database_has_the_rows_of_its_template() -> None:
    async with PostgresServer(fast=True) as server:
        connection = await asyncpg.connect(await server.create_database("first"))
        await connection.execute("CREATE TABLE entry (points bigint); INSERT INTO entry VALUES (7)")
        await connection.close()
        connection = await asyncpg.connect(await server.create_database("second", template="first"))
        assert await connection.fetchval("SELECT points FROM entry") == 7
        await connection.close()


async def test_postgres_is_refused_when_the_password_is_wrong() -> None:
    async with PostgresServer(fast=True) as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url, password="guess")


@pytest.mark.parametrize("kind", SERVERS)
async def test_nothing_is_left_when_server_is_closed(kind: type[Server]) -> None:
    async with kind() as server:
        pids = [server.pid, *children_of(server.pid)]
        assert is_running(server.pid)
        assert server.log_path.exists()
    assert not [pid for pid in pids if is_running(pid)]
    assert not server.folder.exists()


@pytest.mark.parametrize("kind", SERVERS)
async def test_data_stays_when_folder_is_given(kind: type[Server], tmp_path: Path) -> None:
    folder = tmp_path / "server"
    try:
        async with kind(folder=folder) as server:
            port, secret = server.port, (folder / "secret.json").read_text()
        async with kind(folder=folder, port=port) as server:
            assert server.port == port
        assert (folder / "secret.json").read_text() == secret
        assert (folder / "server.log").exists()
    finally:
        remove_stand_in(folder)


async def test_postgres_begins_anew_when_its_folder_was_removed_and_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    for _ in range(2):
        async with PostgresServer(folder=folder, fast=True) as server:
            await server.create_database("kept")
        shutil.rmtree(folder)
    async with PostgresServer(folder=tmp_path / "other", fast=True):
        origins = {note.read_text() for note in Path("/var/tmp").glob("atelier-*/origin")}
    assert str(folder) not in origins


@pytest.mark.parametrize("kind", SERVERS)
async def test_start_fails_with_the_log_when_port_is_taken(kind: type[Server]) -> None:
    async with kind() as first:
        with pytest.raises(ServerNotStarted, match="already in use"):
            async with kind(port=first.port):
                pass
        assert first.running


@pytest.mark.parametrize("kind", SERVERS)
async def test_another_port_is_taken_when_free_one_was_lost(
    kind: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kind() as first:
        ports = iter([first.port, first.port + 1, first.port + 2])
        monkeypatch.setattr("testkit.servers.server.free_port", lambda: next(ports))
        async with kind() as second:
            assert second.running
            assert second.port != first.port


async def test_servers_end_when_their_parent_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    try:
        assert parent.stdout is not None
        servers = [int(word) for word in (await parent.stdout.readline()).split()]
        folders = (await parent.stdout.readline()).decode().split()
        assert len(servers) == 3
        assert all(is_running(pid) for pid in servers)
        helpers = [child for pid in servers for child in children_of(pid)]
        assert helpers, "Postgres has processes of its own"
    finally:
        parent.kill()
        await parent.wait()
    await wait_until_gone([*servers, *helpers])
    for folder in folders:
        shutil.rmtree(folder)


async def test_postgres_starts_when_its_user_cannot_enter_the_checkout(
    closed_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATELIER_TOOLS_DIR", str(closed_tools))
    folder = closed_tools / "data"
    try:
        async with PostgresServer(fast=True, folder=folder) as server:
            connection = await asyncpg.connect(server.url)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
            assert os.geteuid() != 0 or not unprivileged.can_reach(closed_tools / binaries.POSTGRES)
    finally:
        remove_stand_in(folder)
        remove_stand_in(closed_tools / "py")


def test_fixture_fails_and_names_the_remedy_when_tools_are_missing(tmp_path: Path) -> None:
    names = ["nats_url", "minio_bucket", "postgres_url"]
    source = "".join(f"def test_{name}_is_used({name}): pass\n" for name in names)
    (tmp_path / "test_needs_servers.py").write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "testkit.pytest_servers", "--rootdir", str(tmp_path), str(tmp_path)],
        env=os.environ | {"ATELIER_TOOLS_DIR": str(tmp_path / "empty")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 errors" in done.stdout
    assert done.stdout.count("run `make tools`") >= 3


async def test_each_test_has_its_own_database(postgres_url: str, postgres_server: PostgresServer) -> None:
    assert postgres_url != postgres_server.url
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_no_stream_is_left_by_an_earlier_test(turn: str, nats_url: str) -> None:
    connection = await nats.connect(nats_url)
    jet_stream = connection.jetstream()
    assert await jet_stream.streams_info() == []
    await jet_stream.add_stream(name=turn, subjects=["same.subject"])
    await connection.close()


def test_bucket_is_empty_and_ready(minio_bucket: str, minio_server: MinioServer) -> None:
    client = minio_client(minio_server)
    assert list(client.list_objects(minio_bucket)) == []
    client.put_object(minio_bucket, "key", io.BytesIO(b"x"), 1)
    with client.get_object(minio_bucket, "key") as answer:
        assert answer.read() == b"x"


@pytest.fixture
def closed_tools(tmp_path: Path) -> Path:
    """A `.tools` with Postgres in a folder that only its owner may enter."""
    closed = tmp_path / "closed"
    closed.mkdir()
    wheels = binaries.find(binaries.POSTGRES).parents[3]
    shutil.copytree(wheels, closed / wheels.name, symlinks=True, ignore=shutil.ignore_patterns("pginstall"))
    closed.chmod(0o700)
    return closed


def remove_stand_in(path: Path) -> None:
    """Remove what Postgres keeps under /var/tmp for a path that its user cannot reach (only root has that)."""
    if os.geteuid() == 0:
        shutil.rmtree(unprivileged.public_folder(path))
