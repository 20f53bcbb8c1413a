"""Who gets the next free worker: first come, first served."""

import asyncio
from collections import deque

from provider_adapter.providers.local.process import WorkerProcess


class Lending:
    """Idle workers on one side, waiting jobs on the other; never both at once."""

    def __init__(self) -> None:
        self._idle: deque[WorkerProcess] = deque()
        self._waiting: deque[asyncio.Future[WorkerProcess]] = deque()

    async def borrow(self) -> WorkerProcess:
        """Return a live worker that is the caller's until `give_back` or its end."""
        while self._idle:
            worker = self._idle.pop()  # The last one used: its memory is warm.
            if worker.alive:
                return worker
        waiting: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self.give_back(waiting.result())  # It was lent in the moment the caller gave up.
            raise
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def give_back(self, worker: WorkerProcess) -> None:
        """Hand a worker to whoever waits longest, or keep it. A dead one is forgotten."""
        if not worker.alive:
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(worker)
                return
        self._idle.append(worker)

    def fail_waiting(self, error: Exception) -> None:
        """Tell everybody who waits that there is nothing to wait for."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(error)
