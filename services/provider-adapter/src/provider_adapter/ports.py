"""What the adapter needs from outside: providers that make pictures, the orchestrator's leases, the asset store.

A provider is a folder under `providers/` with a class that keeps the promises of `Provider`; the suite in
`tests/contract/providers` runs on each of them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from provider_adapter.domain import Ending, Failed, Input, Job, Lease, Outcome, StoredOutput

__all__ = [
    "Accepted",
    "AssetFacts",
    "Assets",
    "Failed",
    "Finished",
    "Forged",
    "Leases",
    "Listener",
    "NotTaken",
    "OnProgress",
    "Outcome",
    "OutputFile",
    "Pending",
    "Provider",
    "Source",
    "Task",
    "Unclear",
    "Unreadable",
]

#: Takes the share done, 0.0 to 1.0, on the event loop. Values lower than before are ignored.
OnProgress = Callable[[float], None]


class Unreadable(Exception):
    """Bytes of an input or of a result cannot be had; `failed` says how that ends the attempt."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.failure.message)
        self.failed = failed


class Source(Protocol):
    """An input, read when the provider wants it and as often as it wants."""

    role: str
    label: str
    field: str  #: What a failure about it names: "inputs[0]".
    mime_type: str  #: Sniffed by the asset store.
    size_bytes: int
    sha256: str

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in order, verified by the end. Raises Unreadable."""
        ...

    async def read(self) -> bytes:
        """All bytes at once. Raises Unreadable."""
        ...

    def link(self) -> str:
        """A URL under which the provider can read it for an hour; "" where the house has no public address."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a provider is asked to do."""

    job_id: str
    attempt_id: str  #: Also the idempotency key where a provider knows one.
    capability: str
    upstream_model: str
    parameters: Mapping[str, Any]
    inputs: Sequence[Source]
    seed: int  #: The parameters' own seed, else one that follows from the job.
    timeout_s: float  #: From the call to the job's deadline.
    callback_url: str = ""  #: Where the provider may tell of the task; "" where the house has no public address.


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """One finished file. Its type is sniffed when it is stored; `mime_hint` is only what the provider claims."""

    chunks: Callable[[], AsyncIterator[bytes]]  #: Begins anew with every call. May raise Unreadable.
    mime_hint: str = ""
    role: str = "image"  #: "image", "video", "vector", "grid", "tile".
    extra: bool = False  #: A by-product that the price does not count.

    @classmethod
    def of_bytes(cls, data: bytes, *, mime_hint: str = "", role: str = "image", extra: bool = False) -> "OutputFile":
        """A file that is in memory."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return cls(chunks=chunks, mime_hint=mime_hint, role=role, extra=extra)


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The provider took the task and works on it."""

    upstream_task_id: str
    poll_after_s: float | None = None  #: When to ask first; None for the house's pace.


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Not finished, or not to be asked just now."""

    fraction: float | None = None  #: 0.0 to 1.0; None when the provider does not say.
    poll_after_s: float | None = None  #: When to ask again; None for the house's pace.


@dataclass(frozen=True, kw_only=True)
class Finished:
    """There are results: at least one, and not by-products alone."""

    files: Sequence[OutputFile]
    cost_fen: int = 0  #: What the provider says it cost, in 1/100 yuan; 0 when it does not say.
    notes: Mapping[str, str] = field(default_factory=dict)  #: What it says besides, e.g. "generated_prompt".


@dataclass(frozen=True, kw_only=True)
class NotTaken:
    """The provider surely has no task of this attempt."""


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """Whether the provider took it cannot be told, by nature or for now."""

    retry_after_s: float | None = None


class Provider(Protocol):
    """One provider. Whatever goes wrong with it comes back as `Failed`; an exception is a fault of ours.

    An exception out of `submit` counts as UNKNOWN unless the provider is repeatable, so what surely was not sent must
    be told as UNSENT. `Unreadable` of an input may pass through `submit` as long as nothing was sent.
    Every call is bounded by the provider's own time limits. Cancelling a call gives up waiting for it.
    """

    name: str
    capabilities: frozenset[str]
    repeatable: bool  #: Calling it twice costs nothing, so an unknown outcome may be repeated.
    running_max: int  #: Attempts it may have under way, at least 1.

    async def start(self) -> None:
        """Get ready; called once, before any task."""
        ...

    async def submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        """Hand over a task. A provider without task ids works until it is `Finished` and tells how far it is;
        cancelling the call then ends the work."""
        ...

    async def poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        """Ask after a task, perhaps one that another process handed over. An unknown id is `Failed`; a provider that
        does not answer is `Pending`, because asking costs nothing and the task goes on without us."""
        ...

    async def cancel(self, upstream_task_id: str) -> None:
        """Ask for the end of a task; does nothing where the provider cannot, or no longer knows it."""
        ...

    async def look_up(self, attempt_id: str) -> Accepted | NotTaken | Unclear:
        """Tell what became of a submit whose answer was lost; `Unclear` where the provider cannot tell."""
        ...

    async def close(self) -> None:
        """Free what `start` took; work under way ends. Idempotent."""
        ...


class Forged(Exception):
    """A callback's signature is missing or wrong, or it is too old."""


