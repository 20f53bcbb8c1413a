"""The providers of this adapter, each behind a gate that lets only so many attempts through at once."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from provider_adapter.ports import Provider


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
    provider: Provider | None  #: None when the credentials or addresses it needs are not set.


@dataclass(frozen=True, kw_only=True)
class Member:
    """A configured provider and its gate."""

    provider: Provider
    gate: Gate


class Roster:
    """All known providers by name."""

    def __init__(self, known: Iterable[Known]) -> None:
        self.known = sorted(known, key=lambda each: each.name)
        self._members = {
            each.name: Member(provider=each.provider, gate=Gate(each.provider.running_max))
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
