"""Every kind of call, as stubs and servicers see it, on each transport."""

import asyncio
import contextvars
import time
from typing import Any

import grpc
import pytest

from kit.errors import Cancelled, DeadlineExceeded, DependencyUnavailable, Internal, Unimplemented

LEAK: contextvars.ContextVar[str] = contextvars.ContextVar("leak", default="")


async def counted(requests: list[Any]) -> Any:
    for request in requests:
        yield request


class TestFourKinds:
    async def test_unary_answers(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        response = await house.stub("echo").Unary(echo.pb2.EchoRequest(text="hello"), timeout=5)
        assert response.text == "hello"

    async def test_response_stream_arrives_in_order(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        call = house.stub("echo").Split(echo.pb2.EchoRequest(text="n", count=100), timeout=5)
        assert [response.text async for response in call] == [f"n{number}" for number in range(100)]

    async def test_responses_can_be_read_one_by_one_until_the_end(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        call = house.stub("echo").Split(echo.pb2.EchoRequest(text="n", count=2), timeout=5)
        assert [(await call.read()).text, (await call.read()).text] == ["n0", "n1"]
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK

    @pytest.mark.parametrize("kind", ["async", "plain"])
    async def test_request_stream_is_taken_from_an_iterator(self, house: Any, echo: Any, kind: str) -> None:
        await house.serve("echo")
        requests = [echo.pb2.EchoRequest(text=str(number)) for number in range(100)]
        source = counted(requests) if kind == "async" else iter(requests)
        response = await house.stub("echo").Join(source, timeout=5)
        assert response.text == ",".join(map(str, range(100)))

    async def test_request_stream_ends_when_the_client_has_done_writing(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        call = house.stub("echo").Join(timeout=5)
        for text in ("a", "b"):
            await call.write(echo.pb2.EchoRequest(text=text))
        await call.done_writing()
        assert (await call).text == "a,b"
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(echo.pb2.EchoRequest(text="late"))

    async def test_chat_goes_both_ways_at_once(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        call = house.stub("echo").Chat(timeout=5)
        for text in ("a", "b", "c"):
            await call.write(echo.pb2.EchoRequest(text=text))
            assert (await call.read()).text == text.upper()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF

    async def test_handler_may_answer_before_it_has_read_all_requests(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def join(requests: Any, context: Any) -> Any:
            first = await anext(requests)
            return echo.pb2.EchoResponse(text=first.text)

        behavior.join = join

        async def endless() -> Any:
            while True:
                yield echo.pb2.EchoRequest(text="x" * 1000)
                await asyncio.sleep(0)

        assert (await house.stub("echo").Join(endless(), timeout=5)).text == "x" * 1000

    async def test_empty_streams_are_streams(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        stub = house.stub("echo")
        assert (await stub.Join(iter([]), timeout=5)).text == ""
        assert [r async for r in stub.Split(echo.pb2.EchoRequest(), timeout=5)] == []
        assert [r async for r in stub.Chat(iter([]), timeout=5)] == []

    async def test_many_calls_run_at_once(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        gate, waiting = asyncio.Event(), 0

        async def unary(request: Any, context: Any) -> Any:
            nonlocal waiting
            waiting += 1
            if waiting == 50:
                gate.set()
            await gate.wait()
            return echo.pb2.EchoResponse(text=request.text)

        behavior.unary = unary
        stub = house.stub("echo")
        calls = [stub.Unary(echo.pb2.EchoRequest(text=str(n)), timeout=10) for n in range(50)]
        assert [(await call).text for call in calls] == [str(n) for n in range(50)]


class TestMetadata:
    async def test_metadata_goes_both_ways(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            sent = dict(context.invocation_metadata())
            await context.send_initial_metadata((("ahead", "1"),))
            context.set_trailing_metadata((("behind", sent["x-asked"]), ("raw-bin", b"\x00\xff")))
            return echo.pb2.EchoResponse()

        behavior.unary = unary
        call = house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5, metadata=(("x-asked", "why"),))
        assert dict(await call.initial_metadata())["ahead"] == "1"
        await call
        trailing = dict(await call.trailing_metadata())
        assert trailing["behind"] == "why"
        assert trailing["raw-bin"] == b"\x00\xff"

    async def test_initial_metadata_is_seen_before_the_first_response(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        go_on = asyncio.Event()

        async def split(request: Any, context: Any) -> Any:
            await context.send_initial_metadata((("etag", "abc"),))
            await go_on.wait()
            yield echo.pb2.EchoResponse(text="first")

        behavior.split = split
        call = house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=5)
        assert dict(await call.initial_metadata())["etag"] == "abc"
        go_on.set()
        assert (await call.read()).text == "first"

    async def test_trailing_metadata_of_a_handler_survives_its_error(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            context.set_trailing_metadata((("behind", "1"),))
            raise Unimplemented

        behavior.unary = unary
        call = house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
        with pytest.raises(Unimplemented):
            await call
        assert dict(await call.trailing_metadata())["behind"] == "1"


class TestDeadlines:
    async def test_caller_hears_in_time_and_the_handler_is_cancelled(
        self, house: Any, echo: Any, eventually: Any
    ) -> None:
        behavior = await house.serve("echo")
        lines: list[str] = []

        async def unary(request: Any, context: Any) -> Any:
            try:
                await asyncio.sleep(30)
            finally:
                lines.append("finally")

        behavior.unary = unary
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=0.15)
        assert 0.1 < time.monotonic() - began < 2
        await eventually(lambda: lines == ["finally"])

    async def test_stream_ends_with_the_deadline(self, house: Any, echo: Any, eventually: Any) -> None:
        behavior = await house.serve("echo")

        async def split(request: Any, context: Any) -> Any:
            yield echo.pb2.EchoResponse(text="one")
            await asyncio.sleep(30)

        behavior.split = split
        call = house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=0.3)
        assert (await call.read()).text == "one"
        with pytest.raises(DeadlineExceeded):
            await call.read()
        await eventually(behavior.ended.is_set)

    async def test_slow_cleaning_up_does_not_delay_the_caller(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(1)

        behavior.unary = unary
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=0.1)
        assert time.monotonic() - began < 0.7

    async def test_handler_knows_how_long_it_has(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            return echo.pb2.EchoResponse(text=str(context.time_remaining()))

        behavior.unary = unary
        response = await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=7)
        assert 5 < float(response.text) <= 7.1  # gRPC rounds a deadline up on its way.


class TestCancellation:
    @pytest.mark.parametrize("kind", ["Unary", "Join"])
    async def test_handler_is_cancelled_when_the_waiting_task_is(
        self, house: Any, echo: Any, eventually: Any, kind: str
    ) -> None:
        behavior = await house.serve("echo")
        lines: list[str] = []

        async def hang(request: Any, context: Any) -> Any:
            lines.append("begun")
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                lines.append("cancelled")
                raise
            finally:
                lines.append("finally")

        behavior.unary = behavior.join = hang
        request = echo.pb2.EchoRequest()
        call = getattr(house.stub("echo"), kind)(request if kind == "Unary" else iter([request]), timeout=20)

        async def wait() -> Any:
            return await call

        task = asyncio.create_task(wait())
        await eventually(lambda: lines == ["begun"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await call.code() is grpc.StatusCode.CANCELLED
        await eventually(lambda: lines == ["begun", "cancelled", "finally"])

    async def test_handler_is_cancelled_when_the_call_is(self, house: Any, echo: Any, eventually: Any) -> None:
        behavior = await house.serve("echo")

        async def split(request: Any, context: Any) -> Any:
            yield echo.pb2.EchoResponse(text="one")
            await asyncio.sleep(30)

        behavior.split = split
        call = house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=20)
        await call.read()
        assert call.cancel() is True
        assert call.cancel() is False
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        await eventually(behavior.ended.is_set)

    async def test_handler_is_cancelled_when_the_iteration_is_left_early(
        self, house: Any, echo: Any, eventually: Any
    ) -> None:
        behavior = await house.serve("echo")

        async def split(request: Any, context: Any) -> Any:
            while True:
                yield echo.pb2.EchoResponse(text="more")
                await asyncio.sleep(0.001)

        behavior.split = split
        async for _ in house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=20):
            break
        await eventually(behavior.ended.is_set)

    async def test_handler_is_cancelled_when_the_call_is_forgotten(
        self, house: Any, echo: Any, eventually: Any
    ) -> None:
        behavior = await house.serve("echo")
        begun = asyncio.Event()

        async def split(request: Any, context: Any) -> Any:
            begun.set()
            yield echo.pb2.EchoResponse(text="one")
            await asyncio.sleep(30)

        behavior.split = split
        call = house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=20)
        await begun.wait()
        del call
        await eventually(behavior.ended.is_set)

    async def test_call_is_cancelled_when_its_request_iterator_fails(
        self, house: Any, echo: Any, eventually: Any
    ) -> None:
        behavior = await house.serve("echo")
        lines: list[str] = []
        received = asyncio.Event()

        async def join(requests: Any, context: Any) -> Any:
            try:
                async for _ in requests:
                    received.set()
            except asyncio.CancelledError:
                lines.append("cancelled")
                raise
            lines.append("complete")
            return echo.pb2.EchoResponse()

        behavior.join = join

        async def broken() -> Any:
            yield echo.pb2.EchoRequest(text="half")
            await received.wait()
            raise OSError("the disk")

        with pytest.raises(asyncio.CancelledError):
            await house.stub("echo").Join(broken(), timeout=5)
        await eventually(lambda: lines == ["cancelled"])

    async def test_calls_below_are_cancelled_too(self, house: Any, echo: Any, eventually: Any) -> None:
        outer, inner = await house.serve("outer"), await house.serve("inner")
        below = house.stub("inner", service="outer")
        lines: list[str] = []

        async def unary(request: Any, context: Any) -> Any:
            return await below.Unary(request, timeout=20)

        async def hang(request: Any, context: Any) -> Any:
            lines.append("begun")
            try:
                await asyncio.sleep(30)
            finally:
                lines.append("finally")

        outer.unary, inner.unary = unary, hang
        call = house.stub("outer").Unary(echo.pb2.EchoRequest(), timeout=20)
        await eventually(lambda: lines == ["begun"])
        call.cancel()
        await eventually(lambda: lines == ["begun", "finally"])

    async def test_a_cancelled_error_of_the_handlers_own_is_a_failure_and_no_silence(
        self, house: Any, echo: Any
    ) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            inner = asyncio.create_task(asyncio.sleep(30))
            inner.cancel()
            await inner

        behavior.unary = unary
        with pytest.raises(Internal) as caught:
            await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
        assert caught.value.metadata["incident_id"].startswith("inc_")

    async def test_a_status_of_cancelled_from_the_service_is_an_error(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            raise Cancelled("Somebody else cancelled it.")

        behavior.unary = unary
        with pytest.raises(Cancelled, match="Somebody else"):
            await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)


class TestFlow:
    async def test_handler_waits_while_the_client_does_not_read(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        written = 0

        async def split(request: Any, context: Any) -> Any:
            nonlocal written
            while True:
                yield echo.pb2.EchoResponse(text="x" * 200_000)
                written += 1

        behavior.split = split
        call = house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=20)
        await call.read()
        await asyncio.sleep(0.5)
        settled = written
        await asyncio.sleep(0.3)
        assert written == settled
        assert settled < 100
        for _ in range(settled + 20):
            await call.read()
        assert written > settled
        call.cancel()

    async def test_client_waits_while_the_handler_does_not_read(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        read_on = asyncio.Event()
        sizes: list[int] = []

        async def join(requests: Any, context: Any) -> Any:
            await read_on.wait()
            async for request in requests:
                sizes.append(len(request.text))
            return echo.pb2.EchoResponse(text=str(len(sizes)))

        behavior.join = join
        call = house.stub("echo").Join(timeout=20)
        written = 0

        async def write() -> None:
            nonlocal written
            for _ in range(300):
                await call.write(echo.pb2.EchoRequest(text="x" * 200_000))
                written += 1
            await call.done_writing()

        writer = asyncio.create_task(write())
        await asyncio.sleep(0.5)
        settled = written
        await asyncio.sleep(0.3)
        assert written == settled < 150
        read_on.set()
        await writer
        assert (await call).text == "300"
        assert set(sizes) == {200_000}

    async def test_writer_is_told_when_the_call_has_failed(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def join(requests: Any, context: Any) -> Any:
            raise Unimplemented("No more of this.")

        behavior.join = join
        call = house.stub("echo").Join(timeout=5)

        async def write_on() -> None:
            for _ in range(1000):
                await call.write(echo.pb2.EchoRequest(text="x" * 10_000))

        with pytest.raises((Unimplemented, asyncio.InvalidStateError)):
            await write_on()
        with pytest.raises(Unimplemented, match="No more of this"):
            await call

    async def test_context_of_the_caller_does_not_leak_into_the_handler(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")

        async def unary(request: Any, context: Any) -> Any:
            return echo.pb2.EchoResponse(text=f"leak={LEAK.get()}")

        behavior.unary = unary
        LEAK.set("secret of the caller")
        assert (await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)).text == "leak="


class TestComingAndGoing:
    async def test_service_that_is_not_there_is_unavailable(self, house: Any, echo: Any) -> None:
        with pytest.raises(DependencyUnavailable):
            await house.stub("nobody").Unary(echo.pb2.EchoRequest(), timeout=5)
        call = house.stub("nobody").Split(echo.pb2.EchoRequest(), timeout=5)
        with pytest.raises(DependencyUnavailable):
            await call.read()

    async def test_channel_finds_a_service_that_starts_later_or_again(self, house: Any, echo: Any) -> None:
        channel = house.channel("echo")
        stub = echo.grpc.EchoServiceStub(channel)
        with pytest.raises(DependencyUnavailable):
            await stub.Unary(echo.pb2.EchoRequest(), timeout=5)
        for _ in range(2):
            await house.serve("echo")
            async with asyncio.timeout(10):
                await channel.channel_ready()
            assert (await stub.Unary(echo.pb2.EchoRequest(text="back"), timeout=5)).text == "back"
            await house.servers["echo"].stop(0)
            with pytest.raises(DependencyUnavailable):
                await stub.Unary(echo.pb2.EchoRequest(), timeout=5)

    async def test_method_nobody_knows_is_unimplemented(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        unknown = house.channel("echo").unary_unary(
            "/atelier.testing.echo.v1.EchoService/Unknown",
            request_serializer=echo.pb2.EchoRequest.SerializeToString,
            response_deserializer=echo.pb2.EchoResponse.FromString,
        )
        with pytest.raises(Unimplemented):
            await unknown(echo.pb2.EchoRequest(), timeout=5)

    async def test_method_nobody_built_is_unimplemented(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        stub = house.stub("echo")
        with pytest.raises(Unimplemented):
            await stub.NotBuilt(echo.pb2.EchoRequest(), timeout=5)
        with pytest.raises(Unimplemented):
            await stub.NotBuiltStream(echo.pb2.EchoRequest(), timeout=5).read()

    async def test_closing_a_channel_cancels_its_calls(self, house: Any, echo: Any, eventually: Any) -> None:
        behavior = await house.serve("echo")

        async def split(request: Any, context: Any) -> Any:
            yield echo.pb2.EchoResponse(text="one")
            await asyncio.sleep(30)

        behavior.split = split
        channel = house.channel("echo")
        call = echo.grpc.EchoServiceStub(channel).Split(echo.pb2.EchoRequest(), timeout=20)
        await call.read()
        await channel.close()
        assert call.done()
        await eventually(behavior.ended.is_set)
