"""Whose picture the server works on just now: its progress, and its only way to stop, know no requests.

A request that finds the server idle is the next to be worked on, so the first work seen after it is ours, and its
`job_timestamp` marks it from then on. A request that finds the server at work never learns when its turn has come: it
tells no progress and stops nothing, rather than somebody else's picture.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from provider_adapter.ports import OnProgress
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Reply
from provider_adapter.providers.remote.options import CredentialMissing

BEGIN_TRIES: Final = 5  # So often a call that is given up is looked for, because the server is slow to begin.


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the server says of itself."""

    busy: bool
    stamp: str  #: Of the work under way, or of the last one.
    fraction: float
    cut_short: bool  #: Somebody interrupted or skipped it, so what it gives is not finished.


def snapshot_of(reply: Reply) -> Snapshot | None:
    """Read an answer to the question of progress; None when it is none."""
    try:
        answer = reply.object() if reply.ok else {}
    except NotReadable:
        return None
    state: Any = answer.get("state")
    fraction = answer.get("progress")
    if not isinstance(state, dict) or not isinstance(fraction, int | float):
        return None
    return Snapshot(
        busy=bool(state.get("job")) or state.get("job_count", 0) != 0,
        stamp=str(state.get("job_timestamp", "")),
        fraction=min(1.0, max(0.0, float(fraction))),
        cut_short=state.get("interrupted") is True or state.get("skipped") is True,
    )


class Watch:
    """Follows one request of ours."""

    def __init__(self, ask: Callable[[], Awaitable[Reply]]) -> None:
        """`ask` asks for the progress."""
        self._ask = ask
        self._stamp_before = ""
        self.alone = False  #: Whether the first work to be seen is ours.
        self.stamp = ""  #: Of our work, once it is known.
        self.cut_short = False

    async def before(self) -> None:
        """Look at the server before the request is sent. Raises NotSent: then it would not be either."""
        try:
            seen = snapshot_of(await self._ask())
        except (NoAnswer, NotReadable):
            return
        if seen is not None:
            self.alone, self._stamp_before = not seen.busy, seen.stamp

    async def follow(self, on_progress: OnProgress, every_s: float) -> None:
        """Tell our progress until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            seen = await self.look()
            if seen is not None and self._is_ours(seen) and seen.busy:
                on_progress(seen.fraction)

    async def look(self) -> Snapshot | None:
        """Ask once; None when nothing can be learned."""
        try:
            seen = snapshot_of(await self._ask())
        except (NotSent, NoAnswer, NotReadable, CredentialMissing):
            return None
        if seen is None:
            return None
        if self.alone and not self.stamp and (seen.busy or seen.stamp != self._stamp_before):
            self.stamp = seen.stamp
        self.cut_short = self.cut_short or (self._is_ours(seen) and seen.cut_short)
        return seen

    async def running(self, every_s: float) -> bool:
        """Tell whether it is our request that the server works on, waiting a little for it to begin."""
        for _ in range(BEGIN_TRIES):
            seen = await self.look()
            if seen is None or not self.alone:
                return False
            if self.stamp:
                return seen.busy and self._is_ours(seen)
            await asyncio.sleep(every_s)
        return False

    def _is_ours(self, seen: Snapshot) -> bool:
        return self.stamp != "" and seen.stamp == self.stamp
