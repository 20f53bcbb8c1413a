"""A job's inputs, at hand before a provider is called: found or fetched at once, read when they are wanted."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from kit.errors import AppError, ErrorReason
from provider_adapter.domain import Failed, Input, Job, Outcome, input_asset_id
from provider_adapter.ports import AssetFacts, Assets, Source, Unreadable
from provider_adapter.usecases.persist import persist

#: What the client has to change; trying again will not help.
HOPELESS: Final = frozenset(
    {
        ErrorReason.ASSET_NOT_FOUND,
        ErrorReason.INPUT_FETCH_REFUSED,
        ErrorReason.INPUT_UNSUPPORTED,
        ErrorReason.INPUT_TOO_LARGE,
        ErrorReason.BODY_TOO_LARGE,
        ErrorReason.INVALID_ARGUMENT,
    }
)


class AssetSource:
    """An input in the asset store; a `ports.Source`."""

    def __init__(self, assets: Assets, job: Job, one: Input, index: int, facts: AssetFacts) -> None:
        self.role = one.role
        self.label = one.label
        self.field = _field(index)
        self.mime_type = facts.mime_type
        self.size_bytes = facts.size_bytes
        self.sha256 = facts.sha256
        self._assets = assets
        self._job = job
        self._facts = facts

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in order, verified by the end. Raises Unreadable."""
        digest, size = hashlib.sha256(), 0
        try:
            async for chunk in self._assets.read(self._job, self._facts):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except AppError as error:
            raise Unreadable(_failed(error, self.field)) from error
        if (size, digest.hexdigest()) != (self.size_bytes, self.sha256):
            message = "The input did not arrive whole."
            raise Unreadable(Failed.of(Outcome.UNSENT, ErrorReason.DEPENDENCY_UNAVAILABLE, message, field=self.field))

    async def read(self) -> bytes:
        """All bytes at once. Raises Unreadable."""
        return b"".join([chunk async for chunk in self.chunks()])

    def link(self) -> str:
        """A URL under which the provider can read it for an hour; "" where the house has no public address."""
        return self._assets.link(self._job, self._facts)


class FindInputs:
    """Makes sources of a job's inputs."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    async def __call__(self, job: Job) -> Sequence[Source]:
        """Return one source for each input, in order; no bytes are read yet. Raises Unreadable."""
        return [await self._source(job, one, index) for index, one in enumerate(job.inputs)]

    async def _source(self, job: Job, one: Input, index: int) -> Source:
        try:
            if one.asset_id:
                facts = await persist(lambda: self._assets.find(job, one.asset_id))
            else:
                asset_id = input_asset_id(job.id, index)
                facts = await persist(lambda: self._assets.fetch(job, one, asset_id=asset_id))
        except AppError as error:
            raise Unreadable(_failed(error, _field(index))) from error
        return AssetSource(self._assets, job, one, index, facts)


def _field(index: int) -> str:
    return f"inputs[{index}]"


def _failed(error: AppError, field: str) -> Failed:
    if error.reason in HOPELESS:
        return Failed.of(Outcome.FAILED, error.reason, error.message, field=field)
    message = "The input could not be read."
    return Failed.of(Outcome.UNSENT, ErrorReason.DEPENDENCY_UNAVAILABLE, message, field=field)
