"""What the records promise, on SQLite and Postgres."""

import asyncio
from typing import Any

import pytest

from asset_store.domain import Asset, Content, Intake, Origin, Standing, blob_key
from asset_store.ports import Filter
from asset_store.sql import METADATA, SqlAssetRecords, SqlLinkRecords, SqlUpkeep
from kit.db import Database
from kit.db.migrations import assert_migrations_match
from kit.errors import AssetNotFound
from testkit.clock import START_MS, FakeClock

CLIENT = "partner-a"
CONTENT = Content(mime_type="image/png", size_bytes=3, sha256="0" * 64, width=2, height=1)


def intake(**changes: Any) -> Intake:
    values: dict[str, Any] = {
        "client_id": CLIENT,
        "origin": Origin.UPLOAD,
        "bytes_max": 100,
        "asset_id": "",
        "kinds": frozenset(),
        "name": "参考.png",
    }
    return Intake(**values | changes)


@pytest.fixture
def records(database: Database) -> SqlAssetRecords:
    return SqlAssetRecords(database)


@pytest.fixture
def upkeep(database: Database) -> SqlUpkeep:
    return SqlUpkeep(database)


@pytest.fixture
def links(database: Database) -> SqlLinkRecords:
    return SqlLinkRecords(database)


async def add(records: SqlAssetRecords, asset_id: str, content: Content = CONTENT, **changes: Any) -> Asset:
    key = blob_key(CLIENT, asset_id.encode().ljust(16, b"_"))
    return await records.add(intake(**changes), content, asset_id=asset_id, blob_key=key)


async def add_output(records: SqlAssetRecords, asset_id: str, job_id: str) -> Asset:
    return await add(records, asset_id, origin=Origin.OUTPUT, job_id=job_id)


async def standing(records: SqlAssetRecords, asset_id: str) -> Standing | None:
    asset = await records.find_any(asset_id)
    return None if asset is None else asset.standing


async def test_migrations_make_the_tables_of_the_code(database_url: str, database: Database) -> None:
    assert_migrations_match(database_url, METADATA)


async def test_a_record_comes_back_whole(records: SqlAssetRecords) -> None:
    stored = await add(records, "a1", retention_s=60, source_url="https://example.com/x.png", origin=Origin.URL)
    assert stored == await records.find("a1", client_id=CLIENT)
    assert (stored.create_ms, stored.expire_ms) == (START_MS, START_MS + 60_000)
    assert (stored.name, stored.content, stored.standing) == ("参考.png", CONTENT, Standing.KEPT)


async def test_another_client_finds_nothing(records: SqlAssetRecords) -> None:
    await add(records, "a1")
    assert await records.find("a1", client_id="partner-b") is None
    assert await records.begin_delete("a1", client_id="partner-b") is None
    assert list(await records.page(Filter(client_id="partner-b"), after=None, limit=9)) == []
    assert await records.find("a1", client_id=CLIENT) is not None


async def test_adding_an_id_twice_returns_the_first_record(records: SqlAssetRecords) -> None:
    first = await add(records, "a1")
    second = await records.add(intake(), CONTENT, asset_id="a1", blob_key=blob_key(CLIENT, b"another key 1234"))
    assert second == first


async def test_adding_an_id_many_times_at_once_stores_one(records: SqlAssetRecords) -> None:
    keys = [blob_key(CLIENT, number.to_bytes(16, "big")) for number in range(12)]
    assets = await asyncio.gather(*(records.add(intake(), CONTENT, asset_id="a1", blob_key=key) for key in keys))
    assert len({asset.blob_key for asset in assets}) == 1


