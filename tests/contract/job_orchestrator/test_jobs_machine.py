"""Any sequence of calls, sensible or not, leaves the books right and every job with at most one end."""

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from atelier.jobs.v1 import job_pb2
from kit.db import migrate
from kit.errors import AppError
from testkit.clock import FakeClock

OUTCOMES = ("SUCCEEDED", "UNSENT", "RETRYABLE", "ROUTE_FAILED", "FAILED", "CANCELLED", "UNKNOWN", "DEFERRED")
TERMINAL = {"job_succeeded", "job_failed", "job_expired", "job_cancelled"}
PROVIDERS = ("one", "two")
REFUSALS = {"LEASE_LOST", "CONFLICT", "JOB_ALREADY_FINISHED", "TOO_MANY_JOBS"}


def test_no_sequence_of_calls_breaks_the_books(tmp_path: Path, builder: Any) -> None:
    template = tmp_path / "template.db"
    migrate(f"sqlite:///{template}", "job_orchestrator")
    numbers = itertools.count()

    class Life(RuleBasedStateMachine):
        jobs = Bundle("jobs")
        leases = Bundle("leases")
        attempts = Bundle("attempts")

        def __init__(self) -> None:
            super().__init__()
            path = tmp_path / f"{next(numbers)}.db"
            shutil.copy(template, path)
            self.path = path
            self.runner = asyncio.Runner()
            self.builder = builder(f"sqlite:///{path}", FakeClock())
            self.world = self.runner.run(self.builder(finished_jobs_max=0))
            self.ended: dict[str, job_pb2.Job] = {}

        def call(self, call: Any) -> Any:
            """Return the answer, or None for a refusal that such a call may get."""
            try:
                return self.runner.run(call)
            except AppError as error:
                if error.reason not in REFUSALS:
                    raise
                return None

        @rule(target=jobs, client=st.sampled_from(["a", "b"]), limit=st.sampled_from([0, 3]), weight=st.integers(1, 3))
        def accept(self, client: str, limit: int, weight: int) -> Any:
            routes = [job_pb2.Route(provider=provider) for provider in PROVIDERS]
            changes = {"jobs_in_flight_max": limit, "weight": weight, "routes": routes}
            job = self.call(self.world.accept(client=client, **changes))
            return multiple() if job is None else (job.id, client)

        @rule(target=leases, slots=st.integers(1, 3))
        def lease(self, slots: int) -> Any:
            return multiple(*self.call(self.world.lease(slots, lease_s=20)))

        @rule(lease=leases, progress=st.integers(0, 99))
        def renew(self, lease: Any, progress: int) -> None:
            self.call(self.world.renew(lease, progress=progress))

        @rule(target=attempts, lease=leases, route=st.integers(0, 1), repeatable=st.booleans())
        def begin(self, lease: Any, route: int, repeatable: bool) -> Any:
            attempt = self.call(self.world.begin(lease, route=route, repeatable=repeatable))
            return multiple() if attempt is None else (lease, attempt)

        @rule(begun=attempts, task=st.sampled_from(["task-1", "task-2"]))
        def record(self, begun: Any, task: str) -> None:
            self.call(self.world.record(*begun, task))

        @rule(begun=attempts, outcome=st.sampled_from(OUTCOMES))
        def finish(self, begun: Any, outcome: str) -> None:
            self.call(self.world.finish(*begun, outcome))

        @rule(lease=leases, outcome=st.sampled_from(["FAILED", "RETRYABLE", "CANCELLED"]))
        def finish_without_attempt(self, lease: Any, outcome: str) -> None:
            self.call(self.world.finish(lease, None, outcome))

        @rule(lease=consumes(leases))
        def release(self, lease: Any) -> None:
            self.call(self.world.release(lease))

        @rule(job=jobs)
        def cancel(self, job: Any) -> None:
            self.call(self.world.cancel(job[0], client=job[1]))

        @rule(seconds=st.sampled_from([1, 5, 25, 700]))
        def time_passes(self, seconds: int) -> None:
            self.runner.run(self.world.sweep(after_s=seconds))

        @rule(job=jobs)
        def fate(self, job: Any) -> None:
            (fate,) = self.runner.run(self.world.fates(job[0]))
            assert not fate.fenced

        @invariant()
        def books_are_right(self) -> None:
            self.runner.run(self.check())

        async def check(self) -> None:
            await self.world.check_books()
            told: dict[str, list[str]] = {}
            for name, event in await self.world.outbox():
                told.setdefault(event.header.job_id, []).append(name)
            for job_id, client_id in await self.world.sql("SELECT id, client_id FROM jobs"):
                job = await self.world.get(job_id, client=client_id)
                ends = [name for name in told[job_id] if name in TERMINAL]
                over = job.state >= job_pb2.JOB_STATE_SUCCEEDED
                assert ends == ([f"job_{job_pb2.JobState.Name(job.state)[10:].lower()}"] if over else [])
                assert told[job_id][0] == "job_accepted"
                if over:
                    assert self.ended.setdefault(job_id, job) == job
            twice = "SELECT job_id FROM attempts WHERE outcome = 1 GROUP BY job_id HAVING count(*) > 1"
            assert await self.world.sql(twice) == []

        def teardown(self) -> None:
            self.runner.run(self.builder.close())
            self.runner.close()
            self.path.unlink()

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
