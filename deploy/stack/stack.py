"""`make stack`: the six services as six processes on real NATS, MinIO and Postgres, with one log and one way to stop.

Data stay under `.stack` (or `--data-dir`) and serve the next start. The log of every process is kept there in a file of
its own; here all of them appear line by line behind the name of their process.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from standalone import bootstrap
from standalone.bootstrap import BootstrapInvalid, OperatorStubs
from testkit.deployments import StackDeployment
from testkit.servers import ServerNotStarted, ToolMissing

ROOT: Final = Path(__file__).resolve().parents[2]
POLL_S: Final = 0.1  # How late a line may appear, and the death of a process be noticed.
LINES_BYTES_MAX: Final = 1 << 20  # Read at once from one log.
FAILED: Final = 1


class Logs:
    """Follows log files, each from where it ends now."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths = paths
        self._positions = {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}
        self._width = max(map(len, paths))
        self._colour = sys.stdout.isatty()

    async def follow(self) -> None:
        """Print new lines for ever; cancel to stop."""
        while True:
            self.show()
            await asyncio.sleep(POLL_S)

    def show(self) -> None:
        """Print the whole lines that are new."""
        for number, (name, path) in enumerate(self._paths.items()):
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(self._positions[name])
                new = file.read(LINES_BYTES_MAX)
            whole = new[: new.rfind(b"\n") + 1]
            self._positions[name] += len(whole)
            label = f"{name:<{self._width}} │"
            if self._colour:
                label = f"\033[{31 + number % 6}m{label}\033[0m"
            for line in whole.decode(errors="replace").splitlines():
                print(f"{label} {line}")
        sys.stdout.flush()


class Patience:
    """The first SIGINT or SIGTERM asks for the stop; the second one ends everything at once."""

    def __init__(self, deployment: StackDeployment) -> None:
        self._deployment = deployment
        self.asked = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.asked.is_set():
            say("Ending everything at once.")
            for service in self._deployment.services.values():
                service.send_kill()
        self.asked.set()


def say(text: str) -> None:
    """A line of our own in the log."""
    print(f"── {text}", flush=True)


async def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal or the death of a process; return the exit status."""
    document = bootstrap.read(arguments.bootstrap)
    deployment = StackDeployment(
        arguments.data_dir, environment=house_environment(), fast=False, http_port=arguments.port
    )
    paths = {name: service.log_path for name, service in deployment.services.items()}
    logs = Logs(paths | {name: server.log_path for name, server in deployment.servers.items()})
    patience = Patience(deployment)
    following = asyncio.create_task(logs.follow())
    try:
        return await serve(deployment, document, patience)
    except ServerNotStarted as error:
        logs.show()
        print(f"atelier stack: {str(error).partition(chr(10))[0]}", file=sys.stderr)
        return FAILED
    finally:
        say("Stopping.")
        try:
            await deployment.close()
        finally:
            following.cancel()
            logs.show()
        say("Stopped.")


async def serve(deployment: StackDeployment, document: bootstrap.Bootstrap, patience: Patience) -> int:
    """Start, say where, watch. Raises ServerNotStarted."""
    say(f"Starting NATS, MinIO, Postgres and six services; their data are under {deployment.folder}.")
    asked = asyncio.create_task(patience.asked.wait())
    starting = asyncio.create_task(deployment.start())
    await asyncio.wait({asked, starting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return 0
    starting.result()
    operator = deployment.operator()
    await bootstrap.apply(
        document, OperatorStubs(clients=operator.clients, wallets=operator.wallets, jobs=operator.jobs)
    )
    for line in welcome(deployment, document):
        say(line)
    while not patience.asked.is_set():
        if dead := dead_of(deployment):
            print(f"atelier stack: {dead}; the end of its log is above. Stopping the rest.", file=sys.stderr)
            return FAILED
        await asyncio.wait({asked}, timeout=POLL_S)
    return 0


def welcome(deployment: StackDeployment, document: bootstrap.Bootstrap) -> Iterator[str]:
    """Where to go and with which keys; the keys are the bootstrap file's, which is no secret on this machine."""
    yield f"Atelier serves on {deployment.url}"
    for client in document.clients:
        for key in client.api_keys:
            yield f"   {client.id}: API key {key}"
    for name in ("gateway", "billing", "job-orchestrator", "asset-store", "provider-adapter"):
        yield f"   {name}: gRPC on {deployment.grpc_address(name)}"
    for server in deployment.servers.values():
        yield f"   {server.name}: port {server.port}"
    yield f"   the operator's tool: set -a; . {operator_file(deployment)}; .venv/bin/atelier …"
    yield "Ctrl-C ends all."


def operator_file(deployment: StackDeployment) -> Path:
    """Write the environment with which `atelier` operates this stack; only its owner may read it."""
    path = deployment.folder / "operator.env"
    lines = {
        "ATELIER_GATEWAY_TARGET": deployment.grpc_address("gateway"),
        "ATELIER_BILLING_TARGET": deployment.grpc_address("billing"),
        "ATELIER_JOBS_TARGET": deployment.grpc_address("job-orchestrator"),
        "ATELIER_INTERNAL_SECRET": deployment.internal_secret.get_secret_value(),
        "ATELIER_JWT_SECRET": deployment.jwt_secret.get_secret_value(),
    }
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return path


def dead_of(deployment: StackDeployment) -> str:
    """Which process has ended, and how; empty while all run."""
    for service in deployment.services.values():
        if not service.running:
            return f"{service.name} ended with status {service.exit_status}"
    for server in deployment.servers.values():
        if not server.running:
            return f"{server.name} ended"
    return ""


def house_environment() -> dict[str, str]:
    """What the caller set for the services; addresses, databases and secrets of the stack are its own."""
    chosen = {name: value for name, value in os.environ.items() if name.startswith(("ATELIER_", "ZHINIAN_"))}
    chosen.setdefault("ATELIER_LOG_FORMAT", "console" if sys.stdout.isatty() else "json")
    for name in ("ATELIER_INTERNAL_SECRET", "ATELIER_EVENTS_URL", "ATELIER_JWT_SECRET", "ATELIER_CRASH_AT"):
        chosen.pop(name, None)
    return chosen


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether this process has the folder to itself, for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def main() -> int:
    """Parse, take the folder, run."""
    parser = argparse.ArgumentParser(prog="make stack", description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".stack", help="default: .stack in the checkout")
    parser.add_argument("--port", type=int, default=0, help="HTTP port; default: a free one")
    parser.add_argument("--bootstrap", type=Path, default=ROOT / "deploy" / "bootstrap.yaml", help="the first clients")
    arguments = parser.parse_args()
    try:
        with locked(arguments.data_dir) as mine:
            if not mine:
                print(f"atelier stack: another one runs in {arguments.data_dir}", file=sys.stderr)
                return FAILED
            return asyncio.run(run(arguments))
    except (BootstrapInvalid, ToolMissing, yaml.YAMLError) as error:
        print(f"atelier stack: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
