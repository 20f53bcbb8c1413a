"""The engine's processes and gRPC do not meet: the first are started before any channel, later ones without a fork."""

import asyncio
import sys

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
