"""Operations that misbehave on purpose, loaded by the workers of the pool's tests."""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imageops import Output, RefusalReason, Refused

Progress = Callable[[float], None]

LITTER_BYTES = 64 * 1024  # Small enough to lie in the heap, not in a mapping of its own.


class _Operation:
    def __init__(self, work: Callable[[Sequence[bytes], Mapping[str, Any], Progress], list[bytes]]) -> None:
        self._work = work

    def run(
        self, inputs: Sequence[bytes], parameters: Mapping[str, Any], seed: int, on_progress: Progress
    ) -> list[Output]:
        made = self._work(inputs, parameters, on_progress)
        return [Output(data=data, mime_type="text/plain", width=seed, height=1) for data in made]


def _echo(inputs: Sequence[bytes], parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    return [*inputs, json.dumps(dict(parameters)).encode()]


def _steps(_inputs: Sequence[bytes], parameters: Mapping[str, Any], progress: Progress) -> list[bytes]:
    if "pid_file" in parameters:
        Path(parameters["pid_file"]).write_text(str(os.getpid()))
    for step in range(1, parameters["steps"] + 1):
        time.sleep(parameters["step_s"])
        progress(step / parameters["steps"])
    return [b"done"]


def _allocate(_inputs: Sequence[bytes], parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    return [str(np.ones(parameters["bytes"], np.uint8).sum()).encode()]


def _exit(_inputs: Sequence[bytes], parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    os._exit(parameters["status"])


def _raise(_inputs: Sequence[bytes], parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    raise ValueError(parameters["message"])


def _refuse(_inputs: Sequence[bytes], _parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    raise Refused(RefusalReason.INVALID_INPUTS, "Not that one.", "inputs[0]")


def _noise(_inputs: Sequence[bytes], _parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    print("a library talks on stdout")
    os.write(1, b"\xff" * 100)
    return [sys.stdin.read().encode()]


def _circumstances(_inputs: Sequence[bytes], _parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    seen = {
        "environment": dict(os.environ),
        "nice": os.nice(0),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "ignores_sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "loaded": sorted(sys.modules),
    }
    return [json.dumps(seen).encode()]


def _large(_inputs: Sequence[bytes], parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    return [bytes(parameters["bytes"])]


_kept: list[bytearray] = []


def _litter(_inputs: Sequence[bytes], parameters: Mapping[str, Any], _progress: Progress) -> list[bytes]:
    blocks = [bytearray(LITTER_BYTES) for _ in range(parameters["bytes"] // LITTER_BYTES)]
    _kept.append(bytearray(LITTER_BYTES))  # On top of the heap, which so cannot shrink by itself.
    return [str(len(blocks)).encode()]


OPERATIONS = {
    "echo": _Operation(_echo),
    "steps": _Operation(_steps),
    "allocate": _Operation(_allocate),
    "exit": _Operation(_exit),
    "raise": _Operation(_raise),
    "refuse": _Operation(_refuse),
    "noise": _Operation(_noise),
    "circumstances": _Operation(_circumstances),
    "large": _Operation(_large),
    "litter": _Operation(_litter),
}
