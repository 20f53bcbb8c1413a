"""`python -m testkit.providers [NAME[=PORT] …]`: serve simulated providers on loopback until a signal.

Prints one line of JSON with each one's address. Without names, all; without a port, a free one.
"""

import asyncio
import contextlib
import importlib
import json
import signal
import sys
from typing import Final

from testkit.providers.serving import served
from testkit.providers.simulator import Simulator

#: Modules of this package, each with a `build() -> Simulator`.
NAMES: Final = ("a1111", "ark", "comfyui", "evolink", "fal", "jimeng", "openai", "replicate", "suchuang")


def simulator(name: str) -> Simulator:
    """Build one by name."""
    module = importlib.import_module(f"testkit.providers.{name}")
    built: Simulator = module.build()
    return built


async def _main(wanted: list[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        addresses = {}
        for each in wanted or NAMES:
            name, _, port = each.partition("=")
            if name not in NAMES:
                raise SystemExit(f"no such provider: {name} (there are {', '.join(NAMES)})")
            addresses[name] = await stack.enter_async_context(served(simulator(name), port=int(port or 0)))
        print(json.dumps(addresses), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
