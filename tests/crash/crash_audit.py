"""The audit after the last restart: nothing lost, nothing doubled, nothing left over.

`settle` waits until nobody moves any more; `audit` then compares what partners were told with what the house keeps, and
the house's books, event log, records and files with one another.
"""

import asyncio
import hashlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crash_hooks import Hooks
from crash_houses import POINTS, EmbeddedHouse, House
from crash_load import Diary, Load

from testkit.openclient import OpenClient, Refused

QUIET_TIMEOUT_S: Final = 120.0  # A lease of 30 s, the backlog on a machine that does other things too, and sweeps.
LOOK_S: Final = 0.25
BUSY: Final = 3  # Jobs under way, so that the next process finds leases, holds and files as they lie.
TERMINAL_KINDS: Final = {3: "succeeded", 4: "failed", 5: "expired", 6: "cancelled"}
BROKEN_OFF: Final = "The work on this job broke off too many times."

#: database → what must be nothing once all is settled.
UNSETTLED: Final[dict[str, dict[str, str]]] = {
    "jobs": {
        "unfinished jobs": "SELECT count(*) AS n FROM jobs WHERE state <= 2",
        "unsent events of jobs": "SELECT count(*) AS n FROM outbox WHERE sent_ms IS NULL",
    },
    "billing": {
        "open holds": "SELECT count(*) AS n FROM holds WHERE state = 'held'",
        "unsent events of billing": "SELECT count(*) AS n FROM outbox WHERE sent_ms IS NULL",
    },
    "gateway": {"webhooks under way": "SELECT count(*) AS n FROM deliveries WHERE state = 'pending'"},
    "assets": {"unfinished deletions": "SELECT count(*) AS n FROM assets WHERE standing = 'deleting'"},
}


