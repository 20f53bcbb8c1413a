"""One leased job in this worker's hands: the work, the lease kept alive beside it, and the report at the end.

Whatever ends the work early is a `Verdict`. Stopping is immediate, but for a paid call under way: only its answer tells
what there is to cancel or to resume, so it is waited for unless the lease is lost or the deadline passes.
"""

import asyncio
from enum import Enum
from typing import Final

import structlog

from kit import crash
from kit.clock import Clock
from kit.errors import AppError, ErrorReason
from kit.logging import get_logger
from provider_adapter.domain import Ending, Failed, Lease, Outcome
from provider_adapter.usecases.attempt import Doings, Stage, Standing, WorkOnJob
from provider_adapter.usecases.persist import pause_s, persist
from provider_adapter.usecases.signals import Signal, ended

AFTER_FINISH: Final = crash.declare(
    "providers.work.after_finish", "the end is reported, the worker still knows the job"
)

RENEW_SHARE: Final = 1 / 3  # Of the lease: two renewals may fail before it is over.
TELL_PROGRESS_S: Final = 1.0  # At most so often; people watch bars, and a renewal is a write.
HEAR_CANCEL_S: Final = 0.5  # While our own cores work: a cancel stops them within a second, and they are few.
PERCENT_MAX: Final = 99  # 100 is only for what is stored and reported.
REPORT_S_MAX: Final = 600.0  # An orchestrator that is away for longer has given the job to somebody else.
CANCEL_UPSTREAM_S: Final = 10.0  # A provider that does not answer a cancel is not waited for.
NO_DEADLINE_S: Final = 24 * 3600.0  # No provider works longer on one task.

_GONE: Final = frozenset({ErrorReason.LEASE_LOST, ErrorReason.JOB_NOT_FOUND})
_log = get_logger(__name__)


class Verdict(Enum):
    """Why the work is stopped."""

    LOST = "lost"  #: The lease is somebody else's: drop everything, tell nobody.
    LATE = "late"  #: The job's deadline has passed.
    CANCEL = "cancel"  #: Its client does not want it any more.
    GIVE_BACK = "give_back"  #: This process stops.


