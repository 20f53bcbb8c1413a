"""A hundred thousand waiting jobs and as many finished ones cost the hot path nothing."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, insert, text

from job_orchestrator.domain.job import Job
from job_orchestrator.domain.order import Amount
from job_orchestrator.mapping.order import to_order
from job_orchestrator.ports import JobFilter
from job_orchestrator.sql import admission, lists, overdue, queue
from job_orchestrator.sql.rows import order_row, standing_row
from job_orchestrator.sql.tables import JOBS, LANES
from kit.db import migrate
from kit.ids import new_id

JOBS_MAX = 100_000
CLIENTS_IDLE = 20_000
CROWD = "crowd"


def rows(world: Any, count: int) -> list[dict[str, Any]]:
    """Queued jobs of one client."""
    order = to_order(world.order(), client_id=CROWD)
    job = Job.accepted(order, held=Amount(unit=1, value=30), position=1, now_ms=world.clock.now_ms()).job
    row = order_row(job) | standing_row(job)
    return [row | {"id": new_id("job"), "accept_position": number + 1} for number in range(count)]


async def fill(world: Any) -> None:
    """A crowd of waiting jobs of one client, and many clients who have none."""
    crowd = rows(world, JOBS_MAX)
    for start in range(0, JOBS_MAX, 5_000):
        part = crowd[start : start + 5_000]
        await world.database.write(lambda tx, part=part: tx.conn.execute(insert(JOBS), part) and None, timeout_s=60)
    idle = [
        {"pool": "default", "client_id": f"idle-{number}", "pass": 0, "weight": 1, "ready": 0, "delayed": 0}
        for number in range(CLIENTS_IDLE)
    ]
    counters = text("INSERT INTO clients VALUES (:client, :jobs, :jobs, 0, :jobs)")

    def work(tx: Any) -> None:
        tx.conn.execute(insert(LANES), idle)
        tx.conn.execute(insert(LANES), idle[0] | {"client_id": CROWD, "ready": JOBS_MAX})
        tx.conn.execute(counters, {"client": CROWD, "jobs": JOBS_MAX})

    await world.database.write(work, timeout_s=60)


async def test_the_hot_path_stays_fast_behind_a_hundred_thousand_jobs(build: Any) -> None:
    world = await build(queue_max=JOBS_MAX + 100)
    await fill(world)
    begun = time.process_time()
    accepted = [await world.accept(client="newcomer") for _ in range(20)]
    leases = [lease for _ in range(20) for lease in await world.lease(2)]
    served = Counter(lease.job.client_id for lease in leases)
    assert served == {CROWD: 20, "newcomer": 20}
    assert {lease.job.id for lease in leases if lease.job.client_id == "newcomer"} == {job.id for job in accepted}
    assert [job.client_id for job in (await world.page(client=CROWD, page_size=5)).jobs] == [CROWD] * 5
    await world.sweep()
    # 62 calls of a millisecond or two each; a scan of the crowd in any of them would cost more than all.
    assert time.process_time() - begun < 2.0


PLANS = {
    queue._LOOK: ["lanes_ready", "jobs_delayed"],
    queue._LANES: ["lanes_ready"],
    queue._READY_IDS: ["jobs_ready"],
    queue._LOCK_DUE: ["jobs_delayed"],
    overdue._LOST_LEASES: ["jobs_leased"],
    overdue._PAST_DEADLINE: ["jobs_live"],
    overdue._IGNORED_CANCELS: ["jobs_cancel_asked"],
    overdue._DUE_POOLS: ["jobs_delayed"],
    overdue._PAST_RETENTION: ["jobs_kept_for_a_time"],
    lists._OF_CLIENT: ["PRIMARY KEY (client_id=? AND position>?)"],
    lists._OF_CLIENTS_JOB: ["(job_id=?)"],
    admission._PROBE: ["lanes_waiting"],
    admission._OLD_KEYS: ["idempotency_keys_by_age"],
}


@pytest.mark.parametrize("statement", PLANS, ids=[str(number) for number in range(len(PLANS))])
def test_each_statement_of_the_hot_path_uses_its_index(tmp_path: Path, statement: Any) -> None:
    migrate(f"sqlite:///{tmp_path}/jobs.db", "job_orchestrator")
    engine = create_engine(f"sqlite:///{tmp_path}/jobs.db")
    try:
        with engine.connect() as connection:
            plan = "\n".join(_plan(connection, statement))
    finally:
        engine.dispose()
    assert "SCAN job" not in plan.replace("SCAN jobs USING INDEX jobs_delayed", "")
    for index in PLANS[statement]:
        assert index in plan


def _plan(connection: Connection, statement: Any) -> list[str]:
    compiled = statement.compile(dialect=connection.dialect)
    values = tuple(1 for _ in compiled.positiontup)
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]


def test_a_list_reads_ordered_ranges_and_sorts_nothing(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path}/jobs.db", "job_orchestrator")
    engine = create_engine(f"sqlite:///{tmp_path}/jobs.db")
    seen: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
    try:
        with engine.connect() as connection:
            tx: Any = type("FakeTx", (), {"conn": connection})()
            lists.SqlLists().page(tx, JobFilter(client_id="a"), after=None, skip=3, limit=5)
            statement, values = seen[0]
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    finally:
        engine.dispose()
    assert sum("jobs_of_client (client_id=? AND state=?)" in step for step in plan) == 6
    assert not any("TEMP B-TREE" in step for step in plan)
