"""How failures cross: whole when they are ours, without a word of theirs when they are not."""

import asyncio
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2, status_pb2

from kit import errors
from kit.errors import AppError, ErrorReason
from kit.rpc.limits import MESSAGE_BYTES_MAX


@pytest.mark.parametrize("reason", list(ErrorReason))
async def test_every_reason_crosses_whole(house: Any, echo: Any, reason: ErrorReason) -> None:
    behavior = await house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        raise AppError.of(
            reason,
            "积分不足, 还差 30。",
            field="inputs[0].url",
            retry_after_s=1.25,
            metadata={"points_requested": 30, "incident_id": "inc_1"},
        )

    behavior.unary = unary
    call = house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    with pytest.raises(AppError) as caught:
        await call
    error = caught.value
    assert type(error) is type(AppError.of(reason))
    assert error.reason is reason
    assert error.message == "积分不足, 还差 30。"
    assert error.field == "inputs[0].url"
    assert error.retry_after_s == 1.25
    assert error.metadata == {"points_requested": "30", "incident_id": "inc_1"}
    assert await call.code() is errors.grpc_status(reason)
    assert await call.details() == error.message


@pytest.mark.parametrize("reason", list(ErrorReason))
async def test_plain_errors_cross_with_their_default_sentence(house: Any, echo: Any, reason: ErrorReason) -> None:
    behavior = await house.serve("echo")
    sent = AppError.of(reason)

    async def unary(request: Any, context: Any) -> Any:
        raise sent

    behavior.unary = unary
    with pytest.raises(AppError) as caught:
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert caught.value.message == sent.default_message
    assert caught.value.field is None
    assert caught.value.retry_after_s is None
    if reason is not ErrorReason.INTERNAL:  # That one gets an incident id on its way.
        assert caught.value.metadata == {}


