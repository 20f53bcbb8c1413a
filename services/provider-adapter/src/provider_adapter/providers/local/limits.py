"""What a worker process takes from itself before it touches a stranger's file."""

import contextlib
import ctypes
import os
import resource
import signal
import sys

NICE = 5  # Below the service, so that polls are answered while pictures are made.
OOM_SCORE = "500"  # If the kernel must end somebody, a worker costs one attempt and the service costs all.

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def apply_limits(*, memory_bytes_max: int, parent_pid: int) -> None:
    """Lower priority and memory, deny core dumps and new privileges, and end when the parent ends."""
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the service decides.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # A core dump would hold clients' pictures.
    with contextlib.suppress(ValueError, OSError):  # Not every system knows this limit.
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(OOM_SCORE)
    if os.getppid() != parent_pid:  # It ended before we asked to be told.
        sys.exit(0)


def give_memory_back() -> None:
    """Return what the last job has freed to the system; the C library would keep up to hundreds of megabytes of it."""
    with contextlib.suppress(AttributeError, OSError):  # Not every C library can.
        ctypes.CDLL(None).malloc_trim(0)
