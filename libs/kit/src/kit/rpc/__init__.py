"""RPC between services: the same stubs, servicers and promises over gRPC and inside one process.

    server = open_server("billing", settings, directory=directory)     # LocalServer when a directory is given
    server.add(add_HoldServiceServicer_to_server, HoldServicer(...))
    await server.start()

    channel = connect("local:billing", identity=signer, directory=directory)   # or dns:///billing:50051
    hold = await HoldServiceStub(channel).PlaceHold(request, timeout=2.0)

Promises on both transports (`tests/contract/rpc` holds them to it): every call has a deadline, capped by what is left
of the incoming call's; the caller's signed identity and the request id travel with it; requests are validated before
the handler runs; an `AppError` raised by a handler is raised by the caller; nothing else leaks; cancelling a call
cancels its handler. In process, messages pass by reference: treat a received message as immutable.
"""

from kit.rpc.client import Channel, connect
from kit.rpc.deadline import detached, remaining_s
from kit.rpc.local import LocalDirectory, LocalServer
from kit.rpc.opening import AnyServer, open_server
from kit.rpc.server import Server

__all__ = [
    "AnyServer",
    "Channel",
    "LocalDirectory",
    "LocalServer",
    "Server",
    "connect",
    "detached",
    "open_server",
    "remaining_s",
]
