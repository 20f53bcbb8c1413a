"""`kill -9` of the embedded deployment at random moments under load: every accepted job ends once, no output is lost,
the books balance, and nothing is left behind.

Each shard has a folder of its own and kills its deployment KILLS times: while it starts (the very first start and its
migrations among them), a moment after it serves, and while it is at work. CRASH_SEED repeats a run.
"""

import asyncio
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from crash_audit import audit, settle, sweep_leftovers
from crash_hooks import ENVIRONMENT, Hooks
from crash_houses import EmbeddedHouse

KILLS = 26
FIRST_STARTS = 3  # Killed before anything was ever served from the folder.
WHILE_STARTING = 0.2  # Share of the other kills; the rest is killed while it serves:
SOON_S = (0.05, 0.9)  # mostly at once,
LATER_S = (0.9, 3.0)  # and sometimes when the engine is warm and jobs really end.
LATER = 0.3
SEED_VARIABLE = "CRASH_SEED"  # Without our prefix: tests clear what has it.

#: A short lease lets the next process take up what the last one held; the usual one keeps it out of reach for long.
SHARDS: list[Mapping[str, str]] = [
    {"PROVIDERS_LEASE_S": "2"},
    {"PROVIDERS_LEASE_S": "3"},
    {"PROVIDERS_LEASE_S": "5", "PROVIDERS_ENGINE_WORKERS": "2"},
    {},  # As shipped.
]
QUICK = {**ENVIRONMENT, "ASSETS_SWEEP_EVERY_S": "0.5", "PROVIDERS_ENGINE_WORKERS": "1"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shard", range(len(SHARDS)))
async def test_nothing_is_lost_or_doubled_when_killed_at_random_moments(
    tmp_path: Path, shard: int, record_property: Any
) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"shard {shard}: {SEED_VARIABLE}={seed}")
    rng, began_s = random.Random(f"{seed}/{shard}"), time.monotonic()
    async with Hooks() as hooks, EmbeddedHouse(tmp_path / "house", environment=QUICK | SHARDS[shard]) as house:
        load = await house.load(rng, webhook_url=hooks.url)
        async with load:
            moments = await _kill_again_and_again(house, rng)
            await house.start()
            await load.stop()
            quiet_s = await settle(house)
        counts = await audit(house, load, hooks)
        await sweep_leftovers(house)
    assert counts["succeeded"] >= KILLS, "the load was no load"
    for name, value in {"seed": seed, "kills": house.kills, **counts}.items():
        record_property(name, value)
    print(f"{house.kills} kills ({dict(moments)}), quiet after {quiet_s:.1f} s, {time.monotonic() - began_s:.0f} s")
    print(dict(counts))


async def _kill_again_and_again(house: EmbeddedHouse, rng: random.Random) -> Counter[str]:
    moments: Counter[str] = Counter()
    for number in range(KILLS):
        if number < FIRST_STARTS or rng.random() < WHILE_STARTING:
            served = await house.kill_while_starting(rng.uniform(0.05, 0.9) * house.start_s)
            moments["just serving" if served else "while starting"] += 1
            continue
        await house.start()
        later = rng.random() < LATER
        await asyncio.sleep(rng.uniform(*(LATER_S if later else SOON_S)))
        await house.kill()
        moments["at work" if later else "soon"] += 1
    return moments
