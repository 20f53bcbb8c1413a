"""One operation in a process of its own: how long it works, how much memory it takes more, and its bare calls.

Time is this process's CPU time, so that other programs do not count; operation and bare calls take turns, and the
least of each counts. Memory is what the process grows by from the moment it has its libraries and has worked on a tiny
picture: the input files, the decoded pictures, the work and the results' files.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image

from tests.bench.operations.cases import CASES, GENERATED_SIDE_PX_MAX, Case

MEGAPIXELS: Final = 2.0
LARGE_MEGAPIXELS: Final = 24.0
MEMORY_BYTES_MAX: Final = 2 * 1024**3  # Of the engine's workers.
TURNS: Final = 3
BYTES_PER_PIXEL: Final = 3  # Of a decoded picture, which memory is compared with.
_TINY_MEGAPIXELS: Final = 0.05

Found = dict[str, Any]


def in_process(case: Case, megapixels: float, folder: Path, seconds_max: float) -> Found:
    """Measure in a fresh process; a process that ends badly or too late is said so."""
    for number, image in enumerate(case.inputs(megapixels)):
        if case.lossless or number:
            image.save(folder / f"{number}", "PNG", compress_level=1)
        else:
            image.save(folder / f"{number}", "JPEG", quality=92, subsampling=0)
    command = [sys.executable, "-m", "tests.bench.operations", "--one", case.name, "--folder", str(folder)]
    command += ["--megapixels", str(megapixels)]
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    try:
        done = subprocess.run(
            command, env={**os.environ, **single}, capture_output=True, timeout=seconds_max, check=False
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"not done in {seconds_max:g} s", "failed": True}
    finally:
        for file in folder.iterdir():
            file.unlink()
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return {"refused": f"ended with {done.returncode}: {''.join(last)[:80]}", "failed": True}
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(case: Case, megapixels: float, folder: Path) -> Found:
    """Return seconds, megapixels, bytes grown, peak bytes, the largest picture's bytes and the bare calls' seconds."""
    from imageops import OPERATIONS, Refused, decode
    from imageops.parameters import read_parameters

    operation = OPERATIONS[case.capability]
    large = megapixels > MEGAPIXELS
    given = {**case.parameters, **(case.large_parameters if large else {})}
    _run(operation, case.inputs(_TINY_MEGAPIXELS), read_parameters(operation.parameters, _sized(case, given, 0.0)))
    values = read_parameters(operation.parameters, _sized(case, given, megapixels))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, resource.RLIM_INFINITY))
        before = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here.
        images = [decode(data) for data in _files(folder)]
        seconds, pixels = _run(operation, images, values)
        peak = _memory("VmHWM")
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except Refused as refused:
        return {"refused": refused.message, "failed": True}
    pixels = max([pixels, *(image.width * image.height for image in images)])
    bare_s = None
    if not large:
        seconds = min(seconds, *(_run(operation, images, values)[0] for _ in range(TURNS - 1)))
        if case.bare:
            timed = [(_time(case.bare, images), _run(operation, images, values)[0]) for _ in range(TURNS)]
            bare_s = min(bare for bare, _ in timed)
            seconds = min(seconds, *(own for _, own in timed))
    return {
        "seconds": seconds,
        "megapixels": images[0].width * images[0].height / 1e6 if images else pixels / 1e6,
        "grown_bytes": peak - before,
        "peak_bytes": peak,
        "picture_bytes": pixels * BYTES_PER_PIXEL,
        "bare_s": bare_s,
    }


def _sized(case: Case, given: dict[str, object], megapixels: float) -> dict[str, object]:
    if case.capability != "image.generate":
        return given
    rows = max(64, min(GENERATED_SIDE_PX_MAX, round((megapixels * 1e6 / 1.5) ** 0.5)))
    return {**given, "width": min(GENERATED_SIDE_PX_MAX, round(rows * 1.5)), "height": rows}


def _files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]


def _run(operation: Any, images: list[Image.Image], values: dict[str, Any]) -> tuple[float, int]:
    """Return the CPU seconds of the work without its results' files, and the largest result's pixels."""
    from imageops import Output, Refused

    files: Any = importlib.import_module("imageops.operation")
    encode, writing_s = files.encode, 0.0
    outputs: list[Output] = []

    def timed(*arguments: Any) -> bytes:
        nonlocal writing_s
        begun = time.process_time()
        data: bytes = encode(*arguments)
        writing_s += time.process_time() - begun
        return data

    files.encode = timed  # Whether an operation writes its files itself or leaves it to others.
    started = time.process_time()
    try:
        for made in operation.work(images, values, 1, lambda _share: None):
            outputs.append(made if isinstance(made, Output) else files.to_output(made, "png"))
    except Refused:
        if images and images[0].width * images[0].height > 2e6 * _TINY_MEGAPIXELS:
            raise  # On a tiny picture there may be nothing to find.
    finally:
        files.encode = encode
    seconds = time.process_time() - started - writing_s
    return seconds, max((each.width * each.height for each in outputs), default=0)


def _time(bare: Callable[[list[Image.Image]], None], images: list[Image.Image]) -> float:
    started = time.process_time()
    bare(images)
    return time.process_time() - started


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main_of_one(name: str, megapixels: float, folder: Path) -> None:
    """Measure one case and print what was found as JSON."""
    print(json.dumps(measure(CASES[name], megapixels, folder)))
