"""A client's records: one, a page of them, and deleting one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asset_store.domain import Asset, Standing
from asset_store.pages import PageTokens
from asset_store.ports import AssetRecords, Filter
from asset_store.usecases.delete import Erase
from asset_store.usecases.outputs import DecideOutputs, FindAsset
from kit.errors import AppError, AssetNotFound
from kit.logging import get_logger

PAGE_SIZE: Final = 20
_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Records newest first."""

    assets: Sequence[Asset]
    next_token: str  #: Empty at the end.


class ListAssets:
    """Lists a client's assets."""

    def __init__(self, *, records: AssetRecords, decide: DecideOutputs, tokens: PageTokens) -> None:
        self._records = records
        self._decide = decide
        self._tokens = tokens

    async def __call__(self, wanted: Filter, *, page_size: int, page_token: str) -> Page:
        """Return a page. Raises PageTokenInvalid.

        Outputs of unfinished jobs are left out, so a page may hold fewer records than asked for before the end.
        """
        after = self._tokens.read(page_token, wanted) if page_token else None
        limit = page_size or PAGE_SIZE
        found = await self._records.page(wanted, after=after, limit=limit + 1)
        undecided = {asset.job_id for asset in found if asset.standing is Standing.PROVISIONAL}
        if undecided and await self._decided(sorted(undecided)):
            found = await self._records.page(wanted, after=after, limit=limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        return Page(
            assets=[asset for asset in shown if asset.standing is Standing.KEPT],
            next_token=self._tokens.make((shown[-1].create_ms, shown[-1].id), wanted) if more else "",
        )

    async def _decided(self, job_ids: Sequence[str]) -> bool:
        try:
            return await self._decide(job_ids) > 0
        except AppError as error:  # The list of everything else is worth more than an error.
            _log.warning("outputs_undecided", jobs=len(job_ids), reason=error.reason.value)
            return False


class DeleteAsset:
    """Deletes a client's asset for good."""

    def __init__(self, *, find: FindAsset, records: AssetRecords, erase: Erase) -> None:
        self._find = find
        self._records = records
        self._erase = erase

    async def __call__(self, asset_id: str, *, client_id: str) -> None:
        """Delete; an absent one is no error, and an output of an unfinished job stays."""
        try:
            await self._find(asset_id, client_id=client_id)
        except AssetNotFound:
            return
        asset = await self._records.begin_delete(asset_id, client_id=client_id)
        if asset is not None:
            _log.info("asset_deleted", asset_id=asset.id, client_id=client_id)
            await self._erase([asset])
