"""One way to open a server, whichever transport the deployment has."""

from typing import Protocol

from kit.rpc.handlers import AddServicer
from kit.rpc.local import LocalDirectory, LocalServer
from kit.rpc.server import Ready, Server
from kit.settings import ServiceSettings


class AnyServer(Protocol):
    """What services need of a server."""

    name: str

    def add(self, add_servicer: AddServicer, servicer: object) -> None:
        """Serve `servicer`; only before `start`."""

    async def start(self) -> None:
        """Begin to take calls."""

    async def stop(self, grace_s: float | None = None) -> None:
        """Refuse new calls, let running ones finish for `grace_s` seconds, cancel and await the rest."""


def open_server(
    name: str, settings: ServiceSettings, *, ready: Ready | None = None, directory: LocalDirectory | None = None
) -> AnyServer:
    """Return an in-process server, already in the directory, when one is given; else a real one."""
    if directory is None:
        return Server(name, settings, ready=ready)
    server = LocalServer(name, settings, copies=directory.copies)
    directory.add(server)
    return server
