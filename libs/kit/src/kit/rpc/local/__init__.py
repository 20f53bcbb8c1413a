"""The in-process transport: stubs call servicers directly, with the manners of the wire.

`LocalServer` collects handlers, `LocalDirectory` knows servers by name, `LocalChannel` is what stubs get. A call runs
its handler in a task and a context of its own, so that deadlines and cancellation reach it and nothing of the caller's
context leaks into it: what the handler knows of its caller came through metadata, as over the wire.
"""

from kit.rpc.local.channel import LocalChannel
from kit.rpc.local.server import LocalDirectory, LocalServer

__all__ = ["LocalChannel", "LocalDirectory", "LocalServer"]
