"""Wiring of the job orchestrator: the same for a process of its own and inside the standalone."""

import asyncio
from typing import Final

from atelier.jobs.v1 import job_admin_service_pb2_grpc, job_service_pb2_grpc, lease_service_pb2_grpc
from job_orchestrator.api import JobAdminService, JobService, LeaseService
from job_orchestrator.billing_client import GrpcBilling
from job_orchestrator.config import JobsSettings
from job_orchestrator.outbox import Announcer
from job_orchestrator.sql import SqlAdmission, SqlJobs, SqlJournal, SqlLists, SqlOverdue, SqlQueue
from job_orchestrator.usecases.accept import AcceptJob
from job_orchestrator.usecases.attempt import BeginAttempt, RecordUpstream
from job_orchestrator.usecases.cancel import CancelJob
from job_orchestrator.usecases.fate import ResolveFate
from job_orchestrator.usecases.finish import FinishAttempt
from job_orchestrator.usecases.lease import LeaseJobs
from job_orchestrator.usecases.read import FinishedJobs, ReadJobs
from job_orchestrator.usecases.release import ReleaseLease, RenewLease, RenewLeases
from job_orchestrator.usecases.resolve import ResolveAttempt
from job_orchestrator.usecases.sweep import Sweep
from job_orchestrator.usecases.watch import WatchJobs
from job_orchestrator.wakeups import LocalWakeups
from kit.events import OutboxRelay
from kit.rpc import AnyServer
from kit.service import Resources, serve
from kit.tasks import end

NAME: Final = "job-orchestrator"
PACKAGE: Final = "job_orchestrator"  # Where its migrations are.


class JobOrchestrator:
    """The job orchestrator, ready to be put on a server."""

    name = NAME

    def __init__(self, settings: JobsSettings, resources: Resources) -> None:
        """Build everything; nothing runs yet."""
        db = resources.database
        self._wakeups = wakeups = LocalWakeups()
        jobs, journal, queue = SqlJobs(Announcer(wakeups)), SqlJournal(), SqlQueue()
        admission, lists = SqlAdmission(), SqlLists()
        finished = FinishedJobs(settings.finished_jobs_max)
        read = ReadJobs(db=db, jobs=jobs, journal=journal, lists=lists, finished=finished, clock=resources.clock)
        accept = AcceptJob(
            db=db,
            admission=admission,
            jobs=jobs,
            billing=GrpcBilling(resources.connect(settings.billing_target)),
            clock=resources.clock,
            queue_max=settings.queue_max,
        )
        watch = WatchJobs(db=db, jobs=jobs, lists=lists, wakeups=wakeups, recheck_s=settings.recheck_s)
        release = ReleaseLease(db=db, jobs=jobs, journal=journal)
        renew = RenewLease(db=db, jobs=jobs)
        self._lease = LeaseJobs(
            db=db,
            queue=queue,
            jobs=jobs,
            journal=journal,
            release=release,
            wakeups=wakeups,
            recheck_s=settings.recheck_s,
        )
        self.sweep = Sweep(
            db=db,
            overdue=SqlOverdue(),
            jobs=jobs,
            journal=journal,
            admission=admission,
            end_backoffs=self._lease.end_backoffs,
            wakeups=wakeups,
            interval_s=settings.sweep_interval_s,
            cancel_grace_ms=round(settings.cancel_grace_s * 1000),
        )
        self._for_clients = JobService(accept=accept, read=read, cancel=CancelJob(db=db, jobs=jobs), watch=watch)
        self._for_workers = LeaseService(
            lease=self._lease,
            renew=renew,
            renew_many=RenewLeases(db=db, jobs=jobs, renew=renew),
            release=release,
            begin=BeginAttempt(db=db, jobs=jobs, journal=journal),
            record=RecordUpstream(db=db, jobs=jobs, journal=journal),
            finish=FinishAttempt(db=db, jobs=jobs, journal=journal),
        )
        self._for_house = JobAdminService(
            resolve_fate=ResolveFate(db=db, admission=admission, jobs=jobs),
            read=read,
            resolve=ResolveAttempt(db=db, jobs=jobs, journal=journal),
        )
        self._relay = OutboxRelay(db, resources.bus)
        self._tasks: list[asyncio.Task[None]] = []

    def register(self, server: AnyServer) -> None:
        """Put the servicers on a server."""
        server.add(job_service_pb2_grpc.add_JobServiceServicer_to_server, self._for_clients)
        server.add(lease_service_pb2_grpc.add_LeaseServiceServicer_to_server, self._for_workers)
        server.add(job_admin_service_pb2_grpc.add_JobAdminServiceServicer_to_server, self._for_house)

    async def start(self) -> None:
        """Begin to send events and to sweep."""
        self._tasks = [
            asyncio.create_task(self._relay.run(), name="jobs-relay"),
            asyncio.create_task(self.sweep.run(), name="jobs-sweep"),
        ]

    async def drain(self) -> None:
        """Let long polls and streams end, so that the server's stop need not wait for them."""
        self._wakeups.close()

    async def stop(self) -> None:
        """End the background work; what is left undone is found again by the next process."""
        await self.drain()
        await self._lease.stop()
        await end(*self._tasks)


def main() -> None:
    """Serve as a process of its own until a signal ends it."""
    serve(JobsSettings(), JobOrchestrator, name=NAME, package=PACKAGE)
