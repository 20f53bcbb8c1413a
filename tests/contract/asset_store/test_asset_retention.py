"""Nothing is kept longer than promised, and what crashes left behind is found."""

import os
from pathlib import Path
from typing import Any

import pytest

from asset_store.domain import blob_key
from asset_store.ports import Staged
from kit.errors import AssetNotFound

DAY_S = 24 * 3600


async def test_an_expired_asset_is_absent_at_once_and_then_really_deleted(house: Any, photo: Any) -> None:
    short = await house.upload(photo("PNG", 8, 8, seed=1), retention_s=60)
    long = await house.upload(photo("PNG", 8, 8, seed=2), retention_s=3600)
    assert short.expire_time.seconds - short.create_time.seconds == 60
    house.clock.advance(60)
    for absent in (house.get(short.id), house.read(short.id), house.link(short.id)):
        with pytest.raises(AssetNotFound):
            await absent
    assert [asset.id for asset in (await house.list()).assets] == [long.id]
    assert await house.stored() == 2
    swept = await house.store.sweep()
    assert swept.erased == 1
    assert await house.stored() == 1
    assert (await house.store.sweep()).erased == 0
    house.clock.advance(3600)
    await house.store.sweep()
    assert await house.is_empty()


async def test_more_expired_assets_than_one_batch_all_go(house: Any, photo: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("asset_store.usecases.sweep.BATCH", 3)
    for seed in range(8):
        await house.upload(photo("PNG", 4, 4, seed=seed), retention_s=1)
    house.clock.advance(1)
    assert (await house.store.sweep()).erased == 8
    assert await house.is_empty()


async def test_bytes_without_a_record_go_after_a_day_and_others_stay(
    house: Any, photo: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("asset_store.usecases.sweep.BATCH", 2)
    kept = [await house.upload(photo("PNG", 4, 4, seed=seed)) for seed in range(3)]
    for number in range(5):
        await house.deployment.blobs.put(blob_key("partner-a", number.to_bytes(16, "big")), _staged(tmp_path))
    assert (await house.store.sweep()).orphans == 0
    house.clock.advance(DAY_S + 60)
    assert (await house.store.sweep()).orphans == 5
    assert await house.stored() == 3
    assert len((await house.read(kept[0].id))[1]) == kept[0].size_bytes
    assert (await house.store.sweep()).orphans == 0


async def test_files_left_in_the_spool_go_after_an_hour(house: Any) -> None:
    folder: Path = house.deployment.spool
    folder.mkdir(parents=True, exist_ok=True)
    old, new = folder / "old", folder / "new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    now_s = new.stat().st_mtime
    os.utime(old, (now_s - 3700, now_s - 3700))
    assert (await house.store.sweep()).spool_files == 1
    assert list(folder.iterdir()) == [new]


def _staged(folder: Path) -> Staged:
    path = folder / os.urandom(8).hex()
    path.write_bytes(b"x")
    return Staged(path=path, size_bytes=1, sha256="0" * 64, head=b"x")
