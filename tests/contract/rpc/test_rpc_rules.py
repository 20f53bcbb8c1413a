"""The house's rules around every call: identity, deadlines, request ids, validation, one log event."""

import asyncio
import contextvars
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY
from pydantic import SecretStr

from kit import identity
from kit import logging as kit_logging
from kit.errors import DeadlineExceeded, InvalidArgument, PermissionDenied
from kit.rpc import deadline, detached, remaining_s


def told(behavior: Any, echo: Any, tell: Any) -> None:
    """Let the echo service answer with what `tell` returns inside of the handler."""

    async def unary(request: Any, context: Any) -> Any:
        return echo.pb2.EchoResponse(text=str(tell()))

    behavior.unary = unary


def relayed(behavior: Any, below: Any, **options: Any) -> None:
    """Let the echo service ask another one."""

    async def unary(request: Any, context: Any) -> Any:
        return await below.Unary(request, timeout=options.get("timeout", 5))

    behavior.unary = unary


class TestIdentity:
    @pytest.mark.parametrize("client_id", [None, "partner-a"])
    async def test_handler_knows_the_service_and_the_client(self, house: Any, echo: Any, client_id: str | None) -> None:
        behavior = await house.serve("echo")
        told(behavior, echo, identity.current)
        with identity.acting_as(client_id):
            response = await house.stub("echo", service="edge").Unary(echo.pb2.EchoRequest(), timeout=5)
        assert response.text == str(identity.Identity("edge", client_id))

    async def test_client_travels_on_and_the_service_changes(self, house: Any, echo: Any) -> None:
        outer, inner = await house.serve("outer"), await house.serve("inner")
        relayed(outer, house.stub("inner", service="outer"))
        told(inner, echo, identity.current)
        with identity.acting_as("partner-a"):
            response = await house.stub("outer", service="edge").Unary(echo.pb2.EchoRequest(), timeout=5)
        assert response.text == str(identity.Identity("outer", "partner-a"))

    async def test_require_client_refuses_a_call_without_one(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        told(behavior, echo, identity.require_client)
        with pytest.raises(PermissionDenied):
            await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)

    async def test_require_service_refuses_a_service_that_is_not_named(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        told(behavior, echo, lambda: identity.require_service("job-orchestrator"))
        with pytest.raises(PermissionDenied):
            await house.stub("echo", service="edge").Unary(echo.pb2.EchoRequest(), timeout=5)
        response = await house.stub("echo", service="job-orchestrator").Unary(echo.pb2.EchoRequest(), timeout=5)
        assert response.text == "job-orchestrator"

    async def test_call_is_refused_when_its_identity_is_forged(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        with pytest.raises(PermissionDenied):
            await house.stub("echo", secret=SecretStr("f" * 32)).Unary(echo.pb2.EchoRequest(), timeout=5)
        assert behavior.calls == 0

    @pytest.mark.parametrize("kind", ["Unary", "Split", "Join", "Chat"])
    async def test_call_is_refused_when_it_carries_no_identity(self, house: Any, echo: Any, kind: str) -> None:
        behavior = await house.serve("echo")
        request = echo.pb2.EchoRequest()
        call = getattr(house.bare_stub("echo"), kind)(
            request if kind in ("Unary", "Split") else iter([request]), timeout=5
        )
        assert (await call.code()).name == "PERMISSION_DENIED"
        assert behavior.calls == 0

    async def test_message_fields_and_stray_metadata_make_no_identity(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        told(behavior, echo, identity.current)
        stub = house.bare_stub("echo")
        metadata = house.identified("partner-a", client_id="partner-b", service="admin")
        response = await stub.Unary(echo.pb2.EchoRequest(text="partner-b"), timeout=5, metadata=metadata)
        assert response.text == str(identity.Identity("tester", "partner-a"))


class TestDeadline:
    async def test_call_without_a_deadline_is_a_mistake(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        stub = house.stub("echo")
        for kind in ("Unary", "Split", "Join", "Chat"):
            with pytest.raises(AssertionError, match="timeout"):
                getattr(stub, kind)(echo.pb2.EchoRequest())
        assert behavior.calls == 0

    async def test_outgoing_call_gets_no_more_than_the_incoming_one_has_left(self, house: Any, echo: Any) -> None:
        outer, inner = await house.serve("outer"), await house.serve("inner")
        relayed(outer, house.stub("inner", service="outer"), timeout=60)
        told(inner, echo, remaining_s)
        response = await house.stub("outer").Unary(echo.pb2.EchoRequest(), timeout=3)
        assert 1 < float(response.text) < 3

    @pytest.mark.parametrize(("left_s", "most_s"), [(10.0, 9.9), (0.1, 0.095)])
    def test_time_is_kept_back_to_tell_of_a_failure_below(self, left_s: float, most_s: float) -> None:
        def check() -> None:
            deadline.enter(left_s)
            assert most_s - 0.05 < deadline.capped(60.0) <= most_s

        contextvars.Context().run(check)

    async def test_call_is_refused_at_once_when_too_little_time_is_left(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        stub = house.stub("echo")
        await stub.Unary(echo.pb2.EchoRequest(), timeout=5)
        with pytest.raises(DeadlineExceeded):
            await stub.Unary(echo.pb2.EchoRequest(), timeout=0.004)
        assert behavior.calls == 1

    async def test_outgoing_call_is_not_begun_when_no_time_is_left(self, house: Any, echo: Any) -> None:
        outer, inner = await house.serve("outer"), await house.serve("inner")
        below, seen = house.stub("inner", service="outer"), []

        async def unary(request: Any, context: Any) -> Any:
            left = remaining_s()
            assert left is not None
            await asyncio.sleep(max(0.0, left - 0.008))
            try:
                await below.Unary(request, timeout=5)
            except DeadlineExceeded as error:
                seen.append(str(error))
                raise

        outer.unary = unary
        with pytest.raises(DeadlineExceeded):
            await house.stub("outer").Unary(echo.pb2.EchoRequest(), timeout=0.2)
        assert inner.calls == 0

    async def test_detached_work_outlives_the_call(self, house: Any, echo: Any) -> None:
        outer, inner = await house.serve("outer"), await house.serve("inner")
        below, later = house.stub("inner", service="outer"), []

        async def work() -> str:
            await asyncio.sleep(0.3)
            assert remaining_s() is None
            return str((await below.Unary(echo.pb2.EchoRequest(), timeout=5)).text)

        async def unary(request: Any, context: Any) -> Any:
            with detached():
                later.append(asyncio.create_task(work()))
            assert remaining_s() is not None
            assert identity.require_client() == "partner-a"
            return echo.pb2.EchoResponse()

        outer.unary = unary
        told(inner, echo, identity.current)
        with identity.acting_as("partner-a"):
            await house.stub("outer").Unary(echo.pb2.EchoRequest(), timeout=0.2)
        assert await later[0] == str(identity.Identity("outer", None))


class TestRequestId:
    async def test_one_id_follows_a_request_through_the_house(self, house: Any, echo: Any) -> None:
        outer, inner = await house.serve("outer"), await house.serve("inner")
        relayed(outer, house.stub("inner", service="outer"))
        told(inner, echo, kit_logging.request_id.get)
        kit_logging.request_id.set("req_given")
        response = await house.stub("outer").Unary(echo.pb2.EchoRequest(), timeout=5)
        assert response.text == "req_given"

    async def test_an_id_is_made_when_none_was_given(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        told(behavior, echo, kit_logging.request_id.get)
        first = await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
        metadata = house.identified()
        second = await house.bare_stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5, metadata=metadata)
        assert first.text.startswith("req_")
        assert second.text.startswith("req_")
        assert first.text != second.text

    async def test_an_id_is_cut_when_a_caller_sends_a_novel(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        told(behavior, echo, kit_logging.request_id.get)
        metadata = house.identified(atelier_request_id="x" * 5000)
        response = await house.bare_stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5, metadata=metadata)
        assert response.text == "x" * 64


class TestValidation:
    async def test_request_is_refused_with_the_path_of_its_field(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        request = echo.pb2.EchoRequest(inners=[echo.pb2.Inner(number=1), echo.pb2.Inner(number=-1)])
        with pytest.raises(InvalidArgument, match="greater than or equal to 0") as caught:
            await house.stub("echo").Unary(request, timeout=5)
        assert caught.value.field == "inners[1].number"
        assert behavior.calls == 0

    @pytest.mark.parametrize("kind", ["Join", "Chat"])
    async def test_each_request_of_a_stream_is_checked(self, house: Any, echo: Any, kind: str) -> None:
        behavior = await house.serve("echo")
        seen: list[str] = []

        async def join(requests: Any, context: Any) -> Any:
            async for request in requests:
                seen.append(request.text)
            return echo.pb2.EchoResponse()

        async def chat(requests: Any, context: Any) -> Any:
            async for request in requests:
                seen.append(request.text)
                yield echo.pb2.EchoResponse()

        behavior.join, behavior.chat = join, chat
        requests = [echo.pb2.EchoRequest(text="good"), echo.pb2.EchoRequest(text="bad", count=1001)]
        call = getattr(house.stub("echo"), kind)(iter(requests), timeout=5)

        async def consume() -> None:
            if kind == "Join":
                await call
            else:
                async for _ in call:
                    pass

        with pytest.raises(InvalidArgument) as caught:
            await consume()
        assert caught.value.field == "count"
        assert seen == ["good"]

    async def test_stream_is_not_begun_when_its_request_is_wrong(self, house: Any, echo: Any) -> None:
        behavior = await house.serve("echo")
        with pytest.raises(InvalidArgument):
            await house.stub("echo").Split(echo.pb2.EchoRequest(count=1001), timeout=5).read()
        assert behavior.calls == 0


class TestObservation:
    async def test_each_call_is_one_event(self, house: Any, echo: Any) -> None:
        await house.serve("echo")
        stub = house.stub("echo")
        with structlog.testing.capture_logs() as logged:
            await stub.Unary(echo.pb2.EchoRequest(), timeout=5)
            with pytest.raises(InvalidArgument):
                await stub.Unary(echo.pb2.EchoRequest(count=1001), timeout=5)
        served = [line for line in logged if line["event"] == "rpc_served"]
        assert [(line["code"], line["log_level"]) for line in served] == [
            ("OK", "debug"),
            ("INVALID_ARGUMENT", "info"),
        ]
        assert served[1]["reason"] == "INVALID_ARGUMENT"
        assert all(line["service"] == "echo" and line["method"].endswith("/Unary") for line in served)

    async def test_each_call_is_counted_by_its_status(self, house: Any, echo: Any) -> None:
        await house.serve("echo")

        def count(code: str) -> float:
            labels = {"service": "echo", "method": "/atelier.testing.echo.v1.EchoService/Unary", "code": code}
            return REGISTRY.get_sample_value("atelier_rpc_server_seconds_count", labels) or 0.0

        before = count("OK"), count("INVALID_ARGUMENT")
        stub = house.stub("echo")
        await stub.Unary(echo.pb2.EchoRequest(), timeout=5)
        with pytest.raises(InvalidArgument):
            await stub.Unary(echo.pb2.EchoRequest(count=1001), timeout=5)
        assert (count("OK"), count("INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)


def test_plain_functions_are_refused_as_handlers(echo: Any) -> None:
    from kit.rpc.handlers import collect

    class Blocking(echo.grpc.EchoServiceServicer):  # type: ignore[misc]  # Generated while the tests run.
        def Unary(self, request: Any, context: Any) -> Any:
            return echo.pb2.EchoResponse()

    with pytest.raises(TypeError, match="Unary of Blocking"):
        collect(echo.grpc.add_EchoServiceServicer_to_server, Blocking())
