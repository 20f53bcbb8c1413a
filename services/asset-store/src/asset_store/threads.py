"""Blocking file and S3 calls, moved off the event loop into a few named threads."""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from kit.errors import StorageFull

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 8  # Enough to keep a disk or an S3 server busy; more only queue there instead of here.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Threads:
    """A bounded pool of threads for one adapter."""

    def __init__(self, name: str, threads: int = THREADS) -> None:
        """Start no thread yet."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread. A full disk is raised as StorageFull.

        A thread cannot be stopped, so a cancelled caller waits for the end of the work before it goes: what the work
        uses (a file, a buffer) is never taken from under it.
        """
        future = asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull from error
            raise

    def close(self) -> None:
        """Let running work end and free the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
