"""Storing what a provider made, each file under an id that follows from the lease: a repeated upload is the same."""

import asyncio
from collections.abc import Sequence
from typing import Final

from kit import crash
from kit.errors import AppError, ErrorReason
from kit.logging import get_logger
from provider_adapter.domain import (
    OUTPUTS_MAX,
    Ending,
    Failed,
    Lease,
    Outcome,
    StoredOutput,
    Succeeded,
    output_asset_id,
)
from provider_adapter.ports import Assets, Finished, OutputFile, Unreadable
from provider_adapter.usecases.persist import persist

AFTER_STORE: Final = crash.declare("providers.work.after_store", "the outputs are stored, nothing is reported")

AT_ONCE: Final = 64  # Jobs that are stored; a provider that ends thousands of tasks at once must not fill our memory.

_UNUSABLE: Final = "The provider's result is not usable."
_log = get_logger(__name__)


class StoreOutputs:
    """Stores an attempt's files."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._places = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, lease: Lease, finished: Finished) -> Ending:
        """Return the stored outputs, or why they are none. Waits while the asset store is away."""
        files = finished.files
        if all(file.extra for file in files) or len(files) > OUTPUTS_MAX:
            return _unusable(finished)
        try:
            async with self._places:
                outputs = await self._store_all(lease, files)
        except Unreadable as error:
            failed = error.failed
            return Failed(
                outcome=failed.outcome,
                failure=failed.failure,
                retry_after_s=failed.retry_after_s,
                cost_fen=failed.cost_fen or finished.cost_fen,
            )
        except AppError as error:
            _log.warning("output_refused", reason=error.reason, cause=error.message)
            return _unusable(finished)
        crash.point(AFTER_STORE)
        return Succeeded(outputs=outputs, cost_fen=finished.cost_fen, notes=finished.notes)

    async def _store_all(self, lease: Lease, files: Sequence[OutputFile]) -> Sequence[StoredOutput]:
        return [await self._store(lease, file, index) for index, file in enumerate(files)]

    async def _store(self, lease: Lease, file: OutputFile, index: int) -> StoredOutput:
        asset_id = output_asset_id(lease.job.id, lease.epoch, index)
        return await persist(lambda: self._assets.store(lease.job, file, asset_id=asset_id))


def _unusable(finished: Finished) -> Failed:
    return Failed.of(Outcome.RETRYABLE, ErrorReason.PROVIDER_RESULT_INVALID, _UNUSABLE, cost_fen=finished.cost_fen)
