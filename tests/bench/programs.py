"""Programs under test: started on a free port, their CPU time read from the kernel, ended by pid."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Program:
    """A running program."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of the program and all its descendants so far."""
        return sum(_cpu_of(pid) for pid in _family(self.pid))

    def memory_mib(self) -> float:
        """Resident memory of the program itself."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.contextmanager
def atelier(folder: Path, *, catalog: Path | None = None) -> Iterator[Program]:
    """The embedded default with fresh data and one client without limits."""
    bootstrap = folder / "bootstrap.yaml"
    bootstrap.write_text("clients: [{id: bench, api_keys: [bench-key], grants: {points: 1000000000}}]\n")
    log = folder / "log"
    command = [sys.executable, "-m", "standalone", "up", "--port", "0", "--data-dir", str(folder / "data")]
    command += ["--bootstrap", str(bootstrap)] + (["--catalog", str(catalog)] if catalog else [])
    environment = {**os.environ, "ATELIER_LOG_LEVEL": "info"}
    with log.open("wb") as sink, _process(command, sink, environment) as process:
        yield Program(url=_served_url(process, log), pid=process.pid)


@contextlib.contextmanager
def yardstick() -> Iterator[Program]:
    """The bare FastAPI app."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("yardstick.py")), str(port)]
    with _process(command, subprocess.DEVNULL, dict(os.environ)) as process:
        ends_at = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > ends_at or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield Program(url=f"http://127.0.0.1:{port}", pid=process.pid)


@contextlib.contextmanager
def _process(command: list[str], sink: object, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _served_url(process: subprocess.Popen[bytes], log: Path) -> str:
    ends_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < ends_at and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "serving":
                    return str(event["url"])
        time.sleep(0.05)
    raise RuntimeError("Atelier did not start:\n" + log.read_text(errors="replace")[-2000:])


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
