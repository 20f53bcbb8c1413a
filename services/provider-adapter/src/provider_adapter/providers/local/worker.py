"""The worker process: reads a job from stdin, runs it, writes progress and files to stdout, and again.

Started by the pool as a fresh interpreter (`python -m provider_adapter.providers.local.worker`), never
forked: the service has threads and gRPC channels that must not be copied.
"""

import argparse
import importlib
import os
import time
import traceback
from collections.abc import Callable, Mapping
from typing import BinaryIO

from imageops import Operation, Refused
from provider_adapter.providers.local.frames import Frame, read_frame_blocking, write_frame_blocking
from provider_adapter.providers.local.limits import apply_limits, give_memory_back

PROGRESS_PERIOD_S = 0.05  # Twenty a second is smooth to the eye and costs the service nothing.
TRACEBACK_CHARACTERS_MAX = 20_000
WARM_UP_PIXELS = 64  # Enough to load every codec and fill the import caches.


def main() -> None:
    """Serve jobs until stdin closes."""
    arguments = _parse_arguments()
    apply_limits(memory_bytes_max=arguments.memory_bytes_max, parent_pid=arguments.parent_pid)
    requests, replies = _take_pipes()
    operations = _load(arguments.operations)
    _warm_up(operations)
    write_frame_blocking(replies, Frame("ready"))
    while (request := read_frame_blocking(requests)) is not None:
        write_frame_blocking(replies, Frame("started"))
        reply = _answer(operations, request, _progress_to(replies))
        write_frame_blocking(replies, reply)
        if reply.kind == "out_of_memory":
            return  # What is left of the heap is in pieces; a fresh process is not.
        del request, reply  # Else the last job's files stay in memory until the next one comes.
        give_memory_back()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", required=True)
    parser.add_argument("--memory-bytes-max", required=True, type=int)
    parser.add_argument("--parent-pid", required=True, type=int)
    return parser.parse_args()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for frames alone: what a library prints goes to stderr, what it reads is nothing."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _load(name: str) -> Mapping[str, Operation]:
    module, _, attribute = name.partition(":")
    loaded: Mapping[str, Operation] = getattr(importlib.import_module(module), attribute)
    return loaded


def _warm_up(operations: Mapping[str, Operation]) -> None:
    """Run something small, so that the first client does not wait for lazy imports."""
    generate = operations.get("image.generate")
    if generate is None:
        return
    for file_format in ("jpeg", "webp", "png"):
        parameters = {"prompt": "a", "width": WARM_UP_PIXELS, "height": WARM_UP_PIXELS, "format": file_format}
        (picture,) = generate.run([], parameters, 0)
        operations["image.upscale"].run([picture.data], {"scale": 2}, 0)


def _answer(operations: Mapping[str, Operation], request: Frame, on_progress: Callable[[float], None]) -> Frame:
    name = request.head["operation"]
    operation = operations.get(name)
    if operation is None:
        return _refused("unknown_operation", "The local engine has no such operation.", "operation")
    try:
        inputs = [b"".join(blob) for blob in request.blobs]
        outputs = operation.run(inputs, request.head["parameters"], request.head["seed"], on_progress)
    except MemoryError:
        return Frame("out_of_memory")
    except Refused as refused:
        return _refused(refused.reason, refused.message, refused.field)
    except Exception as error:
        place = "".join(traceback.format_tb(error.__traceback__))[-TRACEBACK_CHARACTERS_MAX:]
        return Frame("failed", {"error": type(error).__name__, "detail": place})
    facts = [
        {"mime_type": each.mime_type, "width": each.width, "height": each.height, "role": each.role} for each in outputs
    ]
    return Frame("done", {"outputs": facts}, [[each.data] for each in outputs])


def _refused(reason: str, message: str, field: str | None) -> Frame:
    return Frame("refused", {"reason": reason, "message": message, "field": field})


def _progress_to(replies: BinaryIO) -> Callable[[float], None]:
    said_at = 0.0

    def on_progress(fraction: float) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at >= PROGRESS_PERIOD_S or fraction >= 1.0:
            said_at = now
            write_frame_blocking(replies, Frame("progress", {"fraction": fraction}))

    return on_progress


if __name__ == "__main__":
    main()
