"""Become another program that the kernel ends together with the process that started it.

Run as a file, not imported: `python launcher.py PARENT_PID DEATH_SIGNAL UID PROGRAM ARGUMENT…` (UID -1 keeps
ours). The order matters: changing the user clears the death signal, so the signal is asked for afterwards;
and the parent may have died before that, so we look once more. Doing this between fork and exec in the parent
instead is not safe in a process with threads.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, death_signal, uid = (int(argument) for argument in sys.argv[1:4])
    program = sys.argv[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform == "linux":  # Elsewhere only an orderly end of the parent ends the child.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:
        sys.exit("the process that asked for this program has ended")
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
