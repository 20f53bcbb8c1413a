"""JobService: jobs for their owner."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from atelier.jobs.v1 import job_service_pb2 as pb2
from atelier.jobs.v1 import job_service_pb2_grpc
from job_orchestrator.api.callers import FRONT
from job_orchestrator.api.page_tokens import from_token, to_token
from job_orchestrator.domain.job import JobState
from job_orchestrator.mapping.job import to_event_proto, to_job_proto, to_unix_ms
from job_orchestrator.mapping.order import to_order, to_terms
from job_orchestrator.ports import JobFilter
from job_orchestrator.usecases.accept import AcceptJob
from job_orchestrator.usecases.cancel import CancelJob
from job_orchestrator.usecases.read import ReadJobs
from job_orchestrator.usecases.watch import WatchJobs
from kit.errors import InvalidArgument, JobNotFound
from kit.identity import require_client, require_service

PAGE_SIZE: Final = 20  # As the proto says.
EVENTS_PAGE_SIZE: Final = 100
_LIST: Final = "client"


class JobService(job_service_pb2_grpc.JobServiceServicer):
    """Everything here is for the client of the call's identity."""

    def __init__(self, *, accept: AcceptJob, read: ReadJobs, cancel: CancelJob, watch: WatchJobs) -> None:
        self._accept = accept
        self._read = read
        self._cancel = cancel
        self._watch = watch

    async def AcceptJob(self, request: pb2.AcceptJobRequest, context: Any) -> pb2.AcceptJobResponse:
        """Take a job on."""
        accepted = await self._accept(to_order(request, client_id=_client()), to_terms(request))
        return pb2.AcceptJobResponse(job=to_job_proto(accepted.job), reused=accepted.reused)

    async def GetJob(self, request: pb2.GetJobRequest, context: Any) -> pb2.GetJobResponse:
        """Return one job."""
        client_id = _client()
        if request.WhichOneof("key") == "job_id":
            job = await self._read.get(client_id, known_text(request.job_id))
        else:
            job = await self._read.get_external(client_id, known_text(request.external_id))
        return pb2.GetJobResponse(job=to_job_proto(job))

    async def ListJobs(self, request: pb2.ListJobsRequest, context: Any) -> pb2.ListJobsResponse:
        """Return a page of jobs."""
        if request.skip and request.page_token:
            raise InvalidArgument("skip: not together with page_token", field="skip")
        wanted = JobFilter(
            client_id=_client(),
            states=to_states(request.states),
            capability=request.capability,
            models=frozenset(request.models),
            before_ms=to_unix_ms(request.before) if request.HasField("before") else None,
            with_inputs=request.with_inputs if request.HasField("with_inputs") else None,
        )
        if "\x00" in request.capability or any("\x00" in model for model in request.models):
            return pb2.ListJobsResponse()  # No job has such a name.
        page = await self._read.page(
            wanted,
            after=from_token(request.page_token, wanted, kind=_LIST),
            skip=request.skip,
            size=request.page_size or PAGE_SIZE,
            with_total=request.with_total,
        )
        return pb2.ListJobsResponse(
            jobs=[to_job_proto(job) for job in page.jobs],
            next_page_token=to_token(page.end, wanted, kind=_LIST),
            total=page.total,
        )

    async def CancelJob(self, request: pb2.CancelJobRequest, context: Any) -> pb2.CancelJobResponse:
        """End a job, or ask its worker to."""
        job = await self._cancel(_client(), known_text(request.job_id))
        return pb2.CancelJobResponse(job=to_job_proto(job))

    async def WatchJobs(self, request: pb2.WatchJobsRequest, context: Any) -> AsyncIterator[pb2.WatchJobsResponse]:
        """Stream changes as they happen."""
        client_id, job_id = _client(), known_text(request.job_id)
        position = await self._watch.begin(
            client_id, after_position=request.after_position, job_id=job_id, from_first=request.from_first
        )
        if request.tell_begin:
            yield pb2.WatchJobsResponse(event=pb2.JobEvent(position=position))
        events = self._watch.follow(client_id, position=position, job_id=job_id)
        async with aclosing(events):  # type: ignore[type-var]  # It is an async generator.
            async for event in events:
                yield pb2.WatchJobsResponse(event=to_event_proto(event), job=to_job_proto(event.job))

    async def ListJobEvents(self, request: pb2.ListJobEventsRequest, context: Any) -> pb2.ListJobEventsResponse:
        """Read a job's event log."""
        events = await self._read.events(
            _client(),
            known_text(request.job_id),
            after_sequence=request.after_sequence,
            size=request.page_size or EVENTS_PAGE_SIZE,
        )
        return pb2.ListJobEventsResponse(events=[to_event_proto(event) for event in events])


def known_text(text: str) -> str:
    """Return an id as it came. Raises JobNotFound for one that no job can have, and that Postgres would choke on."""
    if "\x00" in text:
        raise JobNotFound
    return text


def to_states(states: Any) -> frozenset[JobState]:
    """Return the filter; unspecified means any state."""
    return frozenset() if 0 in states else frozenset(JobState(state) for state in states)


def _client() -> str:
    require_service(*FRONT)
    return require_client()