async def test_an_expired_asset_is_absent_at_once_and_deleting_after_the_sweep(
    records: SqlAssetRecords, upkeep: SqlUpkeep, clock: FakeClock
) -> None:
    await add(records, "short", retention_s=60)
    await add(records, "long", retention_s=61)
    await add(records, "ever")
    assert await upkeep.expire(limit=9) == 0
    clock.advance(60)
    assert await records.find("short", client_id=CLIENT) is None
    assert [asset.id for asset in await records.page(Filter(client_id=CLIENT), after=None, limit=9)] == [
        "long",
        "ever",
    ]
    assert await upkeep.expire(limit=9) == 1
    assert [asset.id for asset in await upkeep.deleting(limit=9)] == ["short"]
    assert await upkeep.expire(limit=9) == 0


async def test_pages_go_through_all_records_newest_first(records: SqlAssetRecords, clock: FakeClock) -> None:
    for number in range(7):
        await add(records, f"a{number}")
        clock.advance(number % 2)  # Several records of one millisecond.
    wanted = Filter(client_id=CLIENT)
    seen: list[Asset] = []
    while page := await records.page(wanted, after=(seen[-1].create_ms, seen[-1].id) if seen else None, limit=3):
        seen += page
    assert [asset.id for asset in seen] == ["a6", "a5", "a4", "a3", "a2", "a1", "a0"]


async def test_filters_add_up(records: SqlAssetRecords, clock: FakeClock) -> None:
    video = Content(mime_type="video/mp4", size_bytes=3, sha256="1" * 64)
    await add(records, "upload")
    clock.advance(1)
    await add(records, "url", origin=Origin.URL, source_url="https://example.com/")
    await add(records, "output", video, origin=Origin.OUTPUT, job_id="job_1")

    async def ids(**filters: Any) -> list[str]:
        return [asset.id for asset in await records.page(Filter(client_id=CLIENT, **filters), after=None, limit=9)]

    assert await ids() == ["url", "output", "upload"]
    assert await ids(origin=Origin.URL) == ["url"]
    assert await ids(kind="video") == ["output"]
    assert await ids(kind="image", before_ms=START_MS + 1000) == ["upload"]
    assert await ids(job_id="job_1") == ["output"]
    assert await ids(job_id="job_1", kind="image") == []


async def test_deleting_takes_two_steps_and_the_links_along(
    records: SqlAssetRecords, upkeep: SqlUpkeep, links: SqlLinkRecords
) -> None:
    stored = await add(records, "a1")
    await links.ensure("a1", "", token="t1", expire_ms=None)
    await records.finish_delete(["a1"])  # Not deleting, so it stays.
    marked = await records.begin_delete("a1", client_id=CLIENT)
    assert marked is not None
    assert marked.blob_key == stored.blob_key
    assert await records.find("a1", client_id=CLIENT) is None
    assert await links.open("t1") is None
    assert await records.begin_delete("a1", client_id=CLIENT) is None
    assert list(await upkeep.unknown_keys([stored.blob_key])) == []
    await records.finish_delete(["a1"])
    assert await records.find_any("a1") is None
    assert list(await upkeep.unknown_keys([stored.blob_key])) == [stored.blob_key]


async def test_a_provisional_output_is_not_deleted_by_its_client(records: SqlAssetRecords) -> None:
    await add_output(records, "o1", "job_1")
    assert await records.begin_delete("o1", client_id=CLIENT) is None
    assert await standing(records, "o1") is Standing.PROVISIONAL


async def test_settling_keeps_what_is_listed_and_drops_the_rest(records: SqlAssetRecords, upkeep: SqlUpkeep) -> None:
    for asset_id, job_id in (("o1", "job_1"), ("o2", "job_1"), ("o3", "job_2")):
        await add_output(records, asset_id, job_id)
    doomed = await upkeep.settle("job_1", keep=["o1", "o3"], event_id="event-1")
    assert [asset.id for asset in doomed] == ["o2"]
    assert await standing(records, "o1") is Standing.KEPT
    assert await standing(records, "o2") is Standing.DELETING
    assert await standing(records, "o3") is Standing.PROVISIONAL  # Another job's, whatever the event claims.