class Run:
    """One leased job, from the lease to the report."""

    def __init__(self, lease: Lease, doings: Doings, *, clock: Clock, lease_s: float) -> None:
        self._do = doings
        self._clock = clock
        self._lease_s = lease_s
        self._percent = 0
        self._moved = Signal()  #: There is progress to tell.
        self._verdict: Verdict | None = None
        self._draining = False
        self._standing = Standing(lease=lease)
        self._work: asyncio.Task[Ending] | None = None
        self._reporting: asyncio.Task[None] | None = None

    @property
    def lease(self) -> Lease:
        """The job in hand."""
        return self._standing.lease

    async def __call__(self) -> None:
        """Work, report. Raises nothing but CancelledError."""
        structlog.contextvars.bind_contextvars(job_id=self.lease.job.id)
        work = WorkOnJob(
            self._do,
            standing=self._standing,
            entered=self._entered,
            on_progress=self._on_progress,
            left_s=self._left_s,
        )
        self._work = asyncio.create_task(work())
        keeper = asyncio.create_task(self._keep_lease())
        try:
            if self._draining:
                self._stop(Verdict.GIVE_BACK)
            if self._left_s() == 0.0:  # Before its first step.
                self._stop(Verdict.LATE)
            ending = await self._outcome()
            if ending is not None:
                self._reporting = asyncio.create_task(self._report(ending))
                await asyncio.wait({self._reporting})
            if self._verdict is Verdict.GIVE_BACK and (ending is None or self._report_cut()):
                await self._release()
        finally:
            for task in (keeper, self._work, self._reporting):
                await _end(task)

    def drain(self) -> None:
        """Give the job back as soon as that loses nothing; what is nearly made is finished and reported."""
        self._draining = True
        if self._work is not None and self._standing.stage.harmless:
            self._stop(Verdict.GIVE_BACK)

    def give_back(self) -> None:
        """Give the job back now, whatever is lost by it."""
        self._draining = True
        self._stop(Verdict.GIVE_BACK, at_once=True)
        if self._reporting is not None:
            self._verdict = self._verdict or Verdict.GIVE_BACK
            self._reporting.cancel()

    def _stop(self, verdict: Verdict, *, at_once: bool = False) -> None:
        """Stop the work; the first verdict counts, but for a lease that is lost in the meantime."""
        if self._work is None or self._work.done():
            return
        if self._verdict is None or verdict is Verdict.LOST:
            self._verdict = verdict
        paid = self._standing.stage is Stage.SUBMITTING and not self._standing.repeatable
        if at_once or not paid or verdict in (Verdict.LOST, Verdict.LATE):
            self._work.cancel()

    def _entered(self) -> None:
        """The work enters another stage: the moment to stop it if that had to wait."""
        if self._draining and self._standing.stage.harmless and self._verdict is None:
            self._verdict = Verdict.GIVE_BACK
        if self._verdict is not None:
            raise asyncio.CancelledError
        if self._ours:
            self._moved.set()  # Whoever keeps the lease waits for as long as others' work may be waited for.

    @property
    def _ours(self) -> bool:
        """Whether the work is done inside the provider's call, and stopping it frees a core of ours."""
        return self._standing.stage is Stage.SUBMITTING and self._standing.repeatable

    def _on_progress(self, fraction: float) -> None:
        percent = min(PERCENT_MAX, max(0, int(fraction * 100)))
        if percent > self._percent:
            self._percent = percent
            self._moved.set()

    def _left_s(self) -> float:
        deadline_ms = self.lease.job.deadline_ms
        if deadline_ms is None:
            return NO_DEADLINE_S
        return min(max(0.0, (deadline_ms - self._clock.now_ms()) / 1000), NO_DEADLINE_S)

    async def _outcome(self) -> Ending | None:
        """Wait for the work's end; return what to report, None for nothing."""
        assert self._work is not None
        if not await ended(self._work, self._left_s()):
            self._stop(Verdict.LATE)
            await asyncio.wait({self._work})
        if self._verdict is Verdict.LOST:
            _log.info("lease_lost", stage=self._standing.stage.value)
            return None
        if not self._work.cancelled():
            error = self._work.exception()
            return self._work.result() if error is None else self._broken_off(error)
        if self._verdict is Verdict.CANCEL:
            await self._cancel_upstream()
            return Failed.of(Outcome.CANCELLED, ErrorReason.JOB_CANCELLED, "The job was cancelled.")
        if self._verdict is Verdict.LATE:
            return await self._late()
        return None

    async def _late(self) -> Failed:
        message = "The provider did not finish before the job's deadline."
        standing = self._standing
        if standing.repeatable:
            outcome = Outcome.RETRYABLE
        elif standing.stage is not Stage.STORING and not standing.upstream_task_id:
            outcome = Outcome.UNKNOWN  # Nobody heard whether it was taken.
        else:
            outcome = Outcome.FAILED
        await self._cancel_upstream()
        return Failed.of(outcome, ErrorReason.PROVIDER_TIMEOUT, message)

    def _broken_off(self, error: BaseException) -> Failed | None:
        """A fault of ours, or the orchestrator refused a write."""
        if isinstance(error, AppError) and error.reason in _GONE:
            _log.info("lease_lost", stage=self._standing.stage.value)
            return None
        _log.error("work_failed_unexpectedly", stage=self._standing.stage.value, exc_info=error)
        standing = self._standing
        paid = standing.attempt_id != "" and not standing.repeatable
        outcome = Outcome.UNKNOWN if paid else Outcome.RETRYABLE
        return Failed.of(outcome, ErrorReason.INTERNAL, "Something unexpected went wrong with this attempt.")

    async def _cancel_upstream(self) -> None:
        provider, upstream_task_id = self._standing.provider, self._standing.upstream_task_id
        if provider is None or not upstream_task_id:
            return
        try:
            async with asyncio.timeout(CANCEL_UPSTREAM_S):
                await provider.cancel(upstream_task_id)
        except Exception:
            _log.warning("upstream_cancel_failed", provider=provider.name, exc_info=True)

    async def _report(self, ending: Ending) -> None:
        """Tell the orchestrator, as long as it takes it to listen."""
        lease, attempt_id = self.lease, self._standing.attempt_id
        try:
            async with asyncio.timeout(REPORT_S_MAX):
                try:
                    await persist(lambda: self._do.leases.finish(lease, attempt_id=attempt_id, ending=ending))
                except AppError as error:
                    if error.reason is not ErrorReason.NOT_FOUND or not isinstance(ending, Failed):
                        raise
                    # The work was stopped while the attempt was being begun, and it never was.
                    anyhow = ending if ending.outcome is not Outcome.UNKNOWN else _unbegun(ending)
                    await persist(lambda: self._do.leases.finish(lease, attempt_id="", ending=anyhow))
        except (AppError, TimeoutError) as error:
            # Nothing is lost for good: what is stored stays, and the job goes on when its lease is over.
            _log.warning("report_refused", cause=getattr(error, "reason", "timeout"), epoch=lease.epoch)
            return
        crash.point(AFTER_FINISH)
        _log.info("job_reported", outcome=_word(ending), provider=getattr(self._standing.provider, "name", ""))

    def _report_cut(self) -> bool:
        return self._reporting is not None and self._reporting.cancelled()

    async def _release(self) -> None:
        try:
            await persist(lambda: self._do.leases.release(self.lease))
        except AppError as error:
            _log.info("release_refused", reason=error.reason)
        else:
            _log.info("job_given_back", stage=self._standing.stage.value)

    async def _keep_lease(self) -> None:
        failed = 0
        while True:
            await (asyncio.sleep(pause_s(failed)) if failed else self._pause())
            self._moved.clear()
            try:
                cancel_asked = await self._do.leases.renew(self.lease, percent=self._percent, lease_s=self._lease_s)
            except Exception as error:  # Whatever it is: a lease nobody renews is work lost.
                reason = error.reason if isinstance(error, AppError) else ErrorReason.INTERNAL
                if reason in _GONE:
                    self._stop(Verdict.LOST)
                    return
                failed += 1
                if failed == 1:
                    _log.warning("renewal_failed", reason=reason, cause=repr(error))
                continue
            failed = 0
            if cancel_asked:
                self._stop(Verdict.CANCEL)

    async def _pause(self) -> None:
        """Wait until the lease is to be renewed, or until there is progress worth telling."""
        renew_s = self._lease_s * RENEW_SHARE
        if self._ours:
            await asyncio.sleep(min(HEAR_CANCEL_S, renew_s))
            return
        quiet_s = min(TELL_PROGRESS_S, renew_s)
        await asyncio.sleep(quiet_s)
        await self._moved.wait(renew_s - quiet_s)


def _unbegun(failed: Failed) -> Failed:
    return Failed(outcome=Outcome.RETRYABLE, failure=failed.failure, retry_after_s=failed.retry_after_s)


def _word(ending: Ending) -> str:
    return ending.outcome.name.lower() if isinstance(ending, Failed) else "succeeded"


async def _end(task: asyncio.Task[object] | asyncio.Task[Ending] | asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for its end, whatever it is."""
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task})
