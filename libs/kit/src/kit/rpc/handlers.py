"""What generated `add_XServicer_to_server` functions register, collected so that any server can serve it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class AddServicer(Protocol):
    """A generated `add_XServicer_to_server` function."""

    def __call__(self, servicer: Any, server: Any, /) -> None: ...


def collect(add: AddServicer, servicer: object) -> dict[str, Handler]:
    """Return the handlers that `add` registers for `servicer`, by full method name (`/package.Service/Method`).

    Raises TypeError when a handler is not asynchronous: a plain function would block the event loop, and on an
    asyncio server it can hang the shutdown.
    """
    collector = _Collector()
    add(servicer, collector)
    for method, handler in collector.handlers.items():
        behavior = behavior_of(handler)
        if not is_unbuilt(behavior) and not _is_async(behavior):
            raise TypeError(f"{method} of {type(servicer).__name__} is not an async function")
    return collector.handlers


def behavior_of(handler: Handler) -> Callable[..., Any]:
    """Return the servicer's method behind a handler, whichever of the four kinds it is."""
    behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    assert behavior is not None
    return behavior


def is_unbuilt(behavior: Callable[..., Any]) -> bool:
    """Tell whether a method is the one of the generated base class: in the contract, but not written yet."""
    return inspect.ismethod(behavior) and str(behavior.__func__.__module__).endswith("_pb2_grpc")


def _is_async(behavior: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(behavior) or inspect.isasyncgenfunction(behavior)


class _Collector:
    """Looks enough like a server for the generated functions."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        for method, handler in method_handlers.items():
            self.handlers[f"/{service_name}/{method}"] = handler

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Ignored: the generated code registers the same handlers twice, here in a form that cannot be listed."""
