"""A partner cancels at the moment at which a worker finishes: one of them wins, and the books know which."""

import asyncio
import random
from collections import Counter
from typing import Any, Final

import httpx
from google.protobuf.duration_pb2 import Duration

from atelier.gateway.v1 import client_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2, lease_service_pb2, lease_service_pb2_grpc
from kit.errors import LeaseLost
from kit.ids import new_id
from testkit.deployments import Deployment, new_partner
from testkit.openclient import OpenClient
from testkit.waiting import until

RACES: Final = 1000
AT_ONCE: Final = 20
PRICE: Final = 30
LEAD_S_MAX: Final = 0.15  # About what a batch takes from its submit to its end: cancels fall on every step of it.
CALL_TIMEOUT_S: Final = 60.0
UNLIMITED: Final = client_pb2.Limits(requests_per_second=100_000, burst=100_000, jobs_in_flight=10_000)
BODY: Final[dict[str, Any]] = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}
OUTPUT: Final = job_pb2.Output(
    asset_id="asset_race", role="image", sha256="0" * 64, size_bytes=1, mime_type="image/png", width=64, height=64
)


class Worker:
    """A worker of the default pool, as the orchestrator sees one."""

    def __init__(self, house: Deployment) -> None:
        channel = house.channel("job-orchestrator", identity="provider-adapter")
        self._leases: lease_service_pb2_grpc.LeaseServiceAsyncStub = lease_service_pb2_grpc.LeaseServiceStub(channel)

    async def work(self, over: asyncio.Event) -> None:
        """Take jobs and finish them, or stop where a cancel was asked for, until `over`."""
        request = lease_service_pb2.LeaseJobsRequest(
            pool="default", worker_id=new_id("racer"), slots=AT_ONCE, wait=Duration(seconds=1)
        )
        while not over.is_set():
            answer = await self._leases.LeaseJobs(request, timeout=CALL_TIMEOUT_S)
            await asyncio.gather(*(self._end(lease) for lease in answer.leases))

    async def _end(self, lease: lease_service_pb2.Lease) -> None:
        job_id, epoch, attempt_id = lease.job.id, lease.epoch, new_id("att")
        try:
            begin = lease_service_pb2.BeginAttemptRequest(
                job_id=job_id, epoch=epoch, attempt_id=attempt_id, route=0, repeatable=True
            )
            await self._leases.BeginAttempt(begin, timeout=CALL_TIMEOUT_S)
            await asyncio.sleep(random.uniform(0, LEAD_S_MAX / 2))
            renew = lease_service_pb2.RenewLeaseRequest(job_id=job_id, epoch=epoch, progress=50)
            renewed = await self._leases.RenewLease(renew, timeout=CALL_TIMEOUT_S)
            end = lease_service_pb2.FinishAttemptRequest(job_id=job_id, epoch=epoch, attempt_id=attempt_id)
            if renewed.cancel_requested:
                end.outcome = attempt_pb2.ATTEMPT_OUTCOME_CANCELLED
            else:
                end.outcome = attempt_pb2.ATTEMPT_OUTCOME_SUCCEEDED
                end.outputs.append(OUTPUT)
            await self._leases.FinishAttempt(end, timeout=CALL_TIMEOUT_S)
        except LeaseLost:
            return  # The job ended under our hands: that is one of the ways to lose the race.


async def _race(partner: OpenClient) -> tuple[str, int]:
    """Submit a job and cancel it some time later; return its id and what the cancel was answered."""
    job = await partner.create_job(**BODY)
    await asyncio.sleep(random.uniform(0, LEAD_S_MAX))
    answer = await partner.post(f"/jobs/{job['id']}/cancel")
    return job["id"], answer.status_code


async def test_each_race_has_one_winner_and_the_books_know_which(house: Deployment) -> None:
    partner = await new_partner(house.operator(), house.url, points=RACES * PRICE, limits=UNLIMITED)
    over = asyncio.Event()
    workers = [asyncio.create_task(Worker(house).work(over)) for _ in range(2)]
    ends: Counter[str] = Counter()
    for _ in range(RACES // AT_ONCE):
        raced = await asyncio.gather(*(_race(partner) for _ in range(AT_ONCE)))
        for job_id, answer in raced:
            job = await partner.finished_job(job_id)
            ends[job["status"]] += 1
            assert job["status"] in {"succeeded", "cancelled"}
            assert (job["cost"]["charged"], job["cost"]["refunded"]) == (
                job["status"] == "succeeded",
                job["status"] == "cancelled",
            )
            if job["status"] == "cancelled":
                assert answer == httpx.codes.OK
            if answer == httpx.codes.CONFLICT:
                assert job["status"] == "succeeded"  # Too late is said only to whom it was.
    over.set()
    await asyncio.gather(*workers)

    assert min(ends["succeeded"], ends["cancelled"]) > RACES // 20  # It was a race.
    spent = ends["succeeded"] * PRICE
    points = await until(partner.points, lambda points: points["held"] == 0)
    assert points == {"available": RACES * PRICE - spent, "held": 0, "spent": spent}
    await partner.http.aclose()
