"""A port of 127.0.0.1 that stays ours from before a process starts until long after it was killed.

Services must know each other's addresses before any of them runs, so asking the kernel for a free port inside each of
them is too late, and asking here and letting go is a race. Instead the port stays bound, without listening: Linux lets
one more socket with SO_REUSEADDR bind and listen beside it, which all our servers set, and gives the port to nobody
else meanwhile.
"""

import random
import socket
import sys
from typing import Final

LOOPBACK: Final = "127.0.0.1"
#: Below what the servers of `testkit.servers` choose from, and below what Linux gives to outgoing connections.
_RANGE: Final = range(10_240, 15_000)
_TRIES_MAX: Final = 1000


class ReservedPort:
    """One reserved port; `release` gives it back."""

    def __init__(self) -> None:
        """Reserve any free port. Raises OSError when there is none."""
        self._socket, self.number = _reserve()

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{LOOPBACK}:{self.number}"

    def release(self) -> None:
        """Let others have the port. May be called twice."""
        self._socket.close()


def _reserve() -> tuple[socket.socket, int]:
    for number in random.sample(_RANGE, _TRIES_MAX):
        holder = socket.socket()
        try:
            holder.bind((LOOPBACK, number))  # Without SO_REUSEADDR: two of us never get the same one.
        except OSError:
            holder.close()
            continue
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            holder.close()  # Elsewhere nobody may bind beside us; the race is short.
        return holder, number
    raise OSError(f"no free port from {_RANGE.start} to {_RANGE.stop - 1}")