async def test_longest_error_fits(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        facts = {f"fact_{number}": "长" * 10_000 for number in range(100)}
        raise AppError.of(ErrorReason.CONFLICT, "长" * 10_000, field="f" * 100, metadata=facts)

    behavior.unary = unary
    with pytest.raises(errors.Conflict) as caught:
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert caught.value.message == "长" * errors.MESSAGE_CHARS_MAX


@pytest.mark.parametrize("kind", ["Unary", "Split", "Join", "Chat"])
async def test_what_nobody_foresaw_tells_the_log_everything_and_the_caller_nothing(
    house: Any, echo: Any, kind: str
) -> None:
    behavior = await house.serve("echo")

    async def one(request: Any, context: Any) -> Any:
        raise RuntimeError("password=hunter2")

    async def many(request: Any, context: Any) -> Any:
        for word in ("password=hunter2",):
            raise RuntimeError(word)
        yield

    behavior.unary = behavior.join = one
    behavior.split = behavior.chat = many
    request = echo.pb2.EchoRequest()
    call = getattr(house.stub("echo"), kind)(request if kind in ("Unary", "Split") else iter([request]), timeout=5)
    with structlog.testing.capture_logs() as logged, pytest.raises(errors.Internal) as caught:
        await (call.read() if kind in ("Split", "Chat") else call)
    incident_id = caught.value.metadata["incident_id"]
    [incident] = [line for line in logged if line["event"] == "rpc_failed_unexpectedly"]
    assert incident["incident_id"] == incident_id
    assert isinstance(incident["exc_info"], RuntimeError)
    assert incident["method"].endswith("/" + kind)
    seen_by_caller = f"{caught.value!r} {await call.details()} {await call.trailing_metadata()}"
    assert "hunter2" not in seen_by_caller
    assert "RuntimeError" not in seen_by_caller


async def test_a_bare_abort_loses_its_text_but_not_its_meaning(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.NOT_FOUND, "SELECT secret FROM vendor")

    behavior.unary = unary
    with pytest.raises(errors.NotFound) as caught:
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert caught.value.message == errors.NotFound.default_message


async def test_a_status_set_without_raising_is_an_error_too(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        return echo.pb2.EchoResponse()

    behavior.unary = unary
    with pytest.raises(errors.NotFound):
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)


async def test_a_handler_that_returns_nothing_has_failed(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")

    async def unary(request: Any, context: Any) -> Any:
        return None

    behavior.unary = unary
    with pytest.raises(errors.Internal) as caught:
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert "incident_id" in caught.value.metadata


async def test_responses_before_an_error_arrive_before_it(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")

    async def split(request: Any, context: Any) -> Any:
        yield echo.pb2.EchoResponse(text="one")
        yield echo.pb2.EchoResponse(text="two")
        raise errors.LeaseLost("Dropped.", epoch=7)

    behavior.split = split
    got = []

    async def consume() -> None:
        async for response in house.stub("echo").Split(echo.pb2.EchoRequest(), timeout=5):
            got.append(response.text)

    with pytest.raises(errors.LeaseLost, match="Dropped") as caught:
        await consume()
    assert got == ["one", "two"]
    assert caught.value.metadata == {"epoch": "7"}


async def test_reason_arrives_when_the_handler_refuses_while_the_client_is_still_sending(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")

    async def join(requests: Any, context: Any) -> Any:
        async for _ in requests:
            raise errors.BodyTooLarge("Enough.", bytes_max=10)

    behavior.join = join

    async def plenty() -> Any:
        for _ in range(500):
            yield echo.pb2.EchoRequest(text="x" * 50_000)
            await asyncio.sleep(0)

    for _ in range(10):  # The race has two outcomes on the wire; both must tell the reason.
        with pytest.raises(errors.BodyTooLarge, match="Enough"):
            await house.stub("echo").Join(plenty(), timeout=5)


async def test_errors_of_a_service_below_pass_through_whole(house: Any, echo: Any) -> None:
    outer, inner = await house.serve("outer"), await house.serve("inner")
    below = house.stub("inner", service="outer")

    async def unary(request: Any, context: Any) -> Any:
        return await below.Unary(request, timeout=5)

    async def poor(request: Any, context: Any) -> Any:
        raise errors.InsufficientFunds(points_available=3)

    outer.unary, inner.unary = unary, poor
    with pytest.raises(errors.InsufficientFunds) as caught:
        await house.stub("outer").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert caught.value.metadata == {"points_available": "3"}


async def test_message_above_the_limit_is_refused_on_its_way_in_and_out(copying_house: Any, echo: Any) -> None:
    behavior = await copying_house.serve("echo")
    stub = copying_house.stub("echo")
    large = "x" * (MESSAGE_BYTES_MAX + 1)
    with pytest.raises(errors.BodyTooLarge):
        await stub.Unary(echo.pb2.EchoRequest(text=large), timeout=10)
    assert behavior.calls == 0

    async def unary(request: Any, context: Any) -> Any:
        return echo.pb2.EchoResponse(text=large)

    behavior.unary = unary
    with pytest.raises(errors.BodyTooLarge):
        await stub.Unary(echo.pb2.EchoRequest(), timeout=10)


async def test_details_of_another_domain_do_not_speak_for_us(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")
    foreign = status_pb2.Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="vendor text")
    foreign.details.add().Pack(error_details_pb2.ErrorInfo(reason="JOB_NOT_FOUND", domain="vendor.example"))

    async def unary(request: Any, context: Any) -> Any:
        trailer = (("grpc-status-details-bin", foreign.SerializeToString()),)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "vendor text", trailer)

    behavior.unary = unary
    with pytest.raises(errors.DependencyUnavailable) as caught:
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
    assert "vendor" not in caught.value.message


async def test_a_reason_newer_than_the_caller_keeps_its_status_and_words(house: Any, echo: Any) -> None:
    behavior = await house.serve("echo")
    newer = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="No such garden.")
    newer.details.add().Pack(error_details_pb2.ErrorInfo(reason="GARDEN_NOT_FOUND", domain="atelier"))

    async def unary(request: Any, context: Any) -> Any:
        trailer = (("grpc-status-details-bin", newer.SerializeToString()),)
        await context.abort(grpc.StatusCode.NOT_FOUND, "No such garden.", trailer)

    behavior.unary = unary
    with pytest.raises(errors.NotFound, match="No such garden"):
        await house.stub("echo").Unary(echo.pb2.EchoRequest(), timeout=5)
