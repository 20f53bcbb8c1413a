"""The stores and databases that the asset store's promises are tested on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asset_store.blobs_folder import INCOMING, FolderBlobs
from asset_store.blobs_s3 import S3Blobs, S3Place
from asset_store.ports import BlobStore
from kit.db import Database, open_database
from kit.db.migrations import migrate
from pydantic import SecretStr
from testkit.clock import FakeClock

SERVERS = pytest.mark.servers


@pytest.fixture(params=["folder", pytest.param("s3", marks=SERVERS)])
def new_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """An empty blob store of each kind. Plain, because an async fixture cannot ask for another by name."""
    if request.param == "folder":
        return FolderBlobs(tmp_path / "blobs")
    server = request.getfixturevalue("minio_server")
    place = S3Place(
        endpoint=server.url,
        bucket=request.getfixturevalue("minio_bucket"),
        access_key=SecretStr(server.access_key),
        secret_key=SecretStr(server.secret_key),
        prefix="assets/",
    )
    return S3Blobs(place)


@pytest.fixture
async def blobs(new_blobs: BlobStore) -> AsyncIterator[BlobStore]:
    """An empty blob store of each kind, closed afterwards."""
    yield new_blobs
    await new_blobs.close()


@pytest.fixture
def spool_folder(tmp_path: Path) -> Path:
    """Where staged files lie: on the folder store's disk, as in production."""
    return tmp_path / "blobs" / INCOMING


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=SERVERS)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/assets.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def clock() -> FakeClock:
    """The database's time."""
    return FakeClock()


@pytest.fixture
async def database(database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    """The asset store's tables, empty."""
    migrate(database_url, "asset_store")
    database = open_database(database_url, clock=clock)
    yield database
    await database.close()
