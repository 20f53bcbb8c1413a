"""The inputs of a job before it is accepted: each is the client's own or may be fetched, and one may set the price."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from catalog import Size
from gateway.domain import Client
from gateway.usecases.request import JobInput
from kit.errors import InvalidArgument


class Inputs(Protocol):
    """The asset store, as far as submitting goes."""

    async def check_asset(self, asset_id: str, *, client_id: str, field: str) -> Size | None:
        """Return the size of the client's asset, None when it has none. Raises AssetNotFound."""
        ...

    async def take_in(self, url: str, *, client_id: str, field: str) -> tuple[str, Size | None]:
        """Store what the URL has and return the asset's id and size. Raises every refusal of FetchAsset."""
        ...

    async def drop(self, asset_id: str, *, client_id: str) -> None:
        """Delete an asset that was taken in for nothing; as well as it goes."""
        ...

    async def check_url(self, url: str, *, field: str) -> None:
        """Raise InputFetchRefused unless the URL may be fetched."""
        ...


class CheckInputs:
    """Checks inputs with the asset store."""

    def __init__(self, *, inputs: Inputs) -> None:
        self._inputs = inputs

    async def __call__(
        self, inputs: Sequence[JobInput], client: Client, *, measured: str
    ) -> tuple[tuple[JobInput, ...], Size | None]:
        """Return the inputs as the job gets them, and the size of the first one of the `measured` role.

        That one is taken in when it is a URL; `drop` is for a job that then is not accepted.
        """
        checked: list[JobInput] = []
        size: Size | None = None
        wanted = next((index for index, one in enumerate(inputs) if measured and one.role == measured), None)
        for index, one in enumerate(inputs):
            field_name = f"inputs[{index}]"
            if index != wanted:
                if one.asset_id:
                    await self._inputs.check_asset(one.asset_id, client_id=client.id, field=field_name)
                else:
                    await self._inputs.check_url(one.url, field=field_name)
            elif one.asset_id:
                size = await self.size(one.asset_id, client, field=field_name)
            checked.append(one)
        if wanted is not None and inputs[wanted].url:  # Last: the others may be refused without writing anything.
            field_name = f"inputs[{wanted}]"
            asset_id, size = await self._inputs.take_in(inputs[wanted].url, client_id=client.id, field=field_name)
            checked[wanted] = replace(inputs[wanted], url="", asset_id=asset_id)
            if size is None:
                await self._inputs.drop(asset_id, client_id=client.id)
                raise _unmeasurable(field_name)
        return tuple(checked), size

    async def size(self, asset_id: str, client: Client, *, field: str) -> Size:
        """Return how large the client's asset is. Raises AssetNotFound, InvalidArgument when nobody knows."""
        size = await self._inputs.check_asset(asset_id, client_id=client.id, field=field)
        if size is None:
            raise _unmeasurable(field)
        return size

    async def drop(self, asset_ids: Iterable[str], client: Client) -> None:
        """Delete what was taken in for nothing."""
        for asset_id in asset_ids:
            await self._inputs.drop(asset_id, client_id=client.id)


def _unmeasurable(field_name: str) -> InvalidArgument:
    return InvalidArgument("The price depends on this input's size, which is not known.", field=field_name)
