"""JobAdminService: jobs for the house and its operators."""

from typing import Any, Final

from atelier.jobs.v1 import job_admin_service_pb2 as pb2
from atelier.jobs.v1 import job_admin_service_pb2_grpc
from job_orchestrator.api.callers import HOUSE, WORKERS
from job_orchestrator.api.job_service import PAGE_SIZE, known_text, to_states
from job_orchestrator.api.page_tokens import from_token, to_token
from job_orchestrator.domain.attempt import AttemptOutcome
from job_orchestrator.mapping.attempt import to_attempt_proto
from job_orchestrator.mapping.job import number, to_charge_proto, to_job_proto
from job_orchestrator.ports import JobFilter
from job_orchestrator.usecases.fate import Fate, ResolveFate
from job_orchestrator.usecases.read import ReadJobs
from job_orchestrator.usecases.resolve import ResolveAttempt
from kit.errors import InvalidArgument
from kit.identity import require_service

_LIST: Final = "all"


class JobAdminService(job_admin_service_pb2_grpc.JobAdminServiceServicer):
    """Over all clients, for the house."""

    def __init__(self, *, resolve_fate: ResolveFate, read: ReadJobs, resolve: ResolveAttempt) -> None:
        self._resolve_fate = resolve_fate
        self._read = read
        self._resolve = resolve

    async def ResolveFate(self, request: pb2.ResolveFateRequest, context: Any) -> pb2.ResolveFateResponse:
        """Tell what became of ids."""
        require_service(*HOUSE)
        if any("\x00" in job_id for job_id in request.job_ids):
            raise InvalidArgument("job_ids: an id contains a NUL character", field="job_ids")
        fates = await self._resolve_fate(request.job_ids)
        return pb2.ResolveFateResponse(fates=[_to_fate_proto(fate) for fate in fates])

    async def InspectJob(self, request: pb2.InspectJobRequest, context: Any) -> pb2.InspectJobResponse:
        """Return any client's job."""
        require_service(*HOUSE)
        job, attempts = await self._read.inspect(known_text(request.job_id))
        return pb2.InspectJobResponse(
            job=to_job_proto(job), attempts=[to_attempt_proto(attempt) for attempt in attempts]
        )

    async def ListAllJobs(self, request: pb2.ListAllJobsRequest, context: Any) -> pb2.ListAllJobsResponse:
        """Return a page of jobs."""
        require_service(*HOUSE)
        wanted = JobFilter(client_id=known_text(request.client_id), states=to_states(request.states))
        page = await self._read.page_of_all(
            wanted,
            after=from_token(request.page_token, wanted, kind=_LIST),
            size=request.page_size or PAGE_SIZE,
        )
        return pb2.ListAllJobsResponse(
            jobs=[to_job_proto(job) for job in page.jobs],
            next_page_token=to_token(page.end, wanted, kind=_LIST),
        )

    async def GetQueueStats(self, request: pb2.GetQueueStatsRequest, context: Any) -> pb2.GetQueueStatsResponse:
        """Count what waits and runs."""
        require_service(*HOUSE)
        pools = [
            pb2.PoolStats(
                pool=one.pool,
                queued=one.queued,
                running=one.running,
                reconciling=one.reconciling,
                oldest_wait_ms=one.oldest_wait_ms,
            )
            for one in await self._read.pool_stats()
        ]
        return pb2.GetQueueStatsResponse(pools=pools)

    async def ResolveAttempt(self, request: pb2.ResolveAttemptRequest, context: Any) -> pb2.ResolveAttemptResponse:
        """Settle an attempt whose outcome is unknown."""
        attempt_id = known_text(request.attempt_id)
        if request.upstream_task_id:
            require_service(*HOUSE, *WORKERS)  # It hears callbacks of attempts that no worker has in hand.
            if request.outcome:
                raise InvalidArgument("outcome: must be empty with upstream_task_id", field="outcome")
            attempt = await self._resolve.accepted(attempt_id, known_text(request.upstream_task_id))
        else:
            require_service(*HOUSE)
            attempt = await self._resolve.settled(attempt_id, AttemptOutcome(request.outcome))
        return pb2.ResolveAttemptResponse(attempt=to_attempt_proto(attempt))


def _to_fate_proto(fate: Fate) -> pb2.Fate:
    if fate.job is None:
        return pb2.Fate(job_id=fate.job_id, fenced=True)
    return pb2.Fate(
        job_id=fate.job_id,
        state=number(fate.job.state),
        outputs_delivered=fate.job.outputs_delivered,
        asset_ids=[output.asset_id for output in fate.job.outputs],
        charge=to_charge_proto(fate.job) if fate.job.state.terminal else None,
    )
