"""One part of the stack killed at a time, under load: each service again and again, each server once, the whole
event stream at last. It costs time; no job, no output and no unit is lost or doubled.
"""

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Any, Final

import pytest
from crash_audit import audit, settle, until_busy
from crash_hooks import ENVIRONMENT, Hooks
from crash_houses import StackHouse
from crash_load import Load

pytestmark = pytest.mark.servers

ROUNDS: Final = 3  # Of kills of every service.
SERVE_S: Final = (0.2, 2.0)  # How long all is well between two kills,
AWAY_S: Final = (0.0, 1.0)  # and how long the killed one stays away before it is started again.
GRACE_S: Final = 10  # The shortest that billing takes: its sweeper asks after a hold that is older.
FOUND_S: Final = 30.0  # How late a lost event is found for a job that is young: what billing's sweeper promises.
UNHEARD_S: Final = 20.0  # A job ends within a second or two of an idle machine.
TRIES_MAX: Final = 3

QUICK: Final = {
    **ENVIRONMENT,
    "PROVIDERS_LEASE_S": "3",
    "PROVIDERS_ENGINE_WORKERS": "1",
    "BILLING_SWEEP_INTERVAL_S": "0.5",
    "BILLING_ORPHAN_GRACE_S": str(GRACE_S),
    "ASSETS_SWEEP_EVERY_S": "1",
}


@pytest.mark.timeout(1500)
async def test_nothing_is_lost_or_doubled_when_services_are_killed_one_at_a_time(
    tmp_path: Path, record_property: Any
) -> None:
    rng, began_s = random.Random(2), time.monotonic()
    async with Hooks() as hooks, StackHouse(tmp_path / "house", environment=QUICK) as house:
        await house.start()
        load = await house.load(rng, webhook_url=hooks.url)
        async with load:
            for _ in range(ROUNDS):
                for service in rng.sample(list(house.deployment.services), len(house.deployment.services)):
                    await asyncio.sleep(rng.uniform(*SERVE_S))
                    await house.kill(service)
                    await asyncio.sleep(rng.uniform(*AWAY_S))
                    await house.start(service)
            counts = await _quiet_and_right(house, load, hooks)
    record_property("kills", house.kills)
    print(f"{house.kills} kills of services, {time.monotonic() - began_s:.0f} s: {counts}")


@pytest.mark.timeout(1500)
async def test_nothing_is_lost_or_doubled_when_servers_are_killed_one_at_a_time(tmp_path: Path) -> None:
    rng, began_s = random.Random(3), time.monotonic()
    async with Hooks() as hooks, StackHouse(tmp_path / "house", environment=QUICK) as house:
        await house.start()
        load = await house.load(rng, webhook_url=hooks.url)
        async with load:
            for name, server in house.stack.servers.items():
                await asyncio.sleep(SERVE_S[1])
                await server.kill()
                await asyncio.sleep(AWAY_S[1])
                await server.start()
                print(f"{name} is back after {time.monotonic() - began_s:.0f} s")
            await asyncio.sleep(SERVE_S[1])
            assert all(one.running for one in house.deployment.services.values())
            counts = await _quiet_and_right(house, load, hooks)
    print(f"3 kills of servers, {time.monotonic() - began_s:.0f} s: {counts}")


@pytest.mark.timeout(1500)
async def test_losing_the_whole_event_stream_costs_time_and_no_job(tmp_path: Path) -> None:
    """Jobs end while nobody listens; the stream that carries their ends is gone before anybody does."""
    deaf = ("billing", "asset-store", "gateway")
    async with Hooks() as hooks, StackHouse(tmp_path / "house", environment=QUICK) as house:
        await house.start()
        load = await house.load(random.Random(4), webhook_url=hooks.url)
        async with load:
            await _jobs_end_unheard(house, deaf)
            await house.stack.nats.kill()
            shutil.rmtree(house.stack.nats.folder / "data")
            await house.stack.nats.start()
            for service in deaf:
                await house.start(service)
            began_s = time.monotonic()
            await load.stop()
            await settle(house, timeout_s=GRACE_S + FOUND_S + 60.0)
            settled_s = time.monotonic() - began_s
        counts = await audit(house, load, hooks)
    print(f"settled {settled_s:.1f} s after the stream was lost: {dict(counts)}")


async def _jobs_end_unheard(house: StackHouse, deaf: tuple[str, ...]) -> None:
    """Kill who would hear of ends while jobs are under way, and wait until some have ended and are in the stream."""
    # Outputs cannot be stored without the asset store, so it hears until the last moment.
    first = [service for service in deaf if service != "asset-store"]
    for _ in range(TRIES_MAX):
        await until_busy(house)
        for service in first:
            await house.kill(service)
        deadline = time.monotonic() + UNHEARD_S
        while time.monotonic() < deadline:
            if await _ended_unheard(house):
                await house.kill("asset-store")
                return
            await asyncio.sleep(0.05)
        for service in first:  # All that was under way had ended already, and been heard of.
            await house.start(service)
    raise AssertionError("every end was heard")


async def _ended_unheard(house: StackHouse) -> set[str]:
    """Jobs whose end is in the stream while their holds are still open."""
    sent = "SELECT order_key FROM outbox WHERE sent_ms IS NOT NULL AND subject LIKE '%job_succeeded'"
    ended = {row["order_key"] for row in await house.rows("jobs", sent)}
    held = {row["id"] for row in await house.rows("billing", "SELECT id FROM holds WHERE state = 'held'")}
    return ended & held


async def _quiet_and_right(house: StackHouse, load: Load, hooks: Hooks) -> dict[str, int]:
    await load.stop()
    quiet_s = await settle(house)
    counts = await audit(house, load, hooks)
    return {"quiet after (s)": round(quiet_s), **counts}
