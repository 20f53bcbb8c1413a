"""What only the wire has: ports, health, reflection, retries, peers that fall silent."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic import SecretStr

from kit.errors import DependencyUnavailable, LeaseLost
from kit.identity import IdentitySigner
from kit.rpc import Server, connect, limits

SECRET = SecretStr("c" * 32)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel, service: str) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return response.status


async def test_second_server_on_a_port_is_refused(wired_house: Any) -> None:
    await wired_house.serve("echo")
    second = Server("thief", wired_house.settings(wired_house.addresses["echo"]))
    with pytest.raises(OSError, match="cannot listen"):
        await second.start()


async def test_free_port_is_told_after_the_start(wired_house: Any, echo: Any) -> None:
    server = Server("echo", wired_house.settings("127.0.0.1:0"))
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            assert await health(channel, "liveness") == SERVING
    finally:
        await server.stop(0)


async def test_health_says_serving_only_while_the_service_is_ready(wired_house: Any, eventually: Any) -> None:
    answers = {"ready": False}

    async def ready() -> bool:
        if answers["ready"] is None:
            raise OSError("database away")
        return bool(answers["ready"])

    server = Server("echo", wired_house.settings("127.0.0.1:0"), ready=ready)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            assert await health(channel, "liveness") == SERVING
            assert await health(channel, "") == NOT_SERVING
            answers["ready"] = True
            async with asyncio.timeout(5):
                while await health(channel, "") != SERVING:
                    await asyncio.sleep(0.02)
            answers["ready"] = None  # type: ignore[assignment]  # Stands for a check that fails outright.
            async with asyncio.timeout(10):
                while await health(channel, "") != NOT_SERVING:
                    await asyncio.sleep(0.05)
            assert await health(channel, "liveness") == SERVING
    finally:
        await server.stop(0)


async def test_health_says_not_serving_before_calls_are_refused(wired_house: Any, echo: Any) -> None:
    settings = wired_house.settings(wired_house.addresses.setdefault("echo", "127.0.0.1:0"))
    await wired_house.serve("echo", settings=settings.model_copy(update={"drain_wait_s": 0.5}))
    server = wired_house.servers["echo"]
    wired_house.addresses["echo"] = f"127.0.0.1:{server.port}"
    stub = wired_house.stub("echo")
    async with grpc.aio.insecure_channel(wired_house.addresses["echo"]) as channel:
        assert await health(channel, "") == SERVING
        stopping = asyncio.create_task(server.stop(1))
        await asyncio.sleep(0.1)
        assert await health(channel, "") == NOT_SERVING
        assert await health(channel, "liveness") == NOT_SERVING
        assert (await stub.Unary(echo.pb2.EchoRequest(text="still"), timeout=5)).text == "still"
        await stopping


@pytest.mark.parametrize("switch", [True, False])
async def test_reflection_has_a_switch(wired_house: Any, switch: bool) -> None:
    settings = wired_house.settings("127.0.0.1:0").model_copy(update={"reflection": switch})
    await wired_house.serve("echo", settings=settings)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{wired_house.servers['echo'].port}") as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([request]), timeout=5)
        if switch:
            response = await call.read()
            names = {service.name for service in response.list_services_response.service}
            assert "atelier.testing.echo.v1.EchoService" in names
            call.cancel()
        else:
            assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_unavailable_is_tried_again_and_nothing_else_is(wired_house: Any, echo: Any) -> None:
    behavior = await wired_house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        if behavior.calls < 3:
            raise DependencyUnavailable
        raise LeaseLost

    behavior.unary = unary
    with pytest.raises(LeaseLost):
        await wired_house.stub("echo", retry=True).Unary(echo.pb2.EchoRequest(), timeout=10)
    assert behavior.calls == 3


async def test_tries_are_counted(wired_house: Any, echo: Any) -> None:
    behavior = await wired_house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        raise DependencyUnavailable("The database is away.", try_number=behavior.calls)

    behavior.unary = unary
    with pytest.raises(DependencyUnavailable, match="database") as caught:
        await wired_house.stub("echo", retry=True).Unary(echo.pb2.EchoRequest(), timeout=20)
    assert behavior.calls == limits.ATTEMPTS_MAX
    assert caught.value.metadata == {"try_number": str(limits.ATTEMPTS_MAX)}
    behavior.calls = 0
    with pytest.raises(DependencyUnavailable):
        await wired_house.stub("echo", retry=False).Unary(echo.pb2.EchoRequest(), timeout=20)
    assert behavior.calls == 1


async def test_retries_bridge_a_restart(wired_house: Any, echo: Any) -> None:
    await wired_house.serve("echo")
    stub = wired_house.stub("echo", retry=True)
    await stub.Unary(echo.pb2.EchoRequest(), timeout=5)
    await wired_house.servers["echo"].stop(0)

    async def come_back() -> None:
        await asyncio.sleep(0.15)
        await wired_house.serve("echo")

    back = asyncio.create_task(come_back())
    deadline = time.monotonic() + 10
    tries = 0
    while True:  # A caller with an id simply asks again; gRPC's own tries make that rare.
        tries += 1
        try:
            response = await stub.Unary(echo.pb2.EchoRequest(text="back"), timeout=5)
            break
        except DependencyUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    await back
    assert response.text == "back"


def test_server_permits_the_pings_that_channels_send() -> None:
    server = dict(limits.server_options())
    channel = dict(limits.channel_options(retry=True))
    assert server["grpc.http2.min_ping_interval_without_data_ms"] < channel["grpc.keepalive_time_ms"]
    assert channel["grpc.http2.ping_timeout_ms"] == channel["grpc.keepalive_timeout_ms"]
    assert server["grpc.so_reuseport"] == 0


SILENT = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import echo_pb2, echo_pb2_grpc
from pydantic import SecretStr
from kit.rpc import Server
from kit.settings import ServiceSettings
class Echo(echo_pb2_grpc.EchoServiceServicer):
    async def Unary(self, request, context):
        print("called", flush=True)
        await asyncio.sleep(60)
async def main():
    server = Server("echo", ServiceSettings(internal_secret=SecretStr("c" * 32)))
    server.add(echo_pb2_grpc.add_EchoServiceServicer_to_server, Echo())
    await server.start()
    print(server.port, flush=True)
    await asyncio.sleep(90)
asyncio.run(main())
"""


@pytest.mark.slow
async def test_call_fails_when_its_peer_falls_silent(echo: Any) -> None:
    folder = str(Path(echo.pb2.__file__).parent)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SILENT, folder, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = 0
        while not port:
            line = (await process.stdout.readline()).strip()
            port = int(line) if line.isdigit() else 0
        channel = connect(f"127.0.0.1:{port}", identity=IdentitySigner("tester", SECRET), retry=False)
        call = echo.grpc.EchoServiceStub(channel).Unary(echo.pb2.EchoRequest(), timeout=60)
        waiting = asyncio.ensure_future(call)
        while b"called" not in await process.stdout.readline():
            assert process.returncode is None
        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(DependencyUnavailable):
            await waiting
        limit_s = (limits.KEEPALIVE_TIME_MS + limits.KEEPALIVE_TIMEOUT_MS) / 1000
        assert time.monotonic() - began < limit_s + 5
        await channel.close()
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
        await process.wait()