async def test_settling_without_result_drops_all_but_never_kept_ones(
    records: SqlAssetRecords, upkeep: SqlUpkeep
) -> None:
    await add_output(records, "o1", "job_1")
    await upkeep.settle("job_1", keep=["o1"], event_id="event-1")
    await add_output(records, "o2", "job_1")
    doomed = await upkeep.settle("job_1", keep=[], event_id="event-2")
    assert [asset.id for asset in doomed] == ["o2"]
    assert await standing(records, "o1") is Standing.KEPT


async def test_an_event_seen_before_changes_nothing(records: SqlAssetRecords, upkeep: SqlUpkeep) -> None:
    await add_output(records, "o1", "job_1")
    assert len(await upkeep.settle("job_1", keep=[], event_id="event-1")) == 1
    await add_output(records, "o2", "job_1")
    assert len(await upkeep.settle("job_1", keep=[], event_id="event-1")) == 0
    assert await standing(records, "o2") is Standing.PROVISIONAL


async def test_undecided_jobs_are_those_with_old_provisional_outputs(
    records: SqlAssetRecords, upkeep: SqlUpkeep, clock: FakeClock
) -> None:
    for number in range(3):
        await add_output(records, f"o{number}", f"job_{number}")
        await add_output(records, f"p{number}", f"job_{number}")
    await upkeep.settle("job_1", keep=["o1"])
    clock.advance(600)
    await add_output(records, "o9", "job_9")

    async def undecided(after: str, limit: int) -> list[str]:
        return list(await upkeep.undecided_jobs(older_than_s=600, after=after, limit=limit))

    assert await undecided("", 9) == ["job_0", "job_2"]
    assert await undecided("", 1) == ["job_0"]
    assert await undecided("job_0", 9) == ["job_2"]


async def test_a_link_is_the_same_for_the_same_asset_and_variant(
    records: SqlAssetRecords, links: SqlLinkRecords
) -> None:
    stored = await add(records, "a1")
    assert await links.ensure("a1", "", token="t1", expire_ms=None) == "t1"
    assert await links.ensure("a1", "", token="t2", expire_ms=None) == "t1"
    assert await links.ensure("a1", "grid", token="t3", expire_ms=None) == "t3"
    assert await links.open("t1") == stored
    assert await links.open("t3") == stored
    assert await links.open("t2") is None


async def test_two_who_want_the_first_link_get_the_same(records: SqlAssetRecords, links: SqlLinkRecords) -> None:
    await add(records, "a1")
    tokens = await asyncio.gather(*(links.ensure("a1", "", token=f"t{number}", expire_ms=None) for number in range(12)))
    assert len(set(tokens)) == 1


async def test_a_link_ends_with_its_time_and_is_then_made_anew(
    records: SqlAssetRecords, links: SqlLinkRecords, clock: FakeClock
) -> None:
    await add(records, "a1")
    await links.ensure("a1", "", token="t1", expire_ms=START_MS + 1000)
    clock.advance(1)
    assert await links.open("t1") is None
    assert await links.ensure("a1", "", token="t2", expire_ms=None) == "t2"
    assert await links.open("t2") is not None


async def test_a_link_ends_with_its_asset(records: SqlAssetRecords, links: SqlLinkRecords, clock: FakeClock) -> None:
    await add(records, "a1", retention_s=5)
    await links.ensure("a1", "", token="t1", expire_ms=None)
    clock.advance(5)
    assert await links.open("t1") is None
    with pytest.raises(AssetNotFound):
        await links.ensure("a1", "", token="t2", expire_ms=None)


async def test_no_link_to_what_is_not_kept(records: SqlAssetRecords, links: SqlLinkRecords) -> None:
    await add_output(records, "o1", "job_1")
    for asset_id in ("o1", "nothing"):
        with pytest.raises(AssetNotFound):
            await links.ensure(asset_id, "", token="t1", expire_ms=None)
