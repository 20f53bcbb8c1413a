"""The fate of jobs, asked of the orchestrator."""

from collections.abc import Sequence
from typing import Final

from atelier.jobs.v1 import job_admin_service_pb2, job_admin_service_pb2_grpc, job_pb2
from billing.charge import UNIT_OF, to_charged
from billing.domain import Unit
from billing.ports import Fate, FinishedJob, FinishedPage
from kit.errors import DependencyUnavailable
from kit.logging import get_logger
from kit.rpc import Channel

_log = get_logger(__name__)

RESOLVE_TIMEOUT_S: Final = 10.0  # One indexed look-up and at most one insert an id, a hundred ids.
PAGE_TIMEOUT_S: Final = 10.0  # A page of whole jobs, by an index.
FINISHED_PAGE: Final = 200  # The most that ListAllJobs answers.
_FINISHED: Final = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_EXPIRED,
        job_pb2.JOB_STATE_CANCELLED,
    }
)


class OrchestratorJobs:
    """A `billing.ports.FinishedJobs` over RPC."""

    def __init__(self, channel: Channel) -> None:
        """Ask through `channel`."""
        self._jobs = job_admin_service_pb2_grpc.JobAdminServiceStub(channel)

    async def page(self, token: str) -> FinishedPage:
        """See `FinishedJobs.page`."""
        request = job_admin_service_pb2.ListAllJobsRequest(
            states=sorted(_FINISHED), page_size=FINISHED_PAGE, page_token=token
        )
        response = await self._jobs.ListAllJobs(request, timeout=PAGE_TIMEOUT_S)
        jobs = [_to_finished(job) for job in response.jobs]
        return FinishedPage(jobs=jobs, next_token=response.next_page_token)


class OrchestratorFates:
    """A `billing.ports.JobFates` over RPC."""

    def __init__(self, channel: Channel) -> None:
        """Ask through `channel`."""
        self._jobs = job_admin_service_pb2_grpc.JobAdminServiceStub(channel)

    async def resolve(self, job_ids: Sequence[str]) -> list[Fate]:
        """See `JobFates.resolve`."""
        request = job_admin_service_pb2.ResolveFateRequest(job_ids=job_ids)
        response = await self._jobs.ResolveFate(request, timeout=RESOLVE_TIMEOUT_S)
        if [fate.job_id for fate in response.fates] != list(job_ids):
            raise DependencyUnavailable("The orchestrator answered for other jobs than were asked about.")
        return [_to_fate(fate) for fate in response.fates]


def _to_fate(fate: job_admin_service_pb2.Fate) -> Fate:
    if fate.state not in _FINISHED:
        return Fate(job_id=fate.job_id, fenced=fate.fenced)
    if not fate.HasField("charge"):
        # Guessing could charge or give back what was decided otherwise; looked at again like the job of a live one.
        _log.error("fate_without_charge", job_id=fate.job_id)
        return Fate(job_id=fate.job_id)
    amount, unit, end = to_charged(fate.charge)
    return Fate(job_id=fate.job_id, finished=True, amount=amount, unit=unit, end=end)


def _to_finished(job: job_pb2.Job) -> FinishedJob:
    unit: Unit | None = UNIT_OF.get(job.charged.unit)
    finish_ms = job.finish_time.seconds * 1000 + job.finish_time.nanos // 1_000_000
    return FinishedJob(id=job.id, client_id=job.client_id, charged=job.charged.value, unit=unit, finish_ms=finish_ms)
