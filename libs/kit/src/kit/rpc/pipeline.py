"""What happens around every handler, the same on both transports.

Handlers are wrapped once, when a servicer is added, and not by gRPC's interceptors: the in-process server has none,
and this way a call pays for one extra function instead of a chain. The order: identity, deadline, validation, handler;
around them the errors; around those one log event and one measurement.

A servicer's method may be an async function or an async generator. Generators are driven through `context.write`, so
that their `finally` blocks run in the handler's own task, which the server awaits when it stops; gRPC would leave them
to the garbage collector.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from protovalidate import Validator

from kit import identity
from kit import logging as kit_logging
from kit.errors import AppError, ErrorReason, Internal, InvalidArgument, Unimplemented, grpc_status
from kit.identity import IdentityVerifier
from kit.metrics import RpcTimings
from kit.rpc import deadline, metadata
from kit.rpc.handlers import Handler, behavior_of, is_unbuilt
from kit.rpc.status import to_trailer

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

SLOW_CALL_S: Final = 10.0  # Nothing but long polls and streams takes so long; those tell with `info` too, harmlessly.

_UNFORESEEN: Final = frozenset({ErrorReason.INTERNAL})

log = kit_logging.get_logger(__name__)


class Pipeline:
    """Wraps the handlers of one service, and knows the tasks that run them."""

    def __init__(self, service: str, verifier: IdentityVerifier, *, settle_s: float = 0.0) -> None:
        """`settle_s` is how long the end of a request stream may be followed by the news that it was a cancellation."""
        self._service = service
        self._verifier = verifier
        self._settle_s = settle_s
        self._validator = Validator()
        self._timings = RpcTimings(service)
        self._tasks: set[asyncio.Task[Any]] = set()

    def wrap(self, method: str, handler: Handler) -> Handler:
        """Return a handler of the same kind and serialisation with everything around it."""
        behavior = behavior_of(handler)
        if is_unbuilt(behavior):
            behavior = _nothing_built
        self._compile_rules(handler)
        wrapped = (
            self._stream(method, behavior, handler.request_streaming)
            if handler.response_streaming
            else self._unary(method, behavior, handler.request_streaming)
        )
        return _KINDS[handler.request_streaming, handler.response_streaming](
            wrapped,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def drain(self, timeout_s: float) -> None:
        """Wait until the handlers' tasks have ended, `finally` blocks included; give up after `timeout_s`."""
        if self._tasks:
            _, alive = await asyncio.wait(self._tasks, timeout=timeout_s)
            if alive:
                log.error("rpc_handlers_outlive_server", service=self._service, handlers=len(alive))

    def _unary(self, method: str, behavior: Callable[..., Any], request_streaming: bool) -> Callable[..., Any]:
        async def serve(request: Any, context: Context) -> Any:
            call = _Call(self, method, context)
            try:
                call.admit()
                if request_streaming:
                    request = self._validated(request)
                else:
                    self._validate(request)
                response = await behavior(request, context)
                if response is None and _name(context.code()) == "OK":
                    raise TypeError(f"{method} returned nothing")
            except BaseException as error:
                await call.refuse(error)
            else:
                call.end("OK")
                return response
            finally:
                if request_streaming:
                    await _close(request)
                call.forget()

        return serve

    def _stream(self, method: str, behavior: Callable[..., Any], request_streaming: bool) -> Callable[..., Any]:
        async def serve(request: Any, context: Context) -> None:
            call = _Call(self, method, context)
            try:
                call.admit()
                if request_streaming:
                    request = self._validated(request)
                else:
                    self._validate(request)
                responses = behavior(request, context)
                if isinstance(responses, Awaitable):  # It writes to the context itself.
                    await responses
                else:
                    async with contextlib.aclosing(responses):
                        async for response in responses:
                            await context.write(response)
            except BaseException as error:
                await call.refuse(error)
            else:
                call.end("OK")
            finally:
                if request_streaming:
                    await _close(request)
                call.forget()

        return serve

    async def _validated(self, requests: Any) -> AsyncIterator[Any]:
        async with contextlib.aclosing(aiter(requests)) as stream:
            async for request in stream:
                self._validate(request)
                yield request
        if self._settle_s:
            await asyncio.sleep(self._settle_s)

    def _validate(self, message: Any) -> None:
        violations = self._validator.collect_violations(message, fail_fast=True)
        if violations:
            violation = violations[0].proto
            field = _path(violation.field) if violation.field is not None else None
            raise InvalidArgument(f"{field or 'request'}: {violation.message or violation.rule_id}", field=field)

    def _compile_rules(self, handler: Handler) -> None:
        """Compile the rules of the request's type now: a broken rule stops the start, and no caller waits for it."""
        message_type = getattr(handler.request_deserializer, "__self__", None)
        if isinstance(message_type, type):
            self._validator.collect_violations(message_type(), fail_fast=True)


