"""The process is killed at its named points; the next one loses nothing and leaves nothing behind."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from asset_store.blobs_folder import FolderBlobs
from atelier.assets.v1 import asset_service_pb2 as pb
from atelier.assets.v1.asset_service_pb2_grpc import AssetServiceStub
from kit import crash
from kit.errors import AssetNotFound, DependencyUnavailable
from kit.identity import IdentitySigner, acting_as
from kit.rpc import Channel, connect
from kit.tickets import Ticket, TicketSigner

pytestmark = pytest.mark.slow  # Each test starts the process twice.

SECRET = "s" * 32
ASSET = "asset_crash"


class Process:
    """`python -m asset_store` on SQLite and a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"

    @asynccontextmanager
    async def run(self, *, crash_at: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, Channel]]:
        environment = {
            **os.environ,
            "ATELIER_INTERNAL_SECRET": SECRET,
            "ASSETS_LISTEN": self.address,
            "ASSETS_DATABASE_URL": f"sqlite:///{self.folder}/assets.db",
            "ASSETS_FOLDER": str(self.folder / "assets"),
            "ASSETS_JOBS_TARGET": "127.0.0.1:1",
        }
        if crash_at:
            environment[crash.ENVIRONMENT] = crash_at
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "asset_store", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        channel = connect(self.address, identity=IdentitySigner("gateway", SecretStr(SECRET)), retry=False)
        try:
            async with asyncio.timeout(30):
                await channel.channel_ready()
            yield process, channel
        finally:
            await channel.close()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait_for(process.wait(), 30)

    async def stored(self) -> int:
        blobs = FolderBlobs(self.folder / "assets")
        try:
            return len(await blobs.scan(after="", limit=100))
        finally:
            await blobs.close()

    def spooled(self) -> int:
        folder = self.folder / "assets" / ".incoming"
        return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


async def upload(channel: Channel, data: bytes) -> str:
    ticket = TicketSigner(SecretStr(SECRET)).sign(
        Ticket(action="upload", client_id="partner-a", asset_id=ASSET, bytes_max=10_000_000), 60
    )

    async def messages() -> AsyncIterator[pb.UploadAssetRequest]:
        yield pb.UploadAssetRequest(header=pb.UploadHeader(ticket=ticket))
        yield pb.UploadAssetRequest(chunk=data)

    return str((await AssetServiceStub(channel).UploadAsset(messages(), timeout=30)).asset.sha256)


async def exists(channel: Channel) -> bool:
    with acting_as("partner-a"):
        try:
            await AssetServiceStub(channel).GetAsset(pb.GetAssetRequest(asset_id=ASSET), timeout=10)
        except AssetNotFound:
            return False
    return True


async def died(process: asyncio.subprocess.Process) -> None:
    assert await asyncio.wait_for(process.wait(), 15) == crash.EXIT_STATUS


@pytest.mark.parametrize(
    ("point", "is_recorded"),
    [
        ("assets.store.after_bytes", False),
        ("assets.store.before_commit", False),
        ("assets.store.after_commit", True),
    ],
)
async def test_an_upload_cut_off_is_there_whole_or_not_at_all_and_can_be_repeated(
    process: Process, photo: Any, point: str, is_recorded: bool
) -> None:
    data = photo("PNG", 300, 200)
    async with process.run(crash_at=point) as (running, channel):
        with pytest.raises(DependencyUnavailable):
            await upload(channel, data)
        await died(running)
    assert await process.stored() == 1
    async with process.run() as (_, channel):
        assert await exists(channel) is is_recorded
        first = await upload(channel, data)
        assert await upload(channel, data) == first
        assert await exists(channel)
    # Bytes that no record names wait for the sweeper's day; with a record there is exactly one copy.
    assert await process.stored() == (1 if is_recorded else 2)
    assert process.spooled() == 0


async def test_a_deletion_cut_off_is_finished_by_the_next_process(
    process: Process, photo: Any, eventually: Any
) -> None:
    async with process.run(crash_at="assets.delete.between") as (running, channel):
        await upload(channel, photo("PNG", 30, 20))
        with acting_as("partner-a"), pytest.raises(DependencyUnavailable):
            await AssetServiceStub(channel).DeleteAsset(pb.DeleteAssetRequest(asset_id=ASSET), timeout=10)
        await died(running)
    assert await process.stored() == 1
    async with process.run() as (_, channel):
        assert not await exists(channel)
        await eventually(lambda: _is_empty(process))


async def test_a_stop_lets_a_running_upload_finish(process: Process, photo: Any, eventually: Any) -> None:
    data = photo("PNG")
    ticket = TicketSigner(SecretStr(SECRET)).sign(
        Ticket(action="upload", client_id="partner-a", asset_id=ASSET, bytes_max=20_000_000), 60
    )
    async with process.run() as (running, channel):

        async def messages() -> AsyncIterator[pb.UploadAssetRequest]:
            yield pb.UploadAssetRequest(header=pb.UploadHeader(ticket=ticket))
            for start in range(0, len(data), 1_000_000):
                if start == 2_000_000:
                    await eventually(lambda: _is_spooling(process))
                    running.terminate()
                    await asyncio.sleep(1)
                yield pb.UploadAssetRequest(chunk=data[start : start + 1_000_000])

        response = await AssetServiceStub(channel).UploadAsset(messages(), timeout=30)
        assert response.asset.size_bytes == len(data) > 2_000_000
        assert await asyncio.wait_for(running.wait(), 15) == 0
    async with process.run() as (_, channel):
        assert await exists(channel)


async def _is_spooling(process: Process) -> bool:
    return process.spooled() > 0


async def _is_empty(process: Process) -> bool:
    return await process.stored() == 0
