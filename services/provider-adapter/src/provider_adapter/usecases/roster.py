"""The providers of this adapter, each behind a gate (so many attempts at once), a pace and a breaker for each model."""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from provider_adapter.ports import Failed, Outcome, Provider
from provider_adapter.usecases.breaker import Breaker, BreakerState
from provider_adapter.usecases.pace import Pace
from provider_adapter.usecases.signals import Signal


class Gate:
    """Lets `running_max` through, the others in order of arrival."""

    def __init__(self, running_max: int) -> None:
        assert running_max > 0, "a provider that may run nothing is not configured"
        self.running_max = running_max
        self.running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """Wait for a place and keep it inside the block."""
        if self.running < self.running_max and not self._waiting:
            self.running += 1
        else:
            await self._queue()
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def resumed(self) -> Iterator[None]:
        """Take a place at once, even above the limit: the provider is at work already."""
        self.running += 1
        try:
            yield
        finally:
            self._leave()

    async def _queue(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # It was given a place in the moment it gave up.
            raise
        finally:
            if place in self._waiting:
                self._waiting.remove(place)

    def _leave(self) -> None:
        self.running -= 1
        while self._waiting and self.running < self.running_max:
            place = self._waiting.popleft()
            if not place.done():
                self.running += 1
                place.set_result(None)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A provider that this adapter has code for."""

    name: str
    capabilities: frozenset[str]
    provider: Provider | None  #: None when it is switched off.
    submits_per_second: float = math.inf
    polls_per_second: float = math.inf


@dataclass(kw_only=True)
class Member:
    """A configured provider, and what keeps it from being called too much."""

    provider: Provider
    gate: Gate
    submits: Pace
    polls: Pace
    breakers: dict[str, Breaker] = field(default_factory=dict)  #: By upstream model; none for the local engine.
    polled: int = 0  #: Tasks that are asked after.
    calls: dict[str, Signal] = field(default_factory=dict)  #: By task or attempt: set when it called back.

    def held_back_s(self, upstream_model: str) -> float:
        """How long until a submit may be tried; 0 for now."""
        breaker = self.breakers.get(upstream_model)
        return max(self.submits.cool_s, breaker.wait_s if breaker is not None else 0.0)

    @contextlib.contextmanager
    def calling(self, upstream_model: str) -> Iterator[None]:
        """A submit is made inside the block; `heard` tells how it ended."""
        if self.provider.repeatable:  # What may be repeated at no cost is tried by the next job all the same.
            yield
            return
        breaker = self.breakers.setdefault(upstream_model, Breaker())
        breaker.calling()
        try:
            yield
        except BaseException:
            breaker.dropped()
            raise

    def heard(self, upstream_model: str, failed: Failed | None) -> None:
        """How a submit, or the task it led to, ended; None for well."""
        if failed is not None and failed.outcome is Outcome.DEFERRED:
            self.submits.cool(failed.retry_after_s)
        breaker = self.breakers.get(upstream_model)
        if breaker is not None:
            breaker.heard(failed)

    @property
    def breaker(self) -> tuple[BreakerState, float]:
        """The worst of its breakers, and how long until it lets a probe through."""
        if not self.breakers:
            return BreakerState.CLOSED, 0.0
        worst = max(self.breakers.values(), key=lambda one: (_BAD.index(one.state), one.wait_s))
        return worst.state, worst.wait_s

    @contextlib.contextmanager
    def listening(self, *names: str) -> Iterator[Signal]:
        """A signal that is set when a callback tells of one of these ids."""
        signal = Signal()
        self.calls |= dict.fromkeys(names, signal)
        try:
            yield signal
        finally:
            for name in names:
                self.calls.pop(name, None)


_BAD: Final = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)


class Roster:
    """All known providers by name."""

    def __init__(self, known: Iterable[Known]) -> None:
        self.known = sorted(known, key=lambda each: each.name)
        self._members = {
            each.name: Member(
                provider=each.provider,
                gate=Gate(each.provider.running_max),
                submits=Pace(each.submits_per_second),
                polls=Pace(each.polls_per_second),
            )
            for each in self.known
            if each.provider is not None
        }

    def find(self, name: str) -> Member | None:
        """Return the provider if it is known and configured."""
        return self._members.get(name)

    @property
    def members(self) -> list[Member]:
        """Every configured provider."""
        return list(self._members.values())

    @property
    def running_max(self) -> int:
        """Attempts that all providers together may have under way."""
        return sum(member.gate.running_max for member in self._members.values())

    async def start(self) -> None:
        """Start every configured provider."""
        for member in self._members.values():
            await member.provider.start()

    async def close(self) -> None:
        """Close every configured provider, even when one of them fails to."""
        results = await asyncio.gather(
            *(member.provider.close() for member in self._members.values()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
