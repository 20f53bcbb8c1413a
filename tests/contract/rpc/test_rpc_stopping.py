"""An ordered stop: what runs may finish, what does not finish is cancelled and awaited, what comes late is refused."""

import asyncio
import time
from typing import Any

import pytest

from kit.errors import AppError, DependencyUnavailable


async def test_running_calls_finish_within_the_grace_and_new_ones_are_refused(
    house: Any, echo: Any, eventually: Any
) -> None:
    behavior = await house.serve("echo")
    go_on = asyncio.Event()

    async def unary(request: Any, context: Any) -> Any:
        await go_on.wait()
        return echo.pb2.EchoResponse(text="finished")

    behavior.unary = unary
    stub = house.stub("echo")
    running = asyncio.ensure_future(stub.Unary(echo.pb2.EchoRequest(), timeout=10))
    await eventually(lambda: behavior.calls == 1)
    stopping = asyncio.create_task(house.servers["echo"].stop(5))
    await asyncio.sleep(0.1)
    with pytest.raises(DependencyUnavailable):
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert not stopping.done()
    go_on.set()
    assert (await running).text == "finished"
    await stopping
    assert behavior.calls == 1


@pytest.mark.parametrize("kind", ["Unary", "Split"])
async def test_finally_blocks_have_run_when_the_stop_returns(house: Any, echo: Any, eventually: Any, kind: str) -> None:
    behavior = await house.serve("echo")
    lines: list[str] = []

    async def clean_up_slowly() -> None:
        lines.append("cleaning")
        await asyncio.sleep(0.3)
        lines.append("clean")

    async def unary(request: Any, context: Any) -> Any:
        try:
            await asyncio.sleep(30)
        finally:
            await clean_up_slowly()

    async def split(request: Any, context: Any) -> Any:
        try:
            yield echo.pb2.EchoResponse()
            await asyncio.sleep(30)
        finally:
            await clean_up_slowly()

    behavior.unary, behavior.split = unary, split
    call = getattr(house.stub("echo"), kind)(echo.pb2.EchoRequest(), timeout=20)
    await eventually(lambda: behavior.calls == 1)
    if kind == "Split":
        await call.read()

    async def wait() -> None:
        await (call if kind == "Unary" else call.read())

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    began = time.monotonic()
    await house.servers["echo"].stop(0.1)
    assert lines == ["cleaning", "clean"]
    assert time.monotonic() - began < 4
    with pytest.raises(AppError):
        await waiting


async def test_stop_may_be_called_twice(house: Any) -> None:
    await house.serve("echo")
    await house.servers["echo"].stop(0)
    await house.servers["echo"].stop(0)


async def test_caller_hears_of_the_stop_promptly(house: Any, echo: Any, eventually: Any) -> None:
    behavior = await house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        await asyncio.sleep(30)

    behavior.unary = unary
    waiting = asyncio.ensure_future(house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=20))
    await eventually(lambda: behavior.calls == 1)
    began = time.monotonic()
    await house.servers["echo"].stop(0.1)
    with pytest.raises(DependencyUnavailable):
        await waiting
    assert time.monotonic() - began < 3
