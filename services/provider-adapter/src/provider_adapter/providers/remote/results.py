"""Results out of the provider's hands: by URL through the wall, or out of base64. They live there for hours only.

Type, size and decodability are judged by the asset store when a file is stored, for all providers alike.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from kit.errors import InputFetchRefused
from kit.tasks import end
from kit.web import FetchLimits, WebClient
from provider_adapter.ports import OutputFile, Unreadable
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Upstream
from provider_adapter.providers.remote.options import CredentialMissing
from provider_adapter.providers.remote.trouble import Trouble, failed

FILM_BYTES_MAX: Final = 512 * 1024 * 1024  # The asset store's limit; an endless body is cut here.
PICTURE_BYTES_MAX: Final = 128 * 1024 * 1024  # A PNG of 8192 x 8192 has about that.
FILM_ENDINGS: Final = (".mp4", ".webm", ".mov")
AHEAD_CHUNKS: Final = 8  # Read ahead of the asset store: half a megabyte.

LIMITS: Final = FetchLimits(
    first_byte_s=30.0,  # Object stores that thaw a file take a while.
    total_s=300.0,
    body_bytes_max=FILM_BYTES_MAX,
    refusal_floor_s=0.0,  # Nobody learns anything from the time: the URL is a provider's, not a client's.
)


class Results:
    """Makes output files of what providers answer."""

    def __init__(self, web: WebClient, *, limits: FetchLimits = LIMITS) -> None:
        self._web = web
        self._limits = limits

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
                async for piece in upstream.stream(
                    path, headers=headers(), bytes_max=limits.body_bytes_max, timeout_s=limits.total_s
                ):
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
            await self._web.fetch(url, pieces.put, limits)
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


def role_by_name(name: str) -> str:
    """The role of a file by the ending of its name or URL: "video" or "image"."""
    return "video" if urlsplit(name).path.lower().endswith(FILM_ENDINGS) else "image"


def of_base64(text: object, *, role: str = "image", cost_fen: int = 0) -> OutputFile:
    """The file in a base64 text, with or without a `data:` prefix. Raises Unreadable when it is none."""
    return OutputFile.of_bytes(decoded(text, cost_fen=cost_fen), role=role)


def decoded(text: object, *, cost_fen: int = 0) -> bytes:
    """The bytes in a base64 text, with or without a `data:` prefix. Raises Unreadable when it is none."""
    if not isinstance(text, str) or not text:
        raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen))
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(failed(Trouble.UNUSABLE, cost_fen=cost_fen)) from error
