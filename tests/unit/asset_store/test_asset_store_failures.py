"""What is left when storing fails half-way: nothing, or what may be needed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asset_store.domain import Asset, Content, Intake, Origin, Standing, new_asset
from asset_store.ports import Sink, Staged
from asset_store.usecases.delete import Erase
from asset_store.usecases.outputs import DecideOutputs
from asset_store.usecases.store import StoreFile
from asset_store.usecases.sweep import Sweep
from kit.errors import Conflict, DeadlineExceeded, DependencyUnavailable, Internal, StorageFull
from testkit.clock import FakeClock

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (8).to_bytes(4, "big") * 2 + b"\0" * 20
INTAKE = Intake(client_id="partner-a", origin=Origin.UPLOAD, bytes_max=100, asset_id="asset_1", kinds=frozenset())


class World:
    """A spool, a store, records and an inspector in memory, each of which can be told to fail."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.records: dict[str, Asset] = {}
        self.open_files = 0
        self.put_error: BaseException | None = None
        self.add_error: Exception | None = None
        self.delete_error: Exception | None = None
        self.finish_error: Exception | None = None
        self.commits_before_failing = False

    def open(self, *, bytes_max: int) -> Any:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator["World"]:
        self.open_files += 1
        self.received = b""
        try:
            yield self
        finally:
            self.open_files -= 1

    async def write(self, chunk: bytes) -> None:
        self.received += chunk

    async def finish(self) -> Staged:
        digest = hashlib.sha256(self.received).hexdigest()
        return Staged(path=Path("x"), size_bytes=len(self.received), sha256=digest, head=self.received)

    async def inspect(self, path: Path, **_: Any) -> tuple[int, int]:
        return 8, 8

    async def put(self, key: str, staged: Staged) -> None:
        if isinstance(self.put_error, Exception):
            raise self.put_error
        self.blobs[key] = self.received
        if self.put_error is not None:  # Cancelled: the thread has gone on to its end.
            raise self.put_error

    async def delete(self, key: str) -> None:
        if self.delete_error is not None:
            raise self.delete_error
        self.blobs.pop(key, None)

    async def find_any(self, asset_id: str) -> Asset | None:
        return self.records.get(asset_id)

    async def add(self, intake: Intake, content: Content, *, asset_id: str, blob_key: str) -> Asset:
        if self.add_error is None or self.commits_before_failing:
            asset = new_asset(intake, content, asset_id=asset_id, blob_key=blob_key, now_ms=1)
            self.records.setdefault(asset_id, asset)
        if self.add_error is not None:
            raise self.add_error
        return self.records[asset_id]

    async def finish_delete(self, asset_ids: Sequence[str]) -> None:
        if self.finish_error is not None:
            raise self.finish_error
        for asset_id in asset_ids:
            del self.records[asset_id]


@pytest.fixture
def world() -> World:
    return World()


async def store(world: World, intake: Intake = INTAKE) -> Asset:
    store_file = StoreFile(
        spool=world,  # type: ignore[arg-type]  # Only what storing needs.
        inspector=world,
        blobs=world,  # type: ignore[arg-type]
        records=world,  # type: ignore[arg-type]
        new_id=lambda: "asset_new",
        random_bytes=lambda count: bytes([len(world.blobs)]) * count,
    )

    async def pour(sink: Sink) -> None:
        await sink(PNG)

    return await store_file(intake, pour)


async def test_a_good_file_is_stored_and_recorded(world: World) -> None:
    asset = await store(world)
    assert world.blobs == {asset.blob_key: PNG}
    assert world.records == {"asset_1": asset}
    assert world.open_files == 0
    assert (await store(world, replace(INTAKE, asset_id=""))).id == "asset_new"


@pytest.mark.parametrize("error", [StorageFull(), DependencyUnavailable()])
async def test_bytes_that_cannot_be_stored_leave_nothing(world: World, error: Exception) -> None:
    world.put_error = error
    with pytest.raises(type(error)):
        await store(world)
    assert (world.blobs, world.records, world.open_files) == ({}, {}, 0)


async def test_a_caller_that_goes_away_while_bytes_are_stored_leaves_nothing(world: World) -> None:
    world.put_error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await store(world)
    assert (world.blobs, world.records, world.open_files) == ({}, {}, 0)


@pytest.mark.parametrize("error", [StorageFull(), Internal(), ValueError()])
async def test_a_record_that_is_surely_not_there_takes_its_bytes_along(world: World, error: Exception) -> None:
    world.add_error = error
    with pytest.raises(type(error)):
        await store(world)
    assert (world.blobs, world.records) == ({}, {})


@pytest.mark.parametrize("error", [DeadlineExceeded(), DependencyUnavailable()])
async def test_bytes_stay_when_the_record_may_be_there(world: World, error: Exception) -> None:
    world.add_error, world.commits_before_failing = error, True
    with pytest.raises(type(error)):
        await store(world)
    world.add_error = None
    assert world.blobs == {world.records["asset_1"].blob_key: PNG}
    assert await store(world) == world.records["asset_1"]
    assert len(world.blobs) == 1


async def test_an_id_that_is_being_deleted_is_a_conflict(world: World) -> None:
    asset = await store(world)
    world.records["asset_1"] = replace(asset, standing=Standing.DELETING)
    with pytest.raises(Conflict):
        await store(world)


async def test_what_cannot_be_deleted_now_stays_for_the_sweeper(world: World) -> None:
    erase = Erase(blobs=world, records=world)  # type: ignore[arg-type]  # Only what deleting needs.
    doomed = replace(await store(world), standing=Standing.DELETING)
    world.records["asset_1"] = doomed
    world.delete_error = DependencyUnavailable()
    assert await erase([doomed]) == 0
    assert (len(world.blobs), len(world.records)) == (1, 1)
    world.delete_error, world.finish_error = None, DependencyUnavailable()
    assert await erase([doomed]) == 0
    assert (len(world.blobs), len(world.records)) == (0, 1)
    world.finish_error = None
    assert await erase([doomed]) == 1
    assert (len(world.blobs), len(world.records)) == (0, 0)


class Broken:
    """Fails in every way; what is not asked for cannot be called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: Any, **__: Any) -> None:
            self.calls.append(name)
            raise DependencyUnavailable if len(self.calls) % 2 else OSError("disk on fire")

        return fail


async def test_a_sweep_does_every_duty_although_each_one_fails() -> None:
    broken = Broken()
    anything: Any = broken
    erase = Erase(blobs=anything, records=anything)
    decide = DecideOutputs(jobs=anything, upkeep=anything, erase=erase)
    sweep = Sweep(upkeep=anything, erase=erase, decide=decide, blobs=anything, spool=anything, clock=FakeClock())
    await sweep()
    assert broken.calls == ["expire", "undecided_jobs", "deleting", "sweep", "scan"]
