"""LeaseService: what workers do."""

from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from atelier.jobs.v1 import lease_service_pb2 as pb2
from atelier.jobs.v1 import lease_service_pb2_grpc
from job_orchestrator.api.callers import WORKERS
from job_orchestrator.mapping.attempt import to_attempt_proto, to_finish, to_lease_proto
from job_orchestrator.mapping.job import to_job_proto, to_seconds, to_timestamp
from job_orchestrator.ports import Renewal
from job_orchestrator.usecases.attempt import BeginAttempt, RecordUpstream
from job_orchestrator.usecases.finish import FinishAttempt
from job_orchestrator.usecases.lease import LeaseJobs
from job_orchestrator.usecases.release import ReleaseLease, Renewed, RenewLease, RenewLeases
from kit.errors import InvalidArgument
from kit.identity import require_service
from kit.rpc import remaining_s

LEASE_MS: Final = 30_000  # As the proto says.
LEASE_MS_MAX: Final = 600_000
ANSWER_S: Final = 0.25  # Kept back from a long poll, so that its answer arrives before the caller gives up.


class LeaseService(lease_service_pb2_grpc.LeaseServiceServicer):
    """For workers only; the job's client travels in the lease."""

    def __init__(
        self,
        *,
        lease: LeaseJobs,
        renew: RenewLease,
        renew_many: RenewLeases,
        release: ReleaseLease,
        begin: BeginAttempt,
        record: RecordUpstream,
        finish: FinishAttempt,
    ) -> None:
        self._lease = lease
        self._renew = renew
        self._renew_many = renew_many
        self._release = release
        self._begin = begin
        self._record = record
        self._finish = finish

    async def LeaseJobs(self, request: pb2.LeaseJobsRequest, context: Any) -> pb2.LeaseJobsResponse:
        """Hand out jobs."""
        require_service(*WORKERS)
        wait_s = to_seconds(request.wait)
        left_s = remaining_s()
        if left_s is not None:
            wait_s = max(0.0, min(wait_s, left_s - ANSWER_S))
        leases = await self._lease(
            request.pool,
            _text("worker_id", request.worker_id),
            slots=request.slots,
            wait_s=wait_s,
            lease_ms=_lease_ms(request),
        )
        return pb2.LeaseJobsResponse(leases=[to_lease_proto(lease) for lease in leases])

    async def RenewLease(self, request: pb2.RenewLeaseRequest, context: Any) -> pb2.RenewLeaseResponse:
        """Keep a lease alive."""
        require_service(*WORKERS)
        renewed = await self._renew(
            _text("job_id", request.job_id),
            request.epoch,
            progress=request.progress,
            lease_ms=_lease_ms(request),
        )
        return pb2.RenewLeaseResponse(
            expire_time=to_timestamp(renewed.expire_ms), cancel_requested=renewed.cancel_requested
        )

    async def RenewLeases(self, request: pb2.RenewLeasesRequest, context: Any) -> pb2.RenewLeasesResponse:
        """Keep many leases alive."""
        require_service(*WORKERS)
        renewals = [
            Renewal(job_id=_text("renewals", each.job_id), epoch=each.epoch, progress=each.progress)
            for each in request.renewals
        ]
        if len({renewal.job_id for renewal in renewals}) < len(renewals):
            raise InvalidArgument("renewals: a job is named twice", field="renewals")
        renewed = await self._renew_many(renewals, lease_ms=_lease_ms(request))
        return pb2.RenewLeasesResponse(leases=[_from_renewed(each) for each in renewed])

    async def BeginAttempt(self, request: pb2.BeginAttemptRequest, context: Any) -> pb2.BeginAttemptResponse:
        """Write an intent."""
        require_service(*WORKERS)
        attempt = await self._begin(
            _text("job_id", request.job_id),
            request.epoch,
            attempt_id=_text("attempt_id", request.attempt_id),
            route=request.route,
            repeatable=request.repeatable,
        )
        return pb2.BeginAttemptResponse(attempt=to_attempt_proto(attempt))

    async def RecordUpstream(self, request: pb2.RecordUpstreamRequest, context: Any) -> pb2.RecordUpstreamResponse:
        """Write the provider's task id."""
        require_service(*WORKERS)
        attempt = await self._record(
            _text("job_id", request.job_id),
            request.epoch,
            attempt_id=_text("attempt_id", request.attempt_id),
            upstream_task_id=_text("upstream_task_id", request.upstream_task_id),
        )
        return pb2.RecordUpstreamResponse(attempt=to_attempt_proto(attempt))

    async def FinishAttempt(self, request: pb2.FinishAttemptRequest, context: Any) -> pb2.FinishAttemptResponse:
        """End an attempt."""
        require_service(*WORKERS)
        _text("job_id", request.job_id)
        _text("attempt_id", request.attempt_id)
        job = await self._finish(to_finish(request))
        return pb2.FinishAttemptResponse(job=to_job_proto(job))

    async def ReleaseLease(self, request: pb2.ReleaseLeaseRequest, context: Any) -> pb2.ReleaseLeaseResponse:
        """Take a job back."""
        require_service(*WORKERS)
        await self._release(_text("job_id", request.job_id), request.epoch)
        return pb2.ReleaseLeaseResponse()


def _from_renewed(renewed: Renewed | None) -> pb2.RenewedLease:
    if renewed is None:
        return pb2.RenewedLease(lost=True)
    return pb2.RenewedLease(expire_time=to_timestamp(renewed.expire_ms), cancel_requested=renewed.cancel_requested)


def _lease_ms(request: pb2.LeaseJobsRequest | pb2.RenewLeaseRequest | pb2.RenewLeasesRequest) -> int:
    if not request.HasField("lease"):
        return LEASE_MS
    lease: Duration = request.lease
    lease_ms = round(to_seconds(lease) * 1000)
    if not 1_000 <= lease_ms <= LEASE_MS_MAX:
        raise InvalidArgument("lease: from 1 s to 600 s", field="lease")
    return lease_ms


def _text(name: str, text: str) -> str:
    """Return `text`. Raises InvalidArgument for a NUL character, which Postgres cannot store."""
    if "\x00" in text:
        raise InvalidArgument(f"{name}: contains a NUL character", field=name)
    return text
