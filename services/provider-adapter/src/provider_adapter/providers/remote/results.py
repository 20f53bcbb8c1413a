"""Results out of the provider's hands, by URL through the wall. They live there for hours only.

Type, size and decodability are judged by the asset store when a file is stored, for all providers alike.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from kit.errors import InputFetchRefused
from kit.tasks import end
from kit.web import FetchLimits, WebClient, may_pass
from provider_adapter.ports import OutputFile, Unreadable
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Upstream
from provider_adapter.providers.remote.options import CredentialMissing
from provider_adapter.providers.remote.trouble import Trouble, failed

FILM_BYTES_MAX: Final = 512 * 1024 * 1024  # The asset store's limit; an endless body is cut here.
PICTURE_BYTES_MAX: Final = 128 * 1024 * 1024  # A PNG of 8192 x 8192 has about that.
FILM_ENDINGS: Final = (".mp4", ".webm", ".mov")
AHEAD_CHUNKS: Final = 8  # Read ahead of the asset store: half a megabyte.
#: A fetch that fails in passing is done again after these. It costs nothing; the task it came of would be paid again.
AGAIN_AFTER_S: Final = (1.0, 3.0)

LIMITS: Final = FetchLimits(
    first_byte_s=30.0,  # Object stores that thaw a file take a while.
    total_s=300.0,
    body_bytes_max=FILM_BYTES_MAX,
    refusal_floor_s=0.0,  # Nobody learns anything from the time: the URL is a provider's, not a client's.
)


class Results:
    """Makes output files of what providers answer."""

    def __init__(
        self, web: WebClient, *, limits: FetchLimits = LIMITS, again_after_s: Sequence[float] = AGAIN_AFTER_S
    ) -> None:
        self._web = web
        self._limits = limits
        self._again_after_s = again_after_s

    async def close(self) -> None:
        """Free what fetching took. Idempotent."""
        await self._web.aclose()

    def at(self, url: object, *, role: str = "image", cost_fen: int = 0) -> OutputFile:
        """The file behind a URL, fetched when it is stored. Reading raises Unreadable when it cannot be had whole."""
        if not isinstance(url, str) or not url:
            raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen))

        def chunks() -> AsyncIterator[bytes]:
            return self._fetch(url, self._limits_of(role), cost_fen)

        return OutputFile(chunks=chunks, role=role)

    def own(
        self,
        upstream: Upstream,
        path: str,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        role: str = "image",
        cost_fen: int = 0,
    ) -> OutputFile:
        """The file at a path of the provider's own API, fetched with the same credentials, not through the wall: its
        address is the operator's. `headers` is asked with every reading, which raises Unreadable as `at`."""

        async def chunks() -> AsyncIterator[bytes]:
            limits = self._limits_of(role)
            try:
                pieces = upstream.stream(
                    path, headers=headers(), bytes_max=limits.body_bytes_max, timeout_s=limits.total_s
                )
                async with contextlib.aclosing(pieces):
                    async for piece in pieces:
                        yield piece
            except (NotSent, NoAnswer, NotReadable, CredentialMissing) as error:
                raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen)) from error

        return OutputFile(chunks=chunks, role=role)

    def _limits_of(self, role: str) -> FetchLimits:
        if role == "video":
            return self._limits
        return replace(self._limits, body_bytes_max=min(self._limits.body_bytes_max, PICTURE_BYTES_MAX))

    async def _fetch(self, url: str, limits: FetchLimits, cost_fen: int) -> AsyncIterator[bytes]:
        pieces: asyncio.Queue[bytes] = asyncio.Queue(AHEAD_CHUNKS)

        async def fetch() -> None:
            await self._fetch_again(url, limits, pieces)
            await pieces.put(b"")

        fetching = asyncio.create_task(fetch())
        taking: asyncio.Task[bytes] | None = None
        try:
            while True:
                taking = asyncio.create_task(pieces.get())
                await asyncio.wait({taking, fetching}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    fetching.result()  # It failed; had it succeeded, there would be an end to take.
                piece = await taking
                if not piece:
                    return
                yield piece
        except InputFetchRefused as error:
            raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen)) from error
        finally:
            await end(fetching, *([taking] if taking else []))

    async def _fetch_again(self, url: str, limits: FetchLimits, pieces: asyncio.Queue[bytes]) -> None:
        """Fetch, and fetch once more where that may help. Raises InputFetchRefused."""
        taken = _Taken(pieces)
        for pause_s in self._again_after_s:
            try:
                await self._web.fetch(url, taken.put, limits)
                break
            except InputFetchRefused as error:
                if not may_pass(error):
                    raise
            await asyncio.sleep(pause_s)
            taken.begin_anew()
        else:
            await self._web.fetch(url, taken.put, limits)
        taken.finish()


class _Taken:
    """Passes the bytes of a fetch on, and of a second one only what the first did not bring."""

    def __init__(self, pieces: asyncio.Queue[bytes]) -> None:
        self._pieces = pieces
        self._given, self._digest = 0, hashlib.sha256()  #: What was passed on.
        self._seen, self._again = 0, hashlib.sha256()  #: What this fetch brought of it.

    def begin_anew(self) -> None:
        """Another fetch begins."""
        self._seen, self._again = 0, hashlib.sha256()

    async def put(self, piece: bytes) -> None:
        """Take a piece. Raises InputFetchRefused when this fetch brings another file than the one before."""
        known, rest = piece[: self._given - self._seen], piece[self._given - self._seen :]
        if self._seen < self._given:
            self._again.update(known)
            self._seen += len(known)
            if self._seen == self._given and self._again.digest() != self._digest.digest():
                raise InputFetchRefused
        if rest:
            self._digest.update(rest)
            self._given += len(rest)
            self._seen = self._given
            await self._pieces.put(rest)

    def finish(self) -> None:
        """The fetch has ended. Raises InputFetchRefused when it brought less than the one before."""
        if self._seen != self._given:
            raise InputFetchRefused


def role_by_name(name: str) -> str:
    """The role of a file by the ending of its name or URL: "video" or "image"."""
    return "video" if urlsplit(name).path.lower().endswith(FILM_ENDINGS) else "image"
