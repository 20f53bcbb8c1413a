"""What became of a job, asked of the orchestrator."""

from collections.abc import Sequence
from typing import Final

from asset_store.ports import Fate
from atelier.jobs.v1 import job_admin_service_pb2 as admin_pb
from atelier.jobs.v1 import job_pb2
from atelier.jobs.v1.job_admin_service_pb2_grpc import JobAdminServiceStub
from kit.rpc import Channel

RESOLVE_S: Final = 3.0  # One indexed query; a reader waits for it.

_TERMINAL: Final = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_EXPIRED,
        job_pb2.JOB_STATE_CANCELLED,
    }
)


class RpcJobs:
    """See `Jobs`."""

    def __init__(self, channel: Channel) -> None:
        """`channel` leads to the orchestrator and signs as the asset store."""
        self._stub = JobAdminServiceStub(channel)

    async def fates(self, job_ids: Sequence[str]) -> dict[str, Fate]:
        """See `Jobs.fates`."""
        request = admin_pb.ResolveFateRequest(job_ids=job_ids)
        response = await self._stub.ResolveFate(request, timeout=RESOLVE_S)
        return {
            fate.job_id: Fate(decided=fate.fenced or fate.state in _TERMINAL, asset_ids=frozenset(fate.asset_ids))
            for fate in response.fates
        }