@dataclass
class Findings:
    """What is wrong, and how much was looked at."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)

    def same(self, found: object, wanted: object, what: str) -> None:
        self.expect(found == wanted, f"{what}: {found!r}, not {wanted!r}")


async def work_under_way(house: House) -> int:
    """Count the open holds: jobs that are accepted and not settled, or were about to be."""
    [row] = await house.rows("billing", UNSETTLED["billing"]["open holds"])
    return int(row["n"])


async def until_busy(house: House, *, jobs: int = BUSY) -> None:
    """Wait until so many jobs are under way. Raises AssertionError."""
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    while await work_under_way(house) < jobs:
        assert time.monotonic() < deadline, "the load is no load"
        await asyncio.sleep(LOOK_S / 5)


async def settle(house: House, *, timeout_s: float = QUIET_TIMEOUT_S) -> float:
    """Wait until no job, hold, event or deletion is under way and return how long it took. Raises AssertionError."""
    began_s = time.monotonic()
    while left := await _unsettled(house):
        assert time.monotonic() - began_s < timeout_s, f"after {timeout_s:.0f} s there still are {left}"
        await asyncio.sleep(LOOK_S)
    return time.monotonic() - began_s


async def _unsettled(house: House) -> dict[str, int]:
    found = {}
    for database, questions in UNSETTLED.items():
        for what, query in questions.items():
            [row] = await house.rows(database, query)
            if row["n"]:
                found[what] = row["n"]
    return found


async def audit(house: House, load: Load, hooks: Hooks | None = None) -> Counter[str]:
    """Check everything there is to check and return what was counted. Raises AssertionError with every fault.

    With `hooks`, where the load's webhooks go, every end must have been told.
    """
    findings = Findings()
    jobs = {row["id"]: row for row in await house.rows("jobs", "SELECT * FROM jobs")}
    await _check_logs(house, jobs, findings)
    await _check_queue(house, findings)
    holds = await _check_holds(house, jobs, findings)
    for partner in load:
        await _check_diary(partner.open, partner.diary, jobs, findings)
        await _check_keys(house, partner.diary, findings)
        await _check_wallet(partner.open, partner.diary, jobs, holds, findings)
    await _check_ledger(house, findings)
    await _check_bytes(house, jobs, findings)
    if hooks is not None:
        _check_hooks(hooks, jobs, findings)
    findings.same(await house.strays(), {}, "processes that outlived their parent")
    findings.counts.update(_ends(jobs))
    findings.counts["jobs"] = len(jobs)
    findings.counts["children seen"] = house.brood.seen
    for diary in load.diaries:
        findings.counts.update(diary.counts)
    assert not findings.faults, "\n".join([f"{len(findings.faults)} faults:", *findings.faults[:50]])
    return findings.counts


# Jobs and their event log


async def _check_logs(house: House, jobs: dict[str, Any], findings: Findings) -> None:
    """Sequences without gaps, exactly one end, and the end is what the job says."""
    events = await house.rows(
        "jobs", "SELECT client_id, position, job_id, sequence, kind FROM job_events ORDER BY job_id, sequence"
    )
    logs = {job_id: list(log) for job_id, log in itertools.groupby(events, key=lambda event: event["job_id"])}
    findings.same(logs.keys(), jobs.keys(), "jobs with a log")
    for job_id, log in logs.items():
        job = jobs[job_id]
        findings.same([one["sequence"] for one in log], list(range(1, len(log) + 1)), f"sequences of {job_id}")
        findings.same(job["sequence"], len(log), f"newest sequence of {job_id}")
        ends = [one["kind"] for one in log if one["kind"] in TERMINAL_KINDS.values()]
        findings.same(ends, [TERMINAL_KINDS.get(job["state"])], f"ends of {job_id}")
        findings.expect(log[-1]["kind"] in TERMINAL_KINDS.values(), f"{job_id} goes on after its end")
    for client in await house.rows("jobs", "SELECT * FROM clients"):
        positions = sorted(one["position"] for one in events if one["client_id"] == client["client_id"])
        findings.same(positions, list(range(1, client["last_position"] + 1)), f"positions of {client['client_id']}")
        findings.same(client["in_flight"], 0, f"jobs in flight of {client['client_id']}")
    findings.counts["events"] = len(events)


async def _check_queue(house: House, findings: Findings) -> None:
    for lane in await house.rows("jobs", "SELECT * FROM lanes"):
        findings.same((lane["ready"], lane["delayed"]), (0, 0), f"waiting in the lane of {lane['client_id']}")
    for database in ("jobs", "billing"):
        given_up = await house.rows(database, "SELECT id, subject, error FROM outbox WHERE error IS NOT NULL")
        findings.same(given_up, [], f"events that {database} gave up")
    doubled = await house.rows(
        "jobs", "SELECT job_id FROM attempts WHERE outcome = 1 GROUP BY job_id HAVING count(*) > 1"
    )
    findings.same(doubled, [], "jobs with two successful attempts")


# Money


async def _check_holds(house: House, jobs: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """One hold a job, resolved once and rightly; a hold without a job belongs to an id that was given up."""
    holds = {row["id"]: row for row in await house.rows("billing", "SELECT * FROM holds")}
    resolutions = Counter(
        row["job_id"]
        for row in await house.rows(
            "billing", "SELECT job_id FROM transactions WHERE kind IN ('capture', 'release', 'timeout')"
        )
    )
    fenced = {row["id"] for row in await house.rows("jobs", "SELECT id FROM job_ids WHERE fenced = 1")}
    findings.same(fenced & jobs.keys(), set(), "jobs whose id was given up")
    findings.same(jobs.keys() - holds.keys(), set(), "jobs without a hold")
    for hold_id, hold in holds.items():
        job = jobs.get(hold_id)
        findings.same(resolutions[hold_id], 1, f"resolutions of hold {hold_id}")
        if job is None:
            findings.expect(hold_id in fenced, f"hold {hold_id} has no job and its id was not given up")
        wanted = hold["amount_per_output"] * _delivered(job)
        findings.same(hold["captured"], wanted, f"captured for {hold_id}")
        findings.same(hold["state"] == "captured", wanted > 0, f"hold {hold_id} is captured")
    findings.counts["holds without a job"] = len(holds.keys() - jobs.keys())
    return holds


async def _check_wallet(
    partner: OpenClient, diary: Diary, jobs: dict[str, Any], holds: dict[str, Any], findings: Findings
) -> None:
    spent = sum(
        holds[job["id"]]["amount_per_output"] * _delivered(job)
        for job in jobs.values()
        if job["client_id"] == diary.client_id and job["id"] in holds
    )
    wanted = {"available": POINTS - spent, "held": 0, "spent": spent}
    findings.same(await partner.points(), wanted, f"wallet of {diary.client_id}")
    findings.counts["points spent"] += spent


async def _check_ledger(house: House, findings: Findings) -> None:
    status, output = await house.verify_ledger()
    findings.expect(status == 0, f"`atelier ledger verify` ended with {status}: {output[-2000:]}")
    findings.expect(" 0 open holds" in output, f"`atelier ledger verify` says: {output[-500:]}")


# What partners were told


async def _check_diary(partner: OpenClient, diary: Diary, jobs: dict[str, Any], findings: Findings) -> None:
    """Every answered job is there, ended in one way, and its outputs come as the bytes they are recorded as."""
    findings.faults += [f"{diary.client_id} was told: {what}" for what in diary.contradictions]
    findings.same(diary.jobs.keys() - jobs.keys(), set(), "answered jobs that are lost")
    for job_id in [job_id for job_id, job in jobs.items() if job["client_id"] == diary.client_id]:
        job = await partner.job(job_id)
        diary.saw(job)
        findings.same(job["status"], TERMINAL_KINDS.get(jobs[job_id]["state"]), f"status of {job_id}")
        await _check_end(partner, diary, job, findings)
    findings.faults += [f"{diary.client_id} is told now: {what}" for what in diary.contradictions]
    for asset_id, sha256 in diary.uploads.items():
        await _check_upload(partner, diary, asset_id, sha256, findings)
    findings.counts["answered submits"] += len(diary.jobs)


async def _check_end(partner: OpenClient, diary: Diary, job: dict[str, Any], findings: Findings) -> None:
    job_id, status = job["id"], job["status"]
    if status == "succeeded":
        findings.same(len(job["outputAssetIds"]), 1, f"outputs of {job_id}")
        for asset_id in job["outputAssetIds"]:
            await _check_download(partner, asset_id, None, findings)
    elif status == "cancelled":
        findings.expect(job_id in diary.cancels, f"{job_id} is cancelled and nobody asked for it")
    else:  # Nothing else is wrong with these jobs than the kills.
        message = (job["error"] or {}).get("message")
        findings.same((status, message), ("failed", BROKEN_OFF), f"end of {job_id}")
        findings.counts["broken off too often"] += 1


async def _check_upload(partner: OpenClient, diary: Diary, asset_id: str, sha256: str, findings: Findings) -> None:
    answered = diary.deletions.get(asset_id)
    if answered is None:
        await _check_download(partner, asset_id, sha256, findings)
    elif answered:
        response = await partner.get(f"/assets/{asset_id}")
        findings.same(response.status_code, 404, f"status of {asset_id}, which was deleted")
    findings.counts["uploads"] += 1


async def _check_download(partner: OpenClient, asset_id: str, sha256: str | None, findings: Findings) -> None:
    try:
        record = await partner.asset(asset_id)
        data = await partner.download(asset_id)
    except Refused as refused:
        findings.faults.append(f"{asset_id} cannot be had: {refused}")
        return
    found = (len(data), hashlib.sha256(data).hexdigest())
    findings.same(found, (record["bytes"], record["sha256"]), f"bytes of {asset_id}")
    if sha256 is not None:
        findings.same(record["sha256"], sha256, f"SHA-256 of {asset_id}")
    findings.counts["downloads"] += 1


async def _check_keys(house: House, diary: Diary, findings: Findings) -> None:
    """An answered key means one job, then and now."""
    stored = {
        row["key"]: row["job_id"]
        for row in await house.rows("jobs", "SELECT client_id, key, job_id FROM idempotency_keys")
        if row["client_id"] == diary.client_id
    }
    for key, job_ids in diary.keys.items():
        findings.same(job_ids, {stored.get(key)}, f"jobs of key {key}")
    findings.counts["keys"] += len(diary.keys)


def _check_hooks(hooks: Hooks, jobs: dict[str, Any], findings: Findings) -> None:
    """Each job's end was told, in one message, however often that was sent."""
    told = hooks.told
    for job_id, job in jobs.items():
        statuses = [status for _, status in told.get(job_id, ())]
        findings.same(statuses, [TERMINAL_KINDS.get(job["state"])], f"messages about {job_id}")
    findings.counts["webhooks"] = len(told)


