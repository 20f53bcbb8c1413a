"""A job's outputs are provisional until the job is known to have succeeded with them; others are deleted.

Normally the job's last event says so. Where that has not come yet, whoever needs to know asks the orchestrator: a
reader at once, the sweeper later.
"""

from collections.abc import Sequence

from asset_store.domain import Asset, Standing
from asset_store.ports import AssetRecords, Jobs, Upkeep
from asset_store.usecases.delete import Erase
from kit.errors import AssetNotFound
from kit.logging import get_logger

_log = get_logger(__name__)


class SettleOutputs:
    """Decides a job's outputs when its last event comes."""

    def __init__(self, *, upkeep: Upkeep, erase: Erase) -> None:
        self._upkeep = upkeep
        self._erase = erase

    async def __call__(self, *, event_id: str, job_id: str, keep: Sequence[str]) -> None:
        """Keep the outputs listed and delete the job's other ones. A repeated event changes nothing."""
        doomed = await self._upkeep.settle(job_id, keep=keep, event_id=event_id)
        if doomed:
            _log.info("outputs_dropped", job_id=job_id, assets=len(doomed))
        await self._erase(doomed)


class DecideOutputs:
    """Decides the outputs of jobs by asking what became of them."""

    def __init__(self, *, jobs: Jobs, upkeep: Upkeep, erase: Erase) -> None:
        self._jobs = jobs
        self._upkeep = upkeep
        self._erase = erase

    async def __call__(self, job_ids: Sequence[str]) -> int:
        """Return how many of the jobs are decided; outputs of live ones stay as they are."""
        fates = await self._jobs.fates(job_ids)
        decided = {job_id: fate for job_id, fate in fates.items() if fate.decided}
        for job_id, fate in decided.items():
            doomed = await self._upkeep.settle(job_id, keep=sorted(fate.asset_ids))
            if doomed:
                _log.info("outputs_dropped", job_id=job_id, assets=len(doomed))
            await self._erase(doomed)
        return len(decided)


class FindAsset:
    """Finds a client's asset as its owner may see it."""

    def __init__(self, *, records: AssetRecords, decide: DecideOutputs) -> None:
        self._records = records
        self._decide = decide

    async def __call__(self, asset_id: str, *, client_id: str) -> Asset:
        """Return the record. Raises AssetNotFound, also for an output of a job that is not finished.

        A partner who has just read that its job succeeded finds its outputs here, however late the event is.
        """
        asset = await self._records.find(asset_id, client_id=client_id)
        if asset is not None and asset.standing is Standing.PROVISIONAL:
            await self._decide([asset.job_id])
            asset = await self._records.find(asset_id, client_id=client_id)
        if asset is None or asset.standing is not Standing.KEPT:
            raise AssetNotFound
        return asset
