"""The engine's processes and gRPC do not meet: the first are started before any channel, later ones without a fork."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

FORKS = """
import asyncio, ctypes, os, signal, sys
from provider_adapter.providers.local.pool import EnginePool

forks = []
prepare = ctypes.CFUNCTYPE(None)(lambda: forks.append(1))
assert ctypes.CDLL(None).__register_atfork(prepare, None, None, None) == 0

async def main():
    async with EnginePool(workers=1) as pool:
        for _ in range(2):
            await pool.run(operation="image.generate", parameters={"prompt": "sea", "width": 64, "height": 64})
            (pid,) = pool.worker_pids
            os.kill(pid, signal.SIGKILL)
            while pool.worker_pids in ([pid], []):
                await asyncio.sleep(0.01)
    by_pool = len(forks)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print(by_pool, len(forks))

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_no_fork_handler_runs_when_workers_are_started_and_replaced(loop: str) -> None:
    """gRPC's are among those handlers, and they can stall its threads. The one fork counted is the program's own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", FORKS, loop, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaints = await process.communicate()
    assert (process.returncode, out.split(), complaints) == (0, [b"0", b"1"], b"")


ORDER = """
import asyncio, sys
from pathlib import Path
import grpc.aio, uvloop
from testkit.servers.child import children_of

seen = []

def watched(name):
    real = getattr(grpc.aio, name)
    def watching(*arguments, **options):
        import os
        programs = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children_of(os.getpid())]
        seen.append((name, sum(b"providers.local.worker" in program for program in programs)))
        return real(*arguments, **options)
    setattr(grpc.aio, name, watching)

watched("insecure_channel")
watched("server")
"""
SERVICE = """
from kit.lifecycle import Lifecycle
from kit.events import InProcessBus
from kit.service import host
from provider_adapter.config import ProviderSettings
from provider_adapter.main import ProviderAdapter

async def main():
    settings = ProviderSettings(
        internal_secret="s" * 32, engine_workers=2, listen="127.0.0.1:0", stop_grace_s=0, drain_wait_s=0,
        jobs_target="127.0.0.1:1", assets_target="127.0.0.1:1",
    )
    life = Lifecycle()
    host(life, settings, ProviderAdapter, name="provider-adapter", package="provider_adapter", bus=InProcessBus())
    await life.start()
    await life.stop()

uvloop.run(main())
print(sorted(set(seen)))
"""
HOUSE = """
from standalone.assembly import Address, Standalone
from standalone.place import Place

async def main():
    standalone = Standalone(Place(Path(sys.argv[1])), address=Address(http_port=0, grpc_listen="127.0.0.1:0"))
    await standalone.life.start()
    await standalone.life.stop()

uvloop.run(main())
print(sorted(set(seen)))
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [(SERVICE, [("insecure_channel", 2), ("server", 2)]), (HOUSE, [("server", 2)])],
    ids=["a service of its own", "the standalone"],
)
async def test_workers_are_started_before_there_is_any_channel_or_server(
    program: str, expected: list[tuple[str, int]], tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ORDER + program, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PROVIDERS_ENGINE_WORKERS": "2"},
    )
    out, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    assert out.decode().splitlines()[-1] == str(expected)
