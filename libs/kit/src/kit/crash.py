"""Named places where a test may kill the process, to prove that a crash there loses nothing.

A service declares its points at import and passes through them:

    BEFORE_COMMIT = crash.declare("jobs.accept.before_commit", "the rows are written, nothing is committed")
    ...
    crash.point(BEFORE_COMMIT)

`ATELIER_CRASH_AT=jobs.accept.before_commit:3` ends the process with status 137 at the third pass, as `kill -9`
would: no `finally`, no flush. Nothing is armed unless that variable is set and `testkit` can be imported, which
production images do not contain. The variable is read here, once, because a point must work before any settings
object exists.
"""

import importlib.util
import os
import re
import threading
from typing import Final, NoReturn

ENVIRONMENT: Final = "ATELIER_CRASH_AT"
EXIT_STATUS: Final = 137  # What a shell reports for a process ended by SIGKILL.
KNOWN: Final[dict[str, str]] = {}  #: Every declared point: name → what is true when it is passed.
_NAME: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){2,}")


class UnknownCrashPoint(ValueError):
    """ATELIER_CRASH_AT names no declared crash point, or not in the form name[:n]."""


class _Armed:
    """One point that will end the process at its n-th pass."""

    def __init__(self, name: str, passes: int) -> None:
        self.name = name
        self._left = passes
        self._lock = threading.Lock()  # Points are passed on the event loop and on database threads.

    def pass_through(self, name: str) -> None:
        if name not in KNOWN:
            raise UnknownCrashPoint(f"crash point {name!r} was never declared")
        if name != self.name:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                _die()


def _die() -> NoReturn:
    os._exit(EXIT_STATUS)


def _armed_by(value: str) -> _Armed | None:
    if not value or importlib.util.find_spec("testkit") is None:
        return None
    name, _, passes = value.partition(":")
    if not _NAME.fullmatch(name) or not re.fullmatch(r"[1-9][0-9]{0,8}|", passes, re.ASCII):
        raise UnknownCrashPoint(f"{ENVIRONMENT}={value!r} is not name[:n]")
    return _Armed(name, int(passes or 1))


_armed = _armed_by(os.environ.get(ENVIRONMENT, ""))


def declare(name: str, doc: str) -> str:
    """Register crash point `name` (`area.verb.place`) and return the name; `doc` says what is true there.

    Raises ValueError for a malformed name, an empty `doc`, or a name declared before with other words.
    """
    if not _NAME.fullmatch(name) or not doc:
        raise ValueError(f"a crash point needs a name such as area.verb.place and a sentence: {name!r}")
    if KNOWN.setdefault(name, doc) != doc:
        raise ValueError(f"crash point {name!r} is declared twice")
    return name


def point(name: str) -> None:
    """End the process here if `name` is armed and this is the pass it waits for; otherwise do nothing."""
    if _armed is not None:
        _armed.pass_through(name)


def check() -> None:
    """Raise UnknownCrashPoint when ATELIER_CRASH_AT names a point nobody declared.

    Call it in main, after all modules are imported: a misspelt name must not look like a test that passed.
    """
    if _armed is not None and _armed.name not in KNOWN:
        raise UnknownCrashPoint(f"{ENVIRONMENT} names {_armed.name!r}; known are: {', '.join(sorted(KNOWN)) or 'none'}")
