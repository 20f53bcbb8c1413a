"""What only the in-process transport has: messages by reference, names instead of addresses, next to no cost."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from kit.identity import IdentitySigner
from kit.rpc import LocalDirectory, LocalServer, connect, open_server
from kit.settings import ServiceSettings

SECRET = SecretStr("c" * 32)
# Ten times what it takes on a small machine (about 17 µs), so that only a real mistake fails the test.
CPU_PER_CALL_S_MAX = 0.000_2


@pytest.fixture
def settings() -> ServiceSettings:
    return ServiceSettings(internal_secret=SECRET)


def signer() -> IdentitySigner:
    return IdentitySigner("tester", SECRET)


def servicer(echo: Any, seen: list[Any]) -> Any:
    class Echo(echo.grpc.EchoServiceServicer):  # type: ignore[misc]  # Generated while the tests run.
        async def Unary(self, request: Any, context: Any) -> Any:
            seen.append(request)
            return echo.pb2.EchoResponse(text=context.peer())

        async def Chat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            async for request in requests:
                seen.append(request)
                yield echo.pb2.EchoResponse(text=request.text)

    return Echo()


@pytest.mark.parametrize("copies", [False, True])
async def test_messages_pass_by_reference_unless_copies_are_wanted(
    echo: Any, settings: ServiceSettings, copies: bool
) -> None:
    directory, seen = LocalDirectory(copies=copies), list[Any]()
    server = open_server("echo", settings, directory=directory)
    server.add(echo.grpc.add_EchoServiceServicer_to_server, servicer(echo, seen))
    await server.start()
    stub = echo.grpc.EchoServiceStub(connect("local:echo", identity=signer(), directory=directory))
    request = echo.pb2.EchoRequest(text="mine")
    assert (await stub.Unary(request, timeout=1)).text == "local"
    assert [r.text async for r in stub.Chat(iter([request]), timeout=1)] == ["mine"]
    assert [received is request for received in seen] == [not copies] * 2
    assert seen == [request, request]
    await server.stop(0)


def test_local_target_needs_a_directory() -> None:
    with pytest.raises(ValueError, match="directory"):
        connect("local:billing", identity=signer())


async def test_a_server_of_the_same_name_takes_the_place_of_the_first(echo: Any, settings: ServiceSettings) -> None:
    directory = LocalDirectory()
    stub = echo.grpc.EchoServiceStub(connect("local:echo", identity=signer(), directory=directory))
    for _ in range(2):
        seen: list[Any] = []
        server = LocalServer("echo", settings)
        server.add(echo.grpc.add_EchoServiceServicer_to_server, servicer(echo, seen))
        directory.add(server)
        await server.start()
        await stub.Unary(echo.pb2.EchoRequest(), timeout=1)
        assert len(seen) == 1


async def test_nothing_is_left_behind_when_calls_have_ended(echo: Any, settings: ServiceSettings) -> None:
    directory = LocalDirectory()
    server = LocalServer("echo", settings)
    server.add(echo.grpc.add_EchoServiceServicer_to_server, servicer(echo, []))
    directory.add(server)
    await server.start()
    channel = connect("local:echo", identity=signer(), directory=directory)
    stub = echo.grpc.EchoServiceStub(channel)
    for _ in range(100):
        await stub.Unary(echo.pb2.EchoRequest(), timeout=60)
        assert [r async for r in stub.Chat(iter([echo.pb2.EchoRequest()]), timeout=60)]
    assert not server._calls
    assert not server._pipeline._tasks
    assert not channel._transport._calls  # type: ignore[attr-defined]  # Only the in-process one has it.


async def test_a_call_costs_microseconds(echo: Any, settings: ServiceSettings) -> None:
    directory = LocalDirectory()
    server = LocalServer("echo", settings)
    server.add(echo.grpc.add_EchoServiceServicer_to_server, servicer(echo, []))
    directory.add(server)
    await server.start()
    stub = echo.grpc.EchoServiceStub(connect("local:echo", identity=signer(), directory=directory))
    request, calls = echo.pb2.EchoRequest(text="quick"), 2_000
    await stub.Unary(request, timeout=5)
    best_s = float("inf")
    for _ in range(3):
        began = time.process_time()
        for _ in range(calls):
            await stub.Unary(request, timeout=5)
        best_s = min(best_s, (time.process_time() - began) / calls)
    assert best_s < CPU_PER_CALL_S_MAX
