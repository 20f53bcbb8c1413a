"""What events and crashes left behind is found again, a bounded amount at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from asset_store.ports import BlobStore, Spool, Upkeep
from asset_store.usecases.delete import Erase
from asset_store.usecases.outputs import DecideOutputs
from kit.clock import Clock
from kit.errors import AppError
from kit.logging import get_logger

EVERY_S: Final = 60.0  # Retention is counted in days; a minute late is not late.
BATCH: Final = 200  # Rows in one transaction: short for the writers that wait behind it.
BATCHES_MAX: Final = 25  # In one sweep; what is left waits for the next.
UNDECIDED_S: Final = 600.0  # The job's event normally comes within a second of its last upload.
SPOOL_S: Final = 3600.0  # No upload lasts so long.
#: Bytes are stored before their record; a day is far longer than any upload and any disagreement of clocks.
ORPHAN_S: Final = 24 * 3600.0
JOBS_MAX: Final = 500  # What ResolveFate takes at once.

_log = get_logger(__name__)


@dataclass
class Swept:
    """What one sweep did."""

    erased: int = 0
    jobs_decided: int = 0
    spool_files: int = 0
    orphans: int = 0


class Sweep:
    """Looks for expired assets, unfinished deletions, undecided outputs, and bytes without a record."""

    def __init__(
        self, *, upkeep: Upkeep, erase: Erase, decide: DecideOutputs, blobs: BlobStore, spool: Spool, clock: Clock
    ) -> None:
        self._upkeep = upkeep
        self._erase = erase
        self._decide = decide
        self._blobs = blobs
        self._spool = spool
        self._clock = clock
        self._alone = asyncio.Lock()
        self._scanned_to = ""  # The scan of all keys goes on where the last sweep stopped, and begins again at the end.

    async def __call__(self) -> Swept:
        """Sweep once. What fails is logged and tried again by the next sweep; the other duties are still done."""
        swept = Swept()
        async with self._alone:
            await self._try("expired", self._expire, swept)
            await self._try("undecided", self._undecided, swept)
            await self._try("deleting", self._deleting, swept)
            await self._try("spool", self._spooled, swept)
            await self._try("orphans", self._orphans, swept)
        if swept != Swept():
            _log.info(
                "assets_swept",
                erased=swept.erased,
                jobs_decided=swept.jobs_decided,
                spool_files=swept.spool_files,
                orphans=swept.orphans,
            )
        return swept

    async def run(self, every_s: float = EVERY_S) -> None:
        """Sweep for ever."""
        while True:
            await self()
            await asyncio.sleep(every_s)

    async def _try(self, duty: str, work: Callable[[Swept], Awaitable[None]], swept: Swept) -> None:
        try:
            await work(swept)
        except AppError as error:
            _log.warning("sweep_failed", duty=duty, reason=error.reason.value)
        except Exception:
            _log.exception("sweep_failed", duty=duty)

    async def _expire(self, _: Swept) -> None:
        for _batch in range(BATCHES_MAX):
            if await self._upkeep.expire(limit=BATCH) < BATCH:
                return

    async def _deleting(self, swept: Swept) -> None:
        for _batch in range(BATCHES_MAX):
            doomed = await self._upkeep.deleting(limit=BATCH)
            erased = await self._erase(doomed)
            swept.erased += erased
            if len(doomed) < BATCH or not erased:
                return

    async def _undecided(self, swept: Swept) -> None:
        after = ""
        for _batch in range(BATCHES_MAX):
            job_ids = await self._upkeep.undecided_jobs(older_than_s=UNDECIDED_S, after=after, limit=JOBS_MAX)
            if not job_ids:
                return
            swept.jobs_decided += await self._decide(job_ids)
            after = job_ids[-1]

    async def _spooled(self, swept: Swept) -> None:
        swept.spool_files += await self._spool.sweep(older_than_s=SPOOL_S)

    async def _orphans(self, swept: Swept) -> None:
        before_ms = self._clock.now_ms() - round(ORPHAN_S * 1000)
        for _batch in range(BATCHES_MAX):
            entries = await self._blobs.scan(after=self._scanned_to, limit=BATCH)
            if not entries:
                self._scanned_to = ""
                return
            old = [entry.key for entry in entries if entry.modified_ms < before_ms]
            for key in await self._upkeep.unknown_keys(old) if old else ():
                await self._blobs.delete(key)
                swept.orphans += 1
            self._scanned_to = entries[-1].key
