"""Streams that partners follow for as long as they like: ended when the edge stops, so that it need not wait."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any


class Streams:
    """The streams under way. Each ends as if its source had: the partner reconnects with its last position."""

    def __init__(self) -> None:
        self._calls: set[Any] = set()
        self._closed = False

    async def each(self, call: Any) -> AsyncGenerator[Any, None]:
        """Every response of a streaming call until it ends, or until the streams are closed. Raises AppError."""
        if self._closed:
            return
        with self._under_way(call):
            try:
                async for response in call:
                    yield response
            except asyncio.CancelledError:
                if not self._closed:  # Otherwise it is `close` that cancelled the call, and nobody this task.
                    raise

    def close(self) -> None:
        """End them all, and those to come."""
        self._closed = True
        for call in list(self._calls):
            call.cancel()

    @contextlib.contextmanager
    def _under_way(self, call: Any) -> Iterator[None]:
        self._calls.add(call)
        try:
            yield
        finally:
            self._calls.discard(call)
