"""The server's WebSocket: how far each task is. It only adds to what /history and /queue say; nothing depends on it.

The server tells a task's events to the client id that the task was handed over with, so the socket is open before the
first one is. A task of another process, or of a time without socket, simply has no fraction.
"""

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from kit.logging import get_logger
from kit.tasks import end
from provider_adapter.providers.remote.options import CredentialMissing

TASKS_MAX: Final = 10_000  # As many as the server's history keeps.
MESSAGE_BYTES_MAX: Final = 16 << 20  # A preview in PNG; the text frames have some kilobytes.
FRESH_S: Final = 10.0  # How long a task counts as running after the last word about it.
FRACTION_MAX: Final = 0.99  # Decoding and saving come after the last step.
BACK_OFF_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0)  # Between tries to connect; a server that loads nodes needs a minute.

_ENDINGS: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_log = get_logger(__name__)


class Watch:
    """One socket for all tasks of this process."""

    def __init__(self, base: str, *, headers: Callable[[], Mapping[str, str]], open_s: float) -> None:
        """`headers` is asked with every connection; `open_s` bounds one try to connect."""
        self.client_id = uuid.uuid4().hex
        self._url = f"ws{base.removeprefix('http')}/ws?clientId={self.client_id}"
        self._headers, self._open_s = headers, open_s
        self._settled = asyncio.Event()  #: The first try to connect is over.
        self._running: asyncio.Task[None] | None = None
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()  #: When last heard of, and the fraction.

    async def opened(self) -> None:
        """Wait until the first try to connect is over. One that failed delays nothing afterwards."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._open_s):
                await self._settled.wait()

    def fraction(self, prompt_id: str) -> float | None:
        """The share done, as far as the socket told; None when it did not."""
        seen = self._seen.get(prompt_id)
        return seen[1] if seen is not None else None

    def running(self, prompt_id: str) -> bool:
        """Whether the task was heard of a moment ago, and not of its end."""
        seen = self._seen.get(prompt_id)
        return seen is not None and time.monotonic() - seen[0] < FRESH_S

    def forget(self, prompt_id: str) -> None:
        """The task has ended."""
        self._seen.pop(prompt_id, None)

    async def close(self) -> None:
        """Close the socket. Idempotent."""
        if self._running is not None:
            await end(self._running)
            self._running = None

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                tries += 1
                async with connect(
                    self._url,
                    additional_headers=dict(self._headers()),
                    open_timeout=self._open_s,
                    close_timeout=1.0,
                    max_size=MESSAGE_BYTES_MAX,
                ) as socket:
                    tries = 0
                    self._settled.set()
                    async for message in socket:
                        if isinstance(message, str):  # The binary ones are previews.
                            self._hear(message)
            except (OSError, WebSocketException, TimeoutError, CredentialMissing) as error:
                _log.info("progress_socket_lost", cause=type(error).__name__)
            self._settled.set()
            await asyncio.sleep(BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)])

    def _hear(self, message: str) -> None:
        try:
            event = orjson.loads(message)
        except orjson.JSONDecodeError:
            return
        data = event.get("data") if isinstance(event, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("prompt_id"), str):
            return
        prompt_id, kind = data["prompt_id"], event.get("type")
        if kind in _ENDINGS or (kind == "executing" and data.get("node") is None):
            self.forget(prompt_id)
            return
        before = self._seen.pop(prompt_id, (0.0, 0.0))[1]
        self._seen[prompt_id] = (time.monotonic(), max(before, _share(kind, data)))
        while len(self._seen) > TASKS_MAX:
            self._seen.popitem(last=False)


def _share(kind: object, data: Mapping[str, Any]) -> float:
    value, most = data.get("value"), data.get("max")
    if kind != "progress" or not isinstance(value, int | float) or not isinstance(most, int | float) or most <= 0:
        return 0.0
    return min(max(value / most, 0.0), FRACTION_MAX)
