"""Renewing leases: those that come due at about the same time are renewed by one call.

A worker that waits for ten thousand remote tasks, on leases of thirty seconds, has a thousand of them due every second.
"""

from __future__ import annotations  # Async stubs exist for type checkers only.

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from atelier.jobs.v1 import lease_service_pb2 as lease_pb2
from atelier.jobs.v1 import lease_service_pb2_grpc as lease_grpc
from kit.errors import LeaseLost
from provider_adapter.domain import Lease
from provider_adapter.mapping import to_duration

CALL_S: Final = 10.0  # One commit, behind whatever else waits for the same disk.
GATHER_S: Final = 0.1  # Ten calls a second at most, and a cancel is heard hardly later.
TOGETHER_MAX: Final = 1000  # In one call, as the contract allows.


@dataclass(frozen=True, kw_only=True, slots=True)
class _Due:
    lease: Lease
    percent: int
    answer: asyncio.Future[bool]


class Renewing:
    """The renewals of one worker."""

    def __init__(self, stub: lease_grpc.LeaseServiceAsyncStub) -> None:
        self._stub = stub
        self._due: dict[float, list[_Due]] = {}  #: By the lease's length.
        self._calls: set[asyncio.Task[None]] = set()

    async def renew(self, lease: Lease, *, percent: int, lease_s: float) -> bool:
        """Keep the lease alive; returns whether a cancel was asked for. Raises AppError."""
        loop = asyncio.get_running_loop()
        due = _Due(lease=lease, percent=percent, answer=loop.create_future())
        if lease_s not in self._due:
            self._due[lease_s] = []
            loop.call_later(GATHER_S, self._send, lease_s)
        self._due[lease_s].append(due)
        return await due.answer

    def _send(self, lease_s: float) -> None:
        due = [each for each in self._due.pop(lease_s) if not each.answer.done()]
        for start in range(0, len(due), TOGETHER_MAX):
            call = asyncio.create_task(self._call(due[start : start + TOGETHER_MAX], lease_s))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, due: Sequence[_Due], lease_s: float) -> None:
        try:
            if len(due) == 1:
                outcomes: list[bool | LeaseLost] = [await self._renew_one(due[0], lease_s)]
            else:
                outcomes = await self._renew_all(due, lease_s)
        except Exception as error:
            for each in due:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        for each, outcome in zip(due, outcomes, strict=True):
            if each.answer.done():
                continue
            if isinstance(outcome, LeaseLost):
                each.answer.set_exception(outcome)
            else:
                each.answer.set_result(outcome)

    async def _renew_one(self, due: _Due, lease_s: float) -> bool:
        request = lease_pb2.RenewLeaseRequest(
            job_id=due.lease.job.id, epoch=due.lease.epoch, progress=due.percent, lease=to_duration(lease_s)
        )
        return bool((await self._stub.RenewLease(request, timeout=CALL_S)).cancel_requested)

    async def _renew_all(self, due: Sequence[_Due], lease_s: float) -> list[bool | LeaseLost]:
        request = lease_pb2.RenewLeasesRequest(
            renewals=[
                lease_pb2.LeaseRenewal(job_id=each.lease.job.id, epoch=each.lease.epoch, progress=each.percent)
                for each in due
            ],
            lease=to_duration(lease_s),
        )
        answer = await self._stub.RenewLeases(request, timeout=CALL_S)
        if len(answer.leases) != len(due):
            raise ValueError(f"{len(due)} leases were to be renewed, {len(answer.leases)} are told of")
        return [LeaseLost() if each.lost else bool(each.cancel_requested) for each in answer.leases]
