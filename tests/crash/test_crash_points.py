"""Every declared crash point: the process dies right there under load, and the next one loses and doubles nothing.

The points are found, not listed: a new one is tested by declaring it. A point that the load never reaches fails.
"""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest
from crash_audit import audit, settle, sweep_leftovers, until_busy, work_under_way
from crash_catalogue import declared, declared_when_imported, embedded, on_servers
from crash_houses import ATELIER, EmbeddedHouse, House, StackHouse

from kit.crash import ENVIRONMENT, EXIT_STATUS
from testkit.servers import ServerNotStarted

REACHED_S = 20.0  # The load does everything the house can within a second or two of an idle machine.
TRIES_MAX = 5
WORKER = "provider-adapter"
LOOK_S = 0.05
POINTS = declared()

#: Looks often and waits little, so that what the dead left behind is found within the test.
QUICK = {
    "PROVIDERS_LEASE_S": "2",
    "PROVIDERS_ENGINE_WORKERS": "1",
    "BILLING_SWEEP_INTERVAL_S": "0.5",
    "BILLING_ORPHAN_GRACE_S": "10",
    "ASSETS_SWEEP_EVERY_S": "0.5",
}


def test_every_declared_point_is_tested() -> None:
    assert sorted(POINTS) == declared_when_imported()
    assert embedded(POINTS)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("point", embedded(POINTS))
async def test_nothing_is_lost_or_doubled_when_the_process_dies_at(
    tmp_path: Path, point: str, record_property: Any
) -> None:
    rng = random.Random(point)
    async with EmbeddedHouse(tmp_path / "house", environment=QUICK) as house:
        load = await house.load(rng)
        async with load:
            await _leave_work_half_done(house)
            await _dies_at(house, ATELIER, point)
            await house.start()
            await load.stop()
            await settle(house)
        counts = await audit(house, load)
        await sweep_leftovers(house)
    record_property("jobs", counts["jobs"])
    print(f"{point}: {dict(counts)}")


@pytest.mark.servers
@pytest.mark.timeout(1500)
async def test_nothing_is_lost_or_doubled_when_one_service_of_the_stack_dies_at_each_point(
    tmp_path: Path, record_property: Any
) -> None:
    began_s = time.monotonic()
    async with StackHouse(tmp_path / "house", environment=QUICK) as house:
        await house.start()
        load = await house.load(random.Random(1))
        async with load:
            for service, point in on_servers(POINTS):
                await until_busy(house)
                await _dies_at(house, service, point)
                await house.start(service)
            await load.stop()
            await settle(house)
        counts = await audit(house, load)
    record_property("jobs", counts["jobs"])
    print(f"{len(on_servers(POINTS))} deaths in {time.monotonic() - began_s:.0f} s: {dict(counts)}")


async def _leave_work_half_done(house: EmbeddedHouse) -> None:
    """Start and kill, as any crash does it, until the dead one has left jobs behind that it had not settled."""
    for _ in range(TRIES_MAX):
        await house.start()
        await until_busy(house)
        await house.kill()
        if await work_under_way(house):
            return
    raise AssertionError("the house is always quiet when it is killed")


async def _dies_at(house: House, service: str, point: str) -> None:
    """Arm `point` and start the service, again if it runs; return when it has died there, and disarm it."""
    house.deployment.configure(service=service, **{ENVIRONMENT: point})
    worker = house.deployment.services.get(WORKER)
    for _ in range(TRIES_MAX):
        if await _died(house, service):
            break
        # Some are passed only when a start finds holds open, and a job that ends closes its own: none shall end.
        await until_busy(house)
        if worker is not None and worker.running:
            await house.kill(WORKER)
        await house.kill(service)
    else:
        raise AssertionError(f"{service} never passes {point}")
    house.deployment.configure(service=service, **{ENVIRONMENT: None})
    house.kills += 1
    if worker is not None and not worker.running and service != WORKER:
        await house.start(WORKER)


async def _died(house: House, service: str) -> bool:
    """Start the armed service, again if it runs, and tell whether it has died at its point in time."""
    process = house.deployment.services[service]
    try:
        await house.deployment.restart(service)
    except ServerNotStarted:
        if process.exit_status != EXIT_STATUS:  # What a crash left behind may lead to the point before it serves.
            raise
    deadline = time.monotonic() + REACHED_S
    while process.running:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    assert process.exit_status == EXIT_STATUS, f"{service} ended with {process.exit_status}, not at its point"
    return True