# Records and files


async def _check_bytes(house: House, jobs: dict[str, Any], findings: Findings) -> None:
    """No record without bytes; outputs that are kept are those of jobs that succeeded with them."""
    records = await house.rows("assets", "SELECT id, standing, job_id, blob_key FROM assets")
    blobs = await house.blobs()
    named = {row["blob_key"] for row in records}
    findings.same(named - blobs, set(), "records without bytes")
    delivered = {asset_id for job in jobs.values() for asset_id in _asset_ids(job)}
    kept = {row["id"] for row in records if row["job_id"] and row["standing"] == "kept"}
    findings.same(kept - delivered, set(), "outputs that no job names")
    findings.same(delivered - {row["id"] for row in records}, set(), "delivered outputs without a record")
    findings.counts["files"] = len(blobs)
    findings.counts["orphaned files"] = len(blobs - named)
    findings.counts["undecided outputs"] = sum(row["standing"] == "provisional" for row in records)


async def sweep_leftovers(house: EmbeddedHouse) -> None:
    """A day later the sweepers leave exactly the files that records name, and no record undecided."""
    await house.grow_older()
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    while left := await _leftovers(house):
        assert time.monotonic() < deadline, f"the sweepers leave {left}"
        await asyncio.sleep(LOOK_S)


async def _leftovers(house: EmbeddedHouse) -> dict[str, Sequence[str]]:
    records = await house.rows("assets", "SELECT id, standing, blob_key FROM assets")
    named = {row["blob_key"] for row in records}
    blobs = await house.blobs()
    assert named <= blobs, f"records without bytes: {named - blobs}"
    found = {
        "files without a record": sorted(blobs - named),
        "spooled files": sorted(await house.spooled()),
        "undecided or deleting records": [row["id"] for row in records if row["standing"] != "kept"],
    }
    return {what: names for what, names in found.items() if names}


def _delivered(job: dict[str, Any] | None) -> int:
    """How many outputs of the job the price counts."""
    if job is None or job["state"] != 3:
        return 0
    outputs = json.loads(job["outputs_json"])
    counted = sum(1 for output in outputs if not output.get("extra"))
    return min(counted, int(json.loads(job["price_json"])["outputs"]))


def _asset_ids(job: dict[str, Any]) -> list[str]:
    return [output["asset_id"] for output in json.loads(job["outputs_json"] or "[]")]


def _ends(jobs: dict[str, Any]) -> Counter[str]:
    return Counter(TERMINAL_KINDS.get(job["state"], "unfinished") for job in jobs.values())
