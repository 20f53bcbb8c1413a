"""Pictures are decoded in processes of their own (`decoder.py`), a few of them, kept warm between pictures.

They are fresh programs started by `subprocess`, which on Linux is a vfork: a plain fork after gRPC began, such as an
event loop's own process support may use, runs gRPC's fork handlers, which can stall its threads and cut connections.
"""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from asset_store.domain import FIELD, PictureLimits
from asset_store.threads import Threads
from kit import media
from kit.errors import DependencyUnavailable, InputTooLarge, InputUnsupported, NotServing
from kit.logging import get_logger

WALL_S_MAX: Final = 15.0  # A picture within the limits takes a second or two; the rest is patience with a busy machine.
START_S_MAX: Final = 30.0  # An interpreter and Pillow: a tenth of a second, or many on a machine that is swamped.
PROCESSES: Final = 2  # One picture being slow does not stop the next.

_FORMATS: Final = {media.PNG: "PNG", media.JPEG: "JPEG", media.WEBP: "WEBP", media.GIF: "GIF"}
_READY: Final = b"ready\n"
_log = get_logger(__name__)


class PictureInspector:
    """An `Inspector` with a few decoder processes."""

    def __init__(self, *, processes: int = PROCESSES, wall_s: float = WALL_S_MAX) -> None:
        """Start nothing yet."""
        self._slots = asyncio.Semaphore(processes)
        self._threads = Threads(
            "decoder", processes + 2
        )  # One for each conversation, one for the warming, one for films.
        self._wall_s = wall_s
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()
        self._warming: asyncio.Task[None] | None = None
        self._closed = False

    def warm(self) -> None:
        """Start the first decoder in the background, so that the first upload need not wait for it."""
        self._warming = asyncio.create_task(self._warm(), name="warm-decoder")

    async def stop(self) -> None:
        """End all decoders; a picture being decoded is given up."""
        self._closed = True
        for decoder in self._all:
            decoder.kill()
        if self._warming is not None:
            await asyncio.wait([self._warming])
        for decoder in list(self._all):
            await self._end(decoder)
        self._threads.close()

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

    async def inspect_film(self, path: Path) -> tuple[int, int]:
        """See `Inspector.inspect_film`."""
        size = await self._threads.run(_film_size, path)
        if size is None:
            raise InputUnsupported("The film is damaged or cut short.", field=FIELD)
        return size

    async def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        decoder = await self._take()
        line = b""
        try:
            line = await self._talk(decoder, json.dumps(job).encode() + b"\n", self._wall_s)
        finally:
            if line and not self._closed:
                self._idle.append(decoder)
            else:
                await self._end(decoder)
        if not line:
            _log.warning("decoder_gave_up", returncode=decoder.process.returncode)
            return {"refused": "damaged", "detail": "gave_up"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _take(self) -> "_Decoder":
        if self._warming is not None:
            await asyncio.wait([self._warming])
        if self._closed:
            raise NotServing
        while self._idle:
            decoder = self._idle.pop()
            if decoder.process.poll() is None:
                return decoder
            await self._end(decoder)
        return await self._start()

    async def _warm(self) -> None:
        with suppress(DependencyUnavailable, NotServing):  # The next picture will try again, and say so.
            self._idle.append(await self._start())

    async def _start(self) -> "_Decoder":
        started: list[_Decoder] = []  # Filled by the thread, so that a cancelled caller still knows what to end.
        line = b""
        try:
            await self._threads.run(lambda: started.append(_Decoder(_spawn())))
            self._all.add(started[0])
            line = await self._talk(started[0], b"", START_S_MAX)
        finally:
            if started and (line != _READY or self._closed):
                await self._end(started[0])
        if self._closed:
            raise NotServing
        if line != _READY:
            _log.error("decoder_did_not_start", returncode=started[0].process.returncode)
            raise DependencyUnavailable("Pictures cannot be inspected at the moment.")
        return started[0]

    async def _talk(self, decoder: "_Decoder", message: bytes, timeout_s: float) -> bytes:
        """Send a line and return the answer's; empty when the decoder is gone, or was killed for being late."""
        answer = asyncio.ensure_future(self._threads.run(decoder.exchange, message))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(answer)
        except TimeoutError:
            decoder.kill()  # This ends the conversation in the thread, too.
            await answer
            return b""
        except asyncio.CancelledError:
            decoder.kill()
            await asyncio.wait([answer])
            raise

    async def _end(self, decoder: "_Decoder") -> None:
        decoder.kill()
        self._all.discard(decoder)
        await self._threads.run(decoder.reap)


class _Decoder:
    """One decoder process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def exchange(self, message: bytes) -> bytes:
        """Blocks."""
        try:
            _pipe(self.process.stdin).write(message)
            _pipe(self.process.stdin).flush()
            line = _pipe(self.process.stdout).readline()
        except (OSError, ValueError):  # Gone, or its pipes closed by `reap`.
            return b""
        return line if line.endswith(b"\n") else b""

    def kill(self) -> None:
        self.process.kill()

    def reap(self) -> None:
        """Blocks, for as long as a killed process takes to end."""
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()


def _film_size(path: Path) -> tuple[int, int] | None:
    with path.open("rb") as file:
        return media.film_size(file, path.stat().st_size)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "both ends were asked for"
    return pipe


def _spawn() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        # -I: neither the environment nor the current folder decides what is imported.
        [sys.executable, "-I", "-m", "asset_store.decoder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        start_new_session=True,  # Ctrl-C is for us; the decoder ends when its stdin does.
    )
