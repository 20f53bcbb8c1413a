"""Find holds that nobody resolved: their job never came to be, or its terminal event was lost.

A hold becomes due a grace after it was placed. The orchestrator says what became of the job: never committed (now
fenced, so giving the units back is safe), finished (settle as the event would have), or alive (look again later, less
and less often, so that long jobs cost little).
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from billing.domain import Hold, Settlement
from billing.ports import Fate, JobFates, Ledger
from billing.usecases.settle_hold import SettleHold
from kit import crash
from kit.errors import AppError
from kit.logging import get_logger

AFTER_FATE: Final = crash.declare(
    "billing.sweep.after_fate", "the orchestrator has told the fates (and fenced ids), no hold is settled yet"
)
BATCH_MAX: Final = 100  # Below the 500 ids of one ResolveFate; small enough that a round never holds up the writer.
_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepRules:
    """When to look again at the hold of a job that is alive."""

    look_min_ms: int = 30_000  #: A lost event is found within this time for a job that is young …
    look_max_ms: int = 300_000  #: … and within this time for one that runs for hours.

    def next_look_ms(self, hold: Hold, *, now_ms: int) -> int:
        """Wait half the hold's age, within the limits: the looks at one job grow with the logarithm of its life.

        One of them falls on the hold's `expire_ms`, when its job should be over.
        """
        wait_ms = min(max((now_ms - hold.create_ms) // 2, self.look_min_ms), self.look_max_ms)
        return min(now_ms + wait_ms, hold.expire_ms) if hold.expire_ms > now_ms else now_ms + wait_ms


class Sweep:
    """Resolves what was left behind."""

    def __init__(self, *, ledger: Ledger, fates: JobFates, settle: SettleHold, rules: SweepRules | None = None) -> None:
        """Use `ledger`, ask `fates`, resolve through `settle`."""
        self._ledger = ledger
        self._fates = fates
        self._settle = settle
        self._rules = rules or SweepRules()

    async def begin(self) -> int:
        """Make every open hold due at once and return how many there are.

        For the start of the process: whatever it left open when it ended may be an orphan of that end.
        """
        return await self._ledger.write(lambda books: books.look_at_all())

    async def __call__(self) -> int:
        """Look at every hold that is due and return how many were resolved.

        Raises what `JobFates.resolve` raises; what was done before stays done.
        """
        resolved = 0
        while due := await self._ledger.read(lambda books: books.holds_due(limit=BATCH_MAX)):
            fates = await self._fates.resolve([hold.id for hold in due])
            crash.point(AFTER_FATE)
            resolved += await self._apply(due, fates)
            if len(due) < BATCH_MAX:
                break
        return resolved

    async def _apply(self, due: list[Hold], fates: list[Fate]) -> int:
        over = [fate for fate in fates if fate.fenced or fate.finished]
        settled = await asyncio.gather(*[self._settle_by(fate) for fate in over])
        resolved = {fate.job_id for fate, done in zip(over, settled, strict=True) if done}
        # A hold that could not be settled waits like one of a live job: it must not head every batch.
        again = [hold for hold in due if hold.id not in resolved]
        if again:
            await self._ledger.write(lambda books: books.postpone(self._looks(again, books.now_ms)))
        return len(resolved)

    def _looks(self, holds: list[Hold], now_ms: int) -> dict[str, int]:
        return {hold.id: self._rules.next_look_ms(hold, now_ms=now_ms) for hold in holds}

    async def _settle_by(self, fate: Fate) -> bool:
        try:
            hold = await self._settle(
                Settlement(hold_id=fate.job_id, amount=fate.amount, unit=fate.unit, fenced=fate.fenced, end=fate.end)
            )
        except AppError as error:
            _log.error("hold_sweep_failed", hold_id=fate.job_id, reason=error.reason, message=error.message)
            return False
        _log.info("hold_swept", hold_id=hold.id, client_id=hold.client_id, state=hold.state)
        return True
