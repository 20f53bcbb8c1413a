"""Finding a job by whatever name a contract gives it."""

import re
from typing import Final

from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.jobs.v1 import job_pb2
from edge.backend import CALL_TIMEOUT_S, Backend, Metadata

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
NOBODYS_NAME: Final = "-"  # Asked for in the place of what no job is called, so that every wrong name looks the same.


async def find_job(backend: Backend, name: str, metadata: Metadata) -> job_pb2.Job:
    """One of the caller's jobs by the house's id or the partner's form of it, through whichever contract it came.

    Raises JobNotFound, also for what cannot be a job's name.
    """
    known = name if NAME.fullmatch(name) else NOBODYS_NAME
    by_id = known.startswith("job_")
    wanted = pb2.GetJobRequest(job_id=known) if by_id else pb2.GetJobRequest(external_id=known)
    return (await backend.gateway.GetJob(wanted, timeout=CALL_TIMEOUT_S, metadata=metadata)).job
