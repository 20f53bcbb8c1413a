"""The adapter is killed between every two steps, again and again: the provider is paid once for each job, and it ends.

The house has no worker of its own for these jobs: each point has a pool, and an adapter in a process of its own that
works for it, dies at the point (as by kill -9, see `kit.crash`) and is started again.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import job_admin_service_pb2 as admin_pb2
from kit.crash import ENVIRONMENT, EXIT_STATUS
from kit.errors import Conflict
from testkit.deployments.ports import ReservedPort
from testkit.deployments.process import ServiceProcess, grpc_probe

#: At each point with each kind. Twenty a point (10) take some minutes; a run of all tests makes do with four.
KILLS: Final = int(os.environ.get("ATELIER_TEST_PROVIDER_KILLS", "2"))
#: One can be asked what became of a lost submit, the other calls back.
KINDS: Final = ("comfyui", "ark")
POINTS: Final = (
    "providers.work.after_lease",
    "providers.work.after_begin",
    "providers.remote.after_accepted",
    "providers.remote.after_record",
    "providers.work.after_run",
    "providers.work.after_store",
    "providers.work.after_finish",
)
AT_ONCE: Final = 4  # Adapters; each start takes a core for a second.
SUCCEEDED: Final = job_pb2.JOB_STATE_SUCCEEDED
LIVE: Final = frozenset({job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING})
INTENDED: Final = attempt_pb2.ATTEMPT_STATE_INTENDED
JOB_S: Final = 60.0
DEATHS_MAX: Final = 4  #: Of one job: at the fifth its workers' deaths would be blamed on it.
UNSENT_MAX: Final = 2  #: Of one job: after a third submit that was never sent its route is given up.
PRICE: Final = 10


class Killed:
    """One point, one kind: jobs one after the other until the adapter has died so many times."""

    def __init__(self, house: Any, folder: Path, *, kind: str, number: int) -> None:
        self.house, self.kind, self.point = house, kind, POINTS[number]
        self.account, self.jobs, self.kills = f"{kind}-p{number}", list[str](), 0
        port = ReservedPort()
        self.port = port
        target = f"dns:///{house.deployment.grpc_address('job-orchestrator')}"
        self.environment = {
            **house.environment,
            "ATELIER_INTERNAL_SECRET": house.deployment.internal_secret.get_secret_value(),
            "ATELIER_PUBLIC_URL": house.deployment.url,
            "PROVIDERS_LISTEN": port.address,
            "PROVIDERS_JOBS_TARGET": target,
            "PROVIDERS_ASSETS_TARGET": target,
            "PROVIDERS_POOL": self.account,
            "PROVIDERS_LEASE_S": "1",
        }
        self.process = ServiceProcess(
            f"adapter-{self.account}",
            ["-m", "provider_adapter"],
            environment={},
            log_path=folder / f"{self.account}.log",
            probe=grpc_probe(port.address),
        )

    async def run(self) -> None:
        """Kill so many times, then see every job through."""
        try:
            while self.kills < KILLS:
                job_id = await self.house.submit(self.account, f"a fox {self.account} {len(self.jobs)}")
                self.jobs.append(job_id)
                unsent = self.kind == "ark" and self.point == "providers.work.after_begin"
                for _ in range(min(UNSENT_MAX if unsent else DEATHS_MAX, KILLS - self.kills)):
                    if not await self._dies_over(job_id):
                        break
                await self._ends(job_id)
        finally:
            await self.process.close()
            self.port.release()

    async def _dies_over(self, job_id: str) -> bool:
        """Let an adapter die at the point; returns whether it did before the job had ended."""
        if (await self.house.job(job_id)).state not in LIVE:
            return False
        self.process.environment = {**self.environment, ENVIRONMENT: self.point}
        self.process.spawn()
        until = time.monotonic() + JOB_S
        while self.process.running:
            assert time.monotonic() < until, f"{self.account}: neither dead nor done: {await self._told(job_id)}"
            await self._help(job_id)
            if (await self.house.job(job_id)).state not in LIVE and self.point != "providers.work.after_finish":
                await self.process.terminate(10.0)
                return False
            await asyncio.sleep(0.1)
        assert self.process.exit_status == EXIT_STATUS, self.process.log_path.read_text()[-3000:]
        self.kills += 1
        return True

    async def _ends(self, job_id: str) -> None:
        self.process.environment = self.environment
        self.process.spawn()
        until = time.monotonic() + JOB_S
        while (job := await self.house.job(job_id)).state in LIVE:
            assert time.monotonic() < until, f"{self.account}: not done: {await self._told(job_id)}"
            await self._help(job_id)
            await asyncio.sleep(0.1)
        assert job.state == SUCCEEDED, await self._told(job_id)
        await self.process.terminate(10.0)

    async def _help(self, job_id: str) -> None:
        """What an operator does about a submit that was never sent and that nobody can be asked about."""
        job = await self.house.job(job_id)
        if self.kind == "comfyui" or not job.reconciling:
            return
        for attempt in await self.attempts(job_id):
            sent = any(attempt.id in task.callback_url for task in self.house.simulators[self.kind].tasks.values())
            if attempt.state == INTENDED and not sent:
                request = admin_pb2.ResolveAttemptRequest(attempt_id=attempt.id, outcome="ATTEMPT_OUTCOME_UNSENT")
                try:
                    await self.house.operator.jobs.ResolveAttempt(request, timeout=10)
                except Conflict:
                    return  # A worker is asking just now; next time.

    async def attempts(self, job_id: str) -> list[Any]:
        answer = await self.house.operator.jobs.InspectJob(admin_pb2.InspectJobRequest(job_id=job_id), timeout=10)
        return list(answer.attempts)

    async def _told(self, job_id: str) -> str:
        job, attempts = await self.house.job(job_id), await self.attempts(job_id)
        return f"{job}\n{attempts}\n{self.process.log_path.read_text()[-3000:]}"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_adapter_that_is_killed_between_any_two_steps_pays_once(tmp_path: Path, open_house: Any) -> None:
    also = [f"p{number}" for number in range(len(POINTS))]
    pools = {f"{kind}-{word}": f"{kind}-{word}" for kind in KINDS for word in also}
    async with open_house(
        tmp_path, KINDS, also=also, pools=pools, deadline_s=600, PROVIDERS_POOL="nobody", PYTHONDONTWRITEBYTECODE="0"
    ) as house:
        house.operator = house.deployment.operator()
        before = await house.available()
        trials = [Killed(house, tmp_path, kind=kind, number=number) for number in range(len(POINTS)) for kind in KINDS]
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(trial: Killed) -> None:
            async with gate:
                await trial.run()

        async with asyncio.TaskGroup() as group:
            for trial in trials:
                group.create_task(one(trial))
        jobs = [job_id for trial in trials for job_id in trial.jobs]
        accepted = Counter(
            [
                trial.kind
                for trial in trials
                for job_id in trial.jobs
                for attempt in await trial.attempts(job_id)
                if attempt.upstream_task_id
            ]
        )
        for kind in KINDS:
            own = [trial for trial in trials if trial.kind == kind]
            # One paid submit for each accepted attempt, and one accepted attempt for each job.
            assert len(house.simulators[kind].tasks) == accepted[kind] == sum(len(trial.jobs) for trial in own)
        kills = Counter({trial.point: 0 for trial in trials})
        for trial in trials:
            kills[trial.point] += trial.kills
        print(json.dumps(kills), f"{len(jobs)} jobs", sys.version_info[:2])
        assert set(kills.values()) == {2 * KILLS}
        assert await house.available() == before - PRICE * len(jobs)
        proof = await house.operator.wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), timeout=60)
        assert not proof.faults
