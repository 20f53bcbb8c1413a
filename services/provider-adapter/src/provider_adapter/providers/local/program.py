"""A worker's program as the system sees it: a fresh interpreter at the other end of a socket.

It is started by `subprocess`, which on Linux is a vfork: no handler runs that a library has registered for a fork. An
event loop's own process support may fork (uvloop's does), and gRPC's handlers for that can stall its threads and cut
connections. So a worker may be replaced at any time; the first ones are started before there is any channel all the
same (`EnginePool.start`).
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading

# Nothing else of the service's environment is handed on: it holds secrets, and workers parse strangers' files.
_ENVIRONMENT_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "XDG_CACHE_HOME")
_ENVIRONMENT_KEPT_PREFIXES = ("LC_", "PYTHON")
_ENVIRONMENT_SET = {
    # One thread a worker: more would fight over the cores, and sums in another order are other pictures.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


class Program:
    """A started program; whoever started it calls `kill` in the end."""

    def __init__(self, *, operations: str, memory_bytes_max: int) -> None:
        """Start it and return at once. Raises OSError."""
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "provider_adapter.providers.local.worker"]
        command += ["--operations", operations, "--memory-bytes-max", str(memory_bytes_max)]
        command += ["--parent-pid", str(os.getpid())]
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.socket, theirs = socket.socketpair()  #: Nobody's until a stream takes it over.
        try:
            pipe = theirs.fileno()
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=_environment())  # noqa: S603  Ours.
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()
        threading.Thread(target=self._watch, name=f"engine-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative when a signal ended it; None while it runs."""
        return self._process.returncode

    def kill(self) -> None:
        """End it now, whatever it does. Killing a dead one does nothing."""
        self._process.kill()

    async def ended(self) -> None:
        """Return when the process is gone."""
        await self._ended.wait()

    def _watch(self) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
            self._loop.call_soon_threadsafe(self._ended.set)


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT_KEPT or name.startswith(_ENVIRONMENT_KEPT_PREFIXES)
    }
    return kept | _ENVIRONMENT_SET
