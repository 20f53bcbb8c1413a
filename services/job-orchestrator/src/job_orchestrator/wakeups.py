"""Wakes callers of this process who wait for the database to change. Everything here runs on the event loop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class LocalWaiter:
    """The port `Waiter`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def told(self) -> bool:
        """Whether something happened since `clear`."""
        return self._event.is_set()

    def tell(self) -> None:
        """Something happened."""
        self._event.set()

    def clear(self) -> None:
        """See `Waiter.clear`."""
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        """See `Waiter.wait`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            pass


class LocalWakeups:
    """The port `Wakeups`."""

    def __init__(self) -> None:
        # Dictionaries, because they keep the order of arrival and delete by key.
        self._pools: dict[str, dict[LocalWaiter, None]] = {}
        self._clients: dict[str, dict[LocalWaiter, None]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """See `Wakeups.closed`."""
        return self._closed

    @contextmanager
    def at_pool(self, pool: str) -> Iterator[LocalWaiter]:
        """See `Wakeups.at_pool`."""
        told = False
        try:
            with _registered(self._pools, pool) as waiter:
                try:
                    yield waiter
                finally:
                    told = waiter.told
        finally:
            if told:  # It was told of a job that it did not take: somebody else may.
                self.pool_ready(pool)

    @contextmanager
    def at_client(self, client_id: str) -> Iterator[LocalWaiter]:
        """See `Wakeups.at_client`."""
        with _registered(self._clients, client_id) as waiter:
            yield waiter

    def pool_ready(self, pool: str) -> None:
        """See `Wakeups.pool_ready`. One job wakes one waiter: the others would only find nothing."""
        waiter = next((waiter for waiter in self._pools.get(pool, ()) if not waiter.told), None)
        if waiter is not None:
            waiter.tell()

    def client_changed(self, client_id: str) -> None:
        """The client's event log has grown."""
        for waiter in self._clients.get(client_id, ()):
            waiter.tell()

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        for places in (self._pools, self._clients):
            for waiters in places.values():
                for waiter in waiters:
                    waiter.tell()


@contextmanager
def _registered(places: dict[str, dict[LocalWaiter, None]], place: str) -> Iterator[LocalWaiter]:
    waiter = LocalWaiter()
    places.setdefault(place, {})[waiter] = None
    try:
        yield waiter
    finally:
        waiters = places[place]
        del waiters[waiter]
        if not waiters:
            del places[place]
