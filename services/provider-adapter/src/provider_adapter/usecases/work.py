"""The worker: leases jobs as far as there is room, runs each in a task of its own, and stops without losing any."""

import asyncio
import time
from typing import Final

from kit import crash
from kit.clock import Clock
from kit.errors import AppError
from kit.logging import get_logger
from provider_adapter.domain import Lease
from provider_adapter.ports import Leases
from provider_adapter.usecases.attempt import Doings
from provider_adapter.usecases.persist import pause_s
from provider_adapter.usecases.run import Run

AFTER_LEASE: Final = crash.declare("providers.work.after_lease", "jobs are leased, nothing is begun")

LONG_POLL_S: Final = 20.0  # Long enough to be cheap, short enough to notice an orchestrator that hangs.
SLOTS_MAX: Final = 100  # In one call: the longest prompts, 12 KB in a job and again in each route, fit in a message.
IDLE_S: Final = 0.5  # After an empty answer that came too soon: an orchestrator that stops does not let us wait.
GIVE_BACK_S: Final = 5.0  # For the last calls of a stop; then the leases are left to expire.

_log = get_logger(__name__)


class Worker:
    """Works for one pool."""

    def __init__(
        self,
        *,
        leases: Leases,
        doings: Doings,
        clock: Clock,
        pool: str,
        worker_id: str,
        slots: int,
        lease_s: float,
    ) -> None:
        """`slots`: jobs in hand at once. `lease_s`: how long one lasts unless renewed."""
        self._leases = leases
        self._doings = doings
        self._clock = clock
        self._pool = pool
        self._worker_id = worker_id
        self._slots = slots
        self._lease_s = lease_s
        self._runs: dict[asyncio.Task[None], Run] = {}
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self.connected = False  #: Whether the orchestrator answered the last time it was asked.

    @property
    def running(self) -> int:
        """Jobs in hand."""
        return len(self._runs)

    def start(self) -> None:
        """Begin to lease."""
        self._loop = asyncio.create_task(self._lease_for_ever(), name=f"lease-{self._pool}")

    async def drain(self) -> None:
        """Lease no more, and give back what is not begun or can be resumed. Idempotent."""
        self._stopping.set()
        self._room.set()
        if self._loop is not None:
            await asyncio.wait({self._loop})
        for run in self._runs.values():
            run.drain()

    async def stop(self, grace_s: float) -> None:
        """Drain; let what is nearly made finish for `grace_s`, then give it back, too. Idempotent."""
        await self.drain()
        await self._runs_end(grace_s)
        if self._runs:
            _log.warning("jobs_outlive_grace", jobs=len(self._runs), grace_s=grace_s)
        for run in self._runs.values():
            run.give_back()
        await self._runs_end(GIVE_BACK_S)
        for task in self._runs:
            task.cancel()
        await self._runs_end(GIVE_BACK_S)

    async def _runs_end(self, timeout_s: float) -> None:
        if self._runs:
            await asyncio.wait(set(self._runs), timeout=timeout_s)

    async def _lease_for_ever(self) -> None:
        failed = 0
        while not self._stopping.is_set():
            room = self._slots - len(self._runs)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            asked_at = time.monotonic()
            try:
                leases = await self._lease(min(room, SLOTS_MAX))
            except Exception as error:
                failed += 1
                self.connected = False
                self._tell_failure(error, failed)
                await self._pause(pause_s(failed))
                continue
            if not leases and self.connected and time.monotonic() - asked_at < IDLE_S:
                await self._pause(IDLE_S)
            failed = 0
            self.connected = True
            for lease in leases:
                self._take(lease)

    async def _lease(self, slots: int) -> list[Lease]:
        leases = await self._leases.lease(
            self._pool,
            self._worker_id,
            slots=slots,
            wait_s=LONG_POLL_S if self.connected else 0.0,  # The first answer is the sign that all is well.
            lease_s=self._lease_s,
            until=self._stopping,
        )
        if leases:
            crash.point(AFTER_LEASE)
        return leases

    def _take(self, lease: Lease) -> None:
        run = Run(lease, self._doings, clock=self._clock, lease_s=self._lease_s)
        task = asyncio.create_task(run(), name=f"job-{lease.job.id}")
        self._runs[task] = run
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("run_failed_unexpectedly", exc_info=error)

    def _tell_failure(self, error: Exception, failed: int) -> None:
        if not isinstance(error, AppError):
            _log.error("lease_failed_unexpectedly", exc_info=error)
        elif failed == 1:  # Once an outage; an orchestrator that restarts is no news.
            _log.warning("lease_failed", reason=error.reason)

    async def _pause(self, seconds: float) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping}, timeout=seconds)
        stopping.cancel()
