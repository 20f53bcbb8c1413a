"""Structured logging: events with facts, one JSON object a line, secrets struck out.

    log = get_logger(__name__)
    log.info("hold_captured", hold_id=hold.id, points=points)

The event's name is constant and the facts are keywords. `request_id` of the call being handled comes by itself, and
so does whatever was bound with `structlog.contextvars.bind_contextvars`.
"""

import functools
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, Literal

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

STRUCK_OUT: Final = "***"
NESTING_MAX: Final = 6  # Deeper facts are a mistake; they are replaced, not searched.

_SECRET_NAME: Final = re.compile(r"secret|token|key|sign(?!al)|password|authorization", re.IGNORECASE)
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

#: The id of the call being handled; the RPC server sets it, the RPC client passes it on.
request_id: ContextVar[str] = ContextVar("atelier_request_id", default="")

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]


def configure(service: str, *, level: Level = "info", format: Format = "json") -> None:
    """Send the log of this process, the standard library's too, to stdout. Call once, in `main`, before any work."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _RequestId(),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _Service(service),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(),
        redact,
    ]
    renderer: Processor
    if format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_Stdout,
        cache_logger_on_first_use=True,
    )
    _adopt_standard_library(shared, renderer, level)


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a module. Cheap, and safe to call before `configure`."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def redact(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strike out the values of facts whose name speaks of secrets, also inside of nested facts."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = STRUCK_OUT
        elif isinstance(value, Mapping | list | tuple):
            event[name] = _redacted(value, NESTING_MAX)
    return event


def _redacted(value: Any, depth: int) -> Any:
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        return {
            name: STRUCK_OUT if _is_secret(str(name)) else _redacted(inner, depth - 1) for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(inner, depth - 1) for inner in value]
    return value


@functools.lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


class _Stdout:
    """Writes to whatever stdout is now, a line at a time, so that a kill loses nothing already said."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = msg


def _name_module(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record: logging.LogRecord = event["_record"]
    event["module"] = record.name
    return event


class _RequestId:
    """Adds the id of the call being handled."""

    def __call__(self, _: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        current = request_id.get()
        if current:
            event.setdefault("request_id", current)
        return event


class _Service:
    """Adds the name of the process' service, unless the event names one itself (several in one process)."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", self._name)
        return event


def _adopt_standard_library(shared: list[Processor], renderer: Processor, level: Level) -> None:
    """Let records of libraries leave through the same processors. They are noisier, so they start at `info`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_module, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    # A line a request without our ids, or a line a step that our own events already tell.
    for noisy in ("httpx", "httpcore", "asyncio", "uvicorn", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
