"""Hears of finished jobs and queues the partners' webhooks."""

from __future__ import annotations  # Async stubs exist for type checkers only.

from typing import Any, Final

from google.protobuf.message import Message

from atelier.events.v1 import job_events_pb2
from atelier.jobs.v1 import job_service_pb2 as jobs_pb2
from atelier.jobs.v1 import job_service_pb2_grpc as jobs_grpc
from gateway import mapping
from gateway.clients import JOB_TIMEOUT_S
from gateway.usecases.deliver import QueueDelivery
from kit import identity
from kit.events import Event

_PAYLOADS: Final[dict[str, type[Message]]] = {
    "atelier.jobs.v1.job_succeeded": job_events_pb2.JobSucceeded,
    "atelier.jobs.v1.job_failed": job_events_pb2.JobFailed,
    "atelier.jobs.v1.job_expired": job_events_pb2.JobExpired,
    "atelier.jobs.v1.job_cancelled": job_events_pb2.JobCancelled,
}
SUBJECTS: Final = tuple(_PAYLOADS)


class JobEventConsumer:
    """Handles terminal job events; a raised error has the event delivered again."""

    def __init__(self, *, jobs: jobs_grpc.JobServiceAsyncStub, queue_delivery: QueueDelivery) -> None:
        self._jobs = jobs
        self._queue_delivery = queue_delivery

    async def __call__(self, event: Event) -> None:
        payload: Any = _PAYLOADS[event.subject].FromString(event.payload)
        header = payload.header
        if not header.webhook_url:
            return
        with identity.acting_as(header.client_id):
            answer = await self._jobs.GetJob(jobs_pb2.GetJobRequest(job_id=header.job_id), timeout=JOB_TIMEOUT_S)
        await self._queue_delivery(mapping.to_finished_job(answer.job, header.event_id))