@runtime_checkable
class Listener(Protocol):
    """A provider that calls back."""

    async def hear(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the task's id that a callback tells of, None for a callback that tells of none.

        A callback is only a reason to ask now: its word on the outcome is not taken. Raises Forged where the provider
        signs and this is not signed by it. Header names are in lower case.
        """
        ...


class Leases(Protocol):
    """The orchestrator's side of a worker's life. Every method raises AppError: LEASE_LOST and JOB_NOT_FOUND mean that
    the work is to be dropped."""

    async def lease(
        self, pool: str, worker_id: str, *, slots: int, wait_s: float, lease_s: float, until: asyncio.Event
    ) -> list[Lease]:
        """Return up to `slots` jobs, waiting up to `wait_s` for the first; perhaps none. Returns early, perhaps with
        jobs all the same, once `until` is set."""
        ...

    async def renew(self, lease: Lease, *, percent: int, lease_s: float) -> bool:
        """Keep the lease alive; returns whether a cancel was asked for."""
        ...

    async def begin(self, lease: Lease, *, attempt_id: str, route: int, repeatable: bool) -> None:
        """Write the intent to call a provider. Idempotent by attempt id."""
        ...

    async def record(self, lease: Lease, *, attempt_id: str, upstream_task_id: str) -> None:
        """Write the provider's task id. Idempotent."""
        ...

    async def finish(self, lease: Lease, *, attempt_id: str, ending: Ending) -> None:
        """End the lease; `attempt_id` is empty when no attempt was begun. Idempotent for the same epoch."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the job back unharmed. Idempotent."""
        ...


@dataclass(frozen=True, kw_only=True)
class AssetFacts:
    """What the asset store knows of stored bytes."""

    id: str
    mime_type: str
    size_bytes: int
    sha256: str
    width: int = 0
    height: int = 0


class Assets(Protocol):
    """Bytes of the job's client, by tickets signed here. Every method raises AppError."""

    async def find(self, job: Job, asset_id: str) -> AssetFacts:
        """Return the record of an input. Raises AssetNotFound."""
        ...

    async def fetch(self, job: Job, one: Input, *, asset_id: str) -> AssetFacts:
        """Store what is behind the input's URL under this id, unless it is stored already, and return its record.

        Raises InputFetchRefused, InputUnsupported, InputTooLarge, BodyTooLarge.
        """
        ...

    def read(self, job: Job, asset: AssetFacts) -> AsyncIterator[bytes]:
        """The bytes in order. Raises AssetNotFound."""
        ...

    def link(self, job: Job, asset: AssetFacts) -> str:
        """A URL that a provider can read for an hour; "" where the house has no public address. Raises nothing."""
        ...

    async def store(self, job: Job, file: OutputFile, *, asset_id: str) -> StoredOutput:
        """Store one output, compare the record with the bytes sent, and return it. Idempotent by asset id.

        Raises ProviderResultInvalid when the record differs, InputUnsupported and such for bytes that are no result,
        and Unreadable as the file's `chunks`.
        """
        ...
