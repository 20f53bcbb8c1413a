"""An echo service on every transport: over a real port, in process, and in process with copied messages."""

import asyncio
import importlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from protovalidate._gen.buf.validate import validate_pb
from pydantic import SecretStr

from kit.identity import IdentitySigner
from kit.rpc import AnyServer, Channel, LocalDirectory, connect, open_server
from kit.rpc.local import LocalChannel
from kit.settings import ServiceSettings

SECRET = SecretStr("c" * 32)
PATH = "/atelier.testing.echo.v1.EchoService/"


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The generated code of `echo.proto`: `echo.pb2` and `echo.grpc`."""
    folder = tmp_path_factory.mktemp("echo")
    imports = descriptor_pb2.FileDescriptorSet()
    imports.file.add().ParseFromString(descriptor_pb2.DESCRIPTOR.serialized_pb)
    for wanted in ("duration", "timestamp", "field_mask"):
        module = importlib.import_module(f"google.protobuf.{wanted}_pb2")
        imports.file.add().ParseFromString(module.DESCRIPTOR.serialized_pb)
    imports.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    (folder / "imports.binpb").write_bytes(imports.SerializeToString())
    tools = importlib.import_module("grpc_tools.protoc")  # It has no types.
    status = tools.main(
        [
            "protoc",
            f"--descriptor_set_in={folder / 'imports.binpb'}",
            f"-I{Path(__file__).parent}",
            f"-I{Path(str(tools.__file__)).parent / '_proto'}",
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            "echo.proto",
        ]
    )
    assert status == 0
    sys.path.insert(0, str(folder))
    try:
        return SimpleNamespace(pb2=importlib.import_module("echo_pb2"), grpc=importlib.import_module("echo_pb2_grpc"))
    finally:
        sys.path.remove(str(folder))


class Behavior:
    """What the echo service does; a test replaces the method it is about."""

    def __init__(self, pb2: Any) -> None:
        self.pb2 = pb2
        self.calls = 0
        self.ended = asyncio.Event()  #: For tests to set in a `finally`.

    async def unary(self, request: Any, context: Any) -> Any:
        return self.pb2.EchoResponse(text=request.text)

    async def split(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(request.count):
            yield self.pb2.EchoResponse(text=f"{request.text}{number}")

    async def join(self, requests: AsyncIterator[Any], context: Any) -> Any:
        return self.pb2.EchoResponse(text=",".join([request.text async for request in requests]))

    async def chat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield self.pb2.EchoResponse(text=request.text.upper())


def servicer(echo: Any, behavior: Behavior) -> Any:
    class EchoServicer(echo.grpc.EchoServiceServicer):  # type: ignore[misc]  # Generated while the tests run.
        async def Unary(self, request: Any, context: Any) -> Any:
            behavior.calls += 1
            return await behavior.unary(request, context)

        async def Split(self, request: Any, context: Any) -> AsyncIterator[Any]:
            behavior.calls += 1
            try:
                async for response in behavior.split(request, context):
                    yield response
            finally:
                behavior.ended.set()

        async def Join(self, requests: AsyncIterator[Any], context: Any) -> Any:
            behavior.calls += 1
            return await behavior.join(requests, context)

        async def Chat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            behavior.calls += 1
            try:
                async for response in behavior.chat(requests, context):
                    yield response
            finally:
                behavior.ended.set()

    return EchoServicer()


@dataclass(kw_only=True)
class House:
    """Echo services on one transport, and channels to them."""

    transport: str
    echo: Any
    directory: LocalDirectory | None
    servers: dict[str, AnyServer] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    opened: list[grpc.aio.Channel] = field(default_factory=list)

    def settings(self, listen: str) -> ServiceSettings:
        return ServiceSettings(internal_secret=SECRET, listen=listen)

    async def serve(self, name: str, *, settings: ServiceSettings | None = None) -> Behavior:
        """Start the echo service under this name, again at the same address if it was there before."""
        behavior = Behavior(self.echo.pb2)
        listen = self.addresses.setdefault(name, f"127.0.0.1:{free_port()}")
        server = open_server(name, settings or self.settings(listen), directory=self.directory)
        server.add(self.echo.grpc.add_EchoServiceServicer_to_server, servicer(self.echo, behavior))
        await server.start()
        self.servers[name] = server
        return behavior

    def target(self, name: str) -> str:
        address = self.addresses.setdefault(name, f"127.0.0.1:{free_port()}")
        return address if self.directory is None else f"local:{name}"

    def channel(self, to: str, *, service: str = "tester", secret: SecretStr = SECRET, retry: bool = False) -> Channel:
        """Return a channel as services make it."""
        signer = IdentitySigner(service, secret)
        channel = connect(self.target(to), identity=signer, directory=self.directory, retry=retry)
        self.opened.append(channel)
        return channel

    def bare_channel(self, to: str) -> grpc.aio.Channel:
        """Return a channel of the transport alone, without the house's rules."""
        if self.directory is None:
            channel = grpc.aio.insecure_channel(self.target(to))
        else:
            channel = LocalChannel(to, self.directory)
        self.opened.append(channel)
        return channel

    def stub(self, to: str, **options: Any) -> Any:
        return self.echo.grpc.EchoServiceStub(self.channel(to, **options))

    def bare_stub(self, to: str) -> Any:
        return self.echo.grpc.EchoServiceStub(self.bare_channel(to))

    def identified(self, client: str | None = None, **more: str) -> tuple[tuple[str, str], ...]:
        """Return the metadata a bare stub needs to get in."""
        token = IdentitySigner("tester", SECRET).token(client)
        return (("atelier-identity", token), *((name.replace("_", "-"), value) for name, value in more.items()))

    async def close(self) -> None:
        for channel in self.opened:
            await channel.close()
        for server in self.servers.values():
            await server.stop(0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def open_house(transport: str, echo: Any) -> House:
    directory = None if transport == "wire" else LocalDirectory(copies=transport == "copies")
    return House(transport=transport, echo=echo, directory=directory)


@pytest.fixture(params=["wire", "local", "copies"])
async def house(request: pytest.FixtureRequest, echo: Any) -> AsyncIterator[House]:
    """A house on each transport."""
    opened = await open_house(request.param, echo)
    yield opened
    await opened.close()


@pytest.fixture
async def wired_house(echo: Any) -> AsyncIterator[House]:
    """A house on the wire, for what only the wire has."""
    opened = await open_house("wire", echo)
    yield opened
    await opened.close()


@pytest.fixture(params=["wire", "copies"])
async def copying_house(request: pytest.FixtureRequest, echo: Any) -> AsyncIterator[House]:
    """A house where messages become bytes on their way."""
    opened = await open_house(request.param, echo)
    yield opened
    await opened.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait until something becomes true, or fail after five seconds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
