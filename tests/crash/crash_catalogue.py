"""Every crash point that is declared anywhere.

Tests are made from the sources, which takes milliseconds; that the sources tell the truth is a test of its own, which
imports every module of ours in a fresh interpreter (tests declare points too, in their own process).
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

#: Package → the service whose process runs it.
SERVICES: Final[Mapping[str, str]] = {
    "edge": "edge",
    "gateway": "gateway",
    "job_orchestrator": "job-orchestrator",
    "billing": "billing",
    "asset_store": "asset-store",
    "provider_adapter": "provider-adapter",
}
#: Libraries that every service runs, and who of them does so with rows of its own in the outbox.
LIBRARIES: Final = ("kit", "catalog", "imageops")
PUBLISHERS: Final = ("job-orchestrator", "billing")
#: Modules that only separate services on real servers import: the embedded process cannot reach their points.
ONLY_ON_SERVERS: Final = ("kit.events.jetstream", "kit.db.postgres", "asset_store.blobs_s3")
#: Points that only a remote provider's tasks pass; tests/providers kills the adapter there.
ONLY_REMOTE: Final = "providers.remote."
IMPORT_TIMEOUT_S: Final = 240.0  # Three seconds on an idle machine.

_PROGRAM: Final = """
import importlib, json, pkgutil, sys
from kit import crash

for package in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not {"__main__", "migrations", "alembic"} & set(module.name.split(".")):
            importlib.import_module(module.name)
print(json.dumps(sorted(crash.KNOWN)))
"""


def declared() -> dict[str, str]:
    """Return point → the module that declares it, as the sources say."""
    sources = sorted([*ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src")])
    return {
        name: ".".join(path.relative_to(source).with_suffix("").parts)
        for source in sources
        for path in sorted(source.rglob("*.py"))
        for name in _declared_in(path)
    }


def declared_when_imported() -> list[str]:
    """Return the points that exist once all our modules are imported."""
    command = [sys.executable, "-c", _PROGRAM, *LIBRARIES, *SERVICES, "standalone"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S)
    points: list[str] = json.loads(done.stdout)
    return points


def embedded(points: Mapping[str, str]) -> list[str]:
    """Return the points that the embedded deployment passes."""
    return sorted(
        name
        for name, module in points.items()
        if not module.startswith(ONLY_ON_SERVERS) and not name.startswith(ONLY_REMOTE)
    )


def on_servers(points: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (service, point) for the deployment of separate services: all but those of remote providers."""
    return sorted(
        (service, name)
        for name, module in points.items()
        if not name.startswith(ONLY_REMOTE)
        for service in _owners(module.partition(".")[0])
    )


def _owners(package: str) -> tuple[str, ...]:
    return (SERVICES[package],) if package in SERVICES else PUBLISHERS


def _declared_in(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if "crash.declare(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="crash"), attr="declare"), args=[ast.Constant(value=str(name)), *_]
            ):
                yield name
