"""One child process: it logs to a file, dies when we die, and is ended by its id.

Blocking calls here take microseconds; every wait is asynchronous and has a limit.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_LAUNCHER = Path(__file__).with_name("launcher.py")
_POLL_INTERVAL_S = 0.02  # Quick enough that nobody waits for the waiting.
_KILL_TIMEOUT_S = 10.0  # SIGKILL works at once unless the process hangs inside the kernel.


class Child:
    """A running program. Made by `Child.spawn`, from a thread that lives as long as the child should."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        log_path: Path,
        environment: Mapping[str, str] | None = None,
        uid: int | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        folder: Path | None = None,
    ) -> Self:
        """Start `command` (its first word is an absolute path); its output is appended to `log_path`.

        `environment` replaces ours when given; `uid` is the user (and group) to become, which only root may
        ask for. On Linux the kernel sends `death_signal` when the *thread* that called this ends, so call it
        from the main thread or from an event loop that lives there.
        """
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(int(death_signal))]
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [*launcher, str(-1 if uid is None else uid), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop the child in order.
            )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    async def wait(self, timeout_s: float) -> int:
        """Return the exit status. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while (status := self.exit_status) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} still runs after {timeout_s} s")
            await asyncio.sleep(_POLL_INTERVAL_S)
        return status

    async def stop(self, grace_s: float, *, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and kill it and its children when it has not done so after `grace_s`."""
        if self.exit_status is not None:
            return
        self._process.send_signal(stop_signal)
        try:
            await self.wait(grace_s)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it and its children with SIGKILL; all of them are gone afterwards."""
        if self.exit_status is not None:
            return
        children = children_of(self.pid)
        self._process.kill()  # First, so that it does not replace a child that dies.
        await self.wait(_KILL_TIMEOUT_S)
        for pid in children:
            _signal(pid, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_TIMEOUT_S
        while any(is_running(pid) for pid in children):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a child of process {self.pid} survived SIGKILL")
            await asyncio.sleep(_POLL_INTERVAL_S)


def children_of(pid: int) -> list[int]:
    """Ids of the direct children; empty where the system has no /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat_fields(stat)
        if len(fields) > 1 and int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def is_running(pid: int) -> bool:
    """False for a zombie too: the init that should collect an orphan may be slow to, in a container."""
    fields = _stat_fields(Path(f"/proc/{pid}/stat"))
    return bool(fields) and fields[0] not in "ZX"


def _stat_fields(stat: Path) -> list[str]:
    """State, parent id and so on, which follow the name in brackets; empty when the process is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
