"""The way of one attempt: intent, submit, task id, polls, outputs. It ends with what is to be reported.

`Stage` tells whoever supervises it where it stands, and so what stopping it would lose.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from kit import crash
from kit.errors import ErrorReason
from kit.ids import new_id
from kit.logging import get_logger
from provider_adapter.domain import Attempt, Ending, Failed, Lease, Outcome, Route, seed_of
from provider_adapter.metrics import POLL_LAG
from provider_adapter.ports import (
    Accepted,
    Finished,
    Leases,
    NotTaken,
    OnProgress,
    Pending,
    Provider,
    Source,
    Task,
    Unreadable,
)
from provider_adapter.usecases.inputs import FindInputs
from provider_adapter.usecases.outputs import StoreOutputs
from provider_adapter.usecases.persist import persist
from provider_adapter.usecases.roster import Member, Roster
from provider_adapter.usecases.route import Begin, Hopeless, Resume, Wait, choose

AFTER_BEGIN: Final = crash.declare("providers.work.after_begin", "the intent is written, no provider is called")
AFTER_ACCEPTED: Final = crash.declare(
    "providers.remote.after_accepted", "the provider has it, nobody knows its task id"
)
AFTER_RECORD: Final = crash.declare("providers.remote.after_record", "the task id is recorded, nothing is asked yet")
AFTER_RUN: Final = crash.declare("providers.work.after_run", "the provider has results, nothing is stored")

POLL_FIRST_S: Final = 2.0  # The fastest picture of a remote provider takes about as long.
POLL_GROWTH: Final = 1.5
POLL_MAX_S: Final = 10.0  # What a partner may wait longer than the provider took; a video takes minutes anyway.
POLL_SPREAD: Final = 0.2  # ± this share, so that tasks handed over together are not asked after together.
RESUME_SPREAD_S: Final = (
    2.0  # After a restart thousands of tasks are taken up at once; no provider likes them all at once.
)
LOOK_AGAIN_S: Final = 60.0  # When the outcome cannot be told now; the hold stays, so there is no hurry.

_log = get_logger(__name__)


class Stage(Enum):
    """Where the work on a job stands."""

    PREPARING = "preparing"  #: No attempt is begun: inputs are fetched, or a place at the provider is waited for.
    SUBMITTING = "submitting"  #: The provider is being called, or works inside that call.
    UPSTREAM = "upstream"  #: The provider works on a task whose id is recorded; anybody may resume it.
    STORING = "storing"  #: There are results.

    @property
    def harmless(self) -> bool:
        """Whether stopping here loses nothing."""
        return self in (Stage.PREPARING, Stage.UPSTREAM)


@dataclass(kw_only=True, slots=True)
class Standing:
    """What the supervisor sees of the work; changed by the work alone."""

    lease: Lease  #: Without what only a beginning needs, once the provider has the task.
    stage: Stage = Stage.PREPARING
    provider: Provider | None = None
    repeatable: bool = True  #: Whether stopping now costs nothing but time.
    attempt_id: str = ""  #: Empty until an attempt is begun or resumed.
    upstream_task_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Doings:
    """What the work is done with; one for all jobs."""

    roster: Roster
    leases: Leases
    find_inputs: FindInputs
    store_outputs: StoreOutputs
    callback_url: Callable[[str, str], str] = lambda provider, attempt_id: ""  #: Where a provider may call back.


class WorkOnJob:
    """Works on one leased job. Cancelling the call stops it where it stands."""

    def __init__(
        self,
        doings: Doings,
        *,
        standing: Standing,
        entered: Callable[[], None],
        on_progress: OnProgress,
        left_s: Callable[[], float],
    ) -> None:
        """`entered` is called at the start of every stage; what it raises ends the work. `left_s`: to the deadline."""
        self._do = doings
        self._standing = standing
        self._entered = entered
        self._on_progress = on_progress
        self._left_s = left_s

    @property
    def _lease(self) -> Lease:
        return self._standing.lease

    async def __call__(self) -> Ending:
        """Return what to report. Raises AppError when the orchestrator refuses a write."""
        step = choose(self._lease, self._held_back_s)
        match step:
            case Resume(attempt=attempt):
                answer = await self._resume(attempt)
            case Begin(route=number):
                answer = await self._begin(number)
            case Wait(seconds=wait_s):
                message = "No provider of the model's routes has room just now."
                return Failed.of(Outcome.DEFERRED, ErrorReason.PROVIDER_UNAVAILABLE, message, retry_after_s=wait_s)
            case Hopeless(failure=failure):
                return Failed(outcome=Outcome.FAILED, failure=failure)
        if isinstance(answer, Failed):
            return answer
        crash.point(AFTER_RUN)
        self._enter(Stage.STORING)
        return await self._do.store_outputs(self._lease, answer)

    def _enter(self, stage: Stage) -> None:
        self._standing.stage = stage
        self._entered()

    async def _begin(self, number: int) -> Finished | Failed:
        route = self._lease.routes[number]
        member, model = self._member(route.provider), route.upstream_model
        try:
            inputs = await self._do.find_inputs(self._lease.job)
        except Unreadable as error:
            return error.failed
        async with member.gate.passed():
            await member.submits.turn()
            if held_s := member.held_back_s(model):  # Since the route was chosen.
                message = "The provider has no room just now."
                return Failed.of(Outcome.DEFERRED, ErrorReason.PROVIDER_UNAVAILABLE, message, retry_after_s=held_s)
            with member.calling(model):
                answer = await self._call(member, number, inputs)
            member.heard(model, answer if isinstance(answer, Failed) else None)
            if not isinstance(answer, Accepted):
                return answer
            del inputs, route  # Thousands may be open at once, for minutes.
            ended = await self._follow(member, answer)
            if isinstance(ended, Failed):
                member.heard(model, ended)
            return ended

    async def _call(self, member: Member, number: int, inputs: Sequence[Source]) -> Accepted | Finished | Failed:
        """Write the intent, then hand the task over."""
        route, job = self._lease.routes[number], self._lease.job
        provider, attempt_id = member.provider, new_id("att")
        self._standing.provider, self._standing.repeatable = provider, provider.repeatable
        self._enter(Stage.SUBMITTING)
        self._standing.attempt_id = attempt_id
        await persist(
            lambda: self._do.leases.begin(
                self._lease, attempt_id=attempt_id, route=number, repeatable=provider.repeatable
            )
        )
        crash.point(AFTER_BEGIN)
        task = Task(
            job_id=job.id,
            attempt_id=attempt_id,
            capability=job.capability,
            upstream_model=route.upstream_model,
            parameters=route.parameters,
            inputs=inputs,
            seed=_seed(route.parameters.get("seed"), job.id),
            timeout_s=self._left_s(),
            callback_url=self._do.callback_url(provider.name, attempt_id),
        )
        return await self._submit(provider, task)

    async def _submit(self, provider: Provider, task: Task) -> Accepted | Finished | Failed:
        try:
            return await provider.submit(task, self._on_progress)
        except Unreadable as error:
            return error.failed
        except Exception:
            _log.exception("submit_failed_unexpectedly", provider=provider.name)
            outcome = Outcome.RETRYABLE if provider.repeatable else Outcome.UNKNOWN
            return Failed.of(outcome, ErrorReason.PROVIDER_FAILED, "The provider could not be called.")

    async def _resume(self, attempt: Attempt) -> Finished | Failed:
        self._standing.attempt_id, self._standing.repeatable = attempt.id, attempt.repeatable
        found = self._do.roster.find(attempt.provider)
        if found is None:
            message = "The provider that may be at work on it cannot be asked from here."
            return _unknown(message, LOOK_AGAIN_S)
        self._standing.provider = found.provider
        with found.gate.resumed():
            if attempt.upstream_task_id:
                self._standing.upstream_task_id = attempt.upstream_task_id
                self._enter(Stage.UPSTREAM)
                first_s = random.uniform(0, RESUME_SPREAD_S)  # noqa: S311  Not a secret.
                return await self._poll(found, attempt.upstream_task_id, first_s=first_s)
            return await self._look_up(found, attempt)

    async def _look_up(self, member: Member, attempt: Attempt) -> Finished | Failed:
        provider = member.provider
        try:
            found = await provider.look_up(attempt.id)
        except Exception:
            _log.exception("look_up_failed_unexpectedly", provider=provider.name)
            return _unknown("The provider could not be asked.", LOOK_AGAIN_S)
        if isinstance(found, Accepted):
            return await self._follow(member, found)
        if isinstance(found, NotTaken):
            message = "The provider never got it."
            return Failed.of(Outcome.DEFERRED, ErrorReason.PROVIDER_FAILED, message)  # Its worker died.
        return _unknown("The provider may have taken it.", found.retry_after_s or LOOK_AGAIN_S)

    async def _follow(self, member: Member, accepted: Accepted) -> Finished | Failed:
        """Record the task's id before anything else, then wait for its end."""
        crash.point(AFTER_ACCEPTED)
        standing, upstream_task_id = self._standing, accepted.upstream_task_id
        standing.upstream_task_id = upstream_task_id
        await persist(
            lambda: self._do.leases.record(
                self._lease, attempt_id=standing.attempt_id, upstream_task_id=upstream_task_id
            )
        )
        crash.point(AFTER_RECORD)
        job = replace(self._lease.job, inputs=())
        standing.lease = Lease(job=job, epoch=self._lease.epoch)
        self._enter(Stage.UPSTREAM)
        return await self._poll(member, upstream_task_id, first_s=accepted.poll_after_s)

    async def _poll(self, member: Member, upstream_task_id: str, *, first_s: float | None) -> Finished | Failed:
        """Ask until it ends: at a growing pace, sooner when the provider calls back, less often when many are open."""
        provider, pace_s, wanted_s = member.provider, POLL_FIRST_S, first_s
        member.polled += 1
        try:
            with member.listening(upstream_task_id, self._standing.attempt_id) as called:
                while True:
                    called.clear()
                    crowd_s = member.polled / member.polls.per_second
                    pause_s = _spread(max(pace_s if wanted_s is None else wanted_s, crowd_s))
                    due = time.monotonic() + pause_s
                    await called.wait(pause_s)
                    await member.polls.turn()
                    POLL_LAG.observe(max(0.0, time.monotonic() - due))
                    answer = await self._ask(provider, upstream_task_id)
                    if not isinstance(answer, Pending):
                        return answer
                    if answer.fraction is not None:
                        self._on_progress(answer.fraction)
                    pace_s, wanted_s = min(pace_s * POLL_GROWTH, POLL_MAX_S), answer.poll_after_s
        finally:
            member.polled -= 1

    async def _ask(self, provider: Provider, upstream_task_id: str) -> Pending | Finished | Failed:
        try:
            return await provider.poll(upstream_task_id)
        except Exception:  # The task goes on upstream, so asking again is right whatever went wrong here.
            _log.exception("poll_failed_unexpectedly", provider=provider.name)
            return Pending(poll_after_s=POLL_MAX_S)

    def _held_back_s(self, route: Route) -> float | None:
        member = self._do.roster.find(route.provider)
        return None if member is None else member.held_back_s(route.upstream_model)

    def _member(self, name: str) -> Member:
        member = self._do.roster.find(name)
        assert member is not None, "the chosen route's provider is there"
        return member


def _unknown(message: str, retry_after_s: float) -> Failed:
    return Failed.of(Outcome.UNKNOWN, ErrorReason.PROVIDER_FAILED, message, retry_after_s=retry_after_s)


def _seed(given: object, job_id: str) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) else seed_of(job_id)


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1 - POLL_SPREAD, 1 + POLL_SPREAD)  # noqa: S311  Not a secret.
