"""Pictures are decoded in processes of their own (`decoder.py`), a few of them, kept warm between pictures.

Started as fresh programs, never forked: a fork after gRPC began is unsafe, and would carry our secrets along.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from asset_store.domain import FIELD, PictureLimits
from kit import media
from kit.errors import DependencyUnavailable, InputTooLarge, InputUnsupported
from kit.logging import get_logger

WALL_S_MAX: Final = 15.0  # A picture within the limits takes a second or two; the rest is patience with a busy machine.
START_S_MAX: Final = 30.0  # An interpreter and Pillow: a tenth of a second, or many on a machine that is swamped.
PROCESSES: Final = 2  # One picture being slow does not stop the next.

_FORMATS: Final = {media.PNG: "PNG", media.JPEG: "JPEG", media.WEBP: "WEBP", media.GIF: "GIF"}
_log = get_logger(__name__)


class PictureInspector:
    """An `Inspector` with a few decoder processes."""

    def __init__(self, *, processes: int = PROCESSES, wall_s: float = WALL_S_MAX) -> None:
        """Start nothing yet."""
        self._slots = asyncio.Semaphore(processes)
        self._wall_s = wall_s
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._warming: asyncio.Task[None] | None = None
        self._closed = False

    def warm(self) -> None:
        """Start the first decoder in the background, so that the first upload need not wait for it."""
        self._warming = asyncio.create_task(self._warm(), name="warm-decoder")

    async def stop(self) -> None:
        """End all decoders; a picture being decoded is given up."""
        self._closed = True
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        for process in list(self._all):
            await self._end(process)

    async def inspect(self, path: Path, *, mime_type: str, limits: PictureLimits) -> tuple[int, int]:
        """See `Inspector.inspect`."""
        job = {
            "path": str(path),
            "formats": [_FORMATS[mime_type]],
            "pixels_max": limits.pixels_max,
            "side_max": limits.side_max,
            "frames_max": limits.frames_max,
        }
        async with self._slots:
            answer = await self._ask(job)
        refused = answer.get("refused")
        if refused is None:
            return int(answer["width"]), int(answer["height"])
        if refused == "too_large":
            limits.check(width=answer["width"], height=answer["height"], frames=answer["frames"])
            raise InputTooLarge("The picture needs too much memory to be decoded.", field=FIELD)
        _log.info("picture_refused", mime_type=mime_type, refused=refused, detail=answer.get("detail"))
        raise InputUnsupported("The picture is damaged or cut short.", field=FIELD)

    async def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        process = await self._take()
        answered = False
        try:
            async with asyncio.timeout(self._wall_s):
                line = await _exchange(process, json.dumps(job).encode() + b"\n")
            answered = line.endswith(b"\n")
        except TimeoutError:
            line = b""
        finally:
            if answered and not self._closed:
                self._idle.append(process)
            else:
                await self._end(process)
        if not answered:
            _log.warning("decoder_gave_up", returncode=process.returncode)
            return {"refused": "damaged", "detail": "gave_up"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _take(self) -> Process:
        if self._warming is not None:
            await asyncio.wait([self._warming])
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            self._all.discard(process)
        return await self._spawn()

    async def _warm(self) -> None:
        with suppress(DependencyUnavailable):  # The next picture will try again, and say so.
            self._idle.append(await self._spawn())

    async def _spawn(self) -> Process:
        # -I: neither the environment nor the current folder decides what is imported.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "asset_store.decoder",
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C is for us; the decoder ends when its stdin does.
        )
        self._all.add(process)
        try:
            async with asyncio.timeout(START_S_MAX):
                line = await _exchange(process, b"")
        except TimeoutError:
            line = b""
        except BaseException:
            await self._end(process)
            raise
        if line != b"ready\n":
            await self._end(process)
            _log.error("decoder_did_not_start", returncode=process.returncode)
            raise DependencyUnavailable("Pictures cannot be inspected at the moment.")
        return process

    async def _end(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._all.discard(process)


async def _exchange(process: Process, message: bytes) -> bytes:
    """Send a line and return the answer's; empty when the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(message)
        await process.stdin.drain()
    return await process.stdout.readline()
