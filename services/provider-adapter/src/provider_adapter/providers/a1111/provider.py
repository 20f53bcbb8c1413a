"""One AUTOMATIC1111 or Forge server: each picture is one call that waits in the server's queue and answers with it."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from kit.logging import get_logger
from kit.tasks import end
from provider_adapter.ports import Accepted, Failed, Finished, OnProgress, Outcome, Source, Task
from provider_adapter.providers.a1111 import mapping
from provider_adapter.providers.a1111.options import Options
from provider_adapter.providers.a1111.watch import Watch
from provider_adapter.providers.remote.http import PICTURES_BYTES_MAX, NoAnswer, NotReadable, NotSent, Reply
from provider_adapter.providers.remote.inline import encode, encoded
from provider_adapter.providers.remote.options import CredentialMissing
from provider_adapter.providers.remote.pictures import Aside, NotUsable, Size, upright, white_where_marked
from provider_adapter.providers.remote.provider import Refused, RemoteProvider
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

API: Final = "/sdapi/v1"
IMAGE_BYTES_MAX: Final = 50_000_000  # Ours: it is in memory, a third larger as base64, until it is sent.

_MIME_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp"})
_PICTURES: Final = frozenset({"image", "reference"})

_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Request:
    path: str
    body: dict[str, Any]
    cut: Size | None  #: The size to cut the result to.


class A1111Provider(RemoteProvider):
    """A `ports.Provider` for one server."""

    capabilities = frozenset({"image.generate", "image.inpaint", "image.upscale"})

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self.repeatable = options.repeatable
        self._own = options
        self._aside = Aside()
        self._watches: set[Watch] = set()
        self._interrupting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close all connections, once what is to be interrupted is."""
        await asyncio.gather(*self._interrupting, return_exceptions=True)
        await super().close()

    async def submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        """Hand over a task; see the port. Where repeating costs nothing, a lost answer is one try that failed."""
        answer = await super().submit(task, on_progress)
        if self.repeatable and isinstance(answer, Failed) and answer.outcome is Outcome.UNKNOWN:
            return replace(answer, outcome=Outcome.RETRYABLE)
        return answer

    async def _submit(self, task: Task, on_progress: OnProgress) -> Finished:
        request = await self._request(task)
        content = await self._aside.do(orjson.dumps, request.body)
        watch = await self._watch()
        try:
            reply = await self._wait_for(task, request.path, content, watch, on_progress)
            await watch.look()
        finally:
            self._watches.discard(watch)
        if not reply.ok:
            self._tell(reply)
            raise mapping.refused(reply)
        if watch.cut_short:
            raise Refused(Trouble.CANCELLED)  # There is a picture, and it is not finished.
        cost_fen = self._own.cost_fen_per_output
        files = await self._aside.do(mapping.files_of, reply, request.cut, cost_fen)
        return Finished(files=files, cost_fen=cost_fen * sum(not file.extra for file in files))

    async def _watch(self) -> Watch:
        watch = Watch(self._progress)
        for other in self._watches:
            other.alone = other.alone and other.stamp != ""  # Which of the two begins first cannot be told.
        others = bool(self._watches)
        self._watches.add(watch)
        try:
            await watch.before()
        except BaseException:
            self._watches.discard(watch)
            raise
        watch.alone = watch.alone and not others
        return watch

    async def _wait_for(self, task: Task, path: str, content: bytes, watch: Watch, on_progress: OnProgress) -> Reply:
        """Make the call and follow it; one that is given up is ended at the server if it is at work on it."""
        following = asyncio.create_task(watch.follow(on_progress, self._own.progress_every_s))
        try:
            return await self.upstream.call(
                "POST",
                f"{API}/{path}",
                headers={**self._headers(), "Content-Type": "application/json"},
                content=content,
                timeout_s=min(self._own.work_s, max(task.timeout_s, 0.001)),
                bytes_max=PICTURES_BYTES_MAX,
            )
        except (asyncio.CancelledError, NoAnswer):
            interrupting = asyncio.create_task(self._interrupt(watch))
            self._interrupting.add(interrupting)
            interrupting.add_done_callback(self._interrupting.discard)
            raise
        finally:
            await end(following)

    async def _interrupt(self, watch: Watch) -> None:
        try:
            if await watch.running(self._own.progress_every_s):
                await self.upstream.call("POST", f"{API}/interrupt", headers=self._headers())
                _log.info("work_interrupted", provider=self.name)
        except (NotSent, NoAnswer, NotReadable, CredentialMissing) as error:
            _log.info("interrupt_failed", provider=self.name, cause=f"{type(error).__name__}: {error}")

    async def _progress(self) -> Reply:
        params = {"skip_current_image": "true"}
        return await self.upstream.call("GET", f"{API}/progress", headers=self._headers(), params=params)

    def _headers(self) -> dict[str, str]:
        if self._own.login is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(self._own.login.read().encode()).decode()}

    def _tell(self, reply: Reply) -> None:
        error = mapping.error_in(reply)
        said = " ".join(str(error[name]) for name in ("error", "detail", "errors") if error.get(name))
        self.upstream.tell("submit_refused", said or reply.body[:1000], status=reply.status)

    async def _request(self, task: Task) -> _Request:
        pictures = [source for source in task.inputs if source.role in _PICTURES]
        masks = [source for source in task.inputs if source.role == "mask"]
        _check(task, pictures, masks)
        if not pictures:
            body, ordered = mapping.drawn(task, self._own)
            return _Request(path="txt2img", body=body, cut=ordered)
        picture = await self._picture(pictures[0])
        if task.capability == "image.upscale":
            body, cut = mapping.enlarged(task, picture)
            return _Request(path="extra-single-image", body=body, cut=cut)
        if masks:
            body, cut = mapping.repainted(task, self._own, picture, await self._mask(masks[0], picture.size))
        else:
            body, cut = mapping.redrawn(task, self._own, picture)
        return _Request(path="img2img", body=body, cut=cut)

    async def _picture(self, source: Source) -> mapping.Picture:
        data = await source.read()

        def work() -> mapping.Picture:
            shown, size = upright(data)
            return mapping.Picture(base64=encode(shown), size=size, field=source.field)

        try:
            return await self._aside.do(work)
        except NotUsable as error:
            raise Refused(Trouble.UNSUPPORTED, str(error), field=source.field) from error

    async def _mask(self, source: Source, size: Size) -> str:
        try:
            mask = await self._aside.do(white_where_marked, await source.read(), size)
        except NotUsable as error:
            raise Refused(Trouble.UNSUPPORTED, str(error), field=source.field) from error
        return await encoded(mask)


def _check(task: Task, pictures: Sequence[Source], masks: Sequence[Source]) -> None:
    most, least = (1, 0) if task.capability == "image.generate" else (1, 1)
    if len(pictures) < least or len(masks) != (task.capability == "image.inpaint"):
        message = "The provider needs a picture here, and a mask for repainting alone."
        raise Refused(Trouble.UNSUPPORTED, message, field="inputs")
    if len(pictures) > most:
        raise Refused(Trouble.UNSUPPORTED, "The provider takes one picture.", field=pictures[most].field)
    for source in task.inputs:
        if source.role not in _PICTURES | {"mask"}:
            message = "The provider does not take this kind of input."
        elif source.mime_type not in _MIME_TYPES:
            message = "The provider takes PNG, JPEG and WebP pictures."
        elif source.size_bytes > IMAGE_BYTES_MAX:
            message = f"The picture is larger than {IMAGE_BYTES_MAX // 1_000_000} MB."
        else:
            continue
        raise Refused(Trouble.UNSUPPORTED, message, field=source.field)