class _Call:
    """One call on its way through the pipeline."""

    __slots__ = ("_context", "_method", "_pipeline", "_started", "_task")

    def __init__(self, pipeline: Pipeline, method: str, context: Context) -> None:
        self._pipeline = pipeline
        self._method = method
        self._context = context
        self._started = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        pipeline._tasks.add(task)

    def admit(self) -> None:
        """Fill this task's context from the metadata. Raises PermissionDenied or DeadlineExceeded."""
        token, request_id = metadata.of_house(self._context.invocation_metadata())
        kit_logging.request_id.set(request_id or metadata.new_request_id())
        identity.enter(None)
        identity.enter(self._pipeline._verifier.verify(token))
        deadline.enter(self._context.time_remaining())

    async def refuse(self, error: BaseException) -> NoReturn:
        """End the call with the status `error` stands for. Always raises."""
        if isinstance(error, grpc.aio.AbortError):
            self.end(_name(self._context.code()))
            raise error
        if isinstance(error, asyncio.CancelledError) and self._was_cancelled():
            self.end("CANCELLED")
            raise error
        if not isinstance(error, Exception | asyncio.CancelledError):
            raise error  # The process or the generator is ending; not ours to answer.
        told = error if isinstance(error, AppError) else None
        if told is None or (told.reason in _UNFORESEEN and "incident_id" not in told.metadata):
            told = self._unforeseen(error)
        self.end(grpc_status(told.reason).name, told)
        trailing = (*(self._context.trailing_metadata() or ()), to_trailer(told))
        await self._context.abort(grpc_status(told.reason), told.message, trailing)

    def _unforeseen(self, error: BaseException) -> AppError:
        """Write down what happened, traceback and all; the caller gets a number to ask for it."""
        incident_id = "inc_" + secrets.token_hex(8)
        log.error(
            "rpc_failed_unexpectedly",
            service=self._pipeline._service,
            method=self._method,
            incident_id=incident_id,
            exc_info=error,
        )
        return Internal(incident_id=incident_id)

    def _was_cancelled(self) -> bool:
        """Tell a cancelled call from a handler that let some inner task's CancelledError escape.

        gRPC would leave the client of the latter hanging until its deadline.
        """
        return self._task.cancelling() > 0 or self._context.cancelled()

    def end(self, code: str, error: AppError | None = None) -> None:
        """Measure and log the call."""
        seconds = time.perf_counter() - self._started
        self._pipeline._timings.observe(self._method, code, seconds)
        if error is None and seconds < SLOW_CALL_S:
            log.debug("rpc_served", service=self._pipeline._service, method=self._method, code=code, ms=seconds * 1000)
            return
        log.info(
            "rpc_served",
            service=self._pipeline._service,
            method=self._method,
            code=code,
            reason=error.reason.value if error is not None else "",
            ms=round(seconds * 1000, 2),
        )

    def forget(self) -> None:
        """The handler has ended; what is left of the task is the transport's."""
        self._pipeline._tasks.discard(self._task)


async def _close(requests: Any) -> None:
    """End the reading of requests in this task, when the handler left some; otherwise the garbage collector would."""
    with contextlib.suppress(RuntimeError):  # A task that the handler forgot is reading still.
        await requests.aclose()


async def _nothing_built(_: Any, __: Context) -> Any:
    raise Unimplemented


_KINDS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _name(code: Any) -> str:
    """Return the word for a status: contexts give the enum, its number, or nothing while all is well."""
    if code is None:
        return "OK"
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((status.name for status in grpc.StatusCode if status.value[0] == code), "UNKNOWN")


def _path(field: Any) -> str:
    """Return a field's path as callers write it: `price.options[0].unit`, `labels["a"]`."""
    path = ""
    for element in field.elements:
        path += f".{element.field_name}" if path else str(element.field_name)
        if element.subscript is not None:
            value = element.subscript.value
            path += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    return path
