"""Checks the books again and again, whatever goes wrong."""

import asyncio
from typing import Final

from billing.usecases import VerifyBooks
from kit.errors import AppError
from kit.logging import get_logger

FIRST_S: Final = 60.0  # After the start: what the last process left open has been swept by then.
RETRY_S: Final = 60.0  # After a check that could not be made.
FAULTS_LOGGED_MAX: Final = 20  # The rest is told by `atelier ledger verify`.
_log = get_logger(__name__)


class Verifier:
    """The background task that keeps `ledger_drift` true."""

    def __init__(self, *, verify: VerifyBooks, interval_s: float) -> None:
        """Run `verify` every `interval_s` seconds; 0 never does."""
        self._verify = verify
        self._interval_s = interval_s

    async def run(self) -> None:
        """Check until cancelled."""
        if not self._interval_s:
            return
        await asyncio.sleep(min(FIRST_S, self._interval_s))
        while True:
            done = await self._round()
            await asyncio.sleep(self._interval_s if done else min(RETRY_S, self._interval_s))

    async def _round(self) -> bool:
        try:
            proof = await self._verify()
        except AppError as error:
            _log.warning("ledger_check_put_off", reason=error.reason, message=error.message)
            return False
        except Exception:  # A loop that dies silently would leave the last verdict standing for good.
            _log.exception("ledger_check_failed")
            return False
        for fault in proof.faults[:FAULTS_LOGGED_MAX]:
            _log.error("ledger_fault", rule=fault.rule, subject=fault.subject, detail=fault.detail)
        _log.info("ledger_checked", faults=len(proof.faults), transactions=proof.transactions, jobs=proof.jobs)
        return True
