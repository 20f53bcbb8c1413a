"""What the asset store needs from outside. Every sentence here is a test in `tests/contract/asset_store`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from asset_store.domain import Asset, Content, Intake, Origin, PictureLimits

CHUNK_BYTES: Final = 256 * 1024  # One message down; the contract of ReadAsset promises it.

Sink = Callable[[bytes], Awaitable[None]]


class BlobMissing(Exception):
    """The store has no bytes under this key."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A file that was received whole and waits in the spool for judgement."""

    path: Path
    size_bytes: int
    sha256: str
    head: bytes  #: Its first bytes, enough to sniff and probe.


class SpoolFile(Protocol):
    """One file being received."""

    async def write(self, chunk: bytes) -> None:
        """Append. Raises BodyTooLarge as soon as the limit is passed, StorageFull."""
        ...

    async def finish(self) -> Staged:
        """Return what was received, readable at its path. Raises InputUnsupported when it is empty, StorageFull."""
        ...


class Spool(Protocol):
    """Where incoming bytes wait until they are judged: local, so that decoders can read them."""

    def open(self, *, bytes_max: int) -> AbstractAsyncContextManager[SpoolFile]:
        """Begin a file; nothing of it is left when the block ends, unless a blob store took it over."""
        ...

    async def sweep(self, *, older_than_s: float) -> int:
        """Delete what a crash left behind, if it is older than that; return how many."""
        ...


@dataclass(frozen=True, kw_only=True)
class BlobEntry:
    """One stored blob, as a scan sees it."""

    key: str
    modified_ms: int


class BlobStore(Protocol):
    """Keeps bytes under random keys: written once, never changed.

    Raises, besides what each method says, DependencyUnavailable when the store does not answer.
    """

    async def put(self, key: str, staged: Staged) -> None:
        """Store the staged file, durably and verified in size. It appears whole or not at all. May take the file away.

        Raises StorageFull; then, as after every error, nothing is visible under the key.
        """
        ...

    def read(self, key: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield `length` bytes from `offset` in chunks of at most CHUNK_BYTES. Raises BlobMissing before the first."""
        ...

    async def delete(self, key: str) -> None:
        """Delete the bytes; absent ones are no error."""
        ...

    async def scan(self, *, after: str, limit: int) -> Sequence[BlobEntry]:
        """Return up to `limit` entries with keys greater than `after`, in order; empty at the end."""
        ...

    async def check(self) -> None:
        """Return when the store can be written to."""
        ...

    async def close(self) -> None:
        """Free threads and connections."""
        ...


class Inspector(Protocol):
    """Believes nothing: looks into a picture by decoding it, where a broken or hostile one can do no harm."""

    async def inspect(self, path: Path, *, mime_type: str, limits: PictureLimits) -> tuple[int, int]:
        """Return width and height in pixels. Raises InputUnsupported (damaged, cut short), InputTooLarge."""
        ...

    async def inspect_film(self, path: Path) -> tuple[int, int]:
        """Return width and height of an MP4 whose structure is whole; nothing is decoded. Raises InputUnsupported."""
        ...


class Web(Protocol):
    """Outside URLs, behind the wall."""

    async def fetch(self, url: str, sink: Sink, *, bytes_max: int) -> None:
        """Pour the body into `sink`. Raises InputFetchRefused, and what the sink raises."""
        ...

    async def vet(self, url: str) -> None:
        """Return if the URL may be fetched. Raises InputFetchRefused."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of a job."""

    decided: bool  #: Terminal, or fenced so that it never will be.
    asset_ids: frozenset[str] = frozenset()  #: Its outputs, when it succeeded.


class Jobs(Protocol):
    """The orchestrator's answer to "what became of it"."""

    async def fates(self, job_ids: Sequence[str]) -> dict[str, Fate]:
        """Return the fate of each (at most 500). Raises DependencyUnavailable."""
        ...


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which records of a client are listed; empty means any."""

    client_id: str
    origin: Origin | None = None
    kind: str = ""
    job_id: str = ""
    before_ms: int | None = None


class AssetRecords(Protocol):
    """The records of assets. Deleting ones are absent, except where it says otherwise; so are expired ones."""

    async def add(self, intake: Intake, content: Content, *, asset_id: str, blob_key: str) -> Asset:
        """Insert a record dated by the database and return it; or the record, whatever it is, that has this id."""
        ...

    async def find(self, asset_id: str, *, client_id: str) -> Asset | None:
        """Return the client's asset."""
        ...

    async def find_any(self, asset_id: str) -> Asset | None:
        """Return the record with this id: of any client, also when expired or deleting."""
        ...

    async def page(self, wanted: Filter, *, after: tuple[int, str] | None, limit: int) -> Sequence[Asset]:
        """Return records newest first, (create_ms, id) descending, beginning after that position."""
        ...

    async def begin_delete(self, asset_id: str, *, client_id: str) -> Asset | None:
        """Make a kept asset deleting, with its links; return it, or None when there is no such kept asset."""
        ...

    async def finish_delete(self, asset_ids: Sequence[str]) -> None:
        """Remove records that are deleting; others stay."""
        ...


class Upkeep(Protocol):
    """Records as the sweeper and the job events see them: over all clients."""

    async def settle(self, job_id: str, *, keep: Sequence[str], event_id: str = "") -> Sequence[Asset]:
        """Decide a job's provisional outputs: those in `keep` are kept, the others become deleting and are returned.

        With an `event_id` seen before it does nothing: a repeated event changes nothing.
        """
        ...

    async def expire(self, *, limit: int) -> int:
        """Make up to `limit` expired assets deleting; return how many."""
        ...

    async def deleting(self, *, limit: int) -> Sequence[Asset]:
        """Return assets that are deleting, oldest first."""
        ...

    async def undecided_jobs(self, *, older_than_s: float, after: str, limit: int) -> Sequence[str]:
        """Return ids, in order and greater than `after`, of jobs with provisional outputs stored before that."""
        ...

    async def unknown_keys(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those keys that no record names."""
        ...


class LinkRecords(Protocol):
    """Public names of assets."""

    async def ensure(self, asset_id: str, variant: str, *, token: str, expire_ms: int | None) -> str:
        """Return the token of the link that exists for (asset, variant) and still works, else store this one.

        Raises AssetNotFound when the asset is no longer there.
        """
        ...

    async def open(self, token: str) -> Asset | None:
        """Return the asset of a link that works: neither link nor asset expired, the asset kept."""
        ...
