"""Runs the sweep again and again, whatever goes wrong."""

import asyncio
from collections.abc import Callable
from typing import Final

from billing.usecases import LapseLots, ReadBooks, Sweep
from kit.errors import AppError
from kit.logging import get_logger

RETRY_S: Final = 1.0  # After a failure: at a common start the orchestrator is often up a moment later.
_log = get_logger(__name__)


class Sweeper:
    """The background task of billing."""

    def __init__(
        self,
        *,
        sweep: Sweep,
        lapse: LapseLots,
        read: ReadBooks,
        on_open_holds: Callable[[int, int | None, int], None],
        interval_s: float,
    ) -> None:
        """Run `sweep` and `lapse` every `interval_s` seconds, sooner after a failure.

        `on_open_holds` is told after each round what is still held: (how many, since when the oldest, what time it is).
        """
        self._sweep = sweep
        self._lapse = lapse
        self._read = read
        self._on_open_holds = on_open_holds
        self._interval_s = interval_s
        self._begun = False

    async def run(self) -> None:
        """Sweep until cancelled, at once for the first time: what the last process left open comes first.

        Cancelling it loses nothing: what is not swept yet waits for the next process.
        """
        while True:
            done = await self._round()
            await asyncio.sleep(self._interval_s if done else min(RETRY_S, self._interval_s))

    async def _round(self) -> bool:
        try:
            if not self._begun:
                holds = await self._sweep.begin()
                self._begun = True
                _log.info("holds_found_open_at_start", holds=holds)
            await self._lapse()  # First: it needs no answer from anybody.
            resolved = await self._sweep()
            self._on_open_holds(*await self._read.open_holds())
        except AppError as error:
            _log.warning("sweep_put_off", reason=error.reason, message=error.message)
            return False
        except Exception:  # A loop that dies silently would keep partners' units for good.
            _log.exception("sweep_failed")
            return False
        if resolved:
            _log.info("holds_swept", holds=resolved)
        return True
